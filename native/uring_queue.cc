#include "uring_queue.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace quarry {

namespace {

constexpr uint32_t kFileSlots = 1024;
constexpr uint32_t kMemorySlots = 64;

// Ways to set up a ring, best first; a kernel that knows one not says EINVAL.
constexpr uint32_t kSetups[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    0,
};
// One mapping for both rings, and no completion dropped: since Linux 5.5.
constexpr uint32_t kNeededFeatures = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP;

uint8_t OpcodeOf(Operation operation, bool vector) {
  switch (operation) {
    case Operation::kRead:
    case Operation::kReadCached:
      return vector ? IORING_OP_READV : IORING_OP_READ;
    case Operation::kWrite:
    case Operation::kWriteThrough:
      return vector ? IORING_OP_WRITEV : IORING_OP_WRITE;
    default:
      return IORING_OP_FSYNC;
  }
}

const char* WhyRefused(int error) {
  switch (error) {
    case ENOSYS:
      return "this kernel has no io_uring, or one that is too old";
    case EPERM:
    case EACCES:
      return "io_uring is disabled on this system (sysctl kernel.io_uring_disabled), or forbidden to this process";
    default:
      return nullptr;
  }
}

int Register(int ring, unsigned opcode, const void* argument, unsigned count) {
  return syscall(SYS_io_uring_register, ring, opcode, argument, count) < 0 ? errno : 0;
}

template <class T>
T* At(void* base, uint32_t offset) {
  return reinterpret_cast<T*>(static_cast<uint8_t*>(base) + offset);
}

}  // namespace

void UringQueue::Define(Napi::Env env, Napi::Object exports) {
  IoQueueObject::Define(env, exports,
                        {InstanceMethod("registerFile", &UringQueue::RegisterFile),
                         InstanceMethod("unregisterFile", &UringQueue::UnregisterFile),
                         InstanceMethod("registerMemory", &UringQueue::RegisterMemory),
                         InstanceMethod("unregisterMemory", &UringQueue::UnregisterMemory)});
}

UringQueue::UringQueue(const Napi::CallbackInfo& info) : IoQueueObject(info) {
  Begin(info, info.This().As<Napi::Object>(), "quarry.UringQueue");
}

UringQueue::~UringQueue() { Shutdown(); }

IoQueue::Failure UringQueue::Open() {
  io_uring_params params;
  Failure failure = SetUp(&params);
  if (failure.error == 0 && (params.features & kNeededFeatures) != kNeededFeatures) {
    failure = {ENOSYS, "io_uring_setup", WhyRefused(ENOSYS)};
  }
  if (failure.error == 0) failure = MapRings(params);
  if (failure.error == 0) failure = PrepareTables();
  if (failure.error != 0) Unmap();
  return failure;
}

