#include "mapped_file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "environment.h"
#include "errors.h"

namespace quarry {

namespace {

// Address space is plenty, and mapping anew is not free: a mapping begins with this much room to
// grow.
constexpr uint64_t kLeastRoomBytes = uint64_t{16} << 20;
constexpr uint64_t kMostRoomBytes = uint64_t{1} << 30;
constexpr uint64_t kPageBytes = 4096;

uint64_t LengthOf(const iovec* pieces, uint32_t count) {
  uint64_t length = 0;
  for (uint32_t at = 0; at < count; at++) length += pieces[at].iov_len;
  return length;
}

// The pieces without their first `skip` bytes, and no longer than `most` in all.
std::vector<iovec> PartOf(const iovec* pieces, uint32_t count, uint64_t skip, uint64_t most) {
  std::vector<iovec> part;
  for (uint32_t at = 0; at < count && most > 0; at++) {
    if (skip >= pieces[at].iov_len) {
      skip -= pieces[at].iov_len;
      continue;
    }
    const size_t length = std::min<uint64_t>(pieces[at].iov_len - skip, most);
    part.push_back({static_cast<uint8_t*>(pieces[at].iov_base) + skip, length});
    skip = 0;
    most -= length;
  }
  return part;
}

uint64_t RoundedUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

// Bytes copied between the mapping and the pieces, as far as both can be touched.
uint64_t Copy(bool writes, uint8_t* mapped, const iovec* pieces, uint32_t count, uint64_t length) {
  std::vector<iovec> part = PartOf(pieces, count, 0, length);
  const iovec local = {mapped, length};
  const unsigned long pieces_now = std::min<size_t>(part.size(), IOV_MAX);
  const ssize_t done = writes ? process_vm_readv(getpid(), &local, 1, part.data(), pieces_now, 0)
                              : process_vm_writev(getpid(), &local, 1, part.data(), pieces_now, 0);
  return done > 0 ? static_cast<uint64_t>(done) : 0;
}

}  // namespace

MappedContent::Window::~Window() { munmap(base, length); }

int MappedContent::Open() {
  int64_t size = 0;
  int error = Size(&size);
  if (error == 0) Covering(std::max<int64_t>(size, 1), &error);
  return error;
}

int64_t MappedContent::Read(const iovec* pieces, uint32_t count, int64_t offset) {
  int64_t size = 0;
  int error = Size(&size);
  if (error != 0) return -error;
  if (offset >= size) return 0;
  const uint64_t length = std::min<uint64_t>(LengthOf(pieces, count), static_cast<uint64_t>(size - offset));
  const std::shared_ptr<Window> window = Covering(offset + static_cast<int64_t>(length), &error);
  const uint64_t done = window ? Copy(false, window->base + offset, pieces, count, length) : 0;
  if (done > 0) return static_cast<int64_t>(done);
  const std::vector<iovec> rest = PartOf(pieces, count, 0, length);
  const ssize_t result =
      preadv(descriptor_, rest.data(), static_cast<int>(std::min<size_t>(rest.size(), IOV_MAX)), offset);
  return result < 0 ? -errno : result;
}

int64_t MappedContent::Write(const iovec* pieces, uint32_t count, int64_t offset) {
  if (!writable_) return -EBADF;
  const uint64_t length = LengthOf(pieces, count);
  const int64_t end = offset + static_cast<int64_t>(length);
  const iovec& last = pieces[count - 1];
  int error = Grow(end, static_cast<const uint8_t*>(last.iov_base) + last.iov_len - 1);
  if (error != 0) return -error;
  const std::shared_ptr<Window> window = Covering(end, &error);
  const uint64_t done = window ? Copy(true, window->base + offset, pieces, count, length) : 0;
  if (done > 0) return static_cast<int64_t>(done);
  const ssize_t result =
      pwritev(descriptor_, pieces, static_cast<int>(std::min<uint32_t>(count, IOV_MAX)), offset);
  return result < 0 ? -errno : result;
}

int64_t MappedContent::Sync(bool data_only) {
  std::shared_ptr<Window> window;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    window = window_;
  }
  int64_t size = 0;
  const int error = Size(&size);
  if (error != 0) return -error;
  // Pages beyond the end are nothing that msync could write; the range in the file is what was ever
  // touched.
  const uint64_t mapped = std::min<uint64_t>(RoundedUp(static_cast<uint64_t>(size), kPageBytes), window->length);
  if (mapped > 0 && msync(window->base, mapped, MS_SYNC) != 0) return -errno;
  return (data_only ? fdatasync(descriptor_) : fsync(descriptor_)) == 0 ? 0 : -errno;
}

