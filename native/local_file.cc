// Files of the system, as far as node:fs has no call for it: extended attributes, times to the
// nanosecond, special files, and where data is. Links are not followed.
#include "local_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "errors.h"

namespace quarry {
namespace {

// Room for what may have grown since it was measured.
constexpr size_t kSlack = 256;

// Calls `read` with room enough, until it has it. @param read as listxattr(2): a null asks for the
// length
template <typename Read>
Napi::Value BytesOf(Napi::Env env, const char* syscall, const std::string& path, Read read) {
  for (;;) {
    const ssize_t needed = read(nullptr, 0);
    if (needed < 0) ThrowErrno(env, errno, syscall, path);
    std::vector<char> room(static_cast<size_t>(needed) + kSlack);
    const ssize_t length = read(room.data(), room.size());
    if (length >= 0) return Napi::Buffer<char>::Copy(env, room.data(), static_cast<size_t>(length));
    if (errno != ERANGE) ThrowErrno(env, errno, syscall, path);
  }
}

// listAttributes(path): names, each with a null behind it.
Napi::Value ListAttributes(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  return BytesOf(info.Env(), "llistxattr", path,
                 [&](char* room, size_t bytes) { return llistxattr(path.c_str(), room, bytes); });
}

// getAttribute(path, name)
Napi::Value GetAttribute(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  const std::string name = TextArgument(info, 1, "name");
  return BytesOf(info.Env(), "lgetxattr", path, [&](char* room, size_t bytes) {
    return lgetxattr(path.c_str(), name.c_str(), room, bytes);
  });
}

// setAttribute(path, name, value)
void SetAttribute(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  const std::string name = TextArgument(info, 1, "name");
  void* value = nullptr;
  size_t length = 0;
  if (!info[2].IsTypedArray() || napi_get_buffer_info(info.Env(), info[2], &value, &length) != napi_ok) {
    throw Napi::TypeError::New(info.Env(), "value must be bytes");
  }
  if (lsetxattr(path.c_str(), name.c_str(), value, length, 0) != 0) {
    ThrowErrno(info.Env(), errno, "lsetxattr", path);
  }
}

// makeNode(path, mode, device): mknod(2).
void MakeNode(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  const auto mode = static_cast<mode_t>(IntegerArgument(info, 1, "mode", 0, 0177777));
  const auto device = static_cast<dev_t>(IntegerArgument(info, 2, "device", 0, UINT32_MAX));
  if (mknod(path.c_str(), mode, device) != 0) ThrowErrno(info.Env(), errno, "mknod", path);
}

timespec TimeArgument(const Napi::CallbackInfo& info, size_t index) {
  constexpr int64_t kMostSeconds = int64_t{1} << 53;
  timespec time = {};
  time.tv_sec = static_cast<time_t>(IntegerArgument(info, index, "seconds", -kMostSeconds, kMostSeconds));
  time.tv_nsec = static_cast<long>(IntegerArgument(info, index + 1, "nanoseconds", 0, 999999999));
  return time;
}

// setTimes(path, accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds)
void SetTimes(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  const timespec times[2] = {TimeArgument(info, 1), TimeArgument(info, 3)};
  if (utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    ThrowErrno(info.Env(), errno, "utimensat", path);
  }
}

// seekFile(descriptor, offset, hole): the next data, or hole, from there on; −1 if there is none.
Napi::Value SeekFile(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  const int64_t offset = IntegerArgument(info, 1, "offset", 0, int64_t{1} << 53);
  if (!info[2].IsBoolean()) throw Napi::TypeError::New(info.Env(), "hole must be true or false");
  const int whence = info[2].As<Napi::Boolean>().Value() ? SEEK_HOLE : SEEK_DATA;
  const off_t found = lseek(descriptor, offset, whence);
  if (found < 0 && errno != ENXIO) ThrowErrno(info.Env(), errno, "lseek");
  return Napi::Number::New(info.Env(), found < 0 ? -1 : static_cast<double>(found));
}

}  // namespace

void DefineLocalFile(Napi::Env env, Napi::Object exports) {
  exports.Set("listAttributes", Napi::Function::New<ListAttributes>(env, "listAttributes"));
  exports.Set("getAttribute", Napi::Function::New<GetAttribute>(env, "getAttribute"));
  exports.Set("setAttribute", Napi::Function::New<SetAttribute>(env, "setAttribute"));
  exports.Set("makeNode", Napi::Function::New<MakeNode>(env, "makeNode"));
  exports.Set("setTimes", Napi::Function::New<SetTimes>(env, "setTimes"));
  exports.Set("seekFile", Napi::Function::New<SeekFile>(env, "seekFile"));
}

}  // namespace quarry
