#include "relief.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace quarry {

namespace {

// No call that ends by itself takes so long; whoever waits for the mount waits once or twice as long.
constexpr std::chrono::milliseconds kBetweenLooks(500);
constexpr int kPollMilliseconds = 20;

using Bytes = std::vector<uint8_t>;

// linux/fuse.h: what has to be known of the protocol for this, and nothing else here does.
struct RequestHead {
  uint32_t length;
  uint32_t opcode;
  uint64_t unique;
  uint64_t node;
  uint32_t user;
  uint32_t group;
  uint32_t thread;
  uint32_t more;
};
struct WriteBody {
  uint64_t handle;
  uint64_t offset;
  uint32_t size;
  uint32_t flags;
};
struct ReplyHead {
  uint32_t length;
  int32_t error;
  uint64_t unique;
};
constexpr uint32_t kSetAttributes = 4;
constexpr uint32_t kWrite = 16;
constexpr uint32_t kRelease = 18;
constexpr uint32_t kDestroy = 38;
constexpr uint32_t kFromCache = 1;
constexpr size_t kAttributesReply = 104;
constexpr size_t kWriteReply = 8;

bool IsFromCache(const uint8_t* request, size_t length, uint32_t* size) {
  WriteBody body;
  if (length < sizeof(RequestHead) + sizeof body) return false;
  memcpy(&body, request + sizeof(RequestHead), sizeof body);
  *size = body.size;
  return (body.flags & kFromCache) != 0;
}

// The answer to a request that `thread` can be waiting for while it closes a file; empty where it cannot.
Bytes AnswerTo(const uint8_t* request, size_t length, uint32_t thread) {
  RequestHead head;
  if (length < sizeof head) return {};
  memcpy(&head, request, sizeof head);
  size_t body = 0;
  uint32_t size = 0;
  if (head.opcode == kWrite && IsFromCache(request, length, &size)) body = kWriteReply;
  else if (head.opcode == kSetAttributes && head.thread == thread) body = kAttributesReply;
  else if (head.opcode != kRelease && head.opcode != kDestroy) return {};
  const ReplyHead reply = {static_cast<uint32_t>(sizeof(ReplyHead) + body), 0, head.unique};
  Bytes answer(reply.length);
  memcpy(answer.data(), &reply, sizeof reply);
  if (head.opcode == kWrite) memcpy(answer.data() + sizeof reply, &size, sizeof size);
  return answer;
}

void Write(int descriptor, const void* bytes, size_t length) {
  while (write(descriptor, bytes, length) < 0 && errno == EINTR) {
  }
}

}  // namespace

struct Relief::Post {
  ~Post() {
    if (descriptor >= 0) close(descriptor);
    if (signal >= 0) close(signal);
  }

  void Watch() {
    uint32_t before = 0;
    std::unique_lock<std::mutex> lock(mutex);
    while (!changed.wait_for(lock, kBetweenLooks, [this] { return stopped.load(); })) {
      const uint32_t now = calls.load(std::memory_order_relaxed);
      if (now % 2 == 1 && now == before) {
        lock.unlock();
        Relieve(now);
        lock.lock();
      }
      before = now;
    }
  }

  // Until the call ends, or the connection does.
  void Relieve(uint32_t call) {
    Bytes request(most_bytes);
    while (calls.load(std::memory_order_relaxed) == call && !stopped) {
      pollfd look = {descriptor, POLLIN, 0};
      if (poll(&look, 1, kPollMilliseconds) <= 0) continue;
      const ssize_t received = read(descriptor, request.data(), request.size());
      if (received > 0) Accept(request.data(), static_cast<size_t>(received));
      else if (received == 0 || (errno != EAGAIN && errno != EINTR && errno != ENOENT)) return;
    }
  }

  // In this order: what is asked because of the answer comes after the request.
  void Accept(const uint8_t* request, size_t length) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      Keep(request, length);
    }
    const Bytes answer = AnswerTo(request, length, thread);
    if (!answer.empty()) Write(descriptor, answer.data(), answer.size());
  }

  void Keep(const uint8_t* request, size_t length) {
    kept.emplace_back(request, request + length);
    holding.store(true, std::memory_order_release);
    const uint64_t one = 1;
    Write(signal, &one, sizeof one);
  }

  size_t Take(uint8_t* into) {
    const Bytes request = std::move(kept.front());
    kept.pop_front();
    memcpy(into, request.data(), request.size());
    if (kept.empty()) {
      holding.store(false, std::memory_order_relaxed);
      uint64_t count = 0;
      if (read(signal, &count, sizeof count) < 0) {
        // EAGAIN: it is not set.
      }
    }
    return request.size();
  }

  int descriptor = -1;
  int signal = -1;
  uint32_t thread = 0;
  size_t most_bytes = 0;
  std::atomic<uint32_t> calls{0};
  std::atomic<bool> holding{false};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Bytes> kept;
};

Relief::Relief() : post_(std::make_shared<Post>()), calls_(&post_->calls) {}

int Relief::Start(int descriptor, size_t most_bytes) {
  post_->thread = static_cast<uint32_t>(syscall(SYS_gettid));
  post_->most_bytes = most_bytes;
  post_->signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (post_->signal < 0) return errno;
  post_->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (post_->descriptor < 0) return errno;
  try {
    std::thread([post = post_] { post->Watch(); }).detach();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

int Relief::signal() const { return post_->signal; }

void Relief::Stop() {
  std::lock_guard<std::mutex> lock(post_->mutex);
  post_->stopped = true;
  post_->changed.notify_one();
}

bool Relief::Holding() const { return post_->holding.load(std::memory_order_acquire); }

size_t Relief::Take(uint8_t* into) {
  std::lock_guard<std::mutex> lock(post_->mutex);
  return post_->Take(into);
}

size_t Relief::Exchange(uint8_t* request, size_t length) {
  std::lock_guard<std::mutex> lock(post_->mutex);
  post_->Keep(request, length);
  return post_->Take(request);
}

}  // namespace quarry
