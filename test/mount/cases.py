"""What POSIX and Linux promise about names, owners, times and types, one function each.

    python3 cases.py NAME DIRECTORY

runs `case_NAME` with DIRECTORY, empty and on the filesystem under test, as working directory. It runs as root; other
users are played by children. A case that fails says so by an exception. Each case leaves its directory as it likes.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW = -100, 0x100
NOREPLACE, EXCHANGE = 1, 2
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
ALICE, BOB, GROUP = 1001, 1002, 2001


def fails_with(number, action, *arguments, **named):
    """Asserts that the action fails with this errno."""
    try:
        result = action(*arguments, **named)
    except OSError as error:
        assert error.errno == number, f"expected {errno.errorcode[number]}, got {errno.errorcode[error.errno]}"
        return
    raise AssertionError(f"expected {errno.errorcode[number]}, but it gave {result!r}")


def make(name, data=b"", mode=0o644):
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    os.write(descriptor, data)
    os.close(descriptor)


def content(name):
    with open(name, "rb") as file:
        return file.read()


def mode_of(name):
    return stat.S_IMODE(os.lstat(name).st_mode)


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    call = libc.renameat2
    return checked(call(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), ctypes.c_uint(flags)))


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def utimensat(name, access, modify):
    times = (Timespec * 2)(Timespec(*access), Timespec(*modify))
    return checked(libc.utimensat(AT_FDCWD, os.fsencode(name), times, AT_SYMLINK_NOFOLLOW))


def as_user(uid, action, *arguments, gid=None, groups=()):
    """Runs the action in a child with this identity. Raises the OSError or AssertionError that it raised."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(list(groups))
            os.setgid(uid if gid is None else gid)
            os.setuid(uid)
            action(*arguments)
            message = b"0"
        except OSError as error:
            message = str(error.errno).encode()
        except BaseException as error:
            message = repr(error).encode()
        os.write(write_end, message)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    if not message.isdigit():
        raise AssertionError(message)
    if message != "0":
        raise OSError(int(message), os.strerror(int(message)))


# Names


def case_rename():
    make("a", b"a")
    make("b", b"b")
    inode = os.stat("a").st_ino
    os.rename("a", "b")
    assert content("b") == b"a" and os.stat("b").st_ino == inode and not os.path.exists("a")
    os.link("b", "c")
    os.rename("b", "c")
    assert os.path.exists("b") and os.path.exists("c"), "rename of a link over another of the same file does nothing"
    fails_with(errno.ENOENT, os.rename, "missing", "x")
    fails_with(errno.ENOENT, os.rename, "b", "missing/x")
    fails_with(errno.ENOTDIR, os.rename, "b", "c/x")
    fails_with(errno.ENAMETOOLONG, os.rename, "b", "n" * 256)


def case_rename_directories():
    os.makedirs("one/inner")
    os.mkdir("two")
    os.mkdir("full")
    make("full/file")
    make("file")
    fails_with(errno.EINVAL, os.rename, "one", "one/inner/one")
    fails_with(errno.ENOTEMPTY, os.rename, "two", "full")
    fails_with(errno.ENOTDIR, os.rename, "two", "file")
    fails_with(errno.EISDIR, os.rename, "file", "two")
    os.rename("one", "two")
    assert os.listdir("two") == ["inner"] and os.stat("two").st_nlink == 3
    parent = os.stat("full").st_ino
    os.rename("two/inner", "full/inner")
    assert os.stat("full/inner/..").st_ino == parent
    assert os.stat("two").st_nlink == 2 and os.stat("full").st_nlink == 3


def case_rename_noreplace():
    make("a", b"a")
    make("b", b"b")
    fails_with(errno.EEXIST, renameat2, "a", "b", NOREPLACE)
    assert content("a") == b"a" and content("b") == b"b"
    renameat2("a", "c", NOREPLACE)
    assert content("c") == b"a" and not os.path.exists("a")


