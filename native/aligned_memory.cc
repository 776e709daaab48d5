#include "aligned_memory.h"

#include <sys/mman.h>

#include <cerrno>

#include "environment.h"
#include "errors.h"

namespace quarry {

namespace {

// Longest single mapping: far above any buffer pool, below what an ArrayBuffer may span.
constexpr int64_t kLongestMapping = int64_t{1} << 32;
constexpr size_t kHugePage = size_t{2} << 20;

constexpr napi_type_tag kTag = {0x517561727279414dULL, 0x6d656d6f72794964ULL};

// Large pools in huge pages cost the kernel far fewer page lookups per transfer; only a wish.
void PreferHugePages(void* base, size_t length) {
  if (length >= 4 * kHugePage) madvise(base, length, MADV_HUGEPAGE);
}

}  // namespace

Mapping* Mapping::Create(size_t length, MemoryTable* table) {
  void* base = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  PreferHugePages(base, length);
  // A fork while a transfer is under way must not leave its bytes to the child: kernels before 6.5
  // copied the page for us.
  madvise(base, length, MADV_DONTFORK);
  return new Mapping(static_cast<uint8_t*>(base), length, table);
}

Mapping::Mapping(uint8_t* base, size_t length, MemoryTable* table) : base_(base), length_(length), table_(table) {
  table_->Add(this);
}

void Mapping::Release() {
  if (--users_ > 0) return;
  munmap(base_, length_);
  table_->Remove(this);
  delete this;
}

void MemoryTable::Add(Mapping* mapping) {
  if (free_ids_.empty()) {
    mapping->id_ = static_cast<uint32_t>(mappings_.size());
    mappings_.push_back(mapping);
  } else {
    mapping->id_ = free_ids_.back();
    free_ids_.pop_back();
    mappings_[mapping->id_] = mapping;
  }
  live_++;
}

void MemoryTable::Remove(Mapping* mapping) {
  mappings_[mapping->id_] = nullptr;
  free_ids_.push_back(mapping->id_);
  live_--;
  FreeIfUnused();
}

void MemoryTable::Abandon() {
  abandoned_ = true;
  FreeIfUnused();
}

void MemoryTable::FreeIfUnused() {
  if (abandoned_ && live_ == 0) delete this;
}

Napi::ArrayBuffer BufferOver(Napi::Env env, Mapping* mapping) {
  mapping->Hold();
  return Napi::ArrayBuffer::New(
      env, mapping->base(), mapping->length(), [](Napi::Env, void*, Mapping* held) { held->Release(); }, mapping);
}

void AlignedMemory::Define(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(env, "AlignedMemory", {});
  Environment::Of(env).aligned_memory = Napi::Persistent(constructor);
  Environment::Of(env).aligned_memory.SuppressDestruct();
  exports.Set("AlignedMemory", constructor);
}

Napi::Object AlignedMemory::Make(Napi::Env env, size_t length) {
  return Environment::Of(env).aligned_memory.New({Napi::Number::New(env, static_cast<double>(length))});
}

AlignedMemory* AlignedMemory::From(Napi::Env env, napi_value value) {
  // The check of the tag would try to make an object of it, and leave an exception pending where
  // that cannot be.
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_object) return nullptr;
  bool tagged = false;
  if (napi_check_object_type_tag(env, value, &kTag, &tagged) != napi_ok || !tagged) return nullptr;
  return Unwrap(Napi::Object(env, value));
}

AlignedMemory::AlignedMemory(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AlignedMemory>(info) {
  Napi::Env env = info.Env();
  int64_t length = IntegerArgument(info, 0, "lengthBytes", 1, kLongestMapping);
  mapping_.reset(Mapping::Create(static_cast<size_t>(length), Environment::Of(env).memories));
  if (!mapping_) ThrowErrno(env, errno, "mmap");
  Napi::Object self = info.This().As<Napi::Object>();
  napi_type_tag_object(env, self, &kTag);
  Napi::ArrayBuffer buffer = BufferOver(env, mapping_.get());
  Napi::Value bytes = Napi::Uint8Array::New(env, mapping_->length(), buffer, 0);
  self.DefineProperty(Napi::PropertyDescriptor::Value("bytes", bytes, napi_enumerable));
  self.DefineProperty(Napi::PropertyDescriptor::Value("id", Napi::Number::New(env, mapping_->id()), napi_enumerable));
}

}  // namespace quarry
