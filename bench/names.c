/*
 * The part of the benchmark that must cost nothing itself: one process that makes, looks at and
 * removes names.
 *
 *   names create DIR COUNT BYTES    open(O_CREAT | O_EXCL), write BYTES if any, close
 *   names stat DIR COUNT            lstat of each of them
 *   names missing DIR COUNT         lstat of as many names that are not there, each a new one
 *   names unlink DIR COUNT
 *   names append DIR COUNT BYTES    as many writes of BYTES to the end of one file
 *
 * Prints the seconds it took. Exits 1 with one line at the first error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what, const char *name) {
  fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void create(const char *name, const char *data, size_t bytes) {
  int descriptor = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (descriptor < 0) fail("create", name);
  if (bytes && write(descriptor, data, bytes) != (ssize_t)bytes) fail("write", name);
  if (close(descriptor)) fail("close", name);
}

static void append(int count, const char *data, size_t bytes) {
  int descriptor = open("appended", O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
  if (descriptor < 0) fail("create", "appended");
  for (int i = 0; i < count; i++) {
    if (write(descriptor, data, bytes) != (ssize_t)bytes) fail("write", "appended");
  }
  if (close(descriptor)) fail("close", "appended");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *action = argv[1];
  int count = atoi(argv[3]);
  size_t bytes = argc > 4 ? (size_t)atol(argv[4]) : 0;
  char *data = malloc(bytes + 1);
  memset(data, 'q', bytes + 1);
  if (chdir(argv[2])) fail("chdir", argv[2]);

  char name[32];
  struct stat found;
  double start = now();
  if (*action == 'a') {
    append(count, data, bytes);
    printf("%.6f\n", now() - start);
    return 0;
  }
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, "file-%07d", i);
    if (*action == 'c') {
      create(name, data, bytes);
    } else if (*action == 's') {
      if (lstat(name, &found)) fail("stat", name);
    } else if (*action == 'm') {
      name[0] = 'g';
      if (!lstat(name, &found) || errno != ENOENT) fail("stat of a missing name", name);
    } else if (unlink(name)) {
      fail("unlink", name);
    }
  }
  printf("%.6f\n", now() - start);
  return 0;
}
