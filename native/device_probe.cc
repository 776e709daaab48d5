#include "device_probe.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "errors.h"

namespace quarry {

namespace {

struct Wish {
  bool read_only;
  bool exclusive;
  bool direct;
};

struct Geometry {
  bool is_block_device = false;
  uint64_t size_bytes = 0;
  uint32_t logical_sector_bytes = 512;
  uint32_t physical_sector_bytes = 512;
  uint32_t memory_align_bytes = 0;  // 0: the kernel does not say
  uint32_t offset_align_bytes = 0;
};

// 2^53 − 1: what a number of JavaScript holds exactly.
constexpr int64_t kMostOffset = 9007199254740991;
constexpr char kNoTarget[] = "neither a block device nor a regular file";

// A failed step, to be thrown once the descriptor is closed.
struct Failure {
  int error = 0;
  const char* syscall = "";
  const char* detail = nullptr;
};

// STATX_DIOALIGN and the two fields it fills (linux/stat.h since 6.1), by their places in struct
// statx, as the headers of the build machine may be older than its kernel.
constexpr unsigned kStatxDioAlign = 0x2000;
constexpr size_t kStatxBytes = 256;
constexpr size_t kMaskOffset = 0;
constexpr size_t kMemoryAlignOffset = 0x98;
constexpr size_t kOffsetAlignOffset = 0x9c;

uint32_t FieldAt(const uint8_t* record, size_t offset) {
  uint32_t value;
  memcpy(&value, record + offset, sizeof value);
  return value;
}

void ProbeAlignment(int descriptor, Geometry* geometry) {
  alignas(8) uint8_t record[kStatxBytes] = {};
  if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, kStatxDioAlign, record) != 0) return;
  if (!(FieldAt(record, kMaskOffset) & kStatxDioAlign)) return;
  geometry->memory_align_bytes = FieldAt(record, kMemoryAlignOffset);
  geometry->offset_align_bytes = FieldAt(record, kOffsetAlignOffset);
}

Failure ProbeBlockDevice(int descriptor, Geometry* geometry) {
  int logical = 0;
  unsigned physical = 0;
  if (ioctl(descriptor, BLKGETSIZE64, &geometry->size_bytes) != 0) return {errno, "ioctl(BLKGETSIZE64)"};
  if (ioctl(descriptor, BLKSSZGET, &logical) != 0) return {errno, "ioctl(BLKSSZGET)"};
  if (ioctl(descriptor, BLKPBSZGET, &physical) != 0) return {errno, "ioctl(BLKPBSZGET)"};
  geometry->logical_sector_bytes = static_cast<uint32_t>(logical);
  geometry->physical_sector_bytes = physical;
  return {};
}

// A lock of the open file description: it ends with the descriptor, also when the process is
// killed, and holds against other processes and against a second opening by this one.
Failure LockImage(int descriptor, bool read_only) {
  struct flock lock = {};
  lock.l_type = read_only ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(descriptor, F_OFD_SETLK, &lock) == 0) return {};
  const bool taken = errno == EAGAIN || errno == EACCES;
  return {taken ? EBUSY : errno, "fcntl(F_OFD_SETLK)", taken ? "the image is in use by another process" : nullptr};
}

Failure Probe(int descriptor, const Wish& wish, Geometry* geometry) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return {errno, "fstat"};
  geometry->is_block_device = S_ISBLK(status.st_mode);
  ProbeAlignment(descriptor, geometry);
  if (geometry->is_block_device) return ProbeBlockDevice(descriptor, geometry);
  if (!S_ISREG(status.st_mode)) return {ENOTBLK, "open", kNoTarget};
  geometry->size_bytes = static_cast<uint64_t>(status.st_size);
  return wish.exclusive ? LockImage(descriptor, wish.read_only) : Failure{};
}

// With O_NONBLOCK io_uring fails with EAGAIN where it should wait; it has done its duty when the
// file is open.
void MakeBlocking(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags >= 0) fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
}

