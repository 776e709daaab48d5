#include "fuse_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"
#include "shared_numbers.h"

namespace quarry {

namespace {

// Requests per call into JavaScript: enough to share its cost, few enough to answer the first soon.
constexpr uint32_t kBatch = 16;

// read(2) and write(2) without what glibc puts around them for pthread_cancel: two locked
// instructions each, for every request.
ssize_t Read(int descriptor, void* into, size_t length) { return syscall(SYS_read, descriptor, into, length); }
ssize_t Write(int descriptor, const void* from, size_t length) { return syscall(SYS_write, descriptor, from, length); }

void SetNonBlocking(Napi::Env env, int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) ThrowErrno(env, errno, "fcntl");
}

}  // namespace

void FuseChannel::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("FuseChannel", DefineClass(env, "FuseChannel",
                                         {InstanceMethod<&FuseChannel::Start>("start"),
                                          InstanceMethod<&FuseChannel::Release>("release"),
                                          InstanceMethod<&FuseChannel::Reply>("reply"),
                                          InstanceMethod<&FuseChannel::Notify>("notify"),
                                          InstanceMethod<&FuseChannel::NotifyIdle>("notifyIdle"),
                                          InstanceMethod<&FuseChannel::KeepNotice>("keepNotice"),
                                          InstanceMethod<&FuseChannel::DeliverNotices>("deliverNotices"),
                                          InstanceMethod<&FuseChannel::NotifyBefore>("notifyBefore"),
                                          InstanceMethod<&FuseChannel::NotifyThen>("notifyThen"),
                                          InstanceMethod<&FuseChannel::ReplyWithBody>("replyWithBody"),
                                          InstanceMethod<&FuseChannel::SetSpin>("setSpin"),
                                          InstanceMethod<&FuseChannel::Statistics>("statistics"),
                                          InstanceMethod<&FuseChannel::Close>("close")}));
}

FuseChannel::FuseChannel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FuseChannel>(info), environment_(Environment::Of(info.Env())) {
  Napi::Env env = info.Env();
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  slot_bytes_ = static_cast<size_t>(IntegerArgument(info, 1, "slotBytes", kSmallestSlot, kLargestSlot));
  slot_count_ = static_cast<uint32_t>(IntegerArgument(info, 2, "slotCount", 1, kMostSlots));
  if (slot_bytes_ % kPage != 0) throw Napi::RangeError::New(env, "slotBytes must be a multiple of 4096");
  MakeMemory(env, info.This().As<Napi::Object>());
  SetNonBlocking(env, descriptor);
  descriptor_ = descriptor;  // ours to close from here on
}

FuseChannel::~FuseChannel() { Shutdown(); }

void FuseChannel::MakeMemory(Napi::Env env, Napi::Object self) {
  taken_.resize(slot_count_, false);
  for (uint32_t slot = slot_count_; slot > 0; slot--) free_slots_.push_back(static_cast<int32_t>(slot - 1));
  Napi::Object memory = AlignedMemory::Make(env, slot_bytes_ * slot_count_);
  memory_.reset(AlignedMemory::From(env, memory)->mapping());
  memory_->Hold();
  ready_.reset(Mapping::Create(kBatch * 2 * sizeof(int32_t), environment_.memories));
  if (!ready_) ThrowErrno(env, errno, "mmap");
  auto ready = Napi::Int32Array::New(env, kBatch * 2, BufferOver(env, ready_.get()), 0);
  auto number = [&](double value) { return Napi::Number::New(env, value); };
  self.DefineProperty(Napi::PropertyDescriptor::Value("memory", memory, napi_enumerable));
  self.DefineProperty(Napi::PropertyDescriptor::Value("ready", ready, napi_enumerable));
  self.DefineProperty(
      Napi::PropertyDescriptor::Value("slotBytes", number(static_cast<double>(slot_bytes_)), napi_enumerable));
  self.DefineProperty(Napi::PropertyDescriptor::Value("slotCount", number(slot_count_), napi_enumerable));
}

