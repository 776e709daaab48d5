// Datagrams to a socket in the filesystem: how syslog(3) and systemd's journal are spoken to. Node
// has no sockets of the kind.
#ifndef QUARRY_DATAGRAM_H
#define QUARRY_DATAGRAM_H

#include <napi.h>

namespace quarry {

void DefineDatagram(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
