// Errands at a mount: system calls that may wait for a FUSE server, each made by a child process of
// its own.
//
// A call into a mount whose server is stopped or hung cannot be given up: once the server has taken
// the request, not even SIGKILL ends the wait. So no thread of this process makes such a call. A
// child is forked, makes it, writes what came of it into a pipe and exits; whoever waits too long
// leaves the child behind.
#ifndef QUARRY_ERRAND_H
#define QUARRY_ERRAND_H

#include <napi.h>

namespace quarry {

void DefineErrands(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
