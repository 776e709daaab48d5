"""System calls on request, for mount-calls.ts: it knows no filesystem and judges nothing.

    python3 system-calls.py

One request a line on standard input, one answer a line on standard output, both JSON:
`[NAME, USER, BASE, ARGUMENTS...]`, answered by `{"value": ...}`, by `{"errno": N}`, or, where it
makes no sense, by `{"failure": TEXT}`. USER is `[uid, gid, groups, umask]`, BASE the descriptor of
the directory that paths begin in, or null for the working directory. Paths are strings of bytes
(latin1), contents base64, times nanoseconds as text. It runs as root, and is somebody else while it
does what he asks for.
"""

import base64
import ctypes
import fcntl
import json
import os
import stat
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
UTIME = {"now": (1 << 30) - 1, "omit": (1 << 30) - 2}
NS = 1_000_000_000
ACCESS = {"read": os.O_RDONLY, "write": os.O_WRONLY, "both": os.O_RDWR, "path": os.O_PATH | os.O_NOFOLLOW}
FLAGS = {
    "create": os.O_CREAT,
    "exclusive": os.O_EXCL,
    "truncate": os.O_TRUNC,
    "append": os.O_APPEND,
    "noFollow": os.O_NOFOLLOW,
    "directory": os.O_DIRECTORY,
    "sync": os.O_SYNC,
    "unnamed": os.O_TMPFILE,
}
KEEP_SIZE = 1
FALLOCATE = {"allocate": 0, "punch": 2, "zero": 16}
SYS_GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
# By XATTR_CREATE and XATTR_REPLACE.
SET_MODES = ["any", "create", "replace"]
# Longer than any clock of the kernel ticks.
TICK_SECONDS = 0.012


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def raw(path):
    return path.encode("latin-1")


def directory(base):
    return AT_FDCWD if base is None else base


def status(found):
    return {
        "inode": found.st_ino,
        "type": stat.S_IFMT(found.st_mode),
        "mode": stat.S_IMODE(found.st_mode),
        "links": found.st_nlink,
        "uid": found.st_uid,
        "gid": found.st_gid,
        "device": {"major": os.major(found.st_rdev), "minor": os.minor(found.st_rdev)},
        "sizeBytes": found.st_size,
        "sectors": found.st_blocks,
        "accessNs": str(found.st_atime_ns),
        "modifyNs": str(found.st_mtime_ns),
        "changeNs": str(found.st_ctime_ns),
    }


def timespec(text):
    return Timespec(0, UTIME[text]) if text in UTIME else Timespec(*divmod(int(text), NS))


def entries(data):
    at, found = 0, []
    while at < len(data):
        inode, cookie, length, kind = struct.unpack_from("=QQHB", data, at)
        name = data[at + 19 : at + length].split(b"\0", 1)[0]
        entry = {"inode": inode, "cookie": str(cookie), "type": kind << 12, "name": name.decode("latin-1")}
        found.append(entry)
        at += length
    return found


# Calls on paths: (base, ...)


def make_directory(base, path, mode):
    os.mkdir(raw(path), mode, dir_fd=base)


def make_node(base, path, mode, major, minor):
    os.mknod(raw(path), mode, os.makedev(major, minor), dir_fd=base)


def symlink(base, target, path):
    os.symlink(raw(target), raw(path), dir_fd=base)


def readlink(base, path):
    return os.readlink(raw(path), dir_fd=base).decode("latin-1")


def link(base, old, new):
    os.link(raw(old), raw(new), src_dir_fd=base, dst_dir_fd=base, follow_symlinks=False)


def unlink(base, path):
    os.unlink(raw(path), dir_fd=base)


def rmdir(base, path):
    os.rmdir(raw(path), dir_fd=base)


def rename(base, old, new, flags):
    at = directory(base)
    checked(libc.renameat2(at, raw(old), at, raw(new), ctypes.c_uint(flags)))


def rename_into(base, into, old, new):
    os.rename(raw(old), raw(new), src_dir_fd=base, dst_dir_fd=into)


def status_of(base, path, follow):
    return status(os.stat(raw(path), dir_fd=base, follow_symlinks=follow))


def chmod(base, path, mode):
    os.chmod(raw(path), mode, dir_fd=base)


def chown(base, path, uid, gid):
    os.chown(raw(path), uid, gid, dir_fd=base, follow_symlinks=False)


def utimens(base, path, access, modify):
    times = (Timespec * 2)(timespec(access), timespec(modify))
    checked(libc.utimensat(directory(base), raw(path), times, AT_SYMLINK_NOFOLLOW))


def truncate(base, path, size):
    assert base is None, "there is no truncateat(2)"
    os.truncate(raw(path), size)


def open_file(base, path, access, flags, mode):
    bits = ACCESS[access]
    for flag in flags:
        bits |= FLAGS[flag]
    return os.open(raw(path), bits, mode, dir_fd=base)


