#include "mount_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "errors.h"

namespace quarry {

void MountWatch::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("MountWatch",
              DefineClass(env, "MountWatch", {InstanceMethod<&MountWatch::Close>("close")}));
}

MountWatch::MountWatch(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<MountWatch>(info), environment_(Environment::Of(info.Env())) {
  if (!info[0].IsFunction()) throw Napi::TypeError::New(info.Env(), "onChange must be a function");
  const char* call = "";
  const int error = Open(&call);
  if (error != 0) {
    CloseDescriptors();
    ThrowErrno(info.Env(), error, call, "/proc/self/mountinfo");
  }
  on_change_.Set(info.Env(), info[0].As<Napi::Function>(), "quarry.MountWatch");
  environment_.Add(this);
  Ref();
  poll_->Start();
  poll_->KeepAlive(false);
}

int MountWatch::Open(const char** call) {
  *call = "open";
  table_ = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (table_ < 0) return errno;
  *call = "eventfd";
  changed_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (changed_ < 0) return errno;
  stop_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_ < 0) return errno;
  try {
    thread_ = std::thread([this] { Watch(); });
  } catch (const std::system_error& error) {
    *call = "pthread_create";
    return error.code().value();
  }
  *call = "poll";
  int error = 0;
  poll_ = LoopPoll::Open(environment_, changed_, this, &error);
  return error;
}

// The thread's. proc(5): the table is always readable, and a change is an exceptional condition.
void MountWatch::Watch() const {
  pollfd watched[] = {{table_, POLLPRI, 0}, {stop_, POLLIN, 0}};
  for (;;) {
    if (poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (watched[1].revents != 0) return;
    if ((watched[0].revents & POLLPRI) != 0) eventfd_write(changed_, 1);
  }
}

MountWatch::~MountWatch() { Shutdown(); }

void MountWatch::OnReadable(int status) {
  if (status != 0) return;
  eventfd_t count = 0;
  if (eventfd_read(changed_, &count) == 0) on_change_.Call(0);
}

Napi::Value MountWatch::Close(const Napi::CallbackInfo& info) {
  Shutdown();
  on_change_.Clear();
  return info.Env().Undefined();
}

void MountWatch::Shutdown() {
  if (poll_) {
    poll_->Close();
    poll_ = nullptr;
    environment_.Remove(this);
    Unref();
  }
  CloseDescriptors();
}

void MountWatch::CloseDescriptors() {
  if (thread_.joinable()) {
    eventfd_write(stop_, 1);
    thread_.join();
  }
  for (int* descriptor : {&table_, &changed_, &stop_}) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
  }
}

}  // namespace quarry
