// The completion ring that the kernel maps into the process with each AIO context, read without a
// system call.
//
// The kernel writes events at `tail` and we consume at `head` (fs/aio.c, struct aio_ring). The
// layout is recognised by its magic and by the absence of incompatible features; a kernel with
// another layout is asked through io_getevents instead.
#ifndef QUARRY_COMPLETION_RING_H
#define QUARRY_COMPLETION_RING_H

#include <linux/aio_abi.h>

#include <cstdint>

namespace quarry {

class CompletionRing {
 public:
  void Open(aio_context_t context);
  bool HasEvents() const;
  // Moves up to `most` events out; returns how many.
  uint32_t Take(io_event* into, uint32_t most);

 private:
  struct Layout {
    uint32_t id;
    uint32_t nr;
    uint32_t head;
    uint32_t tail;
    uint32_t magic;
    uint32_t compat_features;
    uint32_t incompat_features;
    uint32_t header_length;
    io_event events[];
  };

  uint32_t TakeByCall(io_event* into, uint32_t most);

  aio_context_t context_ = 0;
  Layout* ring_ = nullptr;  // nullptr: unknown layout, use the system call
};

}  // namespace quarry

#endif
