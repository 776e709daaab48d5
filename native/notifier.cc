#include "notifier.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace quarry {

namespace {
// Notifications without a reply are hints: when the kernel takes none for so long, more of them
// help nobody.
constexpr size_t kMostWaiting = 256;

using Bytes = std::vector<uint8_t>;

struct Letter {
  Bytes notification;
  Bytes reply;  // empty: none
  bool told = false;  // somebody waits for it to be done
  uint32_t token = 0;
};

void Write(int descriptor, const Bytes& bytes) {
  while (write(descriptor, bytes.data(), bytes.size()) < 0 && errno == EINTR) {
  }
}
}  // namespace

struct Notifier::Mailbox {
  Mailbox(int descriptor, int signal) : descriptor(descriptor), signal(signal) {}
  ~Mailbox() {
    close(descriptor);
    close(signal);
  }

  // Under the lock in either place: the signal stands while there are tokens, and no longer.
  void Tell(uint32_t token) {
    std::lock_guard<std::mutex> lock(mutex);
    done.push_back(token);
    const uint64_t one = 1;
    while (write(signal, &one, sizeof one) < 0 && errno == EINTR) {
    }
  }

  void Deliver() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      idle = true;
      changed.wait(lock, [this] { return stopped || !waiting.empty(); });
      idle = false;
      if (stopped) return;
      // All at once: the loop, which is writing more, is not to be met at the lock for each.
      delivering.swap(waiting);
      lock.unlock();
      for (const Letter& letter : delivering) {
        if (stopped) return;
        Write(descriptor, letter.notification);
        if (!letter.reply.empty()) Write(descriptor, letter.reply);
        if (letter.told) Tell(letter.token);
        left.fetch_sub(1, std::memory_order_relaxed);
      }
      delivering.clear();
      lock.lock();
    }
  }

  int Put(Letter letter) {
    if (left.load(std::memory_order_relaxed) >= kMostWaiting && letter.reply.empty() && !letter.told) return EAGAIN;
    waiting.push_back(std::move(letter));
    left.fetch_add(1, std::memory_order_relaxed);
    return 0;
  }

  void Wake() {
    if (idle) changed.notify_one();
  }

  const int descriptor;
  const int signal;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Letter> waiting;
  // Tokens of letters that are written, and not taken.
  std::vector<uint32_t> done;
  // The thread's own.
  std::vector<Letter> delivering;
  // Letters that are not written yet, of both.
  std::atomic<size_t> left{0};
  // The thread waits for a letter, and has to be woken.
  bool idle = false;
  std::atomic<bool> stopped{false};
};

int Notifier::Open(int descriptor) {
  if (mailbox_) return 0;
  int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return errno;
  int signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (signal < 0) {
    const int error = errno;
    close(own);
    return error;
  }
  auto mailbox = std::make_shared<Mailbox>(own, signal);
  try {
    std::thread([mailbox] { mailbox->Deliver(); }).detach();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  mailbox_ = mailbox;
  return 0;
}

int Notifier::Send(int descriptor, const uint8_t* bytes, size_t length) {
  if (const int error = Open(descriptor)) return error;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  const int error = mailbox_->Put({Bytes(bytes, bytes + length), {}, false, 0});
  mailbox_->Wake();
  return error;
}

int Notifier::Keep(int descriptor, const uint8_t* bytes, size_t length) {
  if (const int error = Open(descriptor)) return error;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  return mailbox_->Put({Bytes(bytes, bytes + length), {}, false, 0});
}

void Notifier::Deliver() {
  if (!mailbox_) return;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  mailbox_->Wake();
}

int Notifier::SendBefore(int descriptor, const uint8_t* bytes, size_t length, const uint8_t* reply,
                         size_t reply_length) {
  if (const int error = Open(descriptor)) return error;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  const int error = mailbox_->Put({Bytes(bytes, bytes + length), Bytes(reply, reply + reply_length), false, 0});
  mailbox_->Wake();
  return error;
}

int Notifier::SendThen(int descriptor, const uint8_t* bytes, size_t length, uint32_t token) {
  if (const int error = Open(descriptor)) return error;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  const int error = mailbox_->Put({Bytes(bytes, bytes + length), {}, true, token});
  mailbox_->Wake();
  return error;
}

int Notifier::signal() const { return mailbox_ ? mailbox_->signal : -1; }

std::vector<uint32_t> Notifier::TakeDone() {
  std::vector<uint32_t> taken;
  if (!mailbox_) return taken;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  if (mailbox_->done.empty()) return taken;
  taken.swap(mailbox_->done);
  uint64_t count = 0;
  while (read(mailbox_->signal, &count, sizeof count) < 0 && errno == EINTR) {
  }
  return taken;
}

void Notifier::Stop() {
  if (!mailbox_) return;
  {
    std::lock_guard<std::mutex> lock(mailbox_->mutex);
    mailbox_->stopped = true;
    mailbox_->changed.notify_one();
  }
  mailbox_.reset();
}

}  // namespace quarry
