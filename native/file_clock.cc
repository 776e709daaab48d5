// Since Linux 6.13 some filesystems stamp some changes with a time finer than the tick, and from
// then on no file gets an older one: the kernel keeps a floor for its coarse clock.
// clock_gettime(2) does not tell that floor. A stamp of the kernel does, so one is made, on a pipe
// that nobody else knows, and read back.
#include "file_clock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "errors.h"

namespace quarry {
namespace {

// openFileClock(): the descriptor of a pipe, to be given to readFileClock.
Napi::Value OpenFileClock(const Napi::CallbackInfo& info) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) ThrowErrno(info.Env(), errno, "pipe2");
  close(ends[0]);
  return Napi::Number::New(info.Env(), ends[1]);
}

timespec StampOf(int pipe) {
  const timespec modified_now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  struct stat status;
  if (futimens(pipe, modified_now) == 0 && fstat(pipe, &status) == 0) return status.st_mtim;
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now;
}

// readFileClock(pipe, into): seconds and nanoseconds.
Napi::Value ReadFileClock(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int pipe = static_cast<int>(IntegerArgument(info, 0, "pipe", 0, INT32_MAX));
  void* data = nullptr;
  size_t length = 0;
  if (napi_get_buffer_info(env, info[1], &data, &length) != napi_ok || length < 2 * sizeof(double)) {
    throw Napi::TypeError::New(env, "into must be a Float64Array of 2");
  }
  const timespec now = StampOf(pipe);
  const double pair[2] = {static_cast<double>(now.tv_sec), static_cast<double>(now.tv_nsec)};
  memcpy(data, pair, sizeof pair);
  return env.Undefined();
}

}  // namespace

void DefineFileClock(Napi::Env env, Napi::Object exports) {
  exports.Set("openFileClock", Napi::Function::New<OpenFileClock>(env, "openFileClock"));
  exports.Set("readFileClock", Napi::Function::New<ReadFileClock>(env, "readFileClock"));
}

}  // namespace quarry
