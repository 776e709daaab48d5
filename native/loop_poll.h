// One uv_poll handle: tells an EventSource that its descriptor became readable.
//
// The handle outlives its owner until the loop has closed it, which libuv does later; in between it
// reports nothing.
#ifndef QUARRY_LOOP_POLL_H
#define QUARRY_LOOP_POLL_H

#include <uv.h>

#include "environment.h"

namespace quarry {

// Who is told. `status` is 0, or a negative errno when the descriptor is in error (libuv has then
// stopped polling).
class PollOwner {
 public:
  virtual void OnReadable(int status) = 0;

 protected:
  ~PollOwner() = default;
};

class LoopPoll {
 public:
  // nullptr and a positive errno in `error` when the descriptor cannot be polled.
  static LoopPoll* Open(Environment& environment, int descriptor, PollOwner* owner, int* error);

  // `events` are those of uv_poll_start.
  void Start(int events = UV_READABLE);
  void Stop();
  // Whether the loop stays alive for this handle.
  void KeepAlive(bool alive);
  void Close();

 private:
  LoopPoll(Environment& environment, PollOwner* owner) : environment_(environment), owner_(owner) {}
  static void Report(uv_poll_t* handle, int status, int events);
  static void Closed(uv_handle_t* handle);

  uv_poll_t handle_;
  Environment& environment_;
  PollOwner* owner_;
};

}  // namespace quarry

#endif
