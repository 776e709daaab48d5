// The time that the kernel would stamp a file with: openFileClock, readFileClock.
#ifndef QUARRY_FILE_CLOCK_H
#define QUARRY_FILE_CLOCK_H

#include <napi.h>

namespace quarry {

void DefineFileClock(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif  // QUARRY_FILE_CLOCK_H
