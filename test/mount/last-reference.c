/*
 * Has a FUSE server drop the last reference to a file, as libaio does it: a request past the page
 * cache outlives the descriptor it was made on, so that the file is closed by whoever completes the
 * request, which is the server in its write(2) of the reply.
 *
 *   last-reference detached FILE SERVER MOUNTPOINT   the mount is detached meanwhile: the file is the last that holds the filesystem
 *   last-reference pages FILE SERVER                 other pages of the file are dirty meanwhile
 *   last-reference times FILE SERVER                 only its times are
 *   last-reference crowd FILE SERVER                 as pages, while a second process has more to read than the kernel lets through at once
 *
 * SERVER is the number of a process, which is stopped while all that is prepared, and goes on in
 * any case. FILE has two blocks of 64 KiB. Exit status 0: the request was completed, and of the
 * crowd's all but a few, which failed with EAGAIN; 2: the machine does not have it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 65536, CROWD = 200, MOST_REFUSED = 3 };

static pid_t server;
static aio_context_t context;

static void go_on(void) { kill(server, SIGCONT); }

static void die(const char *what) {
  perror(what);
  exit(2);
}

static char *aligned(int byte) {
  void *memory = NULL;
  if (posix_memalign(&memory, 4096, BLOCK) != 0) die("posix_memalign");
  return memset(memory, byte, BLOCK);
}

static int opened(const char *path, int flags) {
  int file = open(path, flags);
  if (file < 0) die(path);
  return file;
}

/* Whatever becomes of this process and its group, the server goes on: a child waits for the end of the pipe that only we have. */
static void keep_going(void) {
  int ends[2];
  char none;
  if (pipe2(ends, O_CLOEXEC) != 0) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child > 0) {
    close(ends[0]);
    return;
  }
  setsid();
  for (int other = 0; other < 3; other++) close(other);
  close(ends[1]);
  while (read(ends[0], &none, 1) < 0 && errno == EINTR) {
  }
  go_on();
  _exit(0);
}

/* A stop takes effect when each thread has seen it. */
static void stop(void) {
  char path[64];
  char state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", server);
  if (kill(server, SIGSTOP) != 0) die("kill");
  while (state != 'T') {
    FILE *stat = fopen(path, "r");
    if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1) die(path);
    fclose(stat);
    usleep(1000);
  }
}

static void submit(int file, int operation, char *memory, off_t at) {
  struct iocb request = {0};
  struct iocb *list[] = {&request};
  request.aio_lio_opcode = operation;
  request.aio_fildes = file;
  request.aio_buf = (uintptr_t)memory;
  request.aio_nbytes = BLOCK;
  request.aio_offset = at;
  if (syscall(SYS_io_submit, context, 1, list) != 1) die("io_submit");
}

/* Returns how many were refused for now. */
static int await(int count) {
  struct io_event event;
  int refused = 0;
  for (int done = 0; done < count;) {
    long got = syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
    if (got < 0 && errno != EINTR) die("io_getevents");
    if (got <= 0) continue;
    done++;
    if (event.res == -EAGAIN) refused++;
    else if (event.res != BLOCK) errno = (int)-event.res, die("the request");
  }
  return refused;
}

static void set_up(int requests) {
  context = 0;
  if (syscall(SYS_io_setup, requests, &context) < 0) die("io_setup");
}

/* What the kernel does before the first write after it has asked for attributes, and not again. */
static void ask_for_capabilities(int file) {
  struct stat attributes;
  if (pwrite(file, aligned(0), BLOCK, BLOCK) != BLOCK || fsync(file) != 0 || fstat(file, &attributes) != 0) die("pwrite");
  if (pwrite(file, aligned(0), BLOCK, BLOCK) != BLOCK || fsync(file) != 0) die("pwrite");
}

static pid_t start_crowd(const char *path) {
  pid_t child = fork();
  if (child != 0) return child;
  int file = opened(path, O_RDONLY | O_DIRECT);
  char *memory = aligned(0);
  set_up(CROWD);
  for (int i = 0; i < CROWD; i++) submit(file, IOCB_CMD_PREAD, memory, 0);
  _exit(await(CROWD) > MOST_REFUSED ? 2 : 0);
}

static int ended_well(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  const char *what = arguments[1];
  server = atoi(arguments[3]);
  keep_going();
  int first = opened(arguments[2], O_RDONLY | O_DIRECT);
  int crowd = strcmp(what, "crowd") == 0;
  int pages = crowd || strcmp(what, "pages") == 0 ? opened(arguments[2], O_RDWR) : -1;
  int times = strcmp(what, "times") == 0 ? opened(arguments[2], O_RDWR | O_DIRECT) : -1;
  struct stat attributes;
  if (fstat(first, &attributes) != 0) die("fstat");
  int written = pages >= 0 ? pages : times;
  if (written >= 0) ask_for_capabilities(written);
  set_up(2);
  stop();
  submit(first, IOCB_CMD_PREAD, aligned(0), 0);
  close(first);
  pid_t child = crowd ? start_crowd(arguments[2]) : 0;
  if (crowd) usleep(500000);
  if (pages >= 0 && pwrite(pages, aligned('p'), BLOCK, BLOCK) != BLOCK) die("pwrite");
  if (times >= 0) submit(times, IOCB_CMD_PWRITE, aligned('t'), BLOCK);
  if (count > 4 && umount2(arguments[4], MNT_DETACH) != 0) die("umount2");
  go_on();
  if (await(times >= 0 ? 2 : 1) != 0) return 2;
  return crowd && !ended_well(child) ? 2 : 0;
}
