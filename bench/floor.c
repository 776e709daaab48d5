/*
 * The floor: a filesystem in C that answers each request of the kernel at once and keeps no data.
 * What a FUSE mount cannot be faster than here, whatever is behind it: the price of the requests.
 *
 *   floor DIR [OPTION...]     in the foreground until it is unmounted
 *     spin=MICROSECONDS       how long to look for the next request before sleeping (50)
 *     noxattr                 ENOSYS to GETXATTR, after which the kernel asks for none
 *
 * It agrees to what Quarry agrees to, so that the kernel asks the same. It knows the names that
 * there are, the kind and the size of what they name, and nothing else: what is read is zeros.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, TRANSFER = 1 << 20, NAMES = 1 << 22, NODES = 1 << 21 };
static const uint64_t FOREVER = 1000000;

/* Of an inode: what an answer says. Number 0 is not used, 1 is the root. */
struct node {
  uint64_t size;
  uint32_t mode, links;
};
static struct node nodes[NODES];
static uint64_t next_node = FUSE_ROOT_ID + 1;

/* Names by their hash alone, in a table with open addressing: two of one hash there are not. */
static struct {
  uint64_t hash, node;
} names[NAMES];

static char request[TRANSFER + 65536], answer[65536];
static const char zeros[TRANSFER];

static uint64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* FNV-1a over the directory and the name. */
static uint64_t hash_of(uint64_t directory, const char *name) {
  uint64_t hash = 14695981039346656037u ^ directory * 0x9E3779B97F4A7C15u;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 1099511628211u;
  return hash | 1;
}

/* Where the name is, or where it would be. A name that was removed leaves its hash, and node 0. */
static size_t place_of(uint64_t directory, const char *name) {
  uint64_t hash = hash_of(directory, name);
  size_t place = (hash ^ hash >> 32) % NAMES;
  while (names[place].hash && names[place].hash != hash) place = (place + 1) % NAMES;
  names[place].hash = hash;
  return place;
}

static void attributes(struct fuse_attr *attr, uint64_t number) {
  const struct node *node = &nodes[number];
  memset(attr, 0, sizeof *attr);
  attr->ino = number;
  attr->mode = node->mode;
  attr->nlink = node->links;
  attr->size = node->size;
  attr->blocks = (node->size + BLOCK - 1) / BLOCK * 8;
  attr->blksize = BLOCK;
}

static size_t entry(struct fuse_entry_out *out, uint64_t number) {
  memset(out, 0, sizeof *out);
  out->nodeid = number;
  out->entry_valid = out->attr_valid = FOREVER;
  if (number) attributes(&out->attr, number);
  return sizeof *out;
}

static int make(uint64_t directory, const char *name, uint32_t mode, size_t *length) {
  size_t place = place_of(directory, name);
  if (names[place].node) return -EEXIST;
  if (next_node == NODES) return -ENOSPC;
  uint64_t number = names[place].node = next_node++;
  nodes[number] = (struct node){.mode = mode, .links = S_ISDIR(mode) ? 2 : 1};
  *length = entry((void *)answer, number);
  return 0;
}

static int rename_to(uint64_t from, uint64_t to, const char *old) {
  size_t source = place_of(from, old), target = place_of(to, old + strlen(old) + 1);
  if (!names[source].node) return -ENOENT;
  names[target].node = names[source].node;
  names[source].node = 0;
  return 0;
}

static size_t agree(const struct fuse_init_in *in) {
  struct fuse_init_out *out = (void *)answer;
  memset(out, 0, sizeof *out);
  out->major = FUSE_KERNEL_VERSION;
  out->minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION;
  out->max_readahead = in->max_readahead;
  out->flags = in->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_DO_READDIRPLUS |
                            FUSE_READDIRPLUS_AUTO | FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT |
                            FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 | FUSE_ASYNC_DIO |
                            FUSE_POSIX_ACL | FUSE_WRITEBACK_CACHE);
  out->max_background = 64;
  out->congestion_threshold = 48;
  out->max_write = TRANSFER;
  out->max_pages = TRANSFER / BLOCK;
  out->time_gran = 1;
  return sizeof *out;
}

static size_t set_attributes(uint64_t number, const struct fuse_setattr_in *in) {
  struct fuse_attr_out *out = (void *)answer;
  struct node *node = &nodes[number];
  if (in->valid & FATTR_SIZE) node->size = in->size;
  if (in->valid & FATTR_MODE) node->mode = (node->mode & S_IFMT) | (in->mode & 07777);
  memset(out, 0, sizeof *out);
  out->attr_valid = FOREVER;
  attributes(&out->attr, number);
  return sizeof *out;
}

