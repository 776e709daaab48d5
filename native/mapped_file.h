// A file as memory: read and written through a shared mapping of it, on any thread, without the
// danger of mappings.
//
// Touching a mapped page that the file does not have, or that the disk cannot give, raises SIGBUS:
// a truncation by another process would kill ours. So nobody here touches the mapping; the kernel
// copies, by process_vm_readv and process_vm_writev with this very process as the other side and
// the mapping as the local one. It faults the pages in as a load or store would, and where those
// would die, it stops. What it stopped at is then asked of the file itself (pread, pwrite), which
// knows the end of the file from a broken disk or a full one, and shares its pages with the
// mapping. So is what no mapping can be had for.
//
// A mapping is wider than its file, so that growth needs a new one seldom; a new one takes the old
// one's place, which goes when the last copy that uses it has ended. Writing past the end makes the
// file longer first.
#ifndef QUARRY_MAPPED_FILE_H
#define QUARRY_MAPPED_FILE_H

#include <napi.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace quarry {

class MappedContent {
 public:
  // Does not own the descriptor, which must stay open as long as requests run.
  MappedContent(int descriptor, bool writable, bool block_device)
      : descriptor_(descriptor), writable_(writable), block_device_(block_device) {}

  // 0, or the errno of mmap. What follows may be called on any thread, and gives bytes moved or a
  // negative errno.
  int Open();
  int64_t Read(const iovec* pieces, uint32_t count, int64_t offset);
  int64_t Write(const iovec* pieces, uint32_t count, int64_t offset);
  int64_t Sync(bool data_only);

 private:
  struct Window {
    uint8_t* base;
    size_t length;
    ~Window();
  };

  int Size(int64_t* size) const;
  int Grow(int64_t end, const uint8_t* last_byte) const;
  std::shared_ptr<Window> Covering(int64_t end, int* error);

  const int descriptor_;
  const bool writable_;
  const bool block_device_;
  std::mutex mutex_;
  std::shared_ptr<Window> window_;
};

// Numbers for the mapped files of one environment.
class MappedFileTable {
 public:
  uint32_t Add(std::shared_ptr<MappedContent> content);
  void Remove(uint32_t id) { contents_[id].reset(); }
  std::shared_ptr<MappedContent> Find(uint32_t id) const;

 private:
  std::vector<std::shared_ptr<MappedContent>> contents_;
};

// new MappedFile(descriptor, writable, blockDevice): { id, close() }
class MappedFile : public Napi::ObjectWrap<MappedFile> {
 public:
  static void Define(Napi::Env env, Napi::Object exports);
  explicit MappedFile(const Napi::CallbackInfo& info);
  ~MappedFile() override;

 private:
  Napi::Value Close(const Napi::CallbackInfo& info);
  void Release();

  MappedFileTable* table_ = nullptr;
  uint32_t id_ = 0;
};

}  // namespace quarry

#endif
