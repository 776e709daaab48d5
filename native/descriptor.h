// Open files, owned: a descriptor is closed with its object, or with the environment, at the
// latest.
//
// new Descriptor(number)   { number, close() }: a duplicate of an open descriptor, which stays with
//                          whoever opened it
// lockDescriptor(number, kind, start, length)   0, or an errno at once: EAGAIN when another open of
//                                               the file holds the lock
// isLockedElsewhere(number, kind, start, length)   whether that would be EAGAIN
// setDirect(number, direct)      O_DIRECT on or off, and O_NONBLOCK off; 0 or an errno: EINVAL when
//                                the filesystem has none
#ifndef QUARRY_DESCRIPTOR_H
#define QUARRY_DESCRIPTOR_H

#include <napi.h>

namespace quarry {

class Descriptor : public Napi::ObjectWrap<Descriptor> {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  explicit Descriptor(const Napi::CallbackInfo& info);
  ~Descriptor() override;

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);

  int number_ = -1;
};

}  // namespace quarry

#endif
