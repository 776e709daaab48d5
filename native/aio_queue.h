// Kernel AIO (io_submit) as an IoQueue. The completions are read from the ring in our memory,
// without a system call.
//
// One context serves any number of descriptors: the system has few (fs.aio-max-nr), and giving one
// back takes the kernel tens of milliseconds. So an idle context is given back on a thread of its
// own.
//
// Transfers of files and disks cannot be cancelled once submitted; the kernel says so (EINVAL), and
// so do we.
#ifndef QUARRY_AIO_QUEUE_H
#define QUARRY_AIO_QUEUE_H

#include <linux/aio_abi.h>

#include "completion_ring.h"
#include "io_queue.h"

namespace quarry {

class AioQueue : public IoQueueObject<AioQueue> {
 public:
  static constexpr const char* kName = "AioQueue";
  explicit AioQueue(const Napi::CallbackInfo& info);
  ~AioQueue() override;

 private:
  Failure Open() override;
  void HandOver() override;
  uint32_t Take(Completion* into, uint32_t most) override;
  bool HasCompletions() const override { return ring_.HasEvents(); }
  int CancelBelow(const Request& target, const Request& cancel) override;
  void Stop() override;
  // The kernel does these in a worker bound to the processor that submitted them.
  bool AwaitsKernelThread() const override { return HasSyncs(); }

  iocb* Prepare(const Request& request);

  aio_context_t context_ = 0;
  CompletionRing ring_;
  std::vector<iocb> control_blocks_;  // one for each request
  std::vector<iocb*> batch_;
  std::vector<io_event> events_;
};

}  // namespace quarry

#endif
