#include "thread_queue.h"

#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace quarry {

namespace {

// Copying more than this holds up the loop for longer than a thread would take to wake.
constexpr uint64_t kMostCachedBytes = 128 * 1024;

// preadv2 and pwritev2, which not every C library has. The offset takes one word of the two.
static_assert(sizeof(long) == sizeof(int64_t));

ssize_t Transfer(long call, int file, const iovec* pieces, size_t count, int64_t offset, int flags) {
  return syscall(call, file, pieces, count, offset, 0L, flags);
}

}  // namespace

ThreadQueue::ThreadQueue(const Napi::CallbackInfo& info) : IoQueueObject(info) {
  Begin(info, info.This().As<Napi::Object>(), "quarry.ThreadQueue");
}

ThreadQueue::~ThreadQueue() { Shutdown(); }

IoQueue::Failure ThreadQueue::Open() {
  shared_ = std::make_shared<Shared>();
  shared_->signal = signal_;
  return {};
}

void ThreadQueue::HandOver() {
  for (uint32_t index : queued_) {
    Request& request = requests_[index];
    submitted_++;
    if (request.operation == Operation::kReadCached && TryCached(request)) continue;
    submit_calls_++;
    const int error = Start(request);
    if (error != 0) EndHere(index, -error);
  }
  queued_.clear();
}

bool ThreadQueue::TryCached(const Request& request) {
  if (request.length > kMostCachedBytes || request.mapped) return false;
  const ssize_t done = Transfer(SYS_preadv2, request.file, request.Pieces(), request.PieceCount(),
                                request.offset, RWF_NOWAIT);
  if (done < 0) return false;  // EAGAIN, EOPNOTSUPP; a real error will come again on the thread
  EndHere(request.index, done);
  return true;
}

int ThreadQueue::Start(const Request& request) {
  Work* work = new Work{{}, this, &request, request.index, false, shared_, &environment_};
  work->handle.data = work;
  {
    std::lock_guard<std::mutex> guard(shared_->mutex);
    shared_->unfinished++;
  }
  const int error = -uv_queue_work(environment_.loop, &work->handle, Run, After);
  if (error != 0) {
    std::lock_guard<std::mutex> guard(shared_->mutex);
    shared_->unfinished--;
    delete work;
    return error;
  }
  environment_.HandleOpened();
  works_.push_back(work);
  requests_[request.index].in_kernel = true;
  below_++;
  return 0;
}

int64_t ThreadQueue::Perform(const Request& request) {
  const iovec* pieces = request.Pieces();
  const uint32_t count = request.PieceCount();
  MappedContent* mapped = request.mapped.get();
  ssize_t result;
  switch (request.operation) {
    case Operation::kRead:
    case Operation::kReadCached:
      if (mapped) return mapped->Read(pieces, count, request.offset);
      result = preadv(request.file, pieces, static_cast<int>(count), request.offset);
      break;
    case Operation::kWrite:
      if (mapped) return mapped->Write(pieces, count, request.offset);
      result = pwritev(request.file, pieces, static_cast<int>(count), request.offset);
      break;
    case Operation::kWriteThrough:
      if (mapped) {
        const int64_t written = mapped->Write(pieces, count, request.offset);
        const int64_t synced = written < 0 ? 0 : mapped->Sync(true);
        return synced < 0 ? synced : written;
      }
      result = Transfer(SYS_pwritev2, request.file, pieces, count, request.offset, RWF_DSYNC);
      break;
    default:
      const bool data_only = request.operation == Operation::kDataSync;
      if (mapped) return mapped->Sync(data_only);
      result = data_only ? fdatasync(request.file) : fsync(request.file);
  }
  return result < 0 ? -errno : result;
}

void ThreadQueue::Run(uv_work_t* handle) {
  Work* work = static_cast<Work*>(handle->data);
  const int64_t result = Perform(*work->request);
  Shared& shared = *work->shared;
  std::lock_guard<std::mutex> guard(shared.mutex);
  shared.completions.push_back({work->index, result});
  shared.unfinished--;
  shared.ended.notify_all();
  uint64_t one = 1;
  if (write(shared.signal, &one, sizeof one) < 0) {
    // EAGAIN: it is set already.
  }
}

// The request may have ended long ago: the eventfd tells, not this.
void ThreadQueue::After(uv_work_t* handle, int) {
  Work* work = static_cast<Work*>(handle->data);
  if (work->queue) {
    auto& works = work->queue->works_;
    works.erase(std::find(works.begin(), works.end(), work));
  }
  Environment* environment = work->environment;
  delete work;
  environment->HandleClosed();
}

uint32_t ThreadQueue::Take(Completion* into, uint32_t most) {
  std::lock_guard<std::mutex> guard(shared_->mutex);
  std::vector<Completion>& ready = shared_->completions;
  const size_t count = std::min<size_t>(ready.size(), most);
  std::copy(ready.begin(), ready.begin() + static_cast<std::ptrdiff_t>(count), into);
  ready.erase(ready.begin(), ready.begin() + static_cast<std::ptrdiff_t>(count));
  return static_cast<uint32_t>(count);
}

bool ThreadQueue::HasCompletions() const {
  std::lock_guard<std::mutex> guard(shared_->mutex);
  return !shared_->completions.empty();
}

// A thread inside a system call cannot be called back; a request that no thread has taken yet can.
int ThreadQueue::CancelBelow(const Request& target, const Request&) {
  const bool cancelled = std::any_of(works_.begin(), works_.end(), [&](Work* work) {
    return work->index == target.index && CancelWork(work);
  });
  if (!cancelled) return EALREADY;
  std::lock_guard<std::mutex> guard(shared_->mutex);
  shared_->completions.push_back({target.index, -ECANCELED});
  shared_->unfinished--;
  Signal();
  return 0;
}

// False when a thread has taken it, also when it has ended and only libuv has not said so yet.
bool ThreadQueue::CancelWork(Work* work) {
  if (work->cancelled || uv_cancel(reinterpret_cast<uv_req_t*>(&work->handle)) != 0) return false;
  work->cancelled = true;
  return true;
}

void ThreadQueue::Stop() {
  if (!shared_) return;
  std::unique_lock<std::mutex> guard(shared_->mutex);
  for (Work* work : works_) {
    work->queue = nullptr;
    if (CancelWork(work)) shared_->unfinished--;
  }
  shared_->ended.wait(guard, [this] { return shared_->unfinished == 0; });
  shared_->completions.clear();
  works_.clear();
}

}  // namespace quarry
