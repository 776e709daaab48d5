// Tells when the mount table of this process changes: mounts, their ends, and changes of their
// options.
//
// new MountWatch(onChange)   { close() }: onChange(0) after each change, perhaps once for several
//
// The process does not stay alive for it.
//
// A thread waits for the change and passes it on by an eventfd. On the loop's own epoll a change
// would get lost: procfs tells of it to whoever polls first, and the spinner polls that epoll
// (event_spinner.h), which looks at the table, and again at its next turn.
#ifndef QUARRY_MOUNT_WATCH_H
#define QUARRY_MOUNT_WATCH_H

#include <napi.h>

#include <thread>

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
  // An errno and the name of the call that failed, or 0.
  int Open(const char** call);
  void Watch() const;
  void CloseDescriptors();

  Environment& environment_;
  ScriptCallback on_change_;
  LoopPoll* poll_ = nullptr;
  // /proc/self/mountinfo, what the thread says, and what is said to the thread.
  int table_ = -1;
  int changed_ = -1;
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace quarry

#endif
