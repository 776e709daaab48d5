#include "crc32c.h"

#include <array>
#include <cstring>

#include "errors.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace quarry {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

using ByteTable = std::array<uint32_t, 256>;

// tables[0] advances a checksum by one byte; tables[k] does so for a byte that k zero bytes follow.
struct SlicingTables {
  std::array<ByteTable, 8> tables;

  SlicingTables() {
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
      tables[0][byte] = crc;
    }
    for (size_t k = 1; k < tables.size(); k++) {
      for (uint32_t byte = 0; byte < 256; byte++) {
        const uint32_t before = tables[k - 1][byte];
        tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
      }
    }
  }
};

const SlicingTables& Slicing() {
  static const SlicingTables made;
  return made;
}

uint64_t LoadLittleEndian64(const uint8_t* bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

#if defined(__x86_64__)

// Three independent streams hide the instruction's latency of three cycles. Their checksums are
// joined by advancing one over as many zero bytes as the next stream is long, which is linear: four
// table look-ups. A lane of 1360 makes a 4096-byte block three lanes and a rest of 16.
constexpr size_t kLane = 1360;

struct LaneTables {
  std::array<ByteTable, 4> tables;

  LaneTables() {
    std::array<uint32_t, 32> advanced;
    for (size_t bit = 0; bit < 32; bit++) advanced[bit] = OverZeros(uint32_t{1} << bit);
    for (size_t place = 0; place < 4; place++) {
      for (uint32_t byte = 0; byte < 256; byte++) tables[place][byte] = Join(advanced, byte << (8 * place));
    }
  }

  static uint32_t OverZeros(uint32_t crc) {
    const ByteTable& table = Slicing().tables[0];
    for (size_t at = 0; at < kLane; at++) crc = (crc >> 8) ^ table[crc & 0xff];
    return crc;
  }

  static uint32_t Join(const std::array<uint32_t, 32>& advanced, uint32_t bits) {
    uint32_t crc = 0;
    for (size_t bit = 0; bit < 32; bit++) {
      if (bits >> bit & 1) crc ^= advanced[bit];
    }
    return crc;
  }

  uint32_t Advance(uint32_t crc) const {
    return tables[0][crc & 0xff] ^ tables[1][crc >> 8 & 0xff] ^ tables[2][crc >> 16 & 0xff] ^ tables[3][crc >> 24];
  }
};

__attribute__((target("sse4.2"))) uint32_t ThreeLanes(uint32_t crc, const uint8_t* bytes, const LaneTables& lanes) {
  uint64_t first = crc, second = 0, third = 0;
  for (size_t at = 0; at < kLane; at += 8) {
    first = _mm_crc32_u64(first, LoadLittleEndian64(bytes + at));
    second = _mm_crc32_u64(second, LoadLittleEndian64(bytes + kLane + at));
    third = _mm_crc32_u64(third, LoadLittleEndian64(bytes + 2 * kLane + at));
  }
  const uint32_t joined = lanes.Advance(static_cast<uint32_t>(first)) ^ static_cast<uint32_t>(second);
  return lanes.Advance(joined) ^ static_cast<uint32_t>(third);
}

__attribute__((target("sse4.2"))) uint32_t ByInstruction(uint32_t seed, const uint8_t* bytes, size_t length) {
  static const LaneTables lanes;
  uint32_t crc = ~seed;
  for (; length >= 3 * kLane; length -= 3 * kLane, bytes += 3 * kLane) crc = ThreeLanes(crc, bytes, lanes);
  uint64_t wide = crc;
  for (; length >= 8; length -= 8, bytes += 8) wide = _mm_crc32_u64(wide, LoadLittleEndian64(bytes));
  crc = static_cast<uint32_t>(wide);
  for (; length > 0; length--) crc = _mm_crc32_u8(crc, *bytes++);
  return ~crc;
}

bool HasInstruction() {
  static const bool has = __builtin_cpu_supports("sse4.2");
  return has;
}

#endif

using Algorithm = uint32_t (*)(uint32_t, const uint8_t*, size_t);

// crc32c(bytes, from, to, seed): any Uint8Array; [from, to) must lie inside it.
template <Algorithm algorithm>
Napi::Value Checksum(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  void* data = nullptr;
  size_t length = 0;
  if (napi_get_buffer_info(env, info[0], &data, &length) != napi_ok) {
    throw Napi::TypeError::New(env, "bytes must be a Uint8Array");
  }
  const int64_t to = IntegerArgument(info, 2, "to", 0, static_cast<int64_t>(length));
  const int64_t from = IntegerArgument(info, 1, "from", 0, to);
  const int64_t seed = IntegerArgument(info, 3, "seed", 0, UINT32_MAX);
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  const uint32_t crc = algorithm(static_cast<uint32_t>(seed), bytes + from, static_cast<size_t>(to - from));
  return Napi::Number::New(env, crc);
}

}  // namespace

uint32_t Crc32cByTable(uint32_t seed, const uint8_t* bytes, size_t length) {
  const auto& tables = Slicing().tables;
  uint32_t crc = ~seed;
  for (; length >= 8; length -= 8, bytes += 8) {
    const uint64_t word = LoadLittleEndian64(bytes) ^ crc;
    crc = 0;
    for (size_t byte = 0; byte < 8; byte++) crc ^= tables[7 - byte][word >> (8 * byte) & 0xff];
  }
  for (; length > 0; length--) crc = (crc >> 8) ^ tables[0][(crc ^ *bytes++) & 0xff];
  return ~crc;
}

uint32_t Crc32c(uint32_t seed, const uint8_t* bytes, size_t length) {
#if defined(__x86_64__)
  if (HasInstruction()) return ByInstruction(seed, bytes, length);
#endif
  return Crc32cByTable(seed, bytes, length);
}

void DefineCrc32c(Napi::Env env, Napi::Object exports) {
  exports.Set("crc32c", Napi::Function::New<Checksum<Crc32c>>(env, "crc32c"));
  exports.Set("crc32cByTable", Napi::Function::New<Checksum<Crc32cByTable>>(env, "crc32cByTable"));
}

}  // namespace quarry