IoQueue::Failure UringQueue::SetUp(io_uring_params* params) {
  int error = 0;
  for (uint32_t flags : kSetups) {
    memset(params, 0, sizeof *params);
    params->flags = flags;
    ring_ = static_cast<int>(syscall(SYS_io_uring_setup, depth_, params));
    defers_work_ = (flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    if (ring_ >= 0) return {};
    error = errno;
    if (error != EINVAL) break;
  }
  return {error, "io_uring_setup", WhyRefused(error)};
}

IoQueue::Failure UringQueue::MapRings(const io_uring_params& params) {
  const size_t submit_bytes = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  const size_t complete_bytes = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  rings_.map_bytes = std::max(submit_bytes, complete_bytes);
  rings_.entries_bytes = params.sq_entries * sizeof(io_uring_sqe);
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  constexpr int kFlags = MAP_SHARED | MAP_POPULATE;
  void* map = mmap(nullptr, rings_.map_bytes, kProtection, kFlags, ring_, IORING_OFF_SQ_RING);
  if (map == MAP_FAILED) return {errno, "mmap"};
  rings_.map = map;
  void* entries = mmap(nullptr, rings_.entries_bytes, kProtection, kFlags, ring_, IORING_OFF_SQES);
  if (entries == MAP_FAILED) return {errno, "mmap"};
  rings_.entries = static_cast<io_uring_sqe*>(entries);
  rings_.submit_head = At<uint32_t>(map, params.sq_off.head);
  rings_.submit_tail = At<uint32_t>(map, params.sq_off.tail);
  rings_.submit_mask = *At<uint32_t>(map, params.sq_off.ring_mask);
  rings_.submit_flags = At<uint32_t>(map, params.sq_off.flags);
  rings_.complete_head = At<uint32_t>(map, params.cq_off.head);
  rings_.complete_tail = At<uint32_t>(map, params.cq_off.tail);
  rings_.complete_mask = *At<uint32_t>(map, params.cq_off.ring_mask);
  rings_.completions = At<const io_uring_cqe>(map, params.cq_off.cqes);
  // The ring is one of places in the entries; ours are always in order.
  uint32_t* places = At<uint32_t>(map, params.sq_off.array);
  for (uint32_t at = 0; at < params.sq_entries; at++) places[at] = at;
  return {};
}

// Registered files and memory begin as empty tables; a kernel without them (before 5.19) does
// without.
IoQueue::Failure UringQueue::PrepareTables() {
  if (Register(ring_, IORING_REGISTER_EVENTFD, &signal_, 1) != 0) return {errno, "io_uring_register"};
  const std::vector<int> no_files(kFileSlots, -1);
  if (Register(ring_, IORING_REGISTER_FILES, no_files.data(), kFileSlots) == 0) {
    for (uint32_t slot = kFileSlots; slot > 0; slot--) free_file_slots_.push_back(slot - 1);
  }
  io_uring_rsrc_register table = {};
  table.nr = kMemorySlots;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  if (Register(ring_, IORING_REGISTER_BUFFERS2, &table, sizeof table) == 0) {
    registered_.resize(kMemorySlots);
    for (uint32_t slot = kMemorySlots; slot > 0; slot--) free_memory_slots_.push_back(slot - 1);
  }
  return {};
}

// Entries that the kernel did not take are taken back out of the ring: it reads the ring only
// inside the call.
void UringQueue::HandOver() {
  size_t done = 0;
  while (done < queued_.size()) {
    const uint32_t count =
        static_cast<uint32_t>(std::min<size_t>(queued_.size() - done, size_t{rings_.submit_mask} + 1));
    for (uint32_t at = 0; at < count; at++) Fill(NextEntry(at), requests_[queued_[done + at]]);
    submit_calls_++;
    const int taken = Enter(count, 0);
    if (taken > 0) {
      for (int at = 0; at < taken; at++) requests_[queued_[done++]].in_kernel = true;
      below_ += static_cast<uint32_t>(taken);
      submitted_ += static_cast<double>(taken);
      continue;
    }
    const int error = taken == 0 ? EAGAIN : -taken;
    if (error == EINTR) continue;
    if ((error == EAGAIN || error == EBUSY) && below_ > 0) break;
    EndHere(queued_[done++], error == EBUSY ? -EAGAIN : -error);
  }
  queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(done));
}

io_uring_sqe* UringQueue::NextEntry(uint32_t ahead) {
  io_uring_sqe* entry = &rings_.entries[(*rings_.submit_tail + ahead) & rings_.submit_mask];
  memset(entry, 0, sizeof *entry);
  return entry;
}

void UringQueue::Fill(io_uring_sqe* entry, const Request& request) const {
  entry->opcode = OpcodeOf(request.operation, request.IsVector());
  entry->fd = request.file;
  entry->user_data = request.index;
  if (entry->opcode == IORING_OP_FSYNC) {
    entry->fsync_flags = request.operation == Operation::kDataSync ? IORING_FSYNC_DATASYNC : 0;
  } else {
    entry->off = static_cast<uint64_t>(request.offset);
    entry->addr = reinterpret_cast<uint64_t>(request.IsVector() ? static_cast<const void*>(request.Pieces())
                                                                : request.piece.iov_base);
    if (request.operation == Operation::kWriteThrough) entry->rw_flags = RWF_DSYNC;
    entry->len = request.IsVector() ? request.PieceCount() : static_cast<uint32_t>(request.length);
  }
  UseRegistered(entry, request);
}

