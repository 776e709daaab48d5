// Memory that the kernel may read and write while JavaScript does other things.
//
// A Mapping is one mmap with a count of its users: the JavaScript object, the ArrayBuffer over it,
// and each I/O in flight. It is unmapped when the last one lets go, so neither garbage collection
// nor a detached ArrayBuffer can pull memory from under the kernel. The count belongs to the
// JavaScript thread.
//
// JavaScript names a mapping by its number in the environment's MemoryTable. A number that was
// never given out, or whose mapping is gone, finds nothing.
#ifndef QUARRY_ALIGNED_MEMORY_H
#define QUARRY_ALIGNED_MEMORY_H

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace quarry {

class MemoryTable;

class Mapping {
 public:
  // Zeroed, page-aligned memory with one user, the caller; nullptr with errno set when there is
  // none.
  static Mapping* Create(size_t length, MemoryTable* table);

  uint8_t* base() const { return base_; }
  size_t length() const { return length_; }
  uint32_t id() const { return id_; }
  // Whether [offset, offset + length) lies inside; false on overflow.
  bool Contains(uint64_t offset, uint64_t length) const {
    return offset <= length_ && length <= length_ - offset;
  }

  void Hold() { users_++; }
  void Release();

 private:
  friend class MemoryTable;
  Mapping(uint8_t* base, size_t length, MemoryTable* table);

  uint8_t* base_;
  size_t length_;
  MemoryTable* table_;
  uint32_t id_ = 0;
  uint32_t users_ = 1;
};

struct ReleaseMapping {
  void operator()(Mapping* mapping) const { mapping->Release(); }
};
// One use of a mapping.
using HeldMapping = std::unique_ptr<Mapping, ReleaseMapping>;

// Numbers for the live mappings of one environment. Outlives them: the table counts its mappings,
// and frees itself when abandoned and empty, because ArrayBuffers may be finalized last.
class MemoryTable {
 public:
  void Add(Mapping* mapping);
  void Remove(Mapping* mapping);
  Mapping* Find(uint32_t id) const { return id < mappings_.size() ? mappings_[id] : nullptr; }
  void Abandon();

 private:
  ~MemoryTable() = default;
  void FreeIfUnused();

  std::vector<Mapping*> mappings_;
  std::vector<uint32_t> free_ids_;
  size_t live_ = 0;
  bool abandoned_ = false;
};

// An ArrayBuffer over the whole mapping; holds it until finalized. At most one per mapping.
Napi::ArrayBuffer BufferOver(Napi::Env env, Mapping* mapping);

// new AlignedMemory(lengthBytes): { bytes, id }
class AlignedMemory : public Napi::ObjectWrap<AlignedMemory> {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  static Napi::Object Make(Napi::Env env, size_t length);
  // The native side of a JavaScript AlignedMemory; nullptr when the value is anything else.
  static AlignedMemory* From(Napi::Env env, napi_value value);

  explicit AlignedMemory(const Napi::CallbackInfo& info);
  Mapping* mapping() const { return mapping_.get(); }

 private:
  HeldMapping mapping_;
};

}  // namespace quarry

#endif
