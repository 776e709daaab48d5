#include "mount.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "errors.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace quarry {

namespace {

// mountFuse(source, directory, type, flags, data): mount(2)
Napi::Value MountFuse(const Napi::CallbackInfo& info) {
  const std::string source = TextArgument(info, 0, "source");
  const std::string directory = TextArgument(info, 1, "directory");
  const std::string type = TextArgument(info, 2, "type");
  const auto flags = static_cast<unsigned long>(IntegerArgument(info, 3, "flags", 0, INT64_C(0xffffffff)));
  const std::string data = TextArgument(info, 4, "data");
  if (mount(source.c_str(), directory.c_str(), type.c_str(), flags, data.c_str()) != 0) {
    ThrowErrno(info.Env(), errno, "mount", directory);
  }
  return info.Env().Undefined();
}

// umount(directory, flags): umount2(2)
Napi::Value Umount(const Napi::CallbackInfo& info) {
  const std::string directory = TextArgument(info, 0, "directory");
  const int flags = static_cast<int>(IntegerArgument(info, 1, "flags", 0, INT32_MAX));
  if (umount2(directory.c_str(), flags) != 0) ThrowErrno(info.Env(), errno, "umount2", directory);
  return info.Env().Undefined();
}

Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) ThrowErrno(info.Env(), errno, "socketpair");
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(uint32_t{0}, ends[0]);
  pair.Set(uint32_t{1}, ends[1]);
  return pair;
}

// One message with room for one descriptor; -1 when it carried none.
int ReceivedDescriptor(int socket, ssize_t* received) {
  char byte;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  do {
    *received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (*received < 0 && errno == EINTR);
  if (*received <= 0) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -1;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}

// receiveDescriptor(socket): waits for a message with SCM_RIGHTS; -1 when the other end closed
// without one.
Napi::Value ReceiveDescriptor(const Napi::CallbackInfo& info) {
  const int socket = static_cast<int>(IntegerArgument(info, 0, "socket", 0, INT32_MAX));
  ssize_t received = 0;
  const int descriptor = ReceivedDescriptor(socket, &received);
  if (received < 0) ThrowErrno(info.Env(), errno, "recvmsg");
  return Napi::Number::New(info.Env(), descriptor);
}

// setIoFlusher(): the kernel's memory reclaim must not wait for us; 0 or an errno (EPERM without
// CAP_SYS_RESOURCE).
Napi::Value SetIoFlusher(const Napi::CallbackInfo& info) {
  const int error = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 ? 0 : errno;
  return Napi::Number::New(info.Env(), error);
}

}  // namespace

void DefineMount(Napi::Env env, Napi::Object exports) {
  exports.Set("mountFuse", Napi::Function::New<MountFuse>(env, "mountFuse"));
  exports.Set("umount", Napi::Function::New<Umount>(env, "umount"));
  exports.Set("socketPair", Napi::Function::New<SocketPair>(env, "socketPair"));
  exports.Set("receiveDescriptor", Napi::Function::New<ReceiveDescriptor>(env, "receiveDescriptor"));
  exports.Set("setIoFlusher", Napi::Function::New<SetIoFlusher>(env, "setIoFlusher"));
}

}  // namespace quarry
