// The kernel end of a FUSE mount: receives requests into page-placed slots, sends replies.
//
// A slot is a head page and a payload. A request is received 80 bytes before the end of the head
// page, so that what follows fuse_in_header and fuse_write_in starts page-aligned and can go to the
// device as it is. The protocol itself is not known here.
//
// Receiving needs a free slot. When there is none the descriptor is not polled; release() starts it
// again. After the end (ENODEV: unmounted, or another error) it is not read again.
#ifndef QUARRY_FUSE_CHANNEL_H
#define QUARRY_FUSE_CHANNEL_H

#include <napi.h>

#include <cstdint>
#include <vector>

#include "environment.h"
#include "loop_poll.h"
#include "notifier.h"
#include "relief.h"
#include "script_callback.h"

namespace quarry {

class FuseChannel : public Napi::ObjectWrap<FuseChannel>, EventSource, PollOwner, LoopResource {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  explicit FuseChannel(const Napi::CallbackInfo& info);
  ~FuseChannel() override;

 private:
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Release(const Napi::CallbackInfo& info);
  Napi::Value Reply(const Napi::CallbackInfo& info);
  Napi::Value ReplyWithBody(const Napi::CallbackInfo& info);
  Napi::Value Notify(const Napi::CallbackInfo& info);
  Napi::Value NotifyIdle(const Napi::CallbackInfo& info);
  Napi::Value KeepNotice(const Napi::CallbackInfo& info);
  void DeliverNotices(const Napi::CallbackInfo& info);
  Napi::Value NotifyBefore(const Napi::CallbackInfo& info);
  Napi::Value NotifyThen(const Napi::CallbackInfo& info);
  Napi::Value SetSpin(const Napi::CallbackInfo& info);
  Napi::Value Statistics(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  size_t RoomBytes() const;
  void MakeMemory(Napi::Env env, Napi::Object self);
  uint32_t Receive();
  bool ReceiveInto(int32_t slot, int32_t* length);
  void Poll(bool wanted);
  void End();
  void TellNoticed();
  const uint8_t* HeadArgument(const Napi::CallbackInfo& info, size_t* length, size_t first = 0);

  bool TryDispatch() override;
  bool PrepareToSleep() override { return false; }
  int SleepDescriptor() const override { return poll_ && !ended_ && !free_slots_.empty() ? descriptor_ : -1; }
  void OnReadable(int status) override;
  void Shutdown() override;

  Environment& environment_;
  int descriptor_ = -1;
  size_t slot_bytes_ = 0;
  uint32_t slot_count_ = 0;
  HeldMapping memory_;
  HeldMapping ready_;
  LoopPoll* poll_ = nullptr;
  LoopPoll* relief_poll_ = nullptr;
  LoopPoll* patient_poll_ = nullptr;
  bool polling_ = false;
  bool waited_ = false;  // the last look found no request
  bool ended_ = false;
  int end_error_ = 0;
  std::vector<int32_t> free_slots_;  // a stack: the last one used is the one in the processor's cache
  std::vector<bool> taken_;
  ScriptCallback on_requests_;
  ScriptCallback on_closed_;
  ScriptCallback on_noticed_;
  double requests_ = 0;
  Notifier notifier_;
  // For notices that wait for answers of ours: those that `notifier_` sends do not wait for them.
  Notifier patient_;
  size_t awaited_ = 0;  // notices of `patient_` whose end nobody was told of yet
  Relief relief_;
};

}  // namespace quarry

#endif
