#include "datagram.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "errors.h"

namespace quarry {

namespace {

// connectDatagram(path): a descriptor, or a negative errno.
Napi::Value ConnectDatagram(const Napi::CallbackInfo& info) {
  const std::string path = TextArgument(info, 0, "path");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Napi::Number::New(info.Env(), -ENAMETOOLONG);
  memcpy(address.sun_path, path.c_str(), path.size());
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return Napi::Number::New(info.Env(), -errno);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return Napi::Number::New(info.Env(), descriptor);
  const int error = errno;
  close(descriptor);
  return Napi::Number::New(info.Env(), -error);
}

// sendDatagram(descriptor, bytes): 0 or an errno; EAGAIN where whoever listens is behind. It never
// waits: who listens may be waiting for a filesystem that this process serves.
Napi::Value SendDatagram(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  void* data = nullptr;
  size_t length = 0;
  if (napi_get_buffer_info(info.Env(), info[1], &data, &length) != napi_ok)
    throw Napi::TypeError::New(info.Env(), "bytes must be a Uint8Array");
  const ssize_t sent = send(descriptor, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return Napi::Number::New(info.Env(), sent < 0 ? errno : 0);
}

}  // namespace

void DefineDatagram(Napi::Env env, Napi::Object exports) {
  exports.Set("connectDatagram", Napi::Function::New<ConnectDatagram>(env, "connectDatagram"));
  exports.Set("sendDatagram", Napi::Function::New<SendDatagram>(env, "sendDatagram"));
}

}  // namespace quarry