def case_rename_exchange():
    make("a", b"a")
    os.makedirs("folder/sub")
    renameat2("a", "folder/sub", EXCHANGE)
    assert content("folder/sub") == b"a" and os.path.isdir("a")
    assert os.stat("a/..").st_ino == os.stat(".").st_ino
    assert os.stat("folder").st_nlink == 2
    fails_with(errno.ENOENT, renameat2, "a", "missing", EXCHANGE)
    fails_with(errno.EINVAL, renameat2, "folder", "folder/sub/x", EXCHANGE | NOREPLACE)
    os.makedirs("outer/inner")
    fails_with(errno.EINVAL, renameat2, "outer", "outer/inner", EXCHANGE)


def case_hard_links():
    make("a", b"content")
    before = os.stat("a")
    time.sleep(0.02)
    os.link("a", "b")
    os.mkdir("folder")
    os.link("a", "folder/c")
    after = os.stat("folder/c")
    assert after.st_ino == before.st_ino and after.st_nlink == 3 and after.st_ctime_ns > before.st_ctime_ns
    assert after.st_mtime_ns == before.st_mtime_ns
    fails_with(errno.EEXIST, os.link, "a", "b")
    fails_with(errno.EPERM, os.link, "folder", "folder-2")
    os.unlink("a")
    os.unlink("b")
    assert content("folder/c") == b"content" and os.stat("folder/c").st_nlink == 1
    os.symlink("folder/c", "symlink")
    os.link("symlink", "symlink-2", follow_symlinks=False)
    assert os.readlink("symlink-2") == "folder/c" and os.lstat("symlink").st_nlink == 2


def case_names_of_any_bytes():
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    names += [b"\xff\xfe\xfd", b"\xc3\x28", "é".encode(), "e\u0301".encode(), b"n" * 255, b"\xf0" * 255, b"...", b"a\nb"]
    for name in names:
        make(name, name)
    assert sorted(os.listdir(b".")) == sorted(names)
    for name in names:
        assert content(name) == name
    fails_with(errno.ENAMETOOLONG, make, b"n" * 256)
    fails_with(errno.ENAMETOOLONG, os.stat, b"n" * 256)
    for name in names:
        os.unlink(name)
    assert os.listdir(b".") == []


def case_symlinks():
    for length in [*range(1, 300), 1023, 1024, 1025, 4000, 4095]:
        target = os.urandom(length).replace(b"\0", b"0")
        name = b"link-%d" % length
        os.symlink(target, name)
        assert os.readlink(name) == target and os.lstat(name).st_size == length
        os.unlink(name)
    fails_with(errno.ENAMETOOLONG, os.symlink, "t" * 4096, "too-long")
    os.symlink("loop-2", "loop-1")
    os.symlink("loop-1", "loop-2")
    fails_with(errno.ELOOP, os.stat, "loop-1")
    os.symlink("missing", "dangling")
    fails_with(errno.ENOENT, os.stat, "dangling")
    fails_with(errno.EEXIST, os.symlink, "x", "dangling")
    fails_with(errno.ELOOP, os.open, "dangling", os.O_RDONLY | os.O_NOFOLLOW)
    os.close(os.open("dangling", os.O_CREAT | os.O_WRONLY))
    assert os.path.exists("missing")


def case_directories():
    top = os.stat(".").st_nlink
    os.mkdir("d")
    assert os.stat(".").st_nlink == top + 1 and os.stat("d").st_nlink == 2
    make("d/file")
    fails_with(errno.ENOTEMPTY, os.rmdir, "d")
    fails_with(errno.EISDIR, os.unlink, "d")
    fails_with(errno.ENOTDIR, os.rmdir, "d/file")
    fails_with(errno.EEXIST, os.mkdir, "d")
    fails_with(errno.EEXIST, os.mkdir, "d/file")
    fails_with(errno.EINVAL, os.rmdir, "d/.")
    fails_with(errno.EISDIR, os.open, "d", os.O_WRONLY)
    fails_with(errno.ENOTDIR, os.open, "d/file", os.O_RDONLY | os.O_DIRECTORY)
    os.unlink("d/file")
    os.rmdir("d")
    assert os.stat(".").st_nlink == top
    os.mkdir("gone")
    here = os.open(".", os.O_RDONLY)
    os.chdir("gone")
    os.rmdir("../gone")
    fails_with(errno.ENOENT, make, "new")
    fails_with(errno.ENOENT, os.mkdir, "new")
    assert os.listdir(".") == []
    os.fchdir(here)


