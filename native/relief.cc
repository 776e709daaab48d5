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
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace quarry {

namespace {

// No call that ends by itself takes so long; whoever waits for the mount waits once or twice as
// long.
constexpr std::chrono::milliseconds kBetweenLooks(500);
constexpr int kPollMilliseconds = 20;
// When nothing comes for so long, what the call waits for is held back.
constexpr int kSilentPolls = 5000 / kPollMilliseconds;

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
// Of READ and WRITE.
struct TransferBody {
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
constexpr uint32_t kRead = 15;
constexpr uint32_t kWrite = 16;
constexpr uint32_t kRelease = 18;
constexpr uint32_t kDestroy = 38;
constexpr uint32_t kFromCache = 1;
constexpr uint32_t kPastCache = 2;
constexpr size_t kAttributesReply = 104;
constexpr size_t kWriteReply = 8;

RequestHead HeadOf(const Bytes& request) {
  RequestHead head = {};
  if (request.size() >= sizeof head) memcpy(&head, request.data(), sizeof head);
  return head;
}

TransferBody TransferOf(const Bytes& request) {
  TransferBody body = {};
  if (request.size() >= sizeof(RequestHead) + sizeof body) {
    memcpy(&body, request.data() + sizeof(RequestHead), sizeof body);
  }
  return body;
}

Bytes Reply(const RequestHead& head, int error, size_t body_bytes) {
  const ReplyHead reply = {static_cast<uint32_t>(sizeof(ReplyHead) + body_bytes), -error, head.unique};
  Bytes bytes(reply.length);
  memcpy(bytes.data(), &reply, sizeof reply);
  return bytes;
}

// The answer to a request that `thread` can be waiting for while it closes a file; empty where it
// cannot.
Bytes AnswerTo(const Bytes& request, uint32_t thread) {
  const RequestHead head = HeadOf(request);
  const TransferBody transfer = TransferOf(request);
  if (head.opcode == kRelease || head.opcode == kDestroy) return Reply(head, 0, 0);
  if (head.opcode == kSetAttributes && head.thread == thread) return Reply(head, 0, kAttributesReply);
  if (head.opcode != kWrite || !(transfer.flags & kFromCache)) return {};
  Bytes answer = Reply(head, 0, kWriteReply);
  memcpy(answer.data() + sizeof(ReplyHead), &transfer.size, sizeof transfer.size);
  return answer;
}

// Whether a request can take the place of another in the kernel, and nothing is lost if it fails: 2
// if its caller hears that himself, 1 if it may be read-ahead.
int Refusable(const Bytes& request) {
  const uint32_t opcode = HeadOf(request).opcode;
  if (opcode != kRead && opcode != kWrite) return 0;
  if (TransferOf(request).flags & kPastCache) return 2;
  return opcode == kRead ? 1 : 0;
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
    Bytes room(most_bytes);
    int silent = 0;
    while (calls.load(std::memory_order_relaxed) == call && !stopped) {
      pollfd look = {descriptor, POLLIN, 0};
      if (poll(&look, 1, kPollMilliseconds) <= 0) {
        if (++silent % kSilentPolls == 0) RefuseOne();
        continue;
      }
      silent = 0;
      const ssize_t received = read(descriptor, room.data(), room.size());
      if (received > 0) Accept(Bytes(room.begin(), room.begin() + received));
      else if (received == 0 || (errno != EAGAIN && errno != EINTR && errno != ENOENT)) return;
    }
  }

  // In this order: what is asked because of the answer comes after the request.
  void Accept(const Bytes& request) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      Keep(request.data(), request.size());
    }
    Send(AnswerTo(request, thread));
  }

  void Send(const Bytes& answer) const {
    if (!answer.empty()) Write(descriptor, answer.data(), answer.size());
  }

  // The youngest came since the call began, so it has the place that became free by that call.
  void RefuseOne() {
    Bytes answer;
    {
      std::lock_guard<std::mutex> lock(mutex);
      auto chosen = kept.rend();
      for (auto request = kept.rbegin(); request != kept.rend(); ++request) {
        const int least = chosen == kept.rend() ? 0 : Refusable(*chosen);
        if (Refusable(*request) > least) chosen = request;
      }
      if (chosen == kept.rend()) return;
      answer = Reply(HeadOf(*chosen), EAGAIN, 0);
      kept.erase(std::next(chosen).base());
      Settle();
    }
    Send(answer);
  }

  void Keep(const uint8_t* request, size_t length) {
    kept.emplace_back(request, request + length);
    holding.store(true, std::memory_order_release);
    const uint64_t one = 1;
    Write(signal, &one, sizeof one);
  }

  size_t Take(uint8_t* into) {
    if (kept.empty()) return 0;
    const Bytes request = std::move(kept.front());
    kept.pop_front();
    memcpy(into, request.data(), request.size());
    Settle();
    return request.size();
  }

  void Settle() {
    if (!kept.empty()) return;
    holding.store(false, std::memory_order_relaxed);
    uint64_t count = 0;
    if (read(signal, &count, sizeof count) < 0) {
      // EAGAIN: it is not set.
    }
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