void UringQueue::UseRegistered(io_uring_sqe* entry, const Request& request) const {
  const size_t file = static_cast<size_t>(request.file);
  if (file < file_slots_.size() && file_slots_[file] >= 0) {
    entry->fd = file_slots_[file];
    entry->flags |= IOSQE_FIXED_FILE;
  }
  if (!request.memory || request.memory->id() >= memory_slots_.size()) return;
  const int slot = memory_slots_[request.memory->id()];
  if (slot < 0 || (entry->opcode != IORING_OP_READ && entry->opcode != IORING_OP_WRITE)) return;
  entry->opcode = entry->opcode == IORING_OP_READ ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
  entry->buf_index = static_cast<uint16_t>(slot);
}

// Submits what was filled in. Entries taken, or a negative errno.
int UringQueue::Enter(uint32_t submit, uint32_t wait) const {
  const uint32_t tail = *rings_.submit_tail;
  __atomic_store_n(rings_.submit_tail, tail + submit, __ATOMIC_RELEASE);
  const unsigned flags = wait > 0 || defers_work_ ? IORING_ENTER_GETEVENTS : 0;
  const long result = syscall(SYS_io_uring_enter, ring_, submit, wait, flags, nullptr, 0);
  const int taken = result < 0 ? -errno : static_cast<int>(result);
  if (submit > 0) {
    __atomic_store_n(rings_.submit_tail, __atomic_load_n(rings_.submit_head, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
  }
  return taken;
}

bool UringQueue::NeedsEnter() const {
  return __atomic_load_n(rings_.submit_flags, __ATOMIC_ACQUIRE) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

bool UringQueue::HasCompletions() const {
  if (ring_ < 0) return false;
  return *rings_.complete_head != __atomic_load_n(rings_.complete_tail, __ATOMIC_ACQUIRE) || NeedsEnter();
}

uint32_t UringQueue::Take(Completion* into, uint32_t most) {
  if (NeedsEnter()) {
    // The eventfd tells once of work that waits for us: if we could not do it, we must come again
    // by ourselves. Nor does the kernel do all of it at once, and what it did need not be a
    // completion: a write for which the device had no room is issued anew.
    signal_is_stale_ = true;
    if (syscall(SYS_io_uring_enter, ring_, 0, 0, IORING_ENTER_GETEVENTS, nullptr, 0) < 0) Signal();
  }
  uint32_t head = *rings_.complete_head;
  const uint32_t tail = __atomic_load_n(rings_.complete_tail, __ATOMIC_ACQUIRE);
  uint32_t taken = 0;
  while (head != tail && taken < most) {
    const io_uring_cqe& completion = rings_.completions[head++ & rings_.complete_mask];
    into[taken++] = {static_cast<uint32_t>(completion.user_data), completion.res};
  }
  __atomic_store_n(rings_.complete_head, head, __ATOMIC_RELEASE);
  return taken;
}

int UringQueue::CancelBelow(const Request& target, const Request& cancel) {
  io_uring_sqe* entry = NextEntry(0);
  entry->opcode = IORING_OP_ASYNC_CANCEL;
  entry->fd = -1;
  entry->addr = target.index;
  entry->user_data = cancel.index;
  const int taken = Enter(1, 0);
  if (taken != 1) return taken < 0 ? -taken : EAGAIN;
  below_++;
  return -1;
}

void UringQueue::Stop() {
  if (ring_ < 0) return;
  std::vector<Completion> dropped(depth_);
  while (below_ > 0) {
    const long done = syscall(SYS_io_uring_enter, ring_, 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
    if (done < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) break;
    below_ -= Take(dropped.data(), depth_);
  }
  Unmap();
}

void UringQueue::Unmap() {
  if (rings_.entries) munmap(rings_.entries, rings_.entries_bytes);
  if (rings_.map) munmap(rings_.map, rings_.map_bytes);
  rings_ = {};
  if (ring_ >= 0) close(ring_);
  ring_ = -1;
  registered_.clear();
  memory_slots_.clear();
}

Napi::Value UringQueue::RegisterFile(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  if (ring_ < 0 || free_file_slots_.empty()) return Napi::Boolean::New(info.Env(), false);
  const uint32_t slot = free_file_slots_.back();
  if (!UpdateFile(slot, descriptor)) return Napi::Boolean::New(info.Env(), false);
  free_file_slots_.pop_back();
  const size_t at = static_cast<size_t>(descriptor);
  if (file_slots_.size() <= at) file_slots_.resize(at + 1, -1);
  file_slots_[at] = static_cast<int>(slot);
  return Napi::Boolean::New(info.Env(), true);
}

Napi::Value UringQueue::UnregisterFile(const Napi::CallbackInfo& info) {
  const size_t descriptor = static_cast<size_t>(IntegerArgument(info, 0, "descriptor", 0, INT32_MAX));
  if (ring_ < 0 || descriptor >= file_slots_.size() || file_slots_[descriptor] < 0) return info.Env().Undefined();
  const uint32_t slot = static_cast<uint32_t>(file_slots_[descriptor]);
  file_slots_[descriptor] = -1;
  if (UpdateFile(slot, -1)) free_file_slots_.push_back(slot);
  return info.Env().Undefined();
}

bool UringQueue::UpdateFile(uint32_t slot, int descriptor) const {
  io_uring_files_update update = {};
  update.offset = slot;
  update.fds = reinterpret_cast<uint64_t>(&descriptor);
  return syscall(SYS_io_uring_register, ring_, IORING_REGISTER_FILES_UPDATE, &update, 1) == 1;
}

Napi::Value UringQueue::RegisterMemory(const Napi::CallbackInfo& info) {
  AlignedMemory* memory = AlignedMemory::From(info.Env(), info[0]);
  if (!memory) throw Napi::TypeError::New(info.Env(), "memory must be an AlignedMemory");
  if (ring_ < 0 || free_memory_slots_.empty()) return Napi::Number::New(info.Env(), ENOSPC);
  Mapping* mapping = memory->mapping();
  const uint32_t slot = free_memory_slots_.back();
  const int error = UpdateMemory(slot, mapping);
  if (error != 0) return Napi::Number::New(info.Env(), error);
  free_memory_slots_.pop_back();
  mapping->Hold();
  registered_[slot].reset(mapping);
  if (memory_slots_.size() <= mapping->id()) memory_slots_.resize(mapping->id() + 1, -1);
  memory_slots_[mapping->id()] = static_cast<int>(slot);
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value UringQueue::UnregisterMemory(const Napi::CallbackInfo& info) {
  AlignedMemory* memory = AlignedMemory::From(info.Env(), info[0]);
  if (!memory) throw Napi::TypeError::New(info.Env(), "memory must be an AlignedMemory");
  const uint32_t id = memory->mapping()->id();
  if (ring_ < 0 || id >= memory_slots_.size() || memory_slots_[id] < 0) return info.Env().Undefined();
  const uint32_t slot = static_cast<uint32_t>(memory_slots_[id]);
  memory_slots_[id] = -1;
  if (UpdateMemory(slot, nullptr) == 0) free_memory_slots_.push_back(slot);
  registered_[slot].reset();
  return info.Env().Undefined();
}

// An empty place is a piece of no length.
int UringQueue::UpdateMemory(uint32_t slot, Mapping* mapping) const {
  iovec piece = {};
  if (mapping) piece = {mapping->base(), mapping->length()};
  io_uring_rsrc_update2 update = {};
  update.offset = slot;
  update.data = reinterpret_cast<uint64_t>(&piece);
  update.nr = 1;
  return syscall(SYS_io_uring_register, ring_, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update) < 0 ? errno : 0;
}

}  // namespace quarry