Napi::Value FuseChannel::Start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (descriptor_ < 0) throw Napi::Error::New(env, "the FUSE channel is closed");
  if (poll_) throw Napi::Error::New(env, "the FUSE channel is already started");
  if (!info[0].IsFunction() || !info[1].IsFunction()) {
    throw Napi::TypeError::New(env, "onRequests and onClosed must be functions");
  }
  int error = 0;
  if ((error = relief_.Start(descriptor_, RoomBytes())) != 0) ThrowErrno(env, error, "pthread_create");
  poll_ = LoopPoll::Open(environment_, descriptor_, this, &error);
  if (!poll_) ThrowErrno(env, error, "epoll_ctl");
  relief_poll_ = LoopPoll::Open(environment_, relief_.signal(), this, &error);
  if (!relief_poll_) {
    poll_->Close();
    poll_ = nullptr;
    ThrowErrno(env, error, "epoll_ctl");
  }
  relief_poll_->KeepAlive(false);
  on_requests_.Set(env, info[0].As<Napi::Function>(), "quarry.FuseChannel");
  on_closed_.Set(env, info[1].As<Napi::Function>(), "quarry.FuseChannel");
  if (info[2].IsFunction()) on_noticed_.Set(env, info[2].As<Napi::Function>(), "quarry.FuseChannel");
  environment_.Add(this);
  environment_.spinner.Attach(this);
  Ref();
  Poll(true);
  return env.Undefined();
}

void FuseChannel::Poll(bool wanted) {
  if (!poll_ || wanted == polling_) return;
  for (LoopPoll* poll : {poll_, relief_poll_}) {
    if (wanted) {
      poll->Start();
    } else {
      poll->Stop();
    }
  }
  polling_ = wanted;
}

// libuv stops the poll by itself when the descriptor is in error; the read tells which one it is.
void FuseChannel::OnReadable(int status) {
  Napi::HandleScope scope(Env());
  [[maybe_unused]] Napi::Object alive = Value();  // not collected, whatever the callbacks do
  if (status < 0) polling_ = false;
  if (patient_poll_) TellNoticed();
  if (!poll_) return;
  if (free_slots_.empty()) return Poll(false);
  environment_.spinner.Wake(this);
  if (status < 0 && !ended_) Poll(true);
}

void FuseChannel::TellNoticed() {
  const std::vector<uint32_t> done = patient_.TakeDone();
  awaited_ -= done.size();
  if (awaited_ == 0) patient_poll_->KeepAlive(false);
  for (const uint32_t token : done) {
    if (!patient_poll_ || !on_noticed_.Call(token)) return;
  }
}

bool FuseChannel::TryDispatch() {
  if (!poll_ || ended_ || free_slots_.empty()) return false;
  const uint32_t count = Receive();
  if (count == 0 && !ended_) return false;
  Napi::HandleScope scope(Env());
  [[maybe_unused]] Napi::Object alive = Value();
  if (count > 0 && !on_requests_.Call(count)) environment_.spinner.Leave();
  if (ended_ && poll_) End();
  return true;
}

// Fills `ready` until the kernel has no more, the batch is full, or the slots are. A request that
// we had to wait for goes to work alone: it is likely the only one, and to learn that by one more
// read(2) would keep it waiting.
uint32_t FuseChannel::Receive() {
  int32_t* pairs = reinterpret_cast<int32_t*>(ready_->base());
  const uint32_t most = waited_ ? 1 : kBatch;
  uint32_t count = 0;
  while (count < most && !free_slots_.empty()) {
    const int32_t slot = free_slots_.back();
    if (!ReceiveInto(slot, &pairs[count * 2 + 1])) break;
    pairs[count * 2] = slot;
    free_slots_.pop_back();
    taken_[static_cast<size_t>(slot)] = true;
    count++;
  }
  requests_ += count;
  waited_ = count == 0;
  return count;
}

size_t FuseChannel::RoomBytes() const { return slot_bytes_ - kPage + kRequestHead; }