def space(base):
    found = os.statvfs(".")
    return {
        "blockBytes": found.f_frsize,
        "blocks": found.f_blocks,
        "freeBlocks": found.f_bfree,
        "files": found.f_files,
        "freeFiles": found.f_ffree,
        "nameBytes": found.f_namemax,
    }


def with_descriptor(base, path, work):
    descriptor = os.open(raw(path), os.O_RDONLY | os.O_NONBLOCK, dir_fd=base)
    try:
        return work(descriptor)
    finally:
        os.close(descriptor)


def flags_open(descriptor):
    return struct.unpack("I", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(4)))[0]


def flags(base, path):
    return with_descriptor(base, path, flags_open)


def set_flags(base, path, wanted, known):
    def work(descriptor):
        bits = flags_open(descriptor) & ~known | wanted
        fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("I", bits))

    with_descriptor(base, path, work)


def attribute(base, path, name):
    return base64.b64encode(os.getxattr(raw(path), raw(name), follow_symlinks=False)).decode()


def attributes(base, path):
    return os.listxattr(raw(path), follow_symlinks=False)


def set_attribute(base, path, name, value, mode):
    os.setxattr(raw(path), raw(name), base64.b64decode(value), SET_MODES.index(mode), follow_symlinks=False)


def remove_attribute(base, path, name):
    os.removexattr(raw(path), raw(name), follow_symlinks=False)


# Calls on open files: (base, descriptor, ...)


def read(base, descriptor, offset, length):
    parts = []
    while length > 0:
        part = os.pread(descriptor, length, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return base64.b64encode(b"".join(parts)).decode()


def write(base, descriptor, offset, data):
    left = memoryview(base64.b64decode(data))
    while left:
        done = os.pwrite(descriptor, left, offset)
        left = left[done:]
        offset += done


def list_directory(base, descriptor, cookie, length):
    os.lseek(descriptor, int(cookie), os.SEEK_SET)
    buffer = ctypes.create_string_buffer(length)
    try:
        filled = checked(libc.syscall(SYS_GETDENTS64, descriptor, buffer, length))
    except FileNotFoundError:
        # What the kernel says of a directory that was removed. For readdir(3) it is the end.
        filled = 0
    return entries(buffer.raw[:filled])


def link_open(base, descriptor, path):
    checked(libc.linkat(descriptor, b"", directory(base), raw(path), AT_EMPTY_PATH))


def truncate_open(base, descriptor, size):
    os.ftruncate(descriptor, size)


def utimens_open(base, descriptor, access, modify):
    checked(libc.futimens(descriptor, (Timespec * 2)(timespec(access), timespec(modify))))


def fallocate(base, descriptor, change, offset, length, keep_size):
    mode = FALLOCATE[change] | (KEEP_SIZE if keep_size else 0)
    checked(libc.fallocate64(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def seek(base, descriptor, offset, target):
    return os.lseek(descriptor, offset, os.SEEK_DATA if target == "data" else os.SEEK_HOLE)


def copy(base, descriptor, target, source_offset, target_offset, length):
    return os.copy_file_range(descriptor, target, length, source_offset, target_offset)


def drop_cache(base, descriptor):
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def change_directory(base, path):
    os.chdir(raw(path))


CALLS = {
    "mkdir": make_directory,
    "mknod": make_node,
    "symlink": symlink,
    "readlink": readlink,
    "link": link,
    "unlink": unlink,
    "rmdir": rmdir,
    "rename": rename,
    "renameInto": rename_into,
    "status": status_of,
    "chmod": chmod,
    "chown": chown,
    "utimens": utimens,
    "truncate": truncate,
    "flags": flags,
    "setFlags": set_flags,
    "open": open_file,
    "statfs": space,
    "attribute": attribute,
    "attributes": attributes,
    "setAttribute": set_attribute,
    "removeAttribute": remove_attribute,
    "chdir": change_directory,
    "tick": lambda base: time.sleep(TICK_SECONDS),
    "now": lambda base: str(time.time_ns()),
    "read": read,
    "write": write,
    "list": list_directory,
    "linkOpen": link_open,
    "truncateOpen": truncate_open,
    "fallocate": fallocate,
    "seek": seek,
    "copy": copy,
    "utimensOpen": utimens_open,
    "chmodOpen": lambda base, descriptor, mode: os.fchmod(descriptor, mode),
    "statusOpen": lambda base, descriptor: status(os.fstat(descriptor)),
    "sync": lambda base, descriptor: os.fsync(descriptor),
    "dropCache": drop_cache,
    "close": lambda base, descriptor: os.close(descriptor),
}


def become(uid, gid, groups):
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)


def answer(name, user, base, arguments):
    uid, gid, groups, umask = user
    os.umask(umask)
    become(uid, gid, groups)
    try:
        return {"value": CALLS[name](base, *arguments)}
    except OSError as error:
        return {"errno": error.errno}
    except Exception as error:
        return {"failure": repr(error)}
    finally:
        os.seteuid(0)
        os.setegid(0)


def main():
    for line in sys.stdin:
        name, user, base, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(answer(name, user, base, arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
