// An IoQueue over ordinary system calls on the threads of libuv's pool: for the engines buffered,
// direct and mmap.
//
// One request occupies one thread, so the owner keeps the depth at the number of threads. Reads of
// kind kReadCached are first tried here and now with RWF_NOWAIT, which takes what the page cache
// has and never waits; a thread would cost ten times the copy.
#ifndef QUARRY_THREAD_QUEUE_H
#define QUARRY_THREAD_QUEUE_H

#include <condition_variable>
#include <mutex>

#include "io_queue.h"

namespace quarry {

class ThreadQueue : public IoQueueObject<ThreadQueue> {
 public:
  static constexpr const char* kName = "ThreadQueue";
  explicit ThreadQueue(const Napi::CallbackInfo& info);
  ~ThreadQueue() override;

 private:
  // What a thread and the loop share; lives as long as either needs it.
  struct Shared {
    std::mutex mutex;
    std::condition_variable ended;
    std::vector<Completion> completions;
    uint32_t unfinished = 0;
    int signal = -1;
  };
  // One request on its way through the pool. libuv owns it until After.
  struct Work {
    uv_work_t handle;
    ThreadQueue* queue;  // nullptr once the queue has stopped
    const Request* request;
    uint32_t index;
    bool cancelled;
    std::shared_ptr<Shared> shared;
    Environment* environment;
  };

  Failure Open() override;
  void HandOver() override;
  uint32_t Take(Completion* into, uint32_t most) override;
  bool HasCompletions() const override;
  int CancelBelow(const Request& target, const Request& cancel) override;
  void Stop() override;
  bool TakesMappedFiles() const override { return true; }

  bool TryCached(const Request& request);
  int Start(const Request& request);
  static bool CancelWork(Work* work);
  static int64_t Perform(const Request& request);
  static void Run(uv_work_t* handle);
  static void After(uv_work_t* handle, int status);

  std::shared_ptr<Shared> shared_;
  std::vector<Work*> works_;  // those that libuv has
};

}  // namespace quarry

#endif
