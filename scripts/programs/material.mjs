// @ts-check
/** What the programs of cases.mjs are given to work on. */

/** Files with all that one can have, made in the current directory by the shell. */
export const RICH_TREE = `
mkdir -p many deep/er/still acl; for i in $(seq 300); do echo "file $i" > "many/$i"; done
head -c 3000000 /dev/urandom > big; ln big another-name; ln many/1 deep/er/one
ln -s ../nowhere deep/dangling; ln -s many link
truncate -s 40M sparse; printf middle | dd of=sparse bs=1 seek=20000000 conv=notrunc status=none
mkfifo pipe; mknod null c 1 3; mknod disk b 7 0
chown 1234:5678 many/2; chmod 4755 many/3; chmod 2775 acl; chmod 1777 deep; chmod 0 many/4
setfacl -m u:1001:rw,g:1002:r many/5; setfacl -d -m u:1003:rwx,o::- acl; touch acl/inherits; mkdir acl/sub
setfattr -n user.short -v value many/6; setfattr -n trusted.quarry -v root many/6
setfattr -n user.long -v "$(head -c 3000 /dev/zero | tr '\\0' x)" many/7
setfattr -n user.of-directory -v yes deep; cp /bin/true capable; setcap cap_net_raw+ep capable
touch -d '1999-12-31 23:59:59.123456789' many/8; touch -h -d '2001-02-03' link
printf x > "$(printf 'odd \\n name \\xff')"
`;

/** Rows that are made, changed and removed in many transactions; ends with what the check says. */
export const SQLITE_WORK = `
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB);
CREATE INDEX i ON t(a);
${Array.from({ length: 300 }, (_, n) => `INSERT INTO t(a, b) VALUES('row ${n}', randomblob(${10 * n}));`).join('\n')}
BEGIN;
INSERT INTO t(a, b) SELECT a || id, b FROM t;
INSERT INTO t(a, b) SELECT a || id, b FROM t;
COMMIT;
DELETE FROM t WHERE id % 3 = 0;
VACUUM;
UPDATE t SET b = randomblob(500) WHERE id % 5 = 0;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA integrity_check;
`;

/** Its one argument is a directory. Without large file support, as old programs are. */
export const PROGRAM_OF_32_BITS = `
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\\n", what, strerror(errno));
  exit(1);
}

int main(int argc, char **argv) {
  enum { FILES = 3000 };
  struct stat st;
  char name[64];
  need(argc == 2 && chdir(argv[1]) == 0, "chdir");
  need(mkdir("d", 0755) == 0, "mkdir");
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, "d/file-%d", i);
    int fd = open(name, O_CREAT | O_RDWR, 0644);
    need(fd >= 0 && write(fd, name, sizeof name) == sizeof name && close(fd) == 0, "create");
    need(stat(name, &st) == 0 && st.st_size == sizeof name, "stat");
  }
  DIR *d = opendir("d");
  need(d != NULL, "opendir");
  long places[FILES + 2];
  char names[FILES + 2][64];
  int n = 0;
  for (;;) {
    long place = telldir(d);
    struct dirent *e = readdir(d);
    if (e == NULL) break;
    need(n < FILES + 2, "more names than there are");
    places[n] = place;
    strcpy(names[n++], e->d_name);
  }
  need(n == FILES + 2, "readdir");
  for (int i = n - 1; i >= 0; i -= 7) {
    seekdir(d, places[i]);
    struct dirent *e = readdir(d);
    need(e != NULL && strcmp(e->d_name, names[i]) == 0, "seekdir");
  }
  closedir(d);
  int fd = open("map", O_CREAT | O_RDWR, 0644);
  need(fd >= 0 && ftruncate(fd, 1 << 20) == 0, "ftruncate");
  char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  need(map != MAP_FAILED, "mmap");
  memset(map, 7, 1 << 20);
  need(msync(map, 1 << 20, MS_SYNC) == 0 && munmap(map, 1 << 20) == 0, "msync");
  need(lseek(fd, 0x7ffffff0, SEEK_SET) == 0x7ffffff0 && close(fd) == 0, "lseek");
  need(system("truncate -s 3G large") == 0, "truncate");
  need(open("large", O_RDONLY) < 0 && errno == EOVERFLOW, "a large file must be refused");
  need(stat("large", &st) < 0 && errno == EOVERFLOW, "its size has no room");
  printf("%d names, off_t of %d bits\\n", n, (int)(8 * sizeof(off_t)));
  return 0;
}
`;
