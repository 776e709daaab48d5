#include "hook_watch.h"

#include <dlfcn.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "errors.h"

namespace quarry {

namespace {

constexpr size_t kMostArguments = 2;
constexpr int64_t kMostTicks = 1 << 20;
// Reports of the same call: after n ticks, 4n, 16n, …
constexpr uint32_t kReportGrowth = 4;
// The loop may be away longer than a hook: a large commit, a slow device.
constexpr uint32_t kSilenceFactor = 3;

// v8::Isolate's own functions, by the names that every C++ compiler of Linux gives them.
struct Isolate {
  void* self = nullptr;
  void (*terminate)(void*) = nullptr;
  void (*cancel)(void*) = nullptr;

  static Isolate Current() {
    auto current = reinterpret_cast<void* (*)()>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate10GetCurrentEv"));
    Isolate isolate;
    isolate.terminate =
        reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate18TerminateExecutionEv"));
    isolate.cancel =
        reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate24CancelTerminateExecutionEv"));
    if (current && isolate.terminate && isolate.cancel) isolate.self = current();
    return isolate;
  }
};

uint64_t ProcessorTime(clockid_t clock) {
  timespec time;
  if (clock_gettime(clock, &time) != 0) return 0;
  return static_cast<uint64_t>(time.tv_sec) * 1000 + static_cast<uint64_t>(time.tv_nsec) / 1000000;
}

}  // namespace

struct WatchLimits {
  std::string subject;
  std::string advice;
  uint32_t tick_milliseconds;
  uint32_t report_ticks;
  uint32_t end_ticks;
};

class WatchThread {
 public:
  // Called on the thread to be watched.
  explicit WatchThread(WatchLimits limits) : limits_(std::move(limits)), isolate_(Isolate::Current()) {
    if (pthread_getcpuclockid(pthread_self(), &clock_) != 0) isolate_.self = nullptr;
    thread_ = std::thread([this] { Run(); });
  }

  ~WatchThread() { Stop(); }

  void Stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }

  void Enter(const char* name) {
    std::lock_guard<std::mutex> lock(mutex_);
    inside_ = name;
    call_++;
  }

  // Whether the call was ended. What the thread has begun by now is taken back.
  bool Leave() {
    std::lock_guard<std::mutex> lock(mutex_);
    inside_ = nullptr;
    const bool ended = ended_;
    if (ended) isolate_.cancel(isolate_.self);
    ended_ = false;
    return ended;
  }

  void SetLoading(bool loading) {
    std::lock_guard<std::mutex> lock(mutex_);
    loading_ = loading;
    call_++;
  }

  void Beat() {
    std::lock_guard<std::mutex> lock(mutex_);
    beats_++;
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto tick = std::chrono::milliseconds(limits_.tick_milliseconds);
    while (!stopped_) {
      changed_.wait_for(lock, tick);
      const std::string line = stopped_ ? "" : Look();
      if (line.empty()) continue;
      // Standard error may be a pipe that nobody empties: the hooks do not wait for it.
      lock.unlock();
      while (write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
      }
      lock.lock();
    }
  }

  // Counts what it sees, not the clock: a process that was stopped was not busy. Returns what there
  // is to say.
  std::string Look() {
    const bool busy = inside_ || loading_;
    const bool same = busy ? call_ == seen_call_ : beats_ == seen_beats_;
    if (!same || busy != was_busy_) {
      seen_call_ = call_;
      seen_beats_ = beats_;
      was_busy_ = busy;
      ticks_ = 0;
      next_report_ = limits_.report_ticks * (busy ? 1 : kSilenceFactor);
      processor_time_ = ProcessorTime(clock_);
      return "";
    }
    ticks_++;
    if (busy && ticks_ >= limits_.end_ticks && UsedProcessor()) End();
    if (loading_ || ticks_ < next_report_ || (!busy && beats_ == 0)) return "";
    next_report_ *= kReportGrowth;
    return Report();
  }

  bool UsedProcessor() const {
    const uint64_t used = ProcessorTime(clock_) - processor_time_;
    return used >= static_cast<uint64_t>(limits_.end_ticks) * limits_.tick_milliseconds / 2;
  }

  void End() {
    if (loading_) GiveUp();
    if (!isolate_.self || ended_) return;
    ended_ = true;
    isolate_.terminate(isolate_.self);
  }

