#include "aio_context.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "errors.h"

namespace quarry {

namespace {

constexpr uint32_t kEntryNumbers = 6;
constexpr int64_t kDeepest = 16384;
// The largest offset that a double and the kernel's loff_t both hold exactly.
constexpr double kLargestOffset = 9007199254740991.0;

int IoSetup(unsigned depth, aio_context_t* context) {
  return syscall(SYS_io_setup, depth, context) < 0 ? errno : 0;
}

bool IsKnownOperation(double opcode) {
  return opcode == IOCB_CMD_PREAD || opcode == IOCB_CMD_PWRITE || opcode == IOCB_CMD_FSYNC ||
         opcode == IOCB_CMD_FDSYNC;
}

bool IsTransfer(double opcode) { return opcode == IOCB_CMD_PREAD || opcode == IOCB_CMD_PWRITE; }

bool IsWholeUpTo(double value, double most) { return value >= 0 && value <= most && value == std::floor(value); }

[[noreturn]] void ThrowSetupError(Napi::Env env, int error) {
  if (error != EAGAIN) ThrowErrno(env, error, "io_setup");
  ThrowErrno(env, error, "io_setup", "",
             "the system's limit of asynchronous requests is used up; raise it with: sysctl fs.aio-max-nr=1048576");
}

}  // namespace

void AioContext::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("AioContext", DefineClass(env, "AioContext",
                                        {InstanceMethod<&AioContext::Submit>("submit"),
                                         InstanceMethod<&AioContext::Close>("close"),
                                         InstanceMethod<&AioContext::Statistics>("statistics")}));
}

AioContext::AioContext(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<AioContext>(info), environment_(Environment::Of(info.Env())) {
  Napi::Env env = info.Env();
  descriptor_ = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  depth_ = static_cast<uint32_t>(IntegerArgument(info, 1, "depth", 1, kDeepest));
  if (!info[2].IsFunction()) throw Napi::TypeError::New(env, "onCompletions must be a function");
  MakeArrays(env, info.This().As<Napi::Object>());
  SetUp(env);
  on_completions_.Set(env, info[2].As<Napi::Function>(), "quarry.AioContext");
  environment_.Add(this);
  environment_.spinner.Attach(this);
  Ref();
}

AioContext::~AioContext() { Shutdown(); }

void AioContext::MakeArrays(Napi::Env env, Napi::Object self) {
  slots_ = std::vector<Slot>(depth_);
  events_.resize(depth_);
  queued_.reserve(depth_);
  refused_.reserve(depth_);
  for (uint32_t slot = depth_; slot > 0; slot--) free_slots_.push_back(slot - 1);
  entries_.reset(Mapping::Create(depth_ * kEntryNumbers * sizeof(double), environment_.memories));
  completions_.reset(Mapping::Create(depth_ * 2 * sizeof(double), environment_.memories));
  if (!entries_ || !completions_) ThrowErrno(env, ENOMEM, "mmap");
  auto entries = Napi::Float64Array::New(env, depth_ * kEntryNumbers, BufferOver(env, entries_.get()), 0);
  auto completions = Napi::Float64Array::New(env, depth_ * 2, BufferOver(env, completions_.get()), 0);
  self.DefineProperty(Napi::PropertyDescriptor::Value("entries", entries, napi_enumerable));
  self.DefineProperty(Napi::PropertyDescriptor::Value("completions", completions, napi_enumerable));
}

void AioContext::SetUp(Napi::Env env) {
  int error = IoSetup(depth_, &context_);
  if (error != 0) ThrowSetupError(env, error);
  ring_.Open(context_);
  signal_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  error = signal_ < 0 ? errno : 0;
  if (error == 0) poll_ = LoopPoll::Open(environment_, signal_, this, &error);
  if (error != 0) {
    Shutdown();
    ThrowErrno(env, error, "eventfd");
  }
  poll_->Start();
  poll_->KeepAlive(false);
}

Napi::Value AioContext::Submit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!poll_) throw Napi::Error::New(env, "the AIO context is closed");
  uint32_t count = static_cast<uint32_t>(
      IntegerArgument(info, 0, "count", 0, static_cast<int64_t>(free_slots_.size())));
  if (free_slots_.size() == depth_) poll_->KeepAlive(true);
  const double* entries = reinterpret_cast<const double*>(entries_->base());
  for (uint32_t at = 0; at < count; at++) Accept(env, entries + at * kEntryNumbers);
  HandOver();
  return env.Undefined();
}

// An entry that names no operation or lies outside its memory ends with EINVAL, as one the kernel refuses.
void AioContext::Accept(Napi::Env, const double* entry) {
  const uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[index];
  slot.token = entry[5];
  iocb& request = slot.request;
  memset(&request, 0, sizeof request);
  request.aio_data = index;
  request.aio_fildes = static_cast<uint32_t>(descriptor_);
  request.aio_flags = IOCB_FLAG_RESFD;
  request.aio_resfd = static_cast<uint32_t>(signal_);
  if (!IsKnownOperation(entry[0])) return Refuse(&request, EINVAL);
  request.aio_lio_opcode = static_cast<uint16_t>(entry[0]);
  if (IsTransfer(entry[0])) {
    if (!IsWholeUpTo(entry[1], UINT32_MAX) || !IsWholeUpTo(entry[2], kLargestOffset) ||
        !IsWholeUpTo(entry[3], INT32_MAX) || !IsWholeUpTo(entry[4], kLargestOffset)) {
      return Refuse(&request, EINVAL);
    }
    Mapping* memory = environment_.memories->Find(static_cast<uint32_t>(entry[1]));
    const uint64_t offset = static_cast<uint64_t>(entry[2]);
    const uint64_t length = static_cast<uint64_t>(entry[3]);
    if (!memory || !memory->Contains(offset, length)) return Refuse(&request, EINVAL);
    memory->Hold();
    slot.memory.reset(memory);
    request.aio_buf = reinterpret_cast<uint64_t>(memory->base() + offset);
    request.aio_nbytes = length;
    request.aio_offset = static_cast<int64_t>(entry[4]);
  }
  queued_.push_back(&request);
}

