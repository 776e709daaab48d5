// One kernel AIO context over one descriptor.
//
// new AioContext(descriptor, depth, onCompletions)
//   entries      Float64Array, depth × 6: opcode, memory number, memory offset, length, device offset, token
//   completions  Float64Array, depth × 2: token, result (bytes moved, or a negative errno)
//   submit(n)    hands the first n entries to the kernel in one io_submit
//   close()      waits for what the kernel has, drops its results
//   statistics() { submitted, submitCalls, completed, batches }
//
// Rules of use: never more than `depth` requests unfinished. Every entry accepted by submit() ends in
// exactly one pair of one later onCompletions(count), also when the kernel refused it; submit() itself
// never reports. An entry the kernel has no room for stays queued here and is handed over after the next
// completions; if there are none to come, it ends with -EAGAIN and the caller may try later.
//
// The loop stays alive while a request is unfinished, and is not woken otherwise.
#ifndef QUARRY_AIO_CONTEXT_H
#define QUARRY_AIO_CONTEXT_H

#include <linux/aio_abi.h>
#include <napi.h>

#include <cstdint>
#include <vector>

#include "completion_ring.h"
#include "environment.h"
#include "loop_poll.h"
#include "script_callback.h"

namespace quarry {

class AioContext : public Napi::ObjectWrap<AioContext>, EventSource, PollOwner, LoopResource {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  explicit AioContext(const Napi::CallbackInfo& info);
  ~AioContext() override;

 private:
  // A request from submit() to its completion. `request` is what the kernel reads.
  struct Slot {
    iocb request;
    HeldMapping memory;
    double token;
  };

  Napi::Value Submit(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Statistics(const Napi::CallbackInfo& info);

  void SetUp(Napi::Env env);
  void MakeArrays(Napi::Env env, Napi::Object self);
  void Accept(Napi::Env env, const double* entry);
  void HandOver();
  void Refuse(iocb* request, int error);
  uint32_t Collect();
  void Finish(uint32_t slot, double result, uint32_t place);
  void DrainSignal();
  void Signal();

  bool TryDispatch() override;
  bool PrepareToSleep() override;
  int SleepDescriptor() const override { return poll_ && free_slots_.size() < depth_ ? signal_ : -1; }
  void OnReadable(int status) override;
  void Shutdown() override;

  Environment& environment_;
  int descriptor_ = -1;
  uint32_t depth_ = 0;
  aio_context_t context_ = 0;
  int signal_ = -1;  // eventfd
  LoopPoll* poll_ = nullptr;
  CompletionRing ring_;
  ScriptCallback on_completions_;

  HeldMapping entries_;
  HeldMapping completions_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<iocb*> queued_;     // accepted, not yet the kernel's
  std::vector<io_event> refused_;  // what the kernel refused, to be reported with the next batch
  std::vector<io_event> events_;
  uint32_t in_kernel_ = 0;
  bool signal_is_stale_ = false;  // events were taken since the eventfd was last read

  double submitted_ = 0;
  double submit_calls_ = 0;
  double completed_ = 0;
  double batches_ = 0;
};

}  // namespace quarry

#endif
