#include "script_callback.h"

#include "environment.h"

namespace quarry {

namespace {

void RaiseUncaught(napi_env env) {
  bool pending = false;
  napi_value thrown = nullptr;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
}

}  // namespace

void ScriptCallback::Set(Napi::Env env, Napi::Function function, const char* name) {
  function_ = Napi::Persistent(function);
  context_ = std::make_unique<Napi::AsyncContext>(env, name);
}

void ScriptCallback::Clear() {
  cleared_ = true;
  if (calling_) return;
  function_.Reset();
  context_.reset();
}

bool ScriptCallback::Call(double argument) {
  if (cleared_ || !context_) return false;
  Napi::Env env = function_.Env();
  napi_env raw = env;
  Napi::HandleScope scope(env);
  napi_value receiver = env.Global();
  napi_value arguments[] = {Napi::Number::New(env, argument)};
  napi_async_context context = *context_;
  TurnLengths& turns = Environment::Of(env).turns;
  const uint64_t began = TurnLengths::Now();
  calling_ = true;
  napi_status status = napi_make_callback(raw, context, receiver, function_.Value(), 1, arguments, nullptr);
  calling_ = false;
  turns.Note(TurnLengths::Now() - began);
  if (cleared_) Clear();
  if (status != napi_ok) RaiseUncaught(raw);
  return status == napi_ok;
}

}  // namespace quarry