def case_readdir():
    kinds = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "fifo": stat.S_IFIFO, "link": stat.S_IFLNK}
    make("file")
    os.mkdir("folder")
    os.mkfifo("fifo")
    os.symlink("x", "link")
    with os.scandir(".") as entries:
        seen = {entry.name: entry for entry in entries}
    assert set(seen) == set(kinds)
    for name, entry in seen.items():
        found = os.lstat(name)
        assert entry.inode() == found.st_ino and stat.S_IFMT(found.st_mode) == kinds[name]
        assert entry.is_symlink() == (name == "link") and entry.is_dir(follow_symlinks=False) == (name == "folder")
    # Entries that stay while others come and go are seen exactly once.
    for index in range(2000):
        make("folder/stays-%04d" % index)
    names = []
    with os.scandir("folder") as entries:
        for position, entry in enumerate(entries):
            names.append(entry.name)
            if entry.name.startswith("comes"):
                os.unlink("folder/" + entry.name)
            elif position < 1000:
                make("folder/comes-%d-%s" % (position, "x" * (position % 100)))
    stays = [name for name in names if name.startswith("stays")]
    assert len(stays) == 2000 and len(set(stays)) == 2000, f"{len(stays)} names, {len(set(stays))} different"
    assert len(names) == len(set(names))


def case_remove_while_reading():
    os.mkdir("folder")
    for index in range(3000):
        make("folder/%d" % index)
    with os.scandir("folder") as entries:
        for entry in entries:
            os.unlink(entry.path)
    assert os.listdir("folder") == []
    os.rmdir("folder")


