#include "errors.h"

#include <uv.h>

#include <cmath>
#include <cstring>

namespace quarry {

namespace {

// libuv names only the errors that it expects, and ENOTBLK or EUCLEAN are not among them.
const char* CodeOf(int error) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
  const char* name = strerrorname_np(error);
  if (name) return name;
#endif
  return uv_err_name(-error);
}

}  // namespace

void ThrowErrno(Napi::Env env, int error, const char* syscall, const std::string& path, const char* detail) {
  const char* code = CodeOf(error);
  std::string message = std::string(code) + ": " + (detail ? detail : strerror(error)) + ", " + syscall;
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error thrown = Napi::Error::New(env, message);
  thrown.Set("code", Napi::String::New(env, code));
  thrown.Set("errno", Napi::Number::New(env, -error));
  thrown.Set("syscall", Napi::String::New(env, syscall));
  if (!path.empty()) thrown.Set("path", Napi::String::New(env, path));
  throw thrown;
}

int64_t IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t low,
                        int64_t high) {
  double value = std::nan("");
  if (napi_get_value_double(info.Env(), info[index], &value) != napi_ok || !(value >= static_cast<double>(low)) ||
      !(value <= static_cast<double>(high)) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + " must be an integer from " + std::to_string(low) +
                                                " to " + std::to_string(high));
  }
  return static_cast<int64_t>(value);
}

std::string TextArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsString()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a string");
  std::string text = info[index].As<Napi::String>().Utf8Value();
  // A system call would take what stands before it.
  if (text.find('\0') != std::string::npos) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must not contain a null character");
  }
  return text;
}

}  // namespace quarry
