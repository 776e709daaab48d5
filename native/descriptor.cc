#include "descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"

namespace quarry {

namespace {

// In the order of their numbers in JavaScript.
constexpr short kLockKinds[] = {F_UNLCK, F_RDLCK, F_WRLCK};

constexpr int64_t kMostBytes = int64_t{1} << 53;

// The lock that arguments 1 to 3 speak of: kind, first byte, and bytes, 0 for all to the end.
struct flock LockOf(const Napi::CallbackInfo& info) {
  struct flock lock = {};
  lock.l_type = kLockKinds[IntegerArgument(info, 1, "kind", 0, 2)];
  lock.l_whence = SEEK_SET;
  if (!info[2].IsUndefined()) lock.l_start = IntegerArgument(info, 2, "start", 0, kMostBytes);
  if (!info[3].IsUndefined()) lock.l_len = IntegerArgument(info, 3, "length", 0, kMostBytes);
  return lock;
}

// A lock of the open file description: it ends with the descriptor, also when the process is
// killed, and holds against other processes and against a second opening by this one.
Napi::Value LockDescriptor(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  struct flock lock = LockOf(info);
  const int error = fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
  return Napi::Number::New(info.Env(), error == EACCES ? EAGAIN : error);
}

// Asks only: whatever the descriptor was opened for.
Napi::Value IsLockedElsewhere(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  struct flock lock = LockOf(info);
  const bool told = fcntl(descriptor, F_OFD_GETLK, &lock) == 0;
  return Napi::Boolean::New(info.Env(), told && lock.l_type != F_UNLCK);
}

// O_NONBLOCK, useful while opening, would make io_uring give up where it should wait.
Napi::Value SetDirect(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  const int direct = info[1].ToBoolean().Value() ? O_DIRECT : 0;
  const int flags = fcntl(descriptor, F_GETFL);
  const bool done = flags >= 0 && fcntl(descriptor, F_SETFL, (flags & ~(O_DIRECT | O_NONBLOCK)) | direct) == 0;
  return Napi::Number::New(info.Env(), done ? 0 : errno);
}

}  // namespace

void Descriptor::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("Descriptor", DefineClass(env, "Descriptor", {InstanceMethod<&Descriptor::Close>("close")}));
  exports.Set("lockDescriptor", Napi::Function::New<LockDescriptor>(env, "lockDescriptor"));
  exports.Set("isLockedElsewhere", Napi::Function::New<IsLockedElsewhere>(env, "isLockedElsewhere"));
  exports.Set("setDirect", Napi::Function::New<SetDirect>(env, "setDirect"));
}

Descriptor::Descriptor(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Descriptor>(info) {
  const int given = static_cast<int>(IntegerArgument(info, 0, "number", 0, INT32_MAX));
  number_ = fcntl(given, F_DUPFD_CLOEXEC, 0);
  if (number_ < 0) ThrowErrno(info.Env(), errno, "dup");
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("number", Napi::Number::New(info.Env(), number_), napi_enumerable));
}

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Napi::Value Descriptor::Close(const Napi::CallbackInfo& info) {
  const int number = number_;
  number_ = -1;
  if (number >= 0 && close(number) != 0 && errno != EINTR) ThrowErrno(info.Env(), errno, "close");
  return info.Env().Undefined();
}

}  // namespace quarry
