// Between work and the event loop: look for more work for a moment, then wait for it a moment, then
// leave.
//
// A round trip through FUSE or a fast device takes less time than a turn of the event loop. So when
// a source has just dispatched something, the spinner asks every source again, without blocking,
// until nothing has come for the length of its budget: the spin. Then it blocks on their
// descriptors and on the loop's own: the linger. That leaves the processor to whoever needs it and
// still saves the loop's turn. A flush by AIO goes through a thread of the kernel that may need
// this very processor, so there is no spin while one is under way.
//
// It adapts: a spin in vain halves the budget, down to none; the full budget is back as soon as the
// loop is woken so shortly after the last work that a spin would have caught it. An idle process
// sleeps, and a process whose requests come slowly stops paying for spins that cannot hit. Who
// loses the processor in the midst of a spin has competition for it, perhaps from the very one it
// waits for: there is no spin then for a tenth of a second. A stay is bounded in time and in
// dispatches, and ends at once when the loop has something else to do, so timers, signals and
// immediates run.
//
// Each source has a wish of its own, that of whoever owns it, and the longest of those there are
// counts: a source that goes takes its wish with it and leaves the others theirs.
#ifndef QUARRY_EVENT_SPINNER_H
#define QUARRY_EVENT_SPINNER_H

#include <uv.h>

#include <cstdint>
#include <vector>

namespace quarry {

// Where work comes from. Both calls take no JavaScript scope with them and never block.
class EventSource {
 public:
  // Takes what is ready and dispatches it to JavaScript; false when there was nothing.
  virtual bool TryDispatch() = 0;
  // Called before the loop sleeps: makes sure it will be woken by the next event, and by no old
  // one. True when something came in the meantime; the loop will then be woken for it, if it is not
  // taken before.
  virtual bool PrepareToSleep() = 0;
  // What becomes readable with the next event; -1 when none is expected.
  virtual int SleepDescriptor() const = 0;
  // Whether a thread of the kernel that may be bound to this very processor has to run first: a
  // spin would only keep it from doing so.
  virtual bool AwaitsKernelThread() const { return false; }

 protected:
  ~EventSource() = default;

 private:
  friend class EventSpinner;
  uint64_t longest_spin_ = 0;
};

class EventSpinner {
 public:
  explicit EventSpinner(uv_loop_t* loop) : loop_(loop) {}

  void Attach(EventSource* source);
  void Detach(EventSource* source);
  // Longest time to look for more work that this source wishes, in nanoseconds; 0 = never, which
  // is what it wishes at first.
  void SetLongest(EventSource* source, uint64_t nanoseconds);
  // The loop was woken for `source`: dispatches its work, then spins.
  void Wake(EventSource* source);
  // JavaScript threw or is going away: back to the loop now.
  void Leave() { leaving_ = true; }

  uint64_t wakeups() const { return wakeups_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  void RestoreBudget(uint64_t now);
  void Spin(uint64_t now);
  bool TryAll();
  bool PrepareAllToSleep();
  bool AnyAwaitsKernelThread() const;
  bool MustLeave(uint64_t now) const;
  void Missed();
  void NoteContention(uint64_t now);
  bool Linger(uint64_t now);
  uint64_t LongestLinger(uint64_t now) const;
  void DropDetached();
  void TakeLongestWish();

  uv_loop_t* loop_;
  std::vector<EventSource*> sources_;
  uint64_t longest_ = 0;
  uint64_t budget_ = 0;
  uint64_t last_work_ = 0;
  uint64_t contended_until_ = 0;
  uint64_t stay_until_ = 0;
  uint32_t dispatches_ = 0;
  bool running_ = false;
  bool leaving_ = false;
  uint64_t wakeups_ = 0;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

}  // namespace quarry

#endif
