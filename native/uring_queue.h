// io_uring as an IoQueue, by its three system calls; no library.
//
// Submissions go through a ring of entries and one io_uring_enter per batch; completions are read
// from a ring in our memory, and the eventfd tells of them. Where the kernel can (6.1), it leaves
// the last part of a completion to us (DEFER_TASKRUN) and says so by a flag in memory: looking
// costs no system call.
//
// registerFile(descriptor)    the kernel keeps the open file at hand instead of looking it up for
//                             each request; false when its table is full.
//                             unregisterFile(descriptor) must come before close(2).
// registerMemory(memory)      the kernel keeps the pages of an AlignedMemory pinned, and so do we
//                             until unregisterMemory(memory); an errno, or 0.
#ifndef QUARRY_URING_QUEUE_H
#define QUARRY_URING_QUEUE_H

#include <linux/io_uring.h>

#include <unordered_map>

#include "io_queue.h"

namespace quarry {

class UringQueue : public IoQueueObject<UringQueue> {
 public:
  static constexpr const char* kName = "UringQueue";
  static void Define(Napi::Env env, Napi::Object exports);
  explicit UringQueue(const Napi::CallbackInfo& info);
  ~UringQueue() override;

 private:
  // What the kernel shares: the heads and tails of both rings, and their entries.
  struct Rings {
    void* map = nullptr;
    size_t map_bytes = 0;
    io_uring_sqe* entries = nullptr;
    size_t entries_bytes = 0;
    uint32_t* submit_head;
    uint32_t* submit_tail;
    uint32_t submit_mask;
    uint32_t* submit_flags;
    uint32_t* complete_head;
    uint32_t* complete_tail;
    uint32_t complete_mask;
    const io_uring_cqe* completions;
  };

  Napi::Value RegisterFile(const Napi::CallbackInfo& info);
  Napi::Value UnregisterFile(const Napi::CallbackInfo& info);
  Napi::Value RegisterMemory(const Napi::CallbackInfo& info);
  Napi::Value UnregisterMemory(const Napi::CallbackInfo& info);

  Failure Open() override;
  void HandOver() override;
  uint32_t Take(Completion* into, uint32_t most) override;
  bool HasCompletions() const override;
  int CancelBelow(const Request& target, const Request& cancel) override;
  void Stop() override;

  Failure SetUp(io_uring_params* params);
  Failure MapRings(const io_uring_params& params);
  Failure PrepareTables();
  void Unmap();
  io_uring_sqe* NextEntry(uint32_t ahead);
  void Fill(io_uring_sqe* entry, const Request& request) const;
  void UseRegistered(io_uring_sqe* entry, const Request& request) const;
  int Enter(uint32_t submit, uint32_t wait) const;
  bool NeedsEnter() const;
  bool UpdateFile(uint32_t slot, int descriptor) const;
  int UpdateMemory(uint32_t slot, Mapping* mapping) const;

  int ring_ = -1;
  bool defers_work_ = false;
  Rings rings_;
  std::vector<int> file_slots_;         // descriptor → place in the kernel's table, −1 without
  std::vector<uint32_t> free_file_slots_;
  std::vector<int> memory_slots_;       // number of a memory → place in the kernel's table, −1 without
  std::vector<HeldMapping> registered_;  // by place
  std::vector<uint32_t> free_memory_slots_;
};

}  // namespace quarry

#endif
