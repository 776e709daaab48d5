// What one JavaScript environment (the main thread, or a worker) has of this addon.
//
// Everything that holds a handle in the event loop is registered here, so that one cleanup hook
// closes it all: a process that exits, or a worker that is terminated, at any moment leaves no
// handle behind and no callback that could still run. After the hook no JavaScript is called.
#ifndef QUARRY_ENVIRONMENT_H
#define QUARRY_ENVIRONMENT_H

#include <napi.h>
#include <uv.h>

#include <functional>
#include <vector>

#include "aligned_memory.h"
#include "event_spinner.h"
#include "mapped_file.h"
#include "turn_lengths.h"

namespace quarry {

// Something to be shut down with the environment: stops, closes its handles, calls no JavaScript.
class LoopResource {
 public:
  virtual void Shutdown() = 0;

 protected:
  ~LoopResource() = default;
};

class Environment {
 public:
  // Makes the environment's state and its cleanup hook. Called once, when the addon is loaded.
  static void Create(Napi::Env env);
  static Environment& Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  explicit Environment(uv_loop_t* loop);
  ~Environment();

  void Add(LoopResource* resource);
  void Remove(LoopResource* resource);
  void HandleOpened() { open_handles_++; }
  void HandleClosed();
  // Does something slow on a thread of the pool, which the end of the environment waits for; here
  // and now when that has come.
  void RunOnThread(std::function<void()> work);

  uv_loop_t* const loop;
  MemoryTable* const memories;
  EventSpinner spinner;
  TurnLengths turns;
  MappedFileTable mapped_files;
  Napi::FunctionReference aligned_memory;

 private:
  static void CleanUp(napi_async_cleanup_hook_handle hook, void* self);
  void FinishCleanUp();

  std::vector<LoopResource*> resources_;
  size_t open_handles_ = 0;
  napi_async_cleanup_hook_handle cleaning_ = nullptr;
};

}  // namespace quarry

#endif
