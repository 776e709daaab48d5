// Errors of system calls, as Node shapes them: { code: 'ENOENT', errno: -2, syscall: 'open', path
// }.
#ifndef QUARRY_ERRORS_H
#define QUARRY_ERRORS_H

#include <napi.h>

#include <string>

namespace quarry {

// Throws the error of a failed system call. `error` is a positive errno; `detail`, where given,
// replaces the system's own wording.
[[noreturn]] void ThrowErrno(Napi::Env env, int error, const char* syscall, const std::string& path = "",
                             const char* detail = nullptr);

// The argument as an integer in [low, high]; anything else throws a RangeError that names it.
int64_t IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t low,
                        int64_t high);

// The argument as text; anything but a string without null characters throws a TypeError that names
// it.
std::string TextArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
std::string TextOf(const Napi::Value& value, const char* name);

}  // namespace quarry

#endif