def case_deep_path():
    here = os.open(".", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    make("bottom", b"deep")
    assert content("bottom") == b"deep"
    os.fchdir(here)
    fails_with(errno.ENAMETOOLONG, os.stat, "/".join(["d" * 100] * 50))


# Types


def case_special_files():
    devices = {"null": (stat.S_IFCHR, 1, 3), "large": (stat.S_IFBLK, 4095, 1048575), "zero": (stat.S_IFBLK, 0, 0)}
    for name, (kind, major, minor) in devices.items():
        os.mknod(name, kind | 0o640, os.makedev(major, minor))
        found = os.stat(name)
        assert stat.S_IFMT(found.st_mode) == kind and mode_of(name) == 0o640
        assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (major, minor)
    os.mknod("regular", stat.S_IFREG | 0o600)
    assert stat.S_ISREG(os.stat("regular").st_mode) and os.stat("regular").st_size == 0
    os.chmod(".", 0o777)
    fails_with(errno.EPERM, as_user, ALICE, os.mknod, "denied", stat.S_IFCHR, os.makedev(1, 3))


def case_fifo():
    os.mkfifo("fifo", 0o600)
    child = os.fork()
    if child == 0:
        with open("fifo", "wb") as pipe:
            pipe.write(b"through")
        os._exit(0)
    with open("fifo", "rb") as pipe:
        assert pipe.read() == b"through"
    os.waitpid(child, 0)


def case_socket():
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect("socket")
    peer, _ = server.accept()
    client.sendall(b"hello")
    assert peer.recv(10) == b"hello" and stat.S_ISSOCK(os.stat("socket").st_mode)


def case_run_program():
    make("script", b"#!/bin/sh\necho ran $1\n", 0o755)
    with os.popen("./script well") as output:
        assert output.read() == "ran well\n"
    os.chmod("script", 0o644)
    fails_with(errno.EACCES, os.execv, "./script", ["script"])


# Owners and permissions


def case_umask():
    for mask in (0, 0o022, 0o027, 0o077, 0o777):
        os.umask(mask)
        make("file-%o" % mask, mode=0o666)
        os.mkdir("folder-%o" % mask, 0o777)
        os.mknod("fifo-%o" % mask, stat.S_IFIFO | 0o666)
        assert mode_of("file-%o" % mask) == 0o666 & ~mask
        assert mode_of("folder-%o" % mask) == 0o777 & ~mask
        assert mode_of("fifo-%o" % mask) == 0o666 & ~mask


def case_owner_of_new_files():
    os.chmod(".", 0o777)

    def create():
        make("file")
        os.mkdir("folder")
        os.symlink("x", "link")
        os.mkfifo("fifo")

    as_user(ALICE, create, gid=GROUP)
    for name in ("file", "folder", "link", "fifo"):
        found = os.lstat(name)
        assert (found.st_uid, found.st_gid) == (ALICE, GROUP), name


def case_setgid_directory():
    os.mkdir("shared")
    os.chown("shared", 0, GROUP)
    os.chmod("shared", 0o2777)

    def create():
        make("shared/file")
        os.mkdir("shared/folder")
        os.symlink("x", "shared/link")

    as_user(ALICE, create)
    for name in ("file", "folder", "link"):
        found = os.lstat("shared/" + name)
        assert (found.st_uid, found.st_gid) == (ALICE, GROUP), name
    assert mode_of("shared/folder") & stat.S_ISGID and not mode_of("shared/file") & stat.S_ISGID
    # One who is not in the group makes no program that runs with it.
    as_user(ALICE, lambda: make("shared/program", mode=0o2775))
    assert not mode_of("shared/program") & stat.S_ISGID


def case_sticky_directory():
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    for name in ("a", "b", "c"):
        as_user(ALICE, make, "sticky/" + name)
    as_user(BOB, make, "sticky/bobs")
    fails_with(errno.EPERM, as_user, BOB, os.unlink, "sticky/a")
    fails_with(errno.EPERM, as_user, BOB, os.rename, "sticky/a", "sticky/x")
    fails_with(errno.EPERM, as_user, BOB, os.rename, "sticky/bobs", "sticky/a")
    as_user(ALICE, os.unlink, "sticky/a")
    os.chown("sticky", BOB, BOB)
    as_user(BOB, os.unlink, "sticky/b")
    os.unlink("sticky/c")


def case_permissions():
    make("private", b"secret", 0o600)
    os.mkdir("closed", 0o700)
    make("closed/file")
    os.mkdir("group", 0o750)
    os.chown("group", 0, GROUP)
    make("group/file")
    os.mkdir("readonly", 0o755)
    fails_with(errno.EACCES, as_user, ALICE, content, "private")
    fails_with(errno.EACCES, as_user, ALICE, os.stat, "closed/file")
    fails_with(errno.EACCES, as_user, ALICE, os.stat, "group/file")
    as_user(ALICE, os.stat, "group/file", groups=[GROUP])
    fails_with(errno.EACCES, as_user, ALICE, make, "readonly/x")
    fails_with(errno.EACCES, as_user, ALICE, os.unlink, "group/file", groups=[GROUP])
    fails_with(errno.EPERM, as_user, ALICE, os.chmod, "private", 0o777)
    fails_with(errno.EPERM, as_user, ALICE, os.chown, "private", ALICE, ALICE)
    fails_with(errno.EPERM, as_user, ALICE, os.utime, "private", (1, 1))


def case_chmod_and_chown():
    make("file", mode=0o644)
    for mode in (0, 0o7777, 0o4755, 0o2755, 0o1644, 0o600):
        os.chmod("file", mode)
        assert mode_of("file") == mode
    for uid, gid in ((ALICE, GROUP), (4294967294, 4294967294), (0, 0)):
        os.chown("file", uid, gid)
        assert (os.stat("file").st_uid, os.stat("file").st_gid) == (uid, gid)
    os.chown("file", ALICE, GROUP)
    os.chown("file", -1, BOB)
    assert (os.stat("file").st_uid, os.stat("file").st_gid) == (ALICE, BOB)
    as_user(ALICE, os.chown, "file", -1, GROUP, groups=[GROUP])
    fails_with(errno.EPERM, as_user, ALICE, os.chown, "file", -1, 7, groups=[GROUP])
    fails_with(errno.EPERM, as_user, ALICE, os.chown, "file", BOB, -1)
    # chmod by an owner who is not in the file's group takes setgid away.
    as_user(ALICE, os.chmod, "file", 0o2755)
    assert mode_of("file") == 0o755
    os.symlink("file", "link")
    os.chown("link", BOB, BOB, follow_symlinks=False)
    assert os.lstat("link").st_uid == BOB and os.stat("file").st_uid == ALICE


def case_set_id_bits_are_lost():
    def set_bits(name):
        os.chown(name, ALICE, ALICE)
        os.chmod(name, 0o6777)

    def write():
        with open("file", "r+b") as file:
            file.write(b"x")

    make("file", b"data")
    set_bits("file")
    as_user(BOB, write)
    assert mode_of("file") == 0o777, "write by an ordinary user: %o" % mode_of("file")
    set_bits("file")
    as_user(BOB, os.truncate, "file", 1)
    assert mode_of("file") == 0o777, "truncate by an ordinary user: %o" % mode_of("file")
    set_bits("file")
    as_user(ALICE, os.chown, "file", -1, ALICE)
    assert mode_of("file") == 0o777, "chown by its owner: %o" % mode_of("file")
    set_bits("file")
    write()
    assert mode_of("file") == 0o6777, "write by root: %o" % mode_of("file")
    os.mkdir("folder")
    set_bits("folder")
    os.chown("folder", BOB, BOB)
    assert mode_of("folder") == 0o6777, "chown of a directory: %o" % mode_of("folder")


# Times


def case_utimens():
    make("file")
    utimensat("file", (123, 456), (789, 999999999))
    found = os.stat("file")
    assert (found.st_atime_ns, found.st_mtime_ns) == (123_000000456, 789_999999999)
    begin = time.time_ns()
    utimensat("file", (0, UTIME_OMIT), (0, UTIME_NOW))
    found = os.stat("file")
    assert found.st_atime_ns == 123_000000456 and begin - 20_000_000 <= found.st_mtime_ns <= time.time_ns()
    utimensat("file", (5, 6), (0, UTIME_OMIT))
    assert os.stat("file").st_mtime_ns == found.st_mtime_ns and os.stat("file").st_atime_ns == 5_000000006
    for seconds in (-1, -(2**31) + 1, 2**31, 2**32 - 1, 2**32, 2**33):
        utimensat("file", (seconds, 7), (seconds, 8))
        found = os.stat("file")
        assert (found.st_atime_ns, found.st_mtime_ns) == (seconds * 10**9 + 7, seconds * 10**9 + 8), seconds
    os.symlink("file", "link")
    utimensat("link", (1, 2), (3, 4))
    assert os.lstat("link").st_mtime_ns == 3_000000004
    os.chmod("file", 0o666)
    fails_with(errno.EPERM, as_user, ALICE, utimensat, "file", (1, 1), (2, 2))
    as_user(ALICE, utimensat, "file", (0, UTIME_NOW), (0, UTIME_NOW))


def case_times_move():
    def moved(name, action):
        before = os.lstat(name)
        time.sleep(0.02)
        action()
        after = os.lstat(name)
        return after.st_mtime_ns > before.st_mtime_ns, after.st_ctime_ns > before.st_ctime_ns

    make("file", b"data")
    os.mkdir("folder")

    def write():
        with open("file", "ab") as file:
            file.write(b"more")

    assert moved("file", write) == (True, True), "write"
    assert moved("file", lambda: os.chmod("file", 0o600)) == (False, True), "chmod"
    assert moved("file", lambda: os.chown("file", 1, 1)) == (False, True), "chown"
    assert moved("file", lambda: os.link("file", "link")) == (False, True), "link"
    assert moved("file", lambda: os.unlink("link")) == (False, True), "unlink of one of two names"
    assert moved("file", lambda: os.truncate("file", 2)) == (True, True), "truncate"
    assert moved("file", lambda: content("file")) == (False, False), "read"
    assert moved("folder", lambda: make("folder/a")) == (True, True), "create"
    assert moved("folder", lambda: os.rename("folder/a", "folder/b")) == (True, True), "rename"
    assert moved("folder", lambda: os.unlink("folder/b")) == (True, True), "unlink"
    assert moved("folder", lambda: os.mkdir("folder/c")) == (True, True), "mkdir"
    assert moved("folder", lambda: os.rmdir("folder/c")) == (True, True), "rmdir"
    assert moved("folder", lambda: os.stat("folder")) == (False, False), "stat"

    descriptor = os.open("file", os.O_WRONLY | os.O_TRUNC)
    os.close(descriptor)
    now = time.time_ns()
    assert abs(now - os.stat("file").st_mtime_ns) < 2 * 10**9


# Data


def case_unlinked_but_open():
    free = os.statvfs(".").f_bfree
    file = open("file", "w+b")
    file.write(os.urandom(8 << 20))
    file.flush()
    os.fsync(file.fileno())
    os.unlink("file")
    assert os.fstat(file.fileno()).st_nlink == 0
    file.seek(4 << 20)
    file.write(b"still here")
    file.flush()
    os.fchmod(file.fileno(), 0o600)
    os.utime(file.fileno(), (1, 2))
    os.fsync(file.fileno())
    file.seek(4 << 20)
    assert file.read(10) == b"still here"
    file.truncate(100)
    assert os.fstat(file.fileno()).st_size == 100
    make("file", b"another one")
    assert content("file") == b"another one"
    file.close()
    os.unlink("file")
    for _ in range(200):
        if os.statvfs(".").f_bfree >= free - 4:
            return
        time.sleep(0.05)
    raise AssertionError(f"space did not come back: {os.statvfs('.').f_bfree} of {free} blocks")


def case_replaced_but_open():
    make("file", b"old" * 10000)
    make("new", b"new")
    file = open("file", "rb")
    os.rename("new", "file")
    assert file.read() == b"old" * 10000 and content("file") == b"new"


def case_open_flags():
    make("file", b"0123456789")
    fails_with(errno.EEXIST, os.open, "file", os.O_CREAT | os.O_EXCL)
    descriptor = os.open("file", os.O_WRONLY | os.O_APPEND)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, b"end")
    os.close(descriptor)
    assert content("file") == b"0123456789end"
    os.close(os.open("file", os.O_WRONLY | os.O_TRUNC))
    assert os.stat("file").st_size == 0 and os.stat("file").st_blocks == 0
    descriptor = os.open("file", os.O_RDONLY)
    fails_with(errno.EBADF, os.write, descriptor, b"x")
    descriptor = os.open("file", os.O_RDWR | os.O_SYNC)
    assert os.write(descriptor, b"synchronous") == 11
    fails_with(errno.EINVAL, os.ftruncate, descriptor, -1)


