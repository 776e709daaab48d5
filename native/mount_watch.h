// Tells when the mount table of this process changes: mounts, their ends, and changes of their
// options.
//
// new MountWatch(onChange)   { close() }: onChange(0) after each change, perhaps once for several
//
// The process does not stay alive for it.
#ifndef QUARRY_MOUNT_WATCH_H
#define QUARRY_MOUNT_WATCH_H

#include <napi.h>

#include "environment.h"
#include "loop_poll.h"
#include "script_callback.h"

namespace quarry {

class MountWatch : public Napi::ObjectWrap<MountWatch>, public LoopResource, public PollOwner {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  explicit MountWatch(const Napi::CallbackInfo& info);
  ~MountWatch() override;

  void Shutdown() override;
  void OnReadable(int status) override;

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);

  Environment& environment_;
  ScriptCallback on_change_;
  LoopPoll* poll_ = nullptr;
  int descriptor_ = -1;
};

}  // namespace quarry

#endif
