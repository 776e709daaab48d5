// Takes the place of the loop's thread while that waits, within its own write(2) to /dev/fuse, for
// an answer of its own.
//
// A reply may end a request of libaio whose file its owner has closed meanwhile. Then it is the
// server, on its way out of write(2), who closes the file, and with it perhaps the last reference
// to a mount that was detached. The kernel has it write the file's dirty pages and times first, and
// has it say DESTROY on a block device: requests to the server, which cannot read them while it
// waits for their answers. Nothing but the end of the connection would end that.
//
// So the thread that replies marks its calls, which costs two stores, and another looks at the mark
// now and then. When a call has not ended between two looks, it receives the requests, keeps them
// in their order for the loop, and answers at once those that the call can be waiting for. None of
// these has an answer that anybody reads: done is what it says, and done it is by the loop, before
// anything that was asked later. The loop's own answer comes too late, and the kernel says so
// (ENOENT).
//
// The kernel lets a number of requests through at once that nobody waits for, and dirty pages are
// behind the others of them. Where the loop has all of these, nothing comes any more, and one of
// those kept has to give way: it fails with EAGAIN.
#ifndef QUARRY_RELIEF_H
#define QUARRY_RELIEF_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace quarry {

class Relief {
 public:
  Relief();
  Relief(const Relief&) = delete;
  Relief& operator=(const Relief&) = delete;
  ~Relief() { Stop(); }

  // Begins to look after calls of this thread on `descriptor`, from which no request of more than
  // `most_bytes` is read. 0 or an errno.
  int Start(int descriptor, size_t most_bytes);
  // Readable while requests are kept; -1 before the start.
  int signal() const;
  // What is kept stays so. A thread at work lets go of its duplicate of the descriptor soon.
  void Stop();

  // Whether requests are kept. After each read(2) of the descriptor, and before it, what is kept
  // goes first.
  bool Holding() const;
  // Moves the oldest request that is kept to `into`. Returns its length; 0 when none is any more.
  size_t Take(uint8_t* into);
  // The same, when another one stands there already, which is kept as the youngest.
  size_t Exchange(uint8_t* request, size_t length);

  // As long as it lives, this thread is inside a call that may wait for the kernel.
  class Call {
   public:
    explicit Call(Relief& relief) : calls_(*relief.calls_) { Count(); }
    ~Call() { Count(); }

   private:
    // One thread alone writes it.
    void Count() { calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

    std::atomic<uint32_t>& calls_;
  };

 private:
  struct Post;

  std::shared_ptr<Post> post_;
  std::atomic<uint32_t>* calls_;  // odd: inside
};

}  // namespace quarry

#endif