def case_truncate():
    data = os.urandom(200_000)
    make("file", data)
    for size in (199_999, 131_073, 65_536, 4097, 4096, 4095, 1, 0):
        os.truncate("file", size)
        os.truncate("file", 200_000)
        assert content("file") == data[:size] + bytes(200_000 - size), size
        os.truncate("file", 0)
        with open("file", "wb") as file:
            file.write(data)


def case_large_offsets():
    make("file")
    descriptor = os.open("file", os.O_RDWR)
    places = [2**31 - 3, 2**32 - 3, 2**40 - 3, 2**43 + 12345]
    for place in places:
        assert os.pwrite(descriptor, b"island", place) == 6
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for place in places:
        assert os.pread(descriptor, 12, place - 3)[3:9] == b"island"
        assert os.pread(descriptor, 3, place - 3) == bytes(3)
    assert os.stat("file").st_size == places[-1] + 6
    assert os.stat("file").st_blocks * 512 < 2 << 20

    def write_too_far():
        # A kernel that caches writes learns of the limit when it hands them over.
        os.pwrite(descriptor, b"x", 2**62)
        os.fsync(descriptor)

    fails_with(errno.EFBIG, write_too_far)
    fails_with(errno.EFBIG, os.truncate, "file", 2**62)
    try:
        # The failed writeback is the filesystem's news too, until someone has heard it.
        checked(libc.syncfs(descriptor))
    except OSError:
        pass