// False when there is nothing to receive, now (EAGAIN) or ever again (`ended_`).
bool FuseChannel::ReceiveInto(int32_t slot, int32_t* length) {
  uint8_t* start = memory_->base() + static_cast<size_t>(slot) * slot_bytes_ + kPage - kRequestHead;
  for (;;) {
    if (relief_.Holding()) {
      *length = static_cast<int32_t>(relief_.Take(start));
      if (*length > 0) return true;
    }
    const ssize_t received = Read(descriptor_, start, RoomBytes());
    if (received > 0) {
      const size_t bytes = static_cast<size_t>(received);
      *length = static_cast<int32_t>(relief_.Holding() ? relief_.Exchange(start, bytes) : bytes);
      return true;
    }
    const int error = received == 0 ? ENODEV : errno;
    if (error == EINTR || error == ENOENT) continue;  // ENOENT: the request was aborted before we read it
    if (relief_.Holding()) continue;
    if (error == EAGAIN) return false;
    ended_ = true;
    end_error_ = error == ENODEV ? 0 : error;
    return false;
  }
}

void FuseChannel::End() {
  Poll(false);
  poll_->KeepAlive(false);
  if (patient_poll_) patient_poll_->KeepAlive(false);
  if (!on_closed_.Call(end_error_)) environment_.spinner.Leave();
}

Napi::Value FuseChannel::Release(const Napi::CallbackInfo& info) {
  const int64_t slot = IntegerArgument(info, 0, "slot", 0, slot_count_ - 1);
  if (!taken_[static_cast<size_t>(slot)]) throw Napi::Error::New(info.Env(), "the slot is not in use");
  taken_[static_cast<size_t>(slot)] = false;
  free_slots_.push_back(static_cast<int32_t>(slot));
  if (!polling_ && !ended_) Poll(true);
  return info.Env().Undefined();
}

// The head of a reply: [offset, offset + length) of the channel's memory, arguments `first` and the
// one after it.
const uint8_t* FuseChannel::HeadArgument(const Napi::CallbackInfo& info, size_t* length, size_t first) {
  const int64_t most = static_cast<int64_t>(memory_->length());
  const int64_t offset = IntegerArgument(info, first, "offset", 0, most);
  *length = static_cast<size_t>(IntegerArgument(info, first + 1, "lengthBytes", 0, most - offset));
  return memory_->base() + offset;
}

Napi::Value FuseChannel::Reply(const Napi::CallbackInfo& info) {
  size_t length = 0;
  const uint8_t* head = HeadArgument(info, &length);
  int error = descriptor_ < 0 ? EBADF : 0;
  const Relief::Call call(relief_);
  while (error == 0 && Write(descriptor_, head, length) < 0) {
    if (errno != EINTR) error = errno;
  }
  return Napi::Number::New(info.Env(), error);
}

Napi::Value FuseChannel::Notify(const Napi::CallbackInfo& info) {
  size_t length = 0;
  const uint8_t* head = HeadArgument(info, &length);
  int error = descriptor_ < 0 ? EBADF : notifier_.Send(descriptor_, head, length);
  return Napi::Number::New(info.Env(), error);
}

// A notice may wait for an inode that goes out of memory, and that for the answer to a request of
// its pages. So notices are written here only while the kernel has no request for us; one that
// comes in between is what Relief is there for. Each is marked as a call of its own, and one look
// for requests is enough for all: there are few, and it costs as much as writing one.
Napi::Value FuseChannel::NotifyIdle(const Napi::CallbackInfo& info) {
  size_t length = 0;
  const uint8_t* notices = HeadArgument(info, &length);
  const int64_t count = IntegerArgument(info, 2, "count", 1, static_cast<int64_t>(slot_bytes_));
  if (length % static_cast<size_t>(count) != 0) {
    throw Napi::RangeError::New(info.Env(), "lengthBytes must be a multiple of count");
  }
  const size_t each = length / static_cast<size_t>(count);
  int error = descriptor_ < 0 ? EBADF : 0;
  pollfd request = {descriptor_, POLLIN, 0};
  if (error == 0 && (relief_.Holding() || poll(&request, 1, 0) != 0)) error = EAGAIN;
  for (size_t at = 0; error == 0 && at < length; at += each) {
    const Relief::Call call(relief_);
    while (Write(descriptor_, notices + at, each) < 0 && errno == EINTR) {
    }
  }
  return Napi::Number::New(info.Env(), error);
}

Napi::Value FuseChannel::KeepNotice(const Napi::CallbackInfo& info) {
  size_t length = 0;
  const uint8_t* head = HeadArgument(info, &length);
  int error = descriptor_ < 0 ? EBADF : notifier_.Keep(descriptor_, head, length);
  return Napi::Number::New(info.Env(), error);
}