// O_EXCL without O_CREAT: the block device must not be mounted or held by anyone (open(2)); it
// means nothing on a file.
int OpenFlags(const Wish& wish, bool block_device) {
  const int flags = (wish.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
  return wish.exclusive && block_device ? flags | O_EXCL : flags;
}

// Opens directly if wished and possible; `direct` says whether it was. A host filesystem that knows
// no O_DIRECT refuses it with EINVAL.
int OpenAsWished(const char* path, int flags, bool* direct) {
  int descriptor = open(path, flags | (*direct ? O_DIRECT : 0));
  if (descriptor < 0 && errno == EINVAL && *direct) {
    *direct = false;
    descriptor = open(path, flags);
  }
  if (descriptor >= 0) MakeBlocking(descriptor);
  return descriptor;
}

// Only what a volume can be on is opened at all: to open another device, or a FIFO, has effects. So
// the path is resolved first, and what it led to is opened by that. Gives a descriptor, or −1 with
// errno.
int OpenTarget(const std::string& path, const Wish& wish, bool* direct) {
  *direct = wish.direct;
  const int place = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (place < 0) return -1;
  struct stat status;
  int descriptor = -1;
  int error = ENOTBLK;
  if (fstat(place, &status) != 0) {
    error = errno;
  } else if (S_ISDIR(status.st_mode) && !wish.read_only) {
    error = EISDIR;
  } else if (S_ISBLK(status.st_mode) || S_ISREG(status.st_mode)) {
    const int flags = OpenFlags(wish, S_ISBLK(status.st_mode));
    descriptor = OpenAsWished(("/proc/self/fd/" + std::to_string(place)).c_str(), flags, direct);
    // Without /proc by the path; what that led to is looked at once more.
    if (descriptor < 0 && errno == ENOENT) descriptor = OpenAsWished(path.c_str(), flags, direct);
    error = errno;
  }
  close(place);
  errno = error;
  return descriptor;
}

bool Flag(Napi::Object options, const char* name, bool otherwise) {
  Napi::Value value = options.Get(name);
  return value.IsUndefined() ? otherwise : value.ToBoolean().Value();
}

Napi::Object Describe(Napi::Env env, const Geometry& geometry) {
  Napi::Object device = Napi::Object::New(env);
  device.Set("isBlockDevice", geometry.is_block_device);
  device.Set("sizeBytes", static_cast<double>(geometry.size_bytes));
  device.Set("logicalSectorBytes", geometry.logical_sector_bytes);
  device.Set("physicalSectorBytes", geometry.physical_sector_bytes);
  device.Set("memoryAlignBytes", geometry.memory_align_bytes);
  device.Set("offsetAlignBytes", geometry.offset_align_bytes);
  return device;
}

Napi::Value OpenDevice(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = TextArgument(info, 0, "path");
  if (!info[1].IsObject()) throw Napi::TypeError::New(env, "options must be an object");
  Napi::Object options = info[1].As<Napi::Object>();
  const Wish wish = {Flag(options, "readOnly", false), Flag(options, "exclusive", true), Flag(options, "direct", true)};
  bool direct = false;
  const int descriptor = OpenTarget(path, wish, &direct);
  if (descriptor < 0) ThrowErrno(env, errno, "open", path, errno == ENOTBLK ? kNoTarget : nullptr);
  Geometry geometry;
  const Failure failure = Probe(descriptor, wish, &geometry);
  if (failure.error != 0) {
    close(descriptor);
    ThrowErrno(env, failure.error, failure.syscall, path, failure.detail);
  }
  Napi::Object device = Describe(env, geometry);
  device.Set("descriptor", descriptor);
  device.Set("direct", direct);
  return device;
}

Napi::Value ProbeDescriptor(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  const Wish wish = {true, false, false};
  Geometry geometry;
  const Failure failure = Probe(descriptor, wish, &geometry);
  if (failure.error != 0) ThrowErrno(info.Env(), failure.error, failure.syscall, "", failure.detail);
  return Describe(info.Env(), geometry);
}

// What a loop device shows the bytes of; undefined if it is none, or none is behind it.
Napi::Value LoopBacking(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  struct loop_info64 status = {};
  if (ioctl(descriptor, LOOP_GET_STATUS64, &status) != 0) return env.Undefined();
  Napi::Object backing = Napi::Object::New(env);
  backing.Set("device", static_cast<double>(status.lo_device));
  backing.Set("inode", Napi::BigInt::New(env, static_cast<uint64_t>(status.lo_inode)));
  backing.Set("blockDevice", static_cast<double>(status.lo_rdevice));
  backing.Set("offsetBytes", static_cast<double>(status.lo_offset));
  backing.Set("limitBytes", static_cast<double>(status.lo_sizelimit));
  return backing;
}

// Tells the device, on a thread, that the content of a range is of no use any more.
class DiscardWork : public Napi::AsyncWorker {
 public:
  DiscardWork(const Napi::Function& done, int descriptor, bool is_block_device, uint64_t offset, uint64_t length)
      : AsyncWorker(done, "quarry.discard"),
        descriptor_(descriptor),
        is_block_device_(is_block_device),
        range_{offset, length} {}

 protected:
  void Execute() override {
    int result;
    do {
      result = is_block_device_ ? ioctl(descriptor_, BLKDISCARD, range_)
                                : fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                            static_cast<off_t>(range_[0]), static_cast<off_t>(range_[1]));
    } while (result != 0 && errno == EINTR);
    error_ = result == 0 ? 0 : errno;
  }

  std::vector<napi_value> GetResult(Napi::Env env) override { return {Napi::Number::New(env, error_)}; }

 private:
  const int descriptor_;
  const bool is_block_device_;
  uint64_t range_[2];
  int error_ = 0;
};

// discardRange(descriptor, isBlockDevice, offset, length, done): done gets 0 or an errno.
Napi::Value DiscardRange(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  if (!info[1].IsBoolean()) throw Napi::TypeError::New(env, "isBlockDevice must be a boolean");
  const auto offset = static_cast<uint64_t>(IntegerArgument(info, 2, "offset", 0, kMostOffset));
  const auto length = static_cast<uint64_t>(IntegerArgument(info, 3, "length", 1, kMostOffset));
  if (!info[4].IsFunction()) throw Napi::TypeError::New(env, "done must be a function");
  const bool is_block_device = info[1].As<Napi::Boolean>().Value();
  (new DiscardWork(info[4].As<Napi::Function>(), descriptor, is_block_device, offset, length))->Queue();
  return env.Undefined();
}

Napi::Value CloseDevice(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  if (close(descriptor) != 0 && errno != EINTR) ThrowErrno(info.Env(), errno, "close");
  return info.Env().Undefined();
}

}  // namespace

void DefineDeviceProbe(Napi::Env env, Napi::Object exports) {
  exports.Set("openDevice", Napi::Function::New<OpenDevice>(env, "openDevice"));
  exports.Set("probeDescriptor", Napi::Function::New<ProbeDescriptor>(env, "probeDescriptor"));
  exports.Set("loopBacking", Napi::Function::New<LoopBacking>(env, "loopBacking"));
  exports.Set("discardRange", Napi::Function::New<DiscardRange>(env, "discardRange"));
  exports.Set("closeDevice", Napi::Function::New<CloseDevice>(env, "closeDevice"));
}

}  // namespace quarry
