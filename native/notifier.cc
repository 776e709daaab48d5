#include "notifier.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
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
};

void Write(int descriptor, const Bytes& bytes) {
  while (write(descriptor, bytes.data(), bytes.size()) < 0 && errno == EINTR) {
  }
}
}  // namespace

struct Notifier::Mailbox {
  explicit Mailbox(int descriptor) : descriptor(descriptor) {}
  ~Mailbox() { close(descriptor); }

  void Deliver() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopped || !waiting.empty(); });
      if (stopped) return;
      const Letter letter = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      Write(descriptor, letter.notification);
      if (!letter.reply.empty()) Write(descriptor, letter.reply);
      lock.lock();
    }
  }

  void Post(Letter letter) {
    waiting.push_back(std::move(letter));
    changed.notify_one();
  }

  const int descriptor;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Letter> waiting;
  bool stopped = false;
};

int Notifier::Open(int descriptor) {
  if (mailbox_) return 0;
  int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return errno;
  auto mailbox = std::make_shared<Mailbox>(own);
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
  if (mailbox_->waiting.size() >= kMostWaiting) return EAGAIN;
  mailbox_->Post({Bytes(bytes, bytes + length), {}});
  return 0;
}

int Notifier::SendBefore(int descriptor, const uint8_t* bytes, size_t length, const uint8_t* reply,
                         size_t reply_length) {
  if (const int error = Open(descriptor)) return error;
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  mailbox_->Post({Bytes(bytes, bytes + length), Bytes(reply, reply + reply_length)});
  return 0;
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
