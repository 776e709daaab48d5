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
// Notifications are hints: when the kernel takes none for so long, more of them help nobody.
constexpr size_t kMostWaiting = 256;
}  // namespace

struct Notifier::Mailbox {
  explicit Mailbox(int descriptor) : descriptor(descriptor) {}
  ~Mailbox() { close(descriptor); }

  void Deliver() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopped || !waiting.empty(); });
      if (stopped) return;
      std::vector<uint8_t> message = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      while (write(descriptor, message.data(), message.size()) < 0 && errno == EINTR) {
      }
      lock.lock();
    }
  }

  const int descriptor;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::vector<uint8_t>> waiting;
  bool stopped = false;
};

int Notifier::Send(int descriptor, const uint8_t* bytes, size_t length) {
  if (!mailbox_) {
    int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return errno;
    auto mailbox = std::make_shared<Mailbox>(own);
    try {
      std::thread([mailbox] { mailbox->Deliver(); }).detach();
    } catch (const std::system_error& error) {
      return error.code().value();
    }
    mailbox_ = mailbox;
  }
  std::lock_guard<std::mutex> lock(mailbox_->mutex);
  if (mailbox_->waiting.size() >= kMostWaiting) return EAGAIN;
  mailbox_->waiting.emplace_back(bytes, bytes + length);
  mailbox_->changed.notify_one();
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
