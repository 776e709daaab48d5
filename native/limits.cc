#include "limits.h"

#include <sys/resource.h>

#include <cerrno>
#include <cmath>
#include <limits>

#include "errors.h"

namespace quarry {

namespace {

double Outward(rlim_t value) {
  return value == RLIM_INFINITY ? std::numeric_limits<double>::infinity() : static_cast<double>(value);
}

// Infinity for no limit; anything that is no whole number from 0 to 2^53 throws.
rlim_t LimitArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (info[index].IsNumber() && std::isinf(info[index].As<Napi::Number>().DoubleValue())) return RLIM_INFINITY;
  return static_cast<rlim_t>(IntegerArgument(info, index, name, 0, int64_t{1} << 53));
}

// An enumeration of glibc's, and a plain number elsewhere.
using Resource = decltype(RLIMIT_NOFILE);

int ResourceArgument(const Napi::CallbackInfo& info) {
  return static_cast<int>(IntegerArgument(info, 0, "resource", 0, RLIM_NLIMITS - 1));
}

// resourceLimit(resource): [soft, hard]
Napi::Value ResourceLimit(const Napi::CallbackInfo& info) {
  rlimit limit;
  if (getrlimit(static_cast<Resource>(ResourceArgument(info)), &limit) != 0) {
    ThrowErrno(info.Env(), errno, "getrlimit");
  }
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(uint32_t{0}, Outward(limit.rlim_cur));
  pair.Set(uint32_t{1}, Outward(limit.rlim_max));
  return pair;
}

// setResourceLimit(resource, soft, hard): 0 or an errno
Napi::Value SetResourceLimit(const Napi::CallbackInfo& info) {
  const rlimit limit = {LimitArgument(info, 1, "soft"), LimitArgument(info, 2, "hard")};
  const int result = setrlimit(static_cast<Resource>(ResourceArgument(info)), &limit);
  return Napi::Number::New(info.Env(), result == 0 ? 0 : errno);
}

}  // namespace

void DefineLimits(Napi::Env env, Napi::Object exports) {
  exports.Set("resourceLimit", Napi::Function::New<ResourceLimit>(env, "resourceLimit"));
  exports.Set("setResourceLimit", Napi::Function::New<SetResourceLimit>(env, "setResourceLimit"));
}

}  // namespace quarry