// Gives the kernel what is queued. io_submit takes a prefix, or names the first one's error: that one is
// refused and the next ones tried. EAGAIN means no room: what remains waits for completions.
void AioContext::HandOver() {
  size_t done = 0;
  while (done < queued_.size()) {
    submit_calls_++;
    long taken = syscall(SYS_io_submit, context_, static_cast<long>(queued_.size() - done), queued_.data() + done);
    if (taken > 0) {
      done += static_cast<size_t>(taken);
      in_kernel_ += static_cast<uint32_t>(taken);
      submitted_ += static_cast<double>(taken);
      continue;
    }
    const int error = taken == 0 ? EAGAIN : errno;
    if (error == EINTR) continue;
    if (error == EAGAIN && in_kernel_ > 0) break;
    Refuse(queued_[done++], error);
  }
  queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(done));
}

void AioContext::Refuse(iocb* request, int error) {
  io_event event = {};
  event.data = request->aio_data;
  event.res = -error;
  refused_.push_back(event);
  Signal();
}

bool AioContext::TryDispatch() {
  if (!poll_ || free_slots_.size() == depth_) return false;
  const uint32_t count = Collect();
  if (count == 0) return false;
  signal_is_stale_ = true;
  if (!queued_.empty()) HandOver();
  if (free_slots_.size() == depth_) poll_->KeepAlive(false);
  batches_++;
  Napi::HandleScope scope(Env());
  [[maybe_unused]] Napi::Object alive = Value();  // not collected, whatever the callback does
  if (!on_completions_.Call(count)) environment_.spinner.Leave();
  return true;
}

// Takes what is finished into `completions`, frees its slots and memory; returns how many.
uint32_t AioContext::Collect() {
  uint32_t count = 0;
  for (const io_event& event : refused_) {
    Finish(static_cast<uint32_t>(event.data), static_cast<double>(event.res), count++);
  }
  refused_.clear();
  if (in_kernel_ == 0) return count;
  const uint32_t taken = ring_.Take(events_.data(), in_kernel_);
  for (uint32_t at = 0; at < taken; at++) {
    Finish(static_cast<uint32_t>(events_[at].data), static_cast<double>(events_[at].res), count++);
  }
  in_kernel_ -= taken;
  completed_ += taken;
  return count;
}

void AioContext::Finish(uint32_t index, double result, uint32_t place) {
  Slot& slot = slots_[index];
  double* pair = reinterpret_cast<double*>(completions_->base()) + place * 2;
  pair[0] = slot.token;
  pair[1] = result;
  slot.memory.reset();
  free_slots_.push_back(index);
}

void AioContext::OnReadable(int) {
  DrainSignal();
  environment_.spinner.Wake(this);
}

bool AioContext::PrepareToSleep() {
  if (!poll_ || !signal_is_stale_) return false;
  DrainSignal();
  if (refused_.empty() && (in_kernel_ == 0 || !ring_.HasEvents())) return false;
  Signal();  // we have just taken its wake-up away, and nobody promises to look at it before the loop sleeps
  return true;
}

// Resets the eventfd. Done before looking at the ring, never after: an event between the two would be lost.
void AioContext::DrainSignal() {
  uint64_t count;
  if (read(signal_, &count, sizeof count) < 0) {
    // EAGAIN: it was reset already.
  }
  signal_is_stale_ = false;
}

void AioContext::Signal() {
  uint64_t one = 1;
  if (write(signal_, &one, sizeof one) < 0) {
    // EAGAIN: it is set already.
  }
}

Napi::Value AioContext::Close(const Napi::CallbackInfo& info) {
  Shutdown();
  on_completions_.Clear();
  return info.Env().Undefined();
}

Napi::Value AioContext::Statistics(const Napi::CallbackInfo& info) {
  Napi::Object counters = Napi::Object::New(info.Env());
  counters.Set("submitted", submitted_);
  counters.Set("submitCalls", submit_calls_);
  counters.Set("completed", completed_);
  counters.Set("batches", batches_);
  return counters;
}

// io_destroy returns when the kernel no longer touches our memory.
void AioContext::Shutdown() {
  if (context_ != 0) syscall(SYS_io_destroy, context_);
  context_ = 0;
  in_kernel_ = 0;
  for (Slot& slot : slots_) slot.memory.reset();
  if (poll_) {
    poll_->Close();
    poll_ = nullptr;
    environment_.spinner.Detach(this);
    environment_.Remove(this);
    Unref();
  }
  if (signal_ >= 0) close(signal_);
  signal_ = -1;
}

}  // namespace quarry
