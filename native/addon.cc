// The native half of Quarry: system calls that Node does not offer, and nothing else.
//
//   environment      what one thread of JavaScript has of the addon, and its orderly end
//   aligned_memory   memory the kernel may use while JavaScript runs
//   io_queue         requests in, completions out, whatever carries them out:
//     aio_queue        io_submit, over completion_ring
//     uring_queue      io_uring_enter
//     thread_queue     system calls on threads; for mapped_file, copies
//   descriptor       open files that are closed with their owner, and their locks
//   fuse_channel     /dev/fuse, requests in, replies out
//   relief           takes its place while it waits for itself in the kernel
//   event_spinner    looks for more work before the loop sleeps
//   turn_lengths     how long JavaScript held the loop
//   loop_poll, script_callback   libuv below, JavaScript above
//   errand           system calls that may wait for a FUSE server, each in a child process
//   process          other processes, by descriptors
//   hook_watch       calls into somebody else's JavaScript, watched
//   device_probe, mount, limits, local_file, crc32c  plain functions
//
// No policy, no layout, no opcodes of FUSE but in relief. Addresses never reach JavaScript, and
// each length that comes from it is checked here.
#include <napi.h>

#include <climits>

#include "aio_queue.h"
#include "aligned_memory.h"
#include "crc32c.h"
#include "datagram.h"
#include "descriptor.h"
#include "device_probe.h"
#include "environment.h"
#include "errand.h"
#include "errors.h"
#include "file_clock.h"
#include "fuse_channel.h"
#include "hook_watch.h"
#include "limits.h"
#include "local_file.h"
#include "mapped_file.h"
#include "mount.h"
#include "mount_watch.h"
#include "process.h"
#include "shared_numbers.h"
#include "thread_queue.h"
#include "uring_queue.h"

namespace quarry {

// turnLengths(): the longest call into JavaScript, in milliseconds, and how many were in each
// bucket.
static Napi::Value TurnLengthsOf(const Napi::CallbackInfo& info) {
  const TurnLengths& turns = Environment::Of(info.Env()).turns;
  Napi::Array numbers = Napi::Array::New(info.Env(), TurnLengths::kBuckets + 1);
  numbers.Set(uint32_t{0}, static_cast<double>(turns.longest()) / 1e6);
  for (uint32_t bucket = 0; bucket < TurnLengths::kBuckets; bucket++) {
    numbers.Set(bucket + 1, static_cast<double>(turns.count(bucket)));
  }
  return numbers;
}

// Of both sides: shared_numbers.h.
static Napi::Object SharedNumbers(Napi::Env env) {
  Napi::Object numbers = Napi::Object::New(env);
  const auto add = [&](const char* name, int64_t value) { numbers.Set(name, static_cast<double>(value)); };
  add("longestSpinNanoseconds", kLongestSpin);
  add("queueEntryNumbers", kEntryNumbers);
  add("queueSegmentNumbers", kSegmentNumbers);
  add("queueSegmentsPerEntry", IOV_MAX);
  add("deepestQueue", kDeepest);
  add("longestTransferBytes", kLongestTransfer);
  add("fuseHeadBytes", kPage);
  add("fuseRequestLeadBytes", kRequestHead);
  add("leastFuseSlotBytes", kSmallestSlot);
  add("mostFuseSlotBytes", kLargestSlot);
  add("mostFuseSlots", kMostSlots);
  add("mostAnswerBytes", kMostAnswerBytes);
  return numbers;
}

Napi::Object Load(Napi::Env env, Napi::Object exports) {
  Environment::Create(env);
  AlignedMemory::Define(env, exports);
  AioQueue::Define(env, exports);
  UringQueue::Define(env, exports);
  ThreadQueue::Define(env, exports);
  MappedFile::Define(env, exports);
  Descriptor::Define(env, exports);
  FuseChannel::Define(env, exports);
  HookWatch::Define(env, exports);
  exports.Set("numbers", SharedNumbers(env));
  exports.Set("turnLengths", Napi::Function::New<TurnLengthsOf>(env, "turnLengths"));
  DefineCrc32c(env, exports);
  DefineDatagram(env, exports);
  DefineDeviceProbe(env, exports);
  DefineFileClock(env, exports);
  DefineMount(env, exports);
  MountWatch::Define(env, exports);
  DefineErrands(env, exports);
  DefineProcess(env, exports);
  DefineLimits(env, exports);
  DefineLocalFile(env, exports);
  return exports;
}

}  // namespace quarry

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return quarry::Load(env, exports); }

NODE_API_MODULE(quarry, Init)
