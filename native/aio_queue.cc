#include "aio_queue.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace quarry {

namespace {

// The kernel's enumeration has holes (4 to 6); its names are used, never a count.
uint16_t OpcodeOf(Operation operation, bool vector) {
  switch (operation) {
    case Operation::kRead:
    case Operation::kReadCached:
      return vector ? IOCB_CMD_PREADV : IOCB_CMD_PREAD;
    case Operation::kWrite:
    case Operation::kWriteThrough:
      return vector ? IOCB_CMD_PWRITEV : IOCB_CMD_PWRITE;
    case Operation::kSync:
      return IOCB_CMD_FSYNC;
    default:
      return IOCB_CMD_FDSYNC;
  }
}

}  // namespace

AioQueue::AioQueue(const Napi::CallbackInfo& info) : IoQueueObject(info) {
  Begin(info, info.This().As<Napi::Object>(), "quarry.AioQueue");
}

AioQueue::~AioQueue() { Shutdown(); }

IoQueue::Failure AioQueue::Open() {
  control_blocks_.resize(depth_);
  batch_.reserve(depth_);
  events_.resize(depth_);
  if (syscall(SYS_io_setup, depth_, &context_) < 0) {
    if (errno != EAGAIN) return {errno, "io_setup"};
    return {EAGAIN, "io_setup",
            "the system's limit of asynchronous requests is used up; raise it with: sysctl fs.aio-max-nr=1048576"};
  }
  ring_.Open(context_);
  return {};
}

// io_submit takes a prefix, or names the first one's error: that one is refused and the next ones
// tried. EAGAIN means no room: what remains waits for completions.
void AioQueue::HandOver() {
  batch_.clear();
  for (uint32_t index : queued_) batch_.push_back(Prepare(requests_[index]));
  size_t done = 0;
  while (done < batch_.size()) {
    submit_calls_++;
    long taken = syscall(SYS_io_submit, context_, static_cast<long>(batch_.size() - done), batch_.data() + done);
    if (taken > 0) {
      for (long at = 0; at < taken; at++) requests_[queued_[done++]].in_kernel = true;
      below_ += static_cast<uint32_t>(taken);
      submitted_ += static_cast<double>(taken);
      continue;
    }
    const int error = taken == 0 ? EAGAIN : errno;
    if (error == EINTR) continue;
    if (error == EAGAIN && below_ > 0) break;
    EndHere(queued_[done++], -error);
  }
  queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(done));
}

iocb* AioQueue::Prepare(const Request& request) {
  iocb* block = &control_blocks_[request.index];
  memset(block, 0, sizeof *block);
  block->aio_data = request.index;
  block->aio_fildes = static_cast<uint32_t>(request.file);
  block->aio_flags = IOCB_FLAG_RESFD;
  block->aio_resfd = static_cast<uint32_t>(signal_);
  block->aio_lio_opcode = OpcodeOf(request.operation, request.IsVector());
  if (request.IsSync()) return block;
  if (request.operation == Operation::kWriteThrough) block->aio_rw_flags = RWF_DSYNC;
  block->aio_offset = request.offset;
  block->aio_buf = reinterpret_cast<uint64_t>(request.IsVector() ? static_cast<const void*>(request.Pieces())
                                                                 : request.piece.iov_base);
  block->aio_nbytes = request.IsVector() ? request.PieceCount() : request.length;
  return block;
}

uint32_t AioQueue::Take(Completion* into, uint32_t most) {
  const uint32_t taken = ring_.Take(events_.data(), most);
  for (uint32_t at = 0; at < taken; at++) into[at] = {static_cast<uint32_t>(events_[at].data), events_[at].res};
  return taken;
}

// EINPROGRESS is the kernel's yes: the request's own event will come. EINVAL: this kind cannot be
// cancelled.
int AioQueue::CancelBelow(const Request& target, const Request&) {
  io_event unused;
  if (syscall(SYS_io_cancel, context_, &control_blocks_[target.index], &unused) == 0) return 0;
  if (errno == EINPROGRESS) return 0;
  return errno == EINVAL ? EALREADY : errno;
}

// io_destroy returns when the kernel no longer touches our memory, and takes a grace period of RCU
// even when it never did: nobody has to wait for that.
void AioQueue::Stop() {
  const aio_context_t context = context_;
  context_ = 0;
  if (context == 0) return;
  if (below_ > 0) {
    syscall(SYS_io_destroy, context);
  } else {
    environment_.RunOnThread([context] { syscall(SYS_io_destroy, context); });
  }
}

}  // namespace quarry
