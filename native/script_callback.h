// A JavaScript function that the event loop calls.
//
// Each call is a turn of its own: when the function returns, process.nextTick callbacks and promise
// reactions run. What it throws becomes an uncaughtException at once; no exception is ever left
// pending.
#ifndef QUARRY_SCRIPT_CALLBACK_H
#define QUARRY_SCRIPT_CALLBACK_H

#include <napi.h>

#include <memory>

namespace quarry {

class ScriptCallback {
 public:
  // `name` shows in async_hooks and diagnostics.
  void Set(Napi::Env env, Napi::Function function, const char* name);
  // May be called from inside the function itself.
  void Clear();
  // Calls with one number. False when it threw or JavaScript can no longer run.
  bool Call(double argument);

 private:
  Napi::FunctionReference function_;
  std::unique_ptr<Napi::AsyncContext> context_;
  bool calling_ = false;
  bool cleared_ = false;
};

}  // namespace quarry

#endif