def case_sparse():
    with open("file", "wb") as file:
        file.truncate(64 << 20)
    assert os.stat("file").st_blocks == 0
    with open("file", "r+b") as file:
        file.seek(32 << 20)
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())
    assert 8 <= os.stat("file").st_blocks <= 512
    data = content("file")
    assert len(data) == 64 << 20 and data.count(0) == len(data) - 4096


def case_mmap():
    with open("file", "w+b") as file:
        file.truncate(3 << 20)
        with mmap.mmap(file.fileno(), 3 << 20) as view:
            for place in range(0, 3 << 20, 5000):
                view[place : place + 4] = b"page"
            view.flush()
    data = content("file")
    assert all(data[place : place + 4] == b"page" for place in range(0, 3 << 20, 5000))
    # Two processes see one another's stores, and write(2) and the mapping see the same bytes.
    with open("file", "r+b") as file, mmap.mmap(file.fileno(), 1 << 20) as view:
        child = os.fork()
        if child == 0:
            view[100:107] = b"sibling"
            os._exit(0)
        os.waitpid(child, 0)
        assert view[100:107] == b"sibling"
        os.pwrite(file.fileno(), b"written", 5_001)
        assert view[5_001:5_008] == b"written"
        view[9_000:9_006] = b"stored"
        assert os.pread(file.fileno(), 6, 9_000) == b"stored"
    with open("private", "w+b") as file:
        file.write(b"unchanged")
        file.flush()
        with mmap.mmap(file.fileno(), 9, mmap.MAP_PRIVATE) as view:
            view[0:9] = b"my own co"
    assert content("private") == b"unchanged"


