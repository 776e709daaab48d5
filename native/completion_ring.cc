#include "completion_ring.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace quarry {

namespace {
constexpr uint32_t kMagic = 0xa10a10a1;
}

void CompletionRing::Open(aio_context_t context) {
  context_ = context;
  Layout* ring = reinterpret_cast<Layout*>(context);
  bool known = ring->magic == kMagic && ring->incompat_features == 0 && ring->header_length == sizeof(Layout);
  ring_ = known ? ring : nullptr;
}

bool CompletionRing::HasEvents() const {
  if (!ring_) return true;
  return ring_->head != __atomic_load_n(&ring_->tail, __ATOMIC_ACQUIRE);
}

// The acquire load of the tail makes the events before it visible; the release store of the head
// tells the kernel that we have read them.
uint32_t CompletionRing::Take(io_event* into, uint32_t most) {
  if (!ring_) return TakeByCall(into, most);
  uint32_t head = ring_->head;
  const uint32_t tail = __atomic_load_n(&ring_->tail, __ATOMIC_ACQUIRE);
  uint32_t taken = 0;
  while (head != tail && taken < most) {
    into[taken++] = ring_->events[head];
    if (++head == ring_->nr) head = 0;
  }
  if (taken > 0) __atomic_store_n(&ring_->head, head, __ATOMIC_RELEASE);
  return taken;
}

uint32_t CompletionRing::TakeByCall(io_event* into, uint32_t most) {
  timespec no_wait = {0, 0};
  long taken = syscall(SYS_io_getevents, context_, 0L, static_cast<long>(most), into, &no_wait);
  return taken > 0 ? static_cast<uint32_t>(taken) : 0;
}

}  // namespace quarry
