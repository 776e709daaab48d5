#include "io_queue.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "errors.h"
#include "shared_numbers.h"

namespace quarry {

namespace {

constexpr uint32_t kMostSegments = 4 * IOV_MAX;
// The largest offset that a double and the kernel's loff_t both hold exactly.
constexpr double kLargestOffset = 9007199254740991.0;

bool IsWholeWithin(double value, double least, double most) {
  return value >= least && value <= most && value == std::floor(value);
}

}  // namespace

void IoQueue::Begin(const Napi::CallbackInfo& info, Napi::Object self, const char* name) {
  Napi::Env env = info.Env();
  env_ = env;
  depth_ = static_cast<uint32_t>(IntegerArgument(info, 0, "depth", 1, kDeepest));
  if (!info[1].IsFunction()) throw Napi::TypeError::New(env, "onCompletions must be a function");
  MakeArrays(env, self);
  signal_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Failure failure;
  if (signal_ < 0) {
    failure = {errno, "eventfd"};
  } else {
    failure = Open();
  }
  if (failure.error == 0) {
    poll_ = LoopPoll::Open(environment_, signal_, this, &failure.error);
    failure.syscall = "eventfd";
  }
  if (failure.error != 0) {
    Shutdown();
    ThrowErrno(env, failure.error, failure.syscall, "", failure.detail);
  }
  poll_->Start();
  poll_->KeepAlive(false);
  on_completions_.Set(env, info[1].As<Napi::Function>(), name);
  environment_.Add(this);
  environment_.spinner.Attach(this);
  Hold();
}

void IoQueue::MakeArrays(Napi::Env env, Napi::Object self) {
  requests_ = std::vector<Request>(depth_);
  taken_.resize(depth_);
  queued_.reserve(depth_);
  ended_here_.reserve(depth_);
  for (uint32_t index = depth_; index > 0; index--) free_slots_.push_back(index - 1);
  struct {
    HeldMapping* memory;
    const char* name;
    size_t numbers;
  } arrays[] = {{&entries_, "entries", size_t{depth_} * kEntryNumbers},
                {&segments_, "segments", size_t{kMostSegments} * kSegmentNumbers},
                {&completions_, "completions", size_t{depth_} * 2}};
  for (auto& array : arrays) {
    array.memory->reset(Mapping::Create(array.numbers * sizeof(double), environment_.memories));
    if (!*array.memory) ThrowErrno(env, ENOMEM, "mmap");
    auto numbers = Napi::Float64Array::New(env, array.numbers, BufferOver(env, array.memory->get()), 0);
    self.DefineProperty(Napi::PropertyDescriptor::Value(array.name, numbers, napi_enumerable));
  }
}

void IoQueue::SubmitEntries(Napi::Env, uint32_t count) {
  if (free_slots_.size() == depth_ && count > 0) poll_->KeepAlive(true);
  const double* entries = reinterpret_cast<const double*>(entries_->base());
  for (uint32_t at = 0; at < count; at++) Accept(entries + at * kEntryNumbers);
  HandOver();
}

// An entry that names no operation or lies outside its memory ends with EINVAL, as one the kernel
// refuses.
void IoQueue::Accept(const double* entry) {
  const uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  Request& request = requests_[index];
  request.index = index;
  request.token = entry[6];
  request.in_kernel = false;
  request.length = 0;
  request.offset = 0;
  request.operation = Operation::kRead;
  if (!IsWholeWithin(entry[0], 0, static_cast<double>(Operation::kCount) - 1)) return EndHere(index, -EINVAL);
  request.operation = static_cast<Operation>(entry[0]);
  if (request.operation == Operation::kCancel) return Cancel(&request, entry[5]);
  if (request.IsSync()) syncs_++;
  const int error = FillTransfer(&request, entry);
  if (error != 0) return EndHere(index, -error);
  queued_.push_back(index);
}

int IoQueue::FillTransfer(Request* request, const double* entry) {
  if (!IsWholeWithin(entry[1], TakesMappedFiles() ? INT32_MIN : 0, INT32_MAX)) return EBADF;
  request->file = static_cast<int>(entry[1]);
  if (request->file < 0) {
    request->mapped = environment_.mapped_files.Find(static_cast<uint32_t>(-1 - request->file));
    if (!request->mapped) return EBADF;
  }
  if (request->IsSync()) return 0;
  if (!IsWholeWithin(entry[5], 0, kLargestOffset) || !IsWholeWithin(entry[4], 0, kLongestTransfer)) return EINVAL;
  request->offset = static_cast<int64_t>(entry[5]);
  request->length = static_cast<uint64_t>(entry[4]);
  if (entry[7] != 0) return FillSegments(request, entry);
  const double numbers[] = {entry[2], entry[3], entry[4]};
  return FillPiece(numbers, &request->memory, &request->piece);
}

int IoQueue::FillSegments(Request* request, const double* entry) {
  if (!IsWholeWithin(entry[7], 1, IOV_MAX) || !IsWholeWithin(entry[3], 0, kMostSegments - entry[7])) return EINVAL;
  const size_t count = static_cast<size_t>(entry[7]);
  const double* numbers =
      reinterpret_cast<const double*>(segments_->base()) + static_cast<size_t>(entry[3]) * kSegmentNumbers;
  request->pieces.resize(count);
  request->memories.resize(count);
  uint64_t length = 0;
  for (size_t at = 0; at < count; at++, numbers += kSegmentNumbers) {
    const int error = FillPiece(numbers, &request->memories[at], &request->pieces[at]);
    if (error != 0) return error;
    length += request->pieces[at].iov_len;
  }
  return length == request->length ? 0 : EINVAL;
}

int IoQueue::FillPiece(const double* numbers, HeldMapping* memory, iovec* piece) {
  if (!IsWholeWithin(numbers[0], 0, UINT32_MAX) || !IsWholeWithin(numbers[1], 0, kLargestOffset) ||
      !IsWholeWithin(numbers[2], 0, kLongestTransfer)) {
    return EINVAL;
  }
  Mapping* mapping = environment_.memories->Find(static_cast<uint32_t>(numbers[0]));
  const uint64_t offset = static_cast<uint64_t>(numbers[1]);
  const uint64_t length = static_cast<uint64_t>(numbers[2]);
  if (!mapping || !mapping->Contains(offset, length)) return EINVAL;
  mapping->Hold();
  memory->reset(mapping);
  *piece = {mapping->base() + offset, static_cast<size_t>(length)};
  return 0;
}

// What waits here is cancelled here; what is below is asked for.
void IoQueue::Cancel(Request* cancel, double token) {
  auto waiting = std::find_if(queued_.begin(), queued_.end(),
                              [&](uint32_t index) { return requests_[index].token == token; });
  if (waiting != queued_.end()) {
    EndHere(*waiting, -ECANCELED);
    queued_.erase(waiting);
    return EndHere(cancel->index, 0);
  }
  for (const Request& request : requests_) {
    if (!request.in_kernel || request.token != token) continue;
    const int error = CancelBelow(request, *cancel);
    if (error >= 0) EndHere(cancel->index, -error);
    return;
  }
  EndHere(cancel->index, -ENOENT);
}

void IoQueue::EndHere(uint32_t index, int64_t result) {
  ended_here_.push_back({index, result});
  Signal();
}

bool IoQueue::TryDispatch() {
  if (!poll_ || free_slots_.size() == depth_) return false;
  const uint32_t count = Collect();
  if (count == 0) return false;
  signal_is_stale_ = true;
  if (!queued_.empty()) HandOver();
  if (free_slots_.size() == depth_) poll_->KeepAlive(false);
  batches_++;
  Napi::HandleScope scope(env_);
  [[maybe_unused]] Napi::Object alive = Self();  // not collected, whatever the callback does
  if (!on_completions_.Call(count)) environment_.spinner.Leave();
  return true;
}

// Takes what has ended into `completions`, frees its slots and memory; returns how many.
uint32_t IoQueue::Collect() {
  uint32_t count = 0;
  for (const Completion& one : ended_here_) Finish(one.index, one.result, count++);
  ended_here_.clear();
  if (below_ == 0) return count;
  const uint32_t taken = Take(taken_.data(), depth_ - count);
  for (uint32_t at = 0; at < taken; at++) Finish(taken_[at].index, taken_[at].result, count++);
  below_ -= taken;
  completed_ += taken;
  return count;
}

void IoQueue::Finish(uint32_t index, int64_t result, uint32_t place) {
  Request& request = requests_[index];
  double* pair = reinterpret_cast<double*>(completions_->base()) + place * 2;
  pair[0] = request.token;
  pair[1] = static_cast<double>(result);
  if (request.IsSync()) syncs_--;
  request.in_kernel = false;
  request.memory.reset();
  request.memories.clear();
  request.pieces.clear();
  request.mapped.reset();
  free_slots_.push_back(index);
}

void IoQueue::OnReadable(int) {
  DrainSignal();
  environment_.spinner.Wake(this);
}

bool IoQueue::PrepareToSleep() {
  if (!poll_ || !signal_is_stale_) return false;
  DrainSignal();
  if (ended_here_.empty() && (below_ == 0 || !HasCompletions())) return false;
  Signal();  // we have just taken its wake-up away, and nobody promises to look at it before the loop sleeps
  return true;
}

// Resets the eventfd. Done before looking for completions, never after: one between the two would
// be lost.
void IoQueue::DrainSignal() {
  uint64_t count;
  if (read(signal_, &count, sizeof count) < 0) {
    // EAGAIN: it was reset already.
  }
  signal_is_stale_ = false;
}

void IoQueue::Signal() {
  uint64_t one = 1;
  if (write(signal_, &one, sizeof one) < 0) {
    // EAGAIN: it is set already.
  }
}

void IoQueue::CloseQueue() {
  Shutdown();
  on_completions_.Clear();
}

Napi::Object IoQueue::Counters(Napi::Env env) const {
  Napi::Object counters = Napi::Object::New(env);
  counters.Set("submitted", submitted_);
  counters.Set("submitCalls", submit_calls_);
  counters.Set("completed", completed_);
  counters.Set("batches", batches_);
  return counters;
}

void IoQueue::Shutdown() {
  Stop();
  below_ = 0;
  queued_.clear();
  for (Request& request : requests_) {
    request.memory.reset();
    request.memories.clear();
    request.mapped.reset();
  }
  if (poll_) {
    poll_->Close();
    poll_ = nullptr;
    environment_.spinner.Detach(this);
    environment_.Remove(this);
    LetGo();
  }
  if (signal_ >= 0) close(signal_);
  signal_ = -1;
}

}  // namespace quarry
