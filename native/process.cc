#include "process.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"

namespace quarry {

namespace {

// linux/pidfd.h, since 6.13; the exit code since 6.15. Headers of the build machine may be older.
struct ProcessInfo {
  uint64_t mask;
  uint64_t cgroup;
  uint32_t numbers[11];
  int32_t exit_code;
  uint32_t more[2];
};
static_assert(sizeof(ProcessInfo) == 72, "as the kernel has it");
constexpr uint64_t kWantsExit = 1 << 3;
#define QUARRY_PIDFD_GET_INFO _IOWR(0xFF, 11, ProcessInfo)

int DescriptorArgument(const Napi::CallbackInfo& info) {
  return static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
}

// openProcess(pid): a descriptor, or a negative errno.
Napi::Value OpenProcess(const Napi::CallbackInfo& info) {
  const auto pid = static_cast<pid_t>(IntegerArgument(info, 0, "pid", 1, INT32_MAX));
  const long descriptor = syscall(434, pid, 0);
  return Napi::Number::New(info.Env(), descriptor < 0 ? -errno : static_cast<int>(descriptor));
}

// processHasEnded(descriptor)
Napi::Value ProcessHasEnded(const Napi::CallbackInfo& info) {
  pollfd look = {DescriptorArgument(info), POLLIN, 0};
  const bool ended = poll(&look, 1, 0) == 1 && (look.revents & (POLLIN | POLLHUP)) != 0;
  return Napi::Boolean::New(info.Env(), ended);
}

// processExit(descriptor): as wait(2) tells it; −1 while it has not been collected, or where the
// kernel does not say.
Napi::Value ProcessExit(const Napi::CallbackInfo& info) {
  ProcessInfo process = {};
  process.mask = kWantsExit;
  const bool known =
      ioctl(DescriptorArgument(info), QUARRY_PIDFD_GET_INFO, &process) == 0 && (process.mask & kWantsExit);
  return Napi::Number::New(info.Env(), known ? process.exit_code : -1);
}

// signalProcess(descriptor, signal): 0 or an errno.
Napi::Value SignalProcess(const Napi::CallbackInfo& info) {
  const int signal = static_cast<int>(IntegerArgument(info, 1, "signal", 0, 64));
  const bool done = syscall(424, DescriptorArgument(info), signal, nullptr, 0) == 0;
  return Napi::Number::New(info.Env(), done ? 0 : errno);
}

// leaveSession(): 0 or an errno.
Napi::Value LeaveSession(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), setsid() < 0 ? errno : 0);
}

}  // namespace

void DefineProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("openProcess", Napi::Function::New<OpenProcess>(env, "openProcess"));
  exports.Set("processHasEnded", Napi::Function::New<ProcessHasEnded>(env, "processHasEnded"));
  exports.Set("processExit", Napi::Function::New<ProcessExit>(env, "processExit"));
  exports.Set("leaveSession", Napi::Function::New<LeaveSession>(env, "leaveSession"));
  exports.Set("signalProcess", Napi::Function::New<SignalProcess>(env, "signalProcess"));
}

}  // namespace quarry
