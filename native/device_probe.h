// Opens a block device or an image file for direct I/O, and says what it is like.
#ifndef QUARRY_DEVICE_PROBE_H
#define QUARRY_DEVICE_PROBE_H

#include <napi.h>

namespace quarry {

// openDevice(path, { readOnly, exclusive, direct }), closeDevice(descriptor),
// probeDescriptor(descriptor), discardRange(descriptor, isBlockDevice, offset, length, done)
void DefineDeviceProbe(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
