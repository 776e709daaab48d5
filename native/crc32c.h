// CRC-32C (Castagnoli), as in RFC 3720 and SSE4.2: crc32c("123456789") = 0xe3069283.
#ifndef QUARRY_CRC32C_H
#define QUARRY_CRC32C_H

#include <napi.h>

#include <cstddef>
#include <cstdint>

namespace quarry {

// The checksum of `length` bytes, continued from the checksum `seed` of what came before (0 to
// begin).
uint32_t Crc32c(uint32_t seed, const uint8_t* bytes, size_t length);
// The same, by tables alone: for other processors, and to test the fast one against.
uint32_t Crc32cByTable(uint32_t seed, const uint8_t* bytes, size_t length);

// crc32c(bytes, from, to, seed) and crc32cByTable
void DefineCrc32c(Napi::Env env, Napi::Object exports);

}  // namespace quarry

#endif
