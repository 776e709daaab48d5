/*
 * Writes past the page cache at depth, by libaio or io_uring, as databases do. No library: system
 * calls only.
 *
 *   direct-writer ENGINE once FILE             writes the first 4 KiB of FILE again, as they are
 *   direct-writer ENGINE twice FILE            does that through the page cache as root, and again as user and group 1234
 *   direct-writer ENGINE cycle FILE SECONDS    fills FILE with one byte, then with the next, while threads read it through the page
 *                                              cache; after each round a cached read must find that round's byte everywhere
 *
 * ENGINE is aio, uring or sync. Exit status 0: done; 1: stale bytes, told on standard output; 2:
 * the machine does not have it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 16, BLOCK = 16384, FILE_BYTES = 2 << 20, READERS = 2 };

static void die(const char *what) {
  perror(what);
  exit(2);
}

/* An engine writes `count` blocks of `bytes` from `at` on, all at once, and returns when all are done. */
typedef void (*Writer)(int file, char *from, size_t bytes, off_t at, int count);

static void write_aio(int file, char *from, size_t bytes, off_t at, int count) {
  static aio_context_t context;
  if (!context && syscall(SYS_io_setup, DEPTH, &context) < 0) die("io_setup");
  struct iocb requests[DEPTH];
  struct iocb *list[DEPTH];
  struct io_event events[DEPTH];
  memset(requests, 0, sizeof requests);
  for (int i = 0; i < count; i++) {
    requests[i].aio_lio_opcode = IOCB_CMD_PWRITE;
    requests[i].aio_fildes = file;
    requests[i].aio_buf = (uintptr_t)from + i * bytes;
    requests[i].aio_nbytes = bytes;
    requests[i].aio_offset = at + i * (off_t)bytes;
    list[i] = &requests[i];
  }
  if (syscall(SYS_io_submit, context, count, list) != count) die("io_submit");
  for (int done = 0; done < count;) {
    long got = syscall(SYS_io_getevents, context, 1, count - done, events, NULL);
    if (got < 0 && errno != EINTR) die("io_getevents");
    for (long i = 0; i < got; i++) {
      if (events[i].res != (long long)bytes) errno = (int)-events[i].res, die("write");
    }
    if (got > 0) done += got;
  }
}

static struct {
  int descriptor;
  unsigned *submit_tail, *submit_mask, *array, *complete_head, *complete_tail, *complete_mask;
  struct io_uring_sqe *entries;
  struct io_uring_cqe *completions;
} ring = {.descriptor = -1};

static void open_ring(void) {
  struct io_uring_params p;
  memset(&p, 0, sizeof p);
  ring.descriptor = (int)syscall(SYS_io_uring_setup, DEPTH, &p);
  if (ring.descriptor < 0) die("io_uring_setup");
  size_t submit_bytes = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  size_t complete_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  int protection = PROT_READ | PROT_WRITE;
  char *s = mmap(NULL, submit_bytes, protection, MAP_SHARED, ring.descriptor, IORING_OFF_SQ_RING);
  char *c = mmap(NULL, complete_bytes, protection, MAP_SHARED, ring.descriptor, IORING_OFF_CQ_RING);
  ring.entries = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), protection, MAP_SHARED,
                      ring.descriptor, IORING_OFF_SQES);
  if (s == MAP_FAILED || c == MAP_FAILED || ring.entries == MAP_FAILED) die("mmap");
  ring.submit_tail = (unsigned *)(s + p.sq_off.tail);
  ring.submit_mask = (unsigned *)(s + p.sq_off.ring_mask);
  ring.array = (unsigned *)(s + p.sq_off.array);
  ring.complete_head = (unsigned *)(c + p.cq_off.head);
  ring.complete_tail = (unsigned *)(c + p.cq_off.tail);
  ring.complete_mask = (unsigned *)(c + p.cq_off.ring_mask);
  ring.completions = (struct io_uring_cqe *)(c + p.cq_off.cqes);
}