  // Nothing is mounted or held yet, and the loading of a module cannot be ended by itself.
  [[noreturn]] void GiveUp() const {
    const std::string line = Line("computes without end while it is loaded, and is given up");
    if (write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(2);
    _exit(1);
  }

  std::string Report() const {
    const std::string seconds =
        std::to_string(static_cast<uint64_t>(ticks_) * limits_.tick_milliseconds / 1000) + " s";
    if (inside_) return Line("has been busy in " + std::string(inside_) + "() for " + seconds + limits_.advice);
    return Line("may keep the daemon busy outside of its hooks: nothing else has run for " + seconds + limits_.advice);
  }

  std::string Line(const std::string& what) const {
    char stamp[32];
    const time_t now = time(nullptr);
    tm parts;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    return "quarry: " + std::string(stamp) + " " + limits_.subject + " " + what + "\n";
  }

  const WatchLimits limits_;
  Isolate isolate_;
  clockid_t clock_ = CLOCK_THREAD_CPUTIME_ID;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  // What runs now: the name of a hook, or nothing of the policy's.
  const char* inside_ = nullptr;
  bool loading_ = false;
  bool ended_ = false;
  uint64_t call_ = 0;
  uint64_t beats_ = 0;
  // Of the thread's last look.
  uint64_t seen_call_ = 0;
  uint64_t seen_beats_ = 0;
  bool was_busy_ = false;
  uint32_t ticks_ = 0;
  uint32_t next_report_ = 0;
  uint64_t processor_time_ = 0;
};

namespace {

// What one guarded function needs; lives as long as the function.
struct Guarded {
  std::shared_ptr<WatchThread> thread;
  std::shared_ptr<Napi::Reference<Napi::Value>> overrun;
  std::string name;
  napi_ref function = nullptr;
  napi_ref receiver = nullptr;
};

void Drop(napi_env env, void* data, void*) {
  Guarded* guarded = static_cast<Guarded*>(data);
  if (guarded->function) napi_delete_reference(env, guarded->function);
  if (guarded->receiver) napi_delete_reference(env, guarded->receiver);
  delete guarded;
}

// An exception of the function stays pending, and is thrown on when this returns.
napi_value CallGuarded(napi_env env, napi_callback_info info) {
  size_t count = kMostArguments;
  napi_value arguments[kMostArguments];
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) != napi_ok) return nullptr;
  const Guarded& guarded = *static_cast<Guarded*>(data);
  napi_value function = nullptr;
  napi_value receiver = nullptr;
  napi_value result = nullptr;
  napi_get_reference_value(env, guarded.function, &function);
  napi_get_reference_value(env, guarded.receiver, &receiver);
  guarded.thread->Enter(guarded.name.c_str());
  napi_call_function(env, receiver, function, std::min(count, kMostArguments), arguments, &result);
  if (!guarded.thread->Leave()) return result;
  napi_value discarded = nullptr;
  napi_get_and_clear_last_exception(env, &discarded);
  napi_throw(env, guarded.overrun->Value());
  return nullptr;
}

}  // namespace

void HookWatch::Define(Napi::Env env, Napi::Object exports) {
  exports.Set("HookWatch", DefineClass(env, "HookWatch",
                                       {InstanceMethod<&HookWatch::Guard>("guard"),
                                        InstanceMethod<&HookWatch::Loading>("loading"),
                                        InstanceMethod<&HookWatch::Beat>("beat"),
                                        InstanceMethod<&HookWatch::Close>("close")}));
}

HookWatch::HookWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<HookWatch>(info) {
  Napi::Env env = info.Env();
  WatchLimits limits;
  limits.subject = TextArgument(info, 0, "subject");
  limits.advice = TextArgument(info, 1, "advice");
  if (!info[2].IsObject()) throw Napi::TypeError::New(env, "overrun must be an object");
  limits.tick_milliseconds = static_cast<uint32_t>(IntegerArgument(info, 3, "tickMilliseconds", 1, kMostTicks));
  limits.report_ticks = static_cast<uint32_t>(IntegerArgument(info, 4, "reportTicks", 1, kMostTicks));
  limits.end_ticks = static_cast<uint32_t>(IntegerArgument(info, 5, "endTicks", 1, kMostTicks));
  overrun_ = std::make_shared<Napi::Reference<Napi::Value>>(Napi::Reference<Napi::Value>::New(info[2], 1));
  try {
    thread_ = std::make_shared<WatchThread>(std::move(limits));
  } catch (const std::system_error& error) {
    ThrowErrno(env, error.code().value(), "pthread_create");
  }
}

HookWatch::~HookWatch() = default;

Napi::Value HookWatch::Guard(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto guarded = std::make_unique<Guarded>();
  guarded->name = TextArgument(info, 0, "name");
  if (!info[1].IsFunction()) throw Napi::TypeError::New(env, "function must be a function");
  if (!info[2].IsObject() && !info[2].IsFunction()) throw Napi::TypeError::New(env, "receiver must be an object");
  guarded->thread = thread_;
  guarded->overrun = overrun_;
  napi_value function = nullptr;
  if (napi_create_reference(env, info[1], 1, &guarded->function) != napi_ok ||
      napi_create_reference(env, info[2], 1, &guarded->receiver) != napi_ok ||
      napi_create_function(env, guarded->name.c_str(), NAPI_AUTO_LENGTH, CallGuarded, guarded.get(), &function) !=
          napi_ok ||
      napi_add_finalizer(env, function, guarded.get(), Drop, nullptr, nullptr) != napi_ok) {
    throw Napi::Error::New(env, "no guarded function");
  }
  guarded.release();
  return Napi::Value(env, function);
}

Napi::Value HookWatch::Loading(const Napi::CallbackInfo& info) {
  thread_->SetLoading(info[0].ToBoolean().Value());
  return info.Env().Undefined();
}

Napi::Value HookWatch::Beat(const Napi::CallbackInfo& info) {
  thread_->Beat();
  return info.Env().Undefined();
}

Napi::Value HookWatch::Close(const Napi::CallbackInfo& info) {
  thread_->Stop();
  return info.Env().Undefined();
}

}  // namespace quarry
