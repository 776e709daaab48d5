// System calls around a mount that Node does not offer.
#ifndef QUARRY_MOUNT_H
#define QUARRY_MOUNT_H

#include <napi.h>

namespace quarry {

// mountFuse, umount, socketPair, receiveDescriptor, setIoFlusher
void DefineMount(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
