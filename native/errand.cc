#include "errand.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "errors.h"
#include "shared_numbers.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

namespace quarry {

namespace {

// _IOC_SIZE, which not every C library has: the length that the number of an ioctl speaks of.
constexpr uint32_t IoctlBytes(unsigned long command) { return (command >> 16) & 0x3fff; }

constexpr int kLastSignal = 31;
constexpr int64_t kMostId = INT64_C(0xffffffff);
// In struct statx (linux/stat.h), as the headers of the build machine may be older than its kernel.
constexpr size_t kStatxBytes = 256;
constexpr size_t kStatxDeviceMajor = 136;
constexpr size_t kStatxMountId = 144;

// What a child says before its answer; steps are named in native.ts.
enum Step : int32_t { kDone, kOpen, kOtherMount, kIoctl, kUnmount, kPrivate, kRemount, kFlush, kAbort };
struct Outcome {
  int32_t error = 0;
  int32_t step = kDone;
  size_t answer_bytes = 0;
};

Outcome Failed(Step step) { return {errno, step, 0}; }

// Everything below runs in the child, of which only the calling thread exists: system calls, and
// memory made before.

void CloseAllBut(int kept) {
  // close_range(2), without which the numbers are few enough to be tried.
  const unsigned number = static_cast<unsigned>(kept);
  const bool below = number == 0 || syscall(436, 0u, number - 1, 0u) == 0;
  if (below && syscall(436, number + 1, ~0u, 0u) == 0) return;
  for (int other = 0; other < 4096; other++) {
    if (other != kept) close(other);
  }
}

// For a process that blocks them all until here: of what its group is sent, nothing comes through.
void ResetSignals() {
  for (int number = 1; number <= kLastSignal; number++) signal(number, SIG_DFL);
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU}) signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Nothing is asked for: id and device come along, and whoever may not look into a mount learns them
// all the same.
bool Statx(int descriptor, uint8_t* record) {
  const int flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  return syscall(SYS_statx, descriptor, "", flags, 0, record) == 0;
}

template <typename Number>
Number FieldOf(const uint8_t* record, size_t offset) {
  Number value;
  memcpy(&value, record + offset, sizeof value);
  return value;
}

// A kernel before 5.8 does not say; then the path has to do.
bool IsMount(int descriptor, uint64_t mount) {
  alignas(8) uint8_t record[kStatxBytes] = {};
  if (!Statx(descriptor, record)) return false;
  return !(FieldOf<uint32_t>(record, 0) & STATX_MNT_ID) || FieldOf<uint64_t>(record, kStatxMountId) == mount;
}

struct Identity {
  bool taken;
  uint32_t user;
  uint32_t group;
};

// Raw calls: those of the C library would look for the other threads.
bool TakeIdentity(const Identity& identity) {
  if (!identity.taken) return true;
  return syscall(SYS_setgroups, 0, nullptr) == 0 &&
         syscall(SYS_setresgid, identity.group, identity.group, identity.group) == 0 &&
         syscall(SYS_setresuid, identity.user, identity.user, identity.user) == 0;
}

Outcome Ask(const char* path, uint64_t mount, const Identity& identity, unsigned long command, uint8_t* bytes) {
  if (!TakeIdentity(identity)) return Failed(kOpen);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // the change of identity took the first one back
  const int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (directory < 0) return Failed(kOpen);
  if (!IsMount(directory, mount)) return {ESTALE, kOtherMount, 0};
  const bool answered = ioctl(directory, command, bytes) >= 0;
  const Outcome outcome = answered ? Outcome{0, kDone, IoctlBytes(command)} : Failed(kIoctl);
  // Whoever unmounts as soon as there is an answer must not find us here.
  close(directory);
  return outcome;
}

// A path without its end, and the name at its end.
struct Place {
  std::string parent;
  std::string name;

  explicit Place(const std::string& path) {
    const size_t slash = path.rfind('/');
    parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (name.empty()) name = ".";
  }
};

// Whoever owns a directory on the way may put a link in its place at any moment. So the directory
// that holds the mountpoint is entered first; in it nobody can move the name, as long as something
// is mounted there.
Outcome Unmount(const Place& place, uint64_t mount, int flags) {
  const int parent = open(place.parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0 || fchdir(parent) != 0) return Failed(kOpen);
  // A bind mount may be one of a file.
  const int root = open(place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0) return Failed(kOpen);
  const bool same = IsMount(root, mount);
  close(root);
  if (!same) return {ESTALE, kOtherMount, 0};
  return umount2(place.name.c_str(), flags | UMOUNT_NOFOLLOW) == 0 ? Outcome{} : Failed(kUnmount);
}

bool OwnNamespace() {
  return unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

// In a mount namespace of the child's own what covers the mount is taken away, and the filesystem
// below made read-only, which writes what is in the page cache. Nobody else sees the difference but
// in that.
Outcome Seal(const std::vector<std::string>& covers, const std::string& path, uint32_t major, uint32_t minor) {
  if (!OwnNamespace()) return Failed(kPrivate);
  for (const std::string& cover : covers) {
    if (umount2(cover.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return Failed(kUnmount);
  }
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) return Failed(kOpen);
  alignas(8) uint8_t record[kStatxBytes] = {};
  const bool same = Statx(directory, record) && FieldOf<uint32_t>(record, kStatxDeviceMajor) == major &&
                    FieldOf<uint32_t>(record, kStatxDeviceMajor + 4) == minor;
  if (!same) return {ESTALE, kOtherMount, 0};
  if (syncfs(directory) != 0) return Failed(kFlush);
  // The very mount that was looked at, whatever is at its path by now.
  char opened[32];
  snprintf(opened, sizeof opened, "/proc/self/fd/%d", directory);
  return mount(nullptr, opened, nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0 ? Outcome{} : Failed(kRemount);
}

constexpr char kConnections[] = "/sys/fs/fuse/connections";

int OpenAbort(const char* path) { return open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC); }

Outcome Abort(const char* path) {
  int descriptor = OpenAbort(path);
  if (descriptor < 0 && errno == ENOENT && OwnNamespace() &&
      mount("fusectl", kConnections, "fusectl", 0, nullptr) == 0) {
    descriptor = OpenAbort(path);
  }
  if (descriptor < 0) return Failed(kOpen);
  return write(descriptor, "1", 1) == 1 ? Outcome{} : Failed(kAbort);
}

// And here the parent.

// Runs `work` in a child, whose answer is in `bytes`. Gives the number of the child and the end of
// the pipe to read from.
Napi::Value Start(Napi::Env env, const std::function<Outcome()>& work, const uint8_t* bytes = nullptr) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) ThrowErrno(env, errno, "pipe2");
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = fork();
  if (child == 0) {
    // In the process group of its parent, which autofs(5) lets pass where it makes others wait;
    // what a terminal, or anybody, sends to the group is the parent's business.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CloseAllBut(ends[1]);
    ResetSignals();
    const Outcome outcome = work();
    const int32_t head[2] = {outcome.error, outcome.step};
    const bool said = write(ends[1], head, sizeof head) == sizeof head;
    if (said && outcome.answer_bytes > 0 && write(ends[1], bytes, outcome.answer_bytes) < 0) _exit(1);
    _exit(0);
  }
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    ThrowErrno(env, error, "fork");
  }
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(uint32_t{0}, static_cast<int32_t>(child));
  pair.Set(uint32_t{1}, ends[0]);
  return pair;
}