def case_locks():
    make("file")
    ours = os.open("file", os.O_RDWR)
    fcntl.flock(ours, fcntl.LOCK_EX)

    def try_lock(call):
        call(os.open("file", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)

    os.chmod("file", 0o666)
    fails_with(errno.EAGAIN, as_user, ALICE, try_lock, fcntl.flock)
    fcntl.flock(ours, fcntl.LOCK_UN)
    as_user(ALICE, try_lock, fcntl.flock)
    fcntl.lockf(ours, fcntl.LOCK_EX)
    fails_with(errno.EAGAIN, as_user, ALICE, try_lock, fcntl.lockf)


def case_sync():
    make("file", b"data")
    descriptor = os.open("file", os.O_RDWR)
    os.fsync(descriptor)
    os.fdatasync(descriptor)
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.fdatasync(folder)
    checked(libc.syncfs(folder))


def case_statvfs():
    before = os.statvfs(".")
    assert before.f_namemax == 255 and before.f_files > 1000 and before.f_bsize >= 512
    with open("file", "wb") as file:
        file.write(os.urandom(16 << 20))
        file.flush()
        os.fsync(file.fileno())
    taken = (before.f_bfree - os.statvfs(".").f_bfree) * before.f_frsize
    assert 16 << 20 <= taken <= 17 << 20, taken
    os.unlink("file")
    for index in range(200):
        make("small-%d" % index)
    after = os.statvfs(".")
    assert (after.f_files - after.f_ffree) - (before.f_files - before.f_ffree) == 200


def case_inode_numbers():
    numbers = set()
    for index in range(500):
        make("file-%d" % index)
        numbers.add(os.stat("file-%d" % index).st_ino)
    assert len(numbers) == 500
    with os.scandir(".") as entries:
        assert {entry.inode() for entry in entries} == numbers


def main():
    name, directory = sys.argv[1:]
    signal.alarm(60)
    os.umask(0o022)
    os.chdir(directory)
    globals()["case_" + name]()


if __name__ == "__main__":
    main()
