#include "environment.h"

#include <algorithm>

namespace quarry {

namespace {

struct ThreadWork {
  uv_work_t handle;
  std::function<void()> work;
  Environment* environment;
};

}  // namespace

void Environment::Create(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw Napi::Error::New(env, "no event loop");
  Environment* made = new Environment(loop);
  env.SetInstanceData(made);
  if (napi_add_async_cleanup_hook(env, CleanUp, made, nullptr) != napi_ok) {
    throw Napi::Error::New(env, "no cleanup hook");
  }
}

Environment::Environment(uv_loop_t* loop) : loop(loop), memories(new MemoryTable), spinner(loop) {}

Environment::~Environment() { memories->Abandon(); }

void Environment::Add(LoopResource* resource) { resources_.push_back(resource); }

void Environment::Remove(LoopResource* resource) {
  resources_.erase(std::remove(resources_.begin(), resources_.end(), resource), resources_.end());
}

void Environment::HandleClosed() {
  open_handles_--;
  FinishCleanUp();
}

void Environment::RunOnThread(std::function<void()> work) {
  if (cleaning_) return work();
  ThreadWork* item = new ThreadWork{{}, std::move(work), this};
  item->handle.data = item;
  open_handles_++;
  uv_queue_work(
      loop, &item->handle, [](uv_work_t* handle) { static_cast<ThreadWork*>(handle->data)->work(); },
      [](uv_work_t* handle, int) {
        ThreadWork* done = static_cast<ThreadWork*>(handle->data);
        Environment* environment = done->environment;
        delete done;
        environment->HandleClosed();
      });
}

void Environment::CleanUp(napi_async_cleanup_hook_handle hook, void* data) {
  Environment* self = static_cast<Environment*>(data);
  self->cleaning_ = hook;
  std::vector<LoopResource*> resources = self->resources_;
  for (LoopResource* resource : resources) resource->Shutdown();
  self->FinishCleanUp();
}

void Environment::FinishCleanUp() {
  if (!cleaning_ || open_handles_ > 0) return;
  napi_async_cleanup_hook_handle hook = cleaning_;
  cleaning_ = nullptr;
  napi_remove_async_cleanup_hook(hook);  // may delete this
}

}  // namespace quarry
