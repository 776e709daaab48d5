#include "loop_poll.h"

namespace quarry {

LoopPoll* LoopPoll::Open(Environment& environment, int descriptor, PollOwner* owner, int* error) {
  LoopPoll* poll = new LoopPoll(environment, owner);
  *error = -uv_poll_init(environment.loop, &poll->handle_, descriptor);
  if (*error != 0) {
    delete poll;
    return nullptr;
  }
  poll->handle_.data = poll;
  environment.HandleOpened();
  return poll;
}

void LoopPoll::Start(int events) { uv_poll_start(&handle_, events, Report); }

void LoopPoll::Stop() { uv_poll_stop(&handle_); }

void LoopPoll::KeepAlive(bool alive) {
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&handle_);
  if (alive) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void LoopPoll::Close() {
  owner_ = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), Closed);
}

void LoopPoll::Report(uv_poll_t* handle, int status, int) {
  LoopPoll* self = static_cast<LoopPoll*>(handle->data);
  if (self->owner_) self->owner_->OnReadable(status);
}

void LoopPoll::Closed(uv_handle_t* handle) {
  LoopPoll* self = static_cast<LoopPoll*>(handle->data);
  Environment& environment = self->environment_;
  delete self;
  environment.HandleClosed();
}

}  // namespace quarry