int MappedContent::Size(int64_t* size) const {
  if (block_device_) {
    uint64_t bytes = 0;
    if (ioctl(descriptor_, BLKGETSIZE64, &bytes) != 0) return errno;
    *size = static_cast<int64_t>(bytes);
    return 0;
  }
  struct stat status;
  if (fstat(descriptor_, &status) != 0) return errno;
  *size = status.st_size;
  return 0;
}

// Makes the file reach `end`, by writing the last byte of what is to be written there anyway.
// Unlike ftruncate that never shortens the file, whoever else makes it longer meanwhile.
int MappedContent::Grow(int64_t end, const uint8_t* last_byte) const {
  int64_t size = 0;
  const int error = Size(&size);
  if (error != 0 || end <= size) return error;
  const ssize_t result = pwrite(descriptor_, last_byte, 1, end - 1);
  return result < 0 ? errno : 0;
}

std::shared_ptr<MappedContent::Window> MappedContent::Covering(int64_t end, int* error) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (window_ && static_cast<uint64_t>(end) <= window_->length) return window_;
  const uint64_t room = std::clamp(static_cast<uint64_t>(end) / 4, kLeastRoomBytes, kMostRoomBytes);
  const size_t length = RoundedUp(static_cast<uint64_t>(end) + (block_device_ ? 0 : room), kPageBytes);
  const int protection = writable_ ? PROT_READ | PROT_WRITE : PROT_READ;
  void* base = mmap(nullptr, length, protection, MAP_SHARED, descriptor_, 0);
  if (base == MAP_FAILED) {
    *error = errno;
    return nullptr;
  }
  window_ = std::shared_ptr<Window>(new Window{static_cast<uint8_t*>(base), length});
  return window_;
}

uint32_t MappedFileTable::Add(std::shared_ptr<MappedContent> content) {
  for (uint32_t id = 0; id < contents_.size(); id++) {
    if (contents_[id]) continue;
    contents_[id] = std::move(content);
    return id;
  }
  contents_.push_back(std::move(content));
  return static_cast<uint32_t>(contents_.size() - 1);
}

std::shared_ptr<MappedContent> MappedFileTable::Find(uint32_t id) const {
  return id < contents_.size() ? contents_[id] : nullptr;
}

void MappedFile::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("MappedFile", DefineClass(env, "MappedFile", {InstanceMethod<&MappedFile::Close>("close")}));
}

MappedFile::MappedFile(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MappedFile>(info) {
  Napi::Env env = info.Env();
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  auto content = std::make_shared<MappedContent>(descriptor, info[1].ToBoolean().Value(), info[2].ToBoolean().Value());
  const int error = content->Open();
  if (error != 0) ThrowErrno(env, error, "mmap");
  table_ = &Environment::Of(env).mapped_files;
  id_ = table_->Add(std::move(content));
  info.This().As<Napi::Object>().DefineProperty(
      Napi::PropertyDescriptor::Value("id", Napi::Number::New(env, id_), napi_enumerable));
}

MappedFile::~MappedFile() { Release(); }

Napi::Value MappedFile::Close(const Napi::CallbackInfo& info) {
  Release();
  return info.Env().Undefined();
}

void MappedFile::Release() {
  if (table_) table_->Remove(id_);
  table_ = nullptr;
}

}  // namespace quarry
