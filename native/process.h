// Processes by descriptors (pidfd_open(2)): whoever holds one speaks of that process, and never of
// a later one of its number.
#ifndef QUARRY_PROCESS_H
#define QUARRY_PROCESS_H

#include <napi.h>

namespace quarry {

void DefineProcess(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