void FuseChannel::DeliverNotices(const Napi::CallbackInfo&) { notifier_.Deliver(); }

Napi::Value FuseChannel::NotifyBefore(const Napi::CallbackInfo& info) {
  size_t length = 0;
  size_t reply_length = 0;
  const uint8_t* notification = HeadArgument(info, &length);
  const uint8_t* reply = HeadArgument(info, &reply_length, 2);
  int error = descriptor_ < 0 ? EBADF : 0;
  if (error == 0) error = notifier_.SendBefore(descriptor_, notification, length, reply, reply_length);
  return Napi::Number::New(info.Env(), error);
}

Napi::Value FuseChannel::NotifyThen(const Napi::CallbackInfo& info) {
  size_t length = 0;
  const uint8_t* notification = HeadArgument(info, &length);
  const auto token = static_cast<uint32_t>(IntegerArgument(info, 2, "token", 0, UINT32_MAX));
  int error = descriptor_ < 0 || !poll_ ? EBADF : 0;
  if (error == 0) error = patient_.SendThen(descriptor_, notification, length, token);
  if (error == 0) awaited_++;
  if (error == 0 && !patient_poll_) {
    patient_poll_ = LoopPoll::Open(environment_, patient_.signal(), this, &error);
    if (patient_poll_) patient_poll_->Start();
  }
  // Where every slot is taken, nothing else keeps the loop going for whoever waits.
  if (patient_poll_) patient_poll_->KeepAlive(true);
  return Napi::Number::New(info.Env(), error);
}

Napi::Value FuseChannel::ReplyWithBody(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  iovec parts[2];
  size_t length = 0;
  parts[0].iov_base = const_cast<uint8_t*>(HeadArgument(info, &length));
  parts[0].iov_len = length;
  AlignedMemory* body = AlignedMemory::From(env, info[2]);
  if (!body) throw Napi::TypeError::New(env, "body must be an AlignedMemory");
  const int64_t most = static_cast<int64_t>(body->mapping()->length());
  const int64_t offset = IntegerArgument(info, 3, "bodyOffset", 0, most);
  parts[1].iov_base = body->mapping()->base() + offset;
  parts[1].iov_len = static_cast<size_t>(IntegerArgument(info, 4, "bodyBytes", 0, most - offset));
  int error = descriptor_ < 0 ? EBADF : 0;
  const Relief::Call call(relief_);
  while (error == 0 && writev(descriptor_, parts, 2) < 0) {
    if (errno != EINTR) error = errno;
  }
  return Napi::Number::New(env, error);
}

Napi::Value FuseChannel::SetSpin(const Napi::CallbackInfo& info) {
  const int64_t nanoseconds = IntegerArgument(info, 0, "nanoseconds", 0, kLongestSpin);
  environment_.spinner.SetLongest(this, static_cast<uint64_t>(nanoseconds));
  return info.Env().Undefined();
}

Napi::Value FuseChannel::Statistics(const Napi::CallbackInfo& info) {
  const EventSpinner& spinner = environment_.spinner;
  Napi::Object counters = Napi::Object::New(info.Env());
  counters.Set("requests", requests_);
  counters.Set("wakeups", static_cast<double>(spinner.wakeups()));
  counters.Set("spinHits", static_cast<double>(spinner.hits()));
  counters.Set("spinMisses", static_cast<double>(spinner.misses()));
  return counters;
}

Napi::Value FuseChannel::Close(const Napi::CallbackInfo& info) {
  Shutdown();
  on_requests_.Clear();
  on_closed_.Clear();
  on_noticed_.Clear();
  return info.Env().Undefined();
}

void FuseChannel::Shutdown() {
  ended_ = true;
  polling_ = false;
  relief_.Stop();
  notifier_.Stop();
  if (patient_poll_) patient_poll_->Close();
  patient_poll_ = nullptr;
  patient_.Stop();
  if (poll_) {
    poll_->Close();
    relief_poll_->Close();
    poll_ = relief_poll_ = nullptr;
    environment_.spinner.Detach(this);
    environment_.Remove(this);
    Unref();
  }
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

}  // namespace quarry
