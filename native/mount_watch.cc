#include "mount_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"

namespace quarry {

void MountWatch::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("MountWatch",
              DefineClass(env, "MountWatch", {InstanceMethod<&MountWatch::Close>("close")}));
}

MountWatch::MountWatch(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<MountWatch>(info), environment_(Environment::Of(info.Env())) {
  if (!info[0].IsFunction()) throw Napi::TypeError::New(info.Env(), "onChange must be a function");
  descriptor_ = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) ThrowErrno(info.Env(), errno, "open", "/proc/self/mountinfo");
  int error = 0;
  poll_ = LoopPoll::Open(environment_, descriptor_, this, &error);
  if (!poll_) {
    close(descriptor_);
    descriptor_ = -1;
    ThrowErrno(info.Env(), error, "poll", "/proc/self/mountinfo");
  }
  on_change_.Set(info.Env(), info[0].As<Napi::Function>(), "quarry.MountWatch");
  environment_.Add(this);
  Ref();
  // proc(5): the table is always readable, and a change is an exceptional condition.
  poll_->Start(UV_PRIORITIZED);
  poll_->KeepAlive(false);
}

MountWatch::~MountWatch() { Shutdown(); }

void MountWatch::OnReadable(int status) {
  if (status == 0) on_change_.Call(0);
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
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

}  // namespace quarry
