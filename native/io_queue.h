// What the kernel queues have in common: requests in, completions out, in numbers and batches.
//
// new AioQueue(depth, onCompletions), new UringQueue(…), new ThreadQueue(…)
//   entries      Float64Array, depth × 8: operation, file, memory, memory offset, length, file
//                offset, token, segment count
//   segments     Float64Array, 4 × IOV_MAX × 3: memory, memory offset, length
//   completions  Float64Array, depth × 2: token, result (bytes moved, or a negative errno)
//   submit(n)    hands the first n entries over, in one system call where there is one
//   setSpin(ns)  longest look for completions before the loop sleeps; 0, as at first, is none
//   close()      waits for what is under way, drops its results
//   statistics() { submitted, submitCalls, completed, batches }
//
// `file` is a descriptor, or −1 − the number of a MappedFile. With a segment count the memory
// offset is the place of the first segment, and the length is that of all. An entry that cancels
// names the token of another in its file offset; its result is 0 when that one will end early,
// ENOENT or EALREADY when it will not.
//
// Rules of use: never more than `depth` requests unfinished. Every entry accepted by submit() ends
// in exactly one pair of one later onCompletions(count), also when the kernel refused it; submit()
// itself never reports. An entry the kernel has no room for stays queued here and is handed over
// after the next completions; if there are none to come, it ends with −EAGAIN and the caller may
// try later.
//
// The loop stays alive while a request is unfinished, and is not woken otherwise.
#ifndef QUARRY_IO_QUEUE_H
#define QUARRY_IO_QUEUE_H

#include <napi.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "environment.h"
#include "errors.h"
#include "loop_poll.h"
#include "mapped_file.h"
#include "script_callback.h"
#include "shared_numbers.h"

namespace quarry {

// Operations as JavaScript names them (src/native.ts); not the numbers of any kernel interface.
enum class Operation : uint8_t { kRead, kWrite, kSync, kDataSync, kCancel, kReadCached, kWriteThrough, kCount };

class IoQueue : public EventSource, public PollOwner, public LoopResource {
 public:
  virtual ~IoQueue() = default;

 protected:
  // A request from submit() to its completion.
  struct Request {
    Operation operation;
    int file;
    uint32_t index;
    int64_t offset;  // in the file
    uint64_t length;
    double token;
    bool in_kernel;
    iovec piece;                       // of a request without segments
    HeldMapping memory;                // under it
    std::vector<iovec> pieces;         // of one with segments
    std::vector<HeldMapping> memories;
    std::shared_ptr<MappedContent> mapped;

    bool IsVector() const { return !pieces.empty(); }
    bool IsSync() const { return operation == Operation::kSync || operation == Operation::kDataSync; }
    const iovec* Pieces() const { return IsVector() ? pieces.data() : &piece; }
    uint32_t PieceCount() const { return IsVector() ? static_cast<uint32_t>(pieces.size()) : 1; }
  };
  struct Completion {
    uint32_t index;
    int64_t result;
  };
  // A step that failed, to be thrown.
  struct Failure {
    int error = 0;
    const char* syscall = "";
    const char* detail = nullptr;
  };

  explicit IoQueue(Environment& environment) : environment_(environment) {}

  // For the constructor of a queue: checks the arguments, makes the arrays, opens the queue.
  void Begin(const Napi::CallbackInfo& info, Napi::Object self, const char* name);
  void SubmitEntries(Napi::Env env, uint32_t count);
  uint32_t FreeSlots() const { return static_cast<uint32_t>(free_slots_.size()); }
  Napi::Object Counters(Napi::Env env) const;
  void CloseQueue();

  // Opens what is below; the eventfd is `signal_`.
  virtual Failure Open() = 0;
  // Gives what is in `queued_` to what is below, in order, and takes it out of `queued_`.
  virtual void HandOver() = 0;
  // Moves up to `most` completions out; those are no longer below.
  virtual uint32_t Take(Completion* into, uint32_t most) = 0;
  virtual bool HasCompletions() const = 0;
  // Asks for `target`, which is below, to end early. 0 or an errno, as `cancel` is to end; −1: a
  // completion of `cancel` will tell.
  virtual int CancelBelow(const Request& target, const Request& cancel) = 0;
  // Returns when nothing below touches our memory.
  virtual void Stop() = 0;
  // Keeps the JavaScript object alive; lets it go.
  virtual void Hold() = 0;
  virtual void LetGo() = 0;
  virtual Napi::Object Self() = 0;
  virtual bool TakesMappedFiles() const { return false; }