static void write_uring(int file, char *from, size_t bytes, off_t at, int count) {
  if (ring.descriptor < 0) open_ring();
  unsigned tail = *ring.submit_tail;
  for (int i = 0; i < count; i++, tail++) {
    unsigned slot = tail & *ring.submit_mask;
    struct io_uring_sqe *entry = &ring.entries[slot];
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_WRITE;
    entry->fd = file;
    entry->addr = (uintptr_t)from + i * bytes;
    entry->len = (unsigned)bytes;
    entry->off = (uint64_t)at + i * bytes;
    ring.array[slot] = slot;
  }
  __atomic_store_n(ring.submit_tail, tail, __ATOMIC_RELEASE);
  int submitted = 0;
  for (int done = 0; done < count;) {
    long got = syscall(SYS_io_uring_enter, ring.descriptor, count - submitted, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    if (got < 0 && errno != EINTR) die("io_uring_enter");
    if (got > 0) submitted += got;
    unsigned head = *ring.complete_head;
    for (; head != __atomic_load_n(ring.complete_tail, __ATOMIC_ACQUIRE); head++, done++) {
      int result = ring.completions[head & *ring.complete_mask].res;
      if (result != (int)bytes) errno = -result, die("write");
    }
    __atomic_store_n(ring.complete_head, head, __ATOMIC_RELEASE);
  }
}

static void write_sync(int file, char *from, size_t bytes, off_t at, int count) {
  for (int i = 0; i < count; i++) {
    if (pwrite(file, from + i * bytes, bytes, at + i * (off_t)bytes) != (ssize_t)bytes) die("pwrite");
  }
}

static char *aligned(size_t bytes) {
  void *memory = NULL;
  if (posix_memalign(&memory, 4096, bytes) != 0) die("posix_memalign");
  return memory;
}

static void once(Writer writer, const char *path) {
  char *block = aligned(4096);
  int file = open(path, O_RDWR | O_DIRECT);
  if (file < 0) die("open");
  if (pread(file, block, 4096, 0) != 4096) die("pread");
  writer(file, block, 4096, 0, 1);
}

/* Threads that io_uring made for the one write are there for the other. */
static void twice(Writer writer, const char *path) {
  char *block = aligned(4096);
  int file = open(path, O_RDWR);
  if (file < 0) die("open");
  if (pread(file, block, 4096, 0) != 4096) die("pread");
  writer(file, block, 4096, 0, 1);
  if (setgroups(0, NULL) || setegid(1234) || seteuid(1234)) die("seteuid");
  writer(file, block, 4096, 0, 1);
}

static volatile int stop;

static void *read_on_and_on(void *path) {
  char *block = aligned(BLOCK);
  int file = open(path, O_RDONLY);
  unsigned seed = (unsigned)(uintptr_t)&block;
  while (!stop) {
    off_t at = (off_t)(rand_r(&seed) % (FILE_BYTES / BLOCK)) * BLOCK;
    if (pread(file, block, BLOCK, at) < 0) die("pread");
  }
  return NULL;
}

static void expect(int file, char *bytes, int round) {
  if (pread(file, bytes, FILE_BYTES, 0) != FILE_BYTES) die("pread");
  for (long at = 0; at < FILE_BYTES; at++) {
    if (bytes[at] == (char)round) continue;
    printf("round %d: a cached read finds byte %d of round %d at %ld\n", round, (char)round, bytes[at], at);
    exit(1);
  }
}

static void cycle(Writer writer, char *path, double seconds) {
  char *pattern = aligned(FILE_BYTES);
  char *found = aligned(FILE_BYTES);
  int file = open(path, O_RDWR | O_CREAT | O_DIRECT, 0644);
  int cached = open(path, O_RDONLY);
  if (file < 0 || cached < 0) die("open");
  memset(pattern, 0, FILE_BYTES);
  if (pwrite(file, pattern, FILE_BYTES, 0) != FILE_BYTES) die("pwrite");
  pthread_t readers[READERS];
  for (int i = 0; i < READERS; i++) pthread_create(&readers[i], NULL, read_on_and_on, path);
  time_t end = time(NULL) + (time_t)seconds;
  int round = 1;
  for (; time(NULL) <= end; round++) {
    memset(pattern, round, FILE_BYTES);
    for (off_t at = 0; at < FILE_BYTES; at += DEPTH * BLOCK) writer(file, pattern, BLOCK, at, DEPTH);
    expect(cached, found, round);
  }
  stop = 1;
  for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
  printf("%d rounds\n", round - 1);
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  Writer writer = strcmp(arguments[1], "aio") == 0     ? write_aio
                  : strcmp(arguments[1], "uring") == 0 ? write_uring
                                                       : write_sync;
  if (strcmp(arguments[2], "once") == 0) once(writer, arguments[3]);
  else if (strcmp(arguments[2], "twice") == 0) twice(writer, arguments[3]);
  else cycle(writer, arguments[3], count > 4 ? atof(arguments[4]) : 3);
  return 0;
}
