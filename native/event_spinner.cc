#include "event_spinner.h"

#include <poll.h>
#include <sched.h>
#include <time.h>

#include <algorithm>

namespace quarry {

namespace {

constexpr uint64_t kMicrosecond = 1000;
// Below this a spin is shorter than one try of the sources.
constexpr uint64_t kShortestBudget = 5 * kMicrosecond;
// What a sleep and wake-up adds to the time an event really took.
constexpr uint64_t kWakeUpCost = 50 * kMicrosecond;
// Longest work away from the loop: what a timer or a signal may have to wait.
constexpr uint64_t kLongestStay = 2000 * kMicrosecond;
// Between two looks at the clock lies one try of the sources; after this long, somebody else had
// the processor.
constexpr uint64_t kTakenAway = 150 * kMicrosecond;
constexpr uint64_t kContention = 100 * 1000 * kMicrosecond;
// Longer than a tick of most kernels, so that the linger's end is not their next timer event:
// setting that costs a virtual machine 20 µs.
constexpr uint64_t kLongestLinger = 5000 * kMicrosecond;
// A process has one mount and few devices; more sources than these wait for the loop.
constexpr size_t kMostLingering = 8;
constexpr uint32_t kMostDispatches = 256;

uint64_t Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// On a single processor the one we wait for cannot run while we spin.
bool SingleProcessor() {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) == 1;
}

}  // namespace

void EventSpinner::Attach(EventSource* source) {
  sources_.push_back(source);
  TakeLongestWish();
}

// The list may be in use further up the stack, so the place is only emptied here.
void EventSpinner::Detach(EventSource* source) {
  std::replace(sources_.begin(), sources_.end(), source, static_cast<EventSource*>(nullptr));
  TakeLongestWish();
  if (!running_) DropDetached();
}

void EventSpinner::DropDetached() {
  sources_.erase(std::remove(sources_.begin(), sources_.end(), nullptr), sources_.end());
}

void EventSpinner::SetLongest(EventSource* source, uint64_t nanoseconds) {
  source->longest_spin_ = nanoseconds;
  TakeLongestWish();
}

void EventSpinner::TakeLongestWish() {
  uint64_t longest = 0;
  for (const EventSource* source : sources_) {
    if (source) longest = std::max(longest, source->longest_spin_);
  }
  if (longest > 0 && SingleProcessor()) longest = 0;
  if (longest == longest_) return;
  longest_ = budget_ = longest;
}

void EventSpinner::Wake(EventSource* source) {
  if (running_) return;
  running_ = true;
  leaving_ = false;
  wakeups_++;
  const uint64_t woken = Now();
  RestoreBudget(woken);
  stay_until_ = woken + kLongestStay;
  dispatches_ = 1;
  if (source->TryDispatch()) Spin(last_work_ = Now());
  // Whatever made us leave: what has come by now must wake the loop.
  PrepareAllToSleep();
  running_ = false;
  DropDetached();
}

void EventSpinner::RestoreBudget(uint64_t now) {
  if (now >= contended_until_ && now - last_work_ < longest_ + kWakeUpCost) budget_ = longest_;
}

void EventSpinner::Spin(uint64_t now) {
  uint64_t deadline = now + budget_;
  while (!MustLeave(now)) {
    if (TryAll()) {
      if (budget_ > 0) hits_++;
      last_work_ = now = Now();
      deadline = now + budget_;
      continue;
    }
    const uint64_t before = now;
    now = Now();
    if (now - before > kTakenAway) NoteContention(now);
    const bool gives_way = AnyAwaitsKernelThread();
    if (now < deadline && !gives_way) {
      Pause();
      continue;
    }
    if (PrepareAllToSleep()) continue;
    if (!gives_way) Missed();
    if (!Linger(now)) return;
    now = Now();
    RestoreBudget(now);
    deadline = now + budget_;
  }
}

bool EventSpinner::MustLeave(uint64_t now) const {
  return leaving_ || now >= stay_until_ || dispatches_ >= kMostDispatches || uv_backend_timeout(loop_) == 0;
}

bool EventSpinner::TryAll() {
  bool worked = false;
  for (size_t at = 0; at < sources_.size() && !leaving_; at++) {
    if (sources_[at] && sources_[at]->TryDispatch()) {
      worked = true;
      dispatches_++;
    }
  }
  return worked;
}

bool EventSpinner::PrepareAllToSleep() {
  bool more = false;
  for (size_t at = 0; at < sources_.size(); at++) {
    if (sources_[at] && sources_[at]->PrepareToSleep()) more = true;
  }
  return more;
}

bool EventSpinner::AnyAwaitsKernelThread() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const EventSource* source) { return source && source->AwaitsKernelThread(); });
}

// Sleeps until a source or the loop has something. False when no source has.
bool EventSpinner::Linger(uint64_t now) {
  pollfd descriptors[kMostLingering + 1];
  nfds_t count = 0;
  for (EventSource* source : sources_) {
    const int descriptor = source ? source->SleepDescriptor() : -1;
    if (descriptor >= 0 && count < kMostLingering) descriptors[count++] = {descriptor, POLLIN, 0};
  }
  const uint64_t longest = LongestLinger(now);
  if (count == 0 || longest == 0) return false;
  descriptors[count] = {uv_backend_fd(loop_), POLLIN, 0};
  const timespec most = {0, static_cast<long>(longest)};
  if (ppoll(descriptors, count + 1, &most, nullptr) <= 0) return false;
  stay_until_ += Now() - now;
  return std::any_of(descriptors, descriptors + count, [](const pollfd& one) { return one.revents != 0; });
}

// To the loop's next timer, which the loop reckons from its own time: that of its last look at the
// clock.
uint64_t EventSpinner::LongestLinger(uint64_t now) const {
  const int milliseconds = uv_backend_timeout(loop_);
  if (milliseconds < 0) return kLongestLinger;
  const uint64_t passed = now - uv_now(loop_) * 1000 * kMicrosecond;
  const uint64_t until_timer = static_cast<uint64_t>(milliseconds) * 1000 * kMicrosecond;
  return until_timer > passed ? std::min(until_timer - passed, kLongestLinger) : 0;
}

void EventSpinner::NoteContention(uint64_t now) {
  contended_until_ = now + kContention;
  budget_ = 0;
}

void EventSpinner::Missed() {
  if (budget_ > 0) misses_++;
  budget_ /= 2;
  if (budget_ < kShortestBudget) budget_ = 0;
}

}  // namespace quarry
