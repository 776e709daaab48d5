// Messages to the kernel that nobody asked for, written by a thread of their own.
//
// The kernel may make a notification wait for an inode that in turn waits for an answer of ours. On
// the loop that would be a deadlock; here it only delays later notifications. The thread starts
// with the first message. It keeps what it needs alive by itself, so the channel can go away at any
// time.
#ifndef QUARRY_NOTIFIER_H
#define QUARRY_NOTIFIER_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace quarry {

class Notifier {
 public:
  Notifier() = default;
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  ~Notifier() { Stop(); }

  // Writes a copy of the bytes to a duplicate of `descriptor`, soon. 0 or an errno; EAGAIN when too
  // many wait.
  int Send(int descriptor, const uint8_t* bytes, size_t length);
  // The same, but nobody is woken for it: it goes with the next that is sent, or by `Deliver`.
  int Keep(int descriptor, const uint8_t* bytes, size_t length);
  void Deliver();
  // As `Send`, and when that has been done, and not before, a copy of `reply`. An errno says that
  // neither will be.
  int SendBefore(int descriptor, const uint8_t* bytes, size_t length, const uint8_t* reply, size_t reply_length);
  // As `Send`, and when that has been done, well or not, `signal` becomes readable and `TakeDone`
  // gives the token.
  int SendThen(int descriptor, const uint8_t* bytes, size_t length, uint32_t token);
  // A descriptor that is the notifier's own; -1 before the first message.
  int signal() const;
  // Tokens of what is done since the last call.
  std::vector<uint32_t> TakeDone();
  // What waits is dropped; a write in progress ends by itself.
  void Stop();

 private:
  struct Mailbox;
  int Open(int descriptor);

  std::shared_ptr<Mailbox> mailbox_;
};

}  // namespace quarry

#endif
