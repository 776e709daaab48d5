/*
 * For prebuilds-test only: what Debian's libstdc++.a asks of glibc and musl has not, so that a libstdc++
 * for musl can be made of it, in the place of the one that a system with musl has.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

char __libc_single_threaded = 0;

/* As <dlfcn.h> of glibc has it. */
struct dl_find_object {
  unsigned long long flags;
  void *start;
  void *end;
  void *map;
  void *eh_frame;
  unsigned long long reserved[7];
};

struct search {
  uintptr_t address;
  struct dl_find_object *found;
  int done;
};

static int look(struct dl_phdr_info *info, size_t size, void *data) {
  struct search *search = data;
  void *eh_frame = 0;
  int inside = 0;
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_GNU_EH_FRAME) eh_frame = (void *)start;
    if (part->p_type != PT_LOAD || search->address < start || search->address >= start + part->p_memsz) continue;
    inside = 1;
    search->found->start = (void *)start;
    search->found->end = (void *)(start + part->p_memsz);
  }
  if (!inside || !eh_frame) return 0;
  search->found->eh_frame = eh_frame;
  search->found->map = 0;
  search->done = 1;
  return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found) {
  struct search search = {(uintptr_t)address, found, 0};
  dl_iterate_phdr(look, &search);
  return search.done ? 0 : -1;
}

int __pthread_key_create(pthread_key_t *key, void (*end)(void *)) { return pthread_key_create(key, end); }

int __cxa_thread_atexit_impl(void (*end)(void *), void *object, void *handle) {
  (void)end;
  (void)object;
  (void)handle;
  return 0;
}

size_t __strftime_l(char *text, size_t size, const char *format, const struct tm *time, void *locale) {
  (void)locale;
  return strftime(text, size, format, time);
}

unsigned long __getauxval(unsigned long kind) { return getauxval(kind); }

uint32_t arc4random(void) {
  uint32_t number = 0;
  getentropy(&number, sizeof number);
  return number;
}
