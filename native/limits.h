// Limits of the process: getrlimit(2) and setrlimit(2), which Node does not offer.
#ifndef QUARRY_LIMITS_H
#define QUARRY_LIMITS_H

#include <napi.h>

namespace quarry {

void DefineLimits(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
