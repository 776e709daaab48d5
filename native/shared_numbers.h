// Numbers that the JavaScript side states as well (src/aio/limits.ts, src/fuse/limits.ts,
// src/native.ts). The addon tells its own as `numbers`, and they are compared when those files are
// loaded: an addon built from another state of the sources does not get as far as a request.
#ifndef QUARRY_SHARED_NUMBERS_H
#define QUARRY_SHARED_NUMBERS_H

#include <cstddef>
#include <cstdint>

namespace quarry {

// Upper bound of a wish for the spin, in nanoseconds.
constexpr int64_t kLongestSpin = 1000000;

// Numbers of one entry and of one segment of an IoQueue, and the deepest one.
constexpr uint32_t kEntryNumbers = 8;
constexpr uint32_t kSegmentNumbers = 3;
constexpr int64_t kDeepest = 16384;
// The kernel moves at most this in one call (MAX_RW_COUNT), and reports a short transfer beyond it.
constexpr int64_t kLongestTransfer = 0x7ffff000;

// The head page of a slot, and what of a request is before its end: fuse_in_header and
// fuse_write_in, 40 bytes each.
constexpr int64_t kPage = 4096;
constexpr int64_t kRequestHead = 80;
// FUSE_MIN_READ_BUFFER: the kernel refuses to fill anything smaller.
constexpr int64_t kSmallestSlot = kPage + 8192;
constexpr int64_t kLargestSlot = int64_t{64} << 20;
constexpr int64_t kMostSlots = 4096;

// The longest answer of a question: what the size in an ioctl's number can say, 14 bits.
constexpr size_t kMostAnswerBytes = 16383;

}  // namespace quarry

#endif
