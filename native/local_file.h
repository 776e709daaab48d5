// What node:fs has not of files of the system: local_file.cc.
#ifndef QUARRY_LOCAL_FILE_H
#define QUARRY_LOCAL_FILE_H

#include <napi.h>

namespace quarry {

void DefineLocalFile(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif  // QUARRY_LOCAL_FILE_H