static size_t get_attributes(uint64_t number) {
  static const struct fuse_setattr_in nothing;
  return set_attributes(number, &nothing);
}

static size_t take(uint64_t number, const struct fuse_write_in *in) {
  struct fuse_write_out *out = (void *)answer;
  struct node *node = &nodes[number];
  if (in->offset + in->size > node->size) node->size = in->offset + in->size;
  *out = (struct fuse_write_out){.size = in->size};
  return sizeof *out;
}

/* Of a read: how many zeros. */
static size_t zeros_of(uint64_t number, const struct fuse_read_in *in) {
  uint64_t size = nodes[number].size;
  uint64_t left = in->offset < size ? size - in->offset : 0;
  return left < in->size ? left : in->size;
}

/* Carries a request out: its errno, and how long the answer is. */
static int serve(const struct fuse_in_header *in, void *body, int has_attributes, size_t *length) {
  switch (in->opcode) {
    case FUSE_INIT: *length = agree(body); return 0;
    case FUSE_LOOKUP: *length = entry((void *)answer, names[place_of(in->nodeid, body)].node); return 0;
    case FUSE_MKDIR:
      return make(in->nodeid, (char *)body + sizeof(struct fuse_mkdir_in),
                  S_IFDIR | ((struct fuse_mkdir_in *)body)->mode, length);
    case FUSE_MKNOD:
      return make(in->nodeid, (char *)body + sizeof(struct fuse_mknod_in), ((struct fuse_mknod_in *)body)->mode,
                  length);
    case FUSE_SYMLINK: return make(in->nodeid, body, S_IFLNK | 0777, length);
    case FUSE_RENAME:
      return rename_to(in->nodeid, ((struct fuse_rename_in *)body)->newdir,
                       (char *)body + sizeof(struct fuse_rename_in));
    case FUSE_UNLINK:
    case FUSE_RMDIR: names[place_of(in->nodeid, body)].node = 0; return 0;
    case FUSE_GETATTR: *length = get_attributes(in->nodeid); return 0;
    case FUSE_SETATTR: *length = set_attributes(in->nodeid, body); return 0;
    case FUSE_WRITE: *length = take(in->nodeid, body); return 0;
    case FUSE_READ: *length = zeros_of(in->nodeid, body); return 0;
    case FUSE_GETXATTR: return has_attributes ? -ENODATA : -ENOSYS;
    case FUSE_STATFS: *length = sizeof(struct fuse_statfs_out); memset(answer, 0, *length); return 0;
    case FUSE_FSYNC:
    case FUSE_SYNCFS:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS: return 0;
    default: return -ENOSYS;
  }
}

/* False when the mount is gone. */
static int receive(int descriptor, uint64_t spin) {
  for (uint64_t since = nanoseconds();;) {
    if (read(descriptor, request, sizeof request) >= 0) return 1;
    if (errno == EINTR || errno == ENOENT) continue;
    if (errno != EAGAIN) return 0;
    if (nanoseconds() - since < spin) continue;
    struct pollfd readable = {descriptor, POLLIN, 0};
    poll(&readable, 1, -1);
  }
}

static void reply(int descriptor, const struct fuse_in_header *in, int error, size_t length) {
  if (error) length = 0;
  const void *body = in->opcode == FUSE_READ ? zeros : answer;
  struct fuse_out_header head = {(uint32_t)(sizeof head + length), error, in->unique};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)body, length}};
  if (writev(descriptor, parts, length ? 2 : 1) < 0 && errno != ENOENT) perror("reply");
}

int main(int argc, char **argv) {
  uint64_t spin = 50000;
  int has_attributes = 1;
  if (argc < 2) return 2;
  for (int i = 2; i < argc; i++) {
    if (!strncmp(argv[i], "spin=", 5)) spin = strtoull(argv[i] + 5, NULL, 10) * 1000;
    else if (!strcmp(argv[i], "noxattr")) has_attributes = 0;
    else return fprintf(stderr, "no option %s\n", argv[i]), 2;
  }
  int descriptor = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions",
           descriptor);
  if (descriptor < 0 || mount("floor", argv[1], "fuse.floor", 0, options)) return perror(argv[1]), 1;
  nodes[FUSE_ROOT_ID] = (struct node){.mode = S_IFDIR | 0755, .links = 2};
  while (receive(descriptor, spin)) {
    const struct fuse_in_header *in = (void *)request;
    if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET) continue;
    size_t length = 0;
    int error = serve(in, request + sizeof *in, has_attributes, &length);
    reply(descriptor, in, error, length);
  }
  return 0;
}
