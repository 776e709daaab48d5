// Watches calls into somebody else's JavaScript, from a thread of its own: one that never returns
// is told of, then ended.
//
// new HookWatch(subject, advice, overrun, tickMilliseconds, reportTicks, endTicks)
//   guard(name, function, receiver)   a function that calls it, watched; throws `overrun` in place
//                                     of what never returned
//   loading(active)                   a module is being loaded: what never ends then ends the
//                                     process, which holds nothing yet
//   beat()                            the loop has turned: called now and then, its absence is told
//                                     of too
//   close()
//
// A line goes to standard error after `reportTicks`, and the call is ended after `endTicks`, if it
// really used the processor for half that time: a process that was stopped, or a call that waits in
// the kernel, is only told of. Ending is V8's own termination, as Node's `vm` uses it for its
// timeouts: it unwinds all JavaScript up to the call here, and no `catch` of that code sees it.
// Both sides hold the lock, so it can never hit what runs after the call.
//
// V8's functions are looked up by name, so that the addon stays one that any version of Node loads;
// without them it only tells.
#ifndef QUARRY_HOOK_WATCH_H
#define QUARRY_HOOK_WATCH_H

#include <napi.h>

#include <memory>

namespace quarry {

class WatchThread;

class HookWatch : public Napi::ObjectWrap<HookWatch> {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  explicit HookWatch(const Napi::CallbackInfo& info);
  ~HookWatch() override;

 private:
  Napi::Value Guard(const Napi::CallbackInfo& info);
  Napi::Value Loading(const Napi::CallbackInfo& info);
  Napi::Value Beat(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  std::shared_ptr<WatchThread> thread_;
  std::shared_ptr<Napi::Reference<Napi::Value>> overrun_;
};

}  // namespace quarry

#endif
