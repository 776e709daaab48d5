// How long the calls into JavaScript were, promise reactions included: what the event loop had to
// wait.
//
// A histogram by powers of two, of which each call costs two looks at the clock. Bucket number i
// counts calls shorter than 2^i µs that are in none before it; the last one all others.
// src/fs/turns.ts counts the turns that begin in JavaScript in the same way.
#ifndef QUARRY_TURN_LENGTHS_H
#define QUARRY_TURN_LENGTHS_H

#include <time.h>

#include <cstdint>

namespace quarry {

class TurnLengths {
 public:
  static constexpr uint32_t kBuckets = 24;

  static uint64_t Now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
  }

  void Note(uint64_t nanoseconds) {
    const uint64_t microseconds = nanoseconds / 1000;
    const uint32_t bucket = microseconds == 0 ? 0 : 64 - static_cast<uint32_t>(__builtin_clzll(microseconds));
    counts_[bucket < kBuckets ? bucket : kBuckets - 1]++;
    if (nanoseconds > longest_) longest_ = nanoseconds;
  }

  uint64_t count(uint32_t bucket) const { return counts_[bucket]; }
  // In nanoseconds.
  uint64_t longest() const { return longest_; }

 private:
  uint64_t counts_[kBuckets] = {};
  uint64_t longest_ = 0;
};

}  // namespace quarry

#endif