uint64_t MountArgument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint64_t>(IntegerArgument(info, index, "mountId", 0, INT64_C(1) << 53));
}

// startQuestion(path, mountId, user, group, command, bytes): user −1 is that of this process.
Napi::Value StartQuestion(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  const uint64_t mount = MountArgument(info, 1);
  const int64_t user = IntegerArgument(info, 2, "user", -1, kMostId);
  const int64_t group = IntegerArgument(info, 3, "group", -1, kMostId);
  const Identity identity = {user >= 0, static_cast<uint32_t>(user), static_cast<uint32_t>(group)};
  const auto command = static_cast<unsigned long>(IntegerArgument(info, 4, "command", 0, kMostId));
  void* given = nullptr;
  size_t length = 0;
  if (napi_get_buffer_info(info.Env(), info[5], &given, &length) != napi_ok || length != IoctlBytes(command) ||
      length > kMostAnswerBytes) {
    throw Napi::TypeError::New(info.Env(), "bytes must be as long as the command says");
  }
  std::vector<uint8_t> bytes(static_cast<uint8_t*>(given), static_cast<uint8_t*>(given) + length);
  return Start(
      info.Env(), [&] { return Ask(path.c_str(), mount, identity, command, bytes.data()); }, bytes.data());
}

// startUnmount(path, mountId, flags)
Napi::Value StartUnmount(const Napi::CallbackInfo& info) {
  const Place place(TextArgument(info, 0, "path"));
  const uint64_t mount = MountArgument(info, 1);
  const int flags = static_cast<int>(IntegerArgument(info, 2, "flags", 0, INT32_MAX));
  return Start(info.Env(), [&] { return Unmount(place, mount, flags); });
}

// startSeal(covers, path, deviceMajor, deviceMinor)
Napi::Value StartSeal(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) throw Napi::TypeError::New(info.Env(), "covers must be an array");
  const Napi::Array given = info[0].As<Napi::Array>();
  std::vector<std::string> covers;
  for (uint32_t at = 0; at < given.Length(); at++) covers.push_back(TextOf(given.Get(at), "a cover"));
  const std::string path = TextArgument(info, 1, "path");
  const auto major = static_cast<uint32_t>(IntegerArgument(info, 2, "deviceMajor", 0, kMostId));
  const auto minor = static_cast<uint32_t>(IntegerArgument(info, 3, "deviceMinor", 0, kMostId));
  return Start(info.Env(), [&] { return Seal(covers, path, major, minor); });
}

// startAbort(connection)
Napi::Value StartAbort(const Napi::CallbackInfo& info) {
  const int64_t connection = IntegerArgument(info, 0, "connection", 0, kMostId);
  const std::string path = std::string(kConnections) + "/" + std::to_string(connection) + "/abort";
  return Start(info.Env(), [&] { return Abort(path.c_str()); });
}

// endErrand(child): ends it if it is still at work, and forgets it. A child that cannot be ended is
// left to whoever inherits it.
Napi::Value EndErrand(const Napi::CallbackInfo& info) {
  const pid_t child = static_cast<pid_t>(IntegerArgument(info, 0, "child", 2, INT32_MAX));
  if (waitpid(child, nullptr, WNOHANG) != 0) return info.Env().Undefined();
  kill(child, SIGKILL);
  waitpid(child, nullptr, WNOHANG);
  return info.Env().Undefined();
}

}  // namespace

void DefineErrands(Napi::Env env, Napi::Object exports) {
  exports.Set("startQuestion", Napi::Function::New<StartQuestion>(env, "startQuestion"));
  exports.Set("startUnmount", Napi::Function::New<StartUnmount>(env, "startUnmount"));
  exports.Set("startSeal", Napi::Function::New<StartSeal>(env, "startSeal"));
  exports.Set("startAbort", Napi::Function::New<StartAbort>(env, "startAbort"));
  exports.Set("endErrand", Napi::Function::New<EndErrand>(env, "endErrand"));
}

}  // namespace quarry