  // Ends a request that does not go below, with the next batch.
  void EndHere(uint32_t index, int64_t result);
  void Signal();
  bool IsOpen() const { return poll_ != nullptr; }
  bool HasSyncs() const { return syncs_ > 0; }

  bool TryDispatch() override;
  bool PrepareToSleep() override;
  int SleepDescriptor() const override { return poll_ && free_slots_.size() < depth_ ? signal_ : -1; }
  void OnReadable(int status) override;
  void Shutdown() override;

  Environment& environment_;
  napi_env env_ = nullptr;
  uint32_t depth_ = 0;
  int signal_ = -1;  // eventfd
  bool signal_is_stale_ = false;  // what it told of may have been taken since it was last read
  std::vector<Request> requests_;
  std::vector<uint32_t> queued_;  // accepted, not yet below
  uint32_t below_ = 0;
  double submitted_ = 0;
  double submit_calls_ = 0;

 private:
  void MakeArrays(Napi::Env env, Napi::Object self);
  void Accept(const double* entry);
  int FillTransfer(Request* request, const double* entry);
  int FillSegments(Request* request, const double* entry);
  int FillPiece(const double* numbers, HeldMapping* memory, iovec* piece);
  void Cancel(Request* cancel, double token);
  uint32_t Collect();
  void Finish(uint32_t index, int64_t result, uint32_t place);
  void DrainSignal();

  LoopPoll* poll_ = nullptr;
  ScriptCallback on_completions_;
  HeldMapping entries_;
  HeldMapping segments_;
  HeldMapping completions_;
  std::vector<uint32_t> free_slots_;
  std::vector<Completion> ended_here_;
  std::vector<Completion> taken_;
  uint32_t syncs_ = 0;  // accepted and not finished
  double completed_ = 0;
  double batches_ = 0;
};

// The JavaScript class of one kind of queue. `Kind` brings the virtual functions below, and a
// static kName.
template <class Kind>
class IoQueueObject : public Napi::ObjectWrap<Kind>, public IoQueue {
 public:
  using Wrap = Napi::ObjectWrap<Kind>;
  using Properties = std::vector<typename Wrap::PropertyDescriptor>;

  // `more`: what this kind has besides.
  static void Define(Napi::Env env, Napi::Object exports, const Properties& more = {}) {
    Properties properties = {Wrap::InstanceMethod("submit", &IoQueueObject::Submit),
                             Wrap::InstanceMethod("setSpin", &IoQueueObject::SetSpin),
                             Wrap::InstanceMethod("close", &IoQueueObject::Close),
                             Wrap::InstanceMethod("statistics", &IoQueueObject::Statistics)};
    properties.insert(properties.end(), more.begin(), more.end());
    exports.Set(Kind::kName, Wrap::DefineClass(env, Kind::kName, properties));
  }

  explicit IoQueueObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Kind>(info), IoQueue(Environment::Of(info.Env())) {}

  Napi::Value Submit(const Napi::CallbackInfo& info) {
    if (!IsOpen()) throw Napi::Error::New(info.Env(), std::string("the ") + Kind::kName + " is closed");
    SubmitEntries(info.Env(), static_cast<uint32_t>(IntegerArgument(info, 0, "count", 0, FreeSlots())));
    return info.Env().Undefined();
  }

  Napi::Value SetSpin(const Napi::CallbackInfo& info) {
    const int64_t nanoseconds = IntegerArgument(info, 0, "nanoseconds", 0, kLongestSpin);
    environment_.spinner.SetLongest(this, static_cast<uint64_t>(nanoseconds));
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    CloseQueue();
    return info.Env().Undefined();
  }

  Napi::Value Statistics(const Napi::CallbackInfo& info) { return Counters(info.Env()); }

 protected:
  void Hold() override { this->Ref(); }
  void LetGo() override { this->Unref(); }
  Napi::Object Self() override { return this->Value(); }
};

}  // namespace quarry

#endif
