"""What the kernel does with files beyond names and bytes, one function each: mappings, locks, pipes,
sockets, programs, syncs.

    python3 services.py DIRECTORY

runs each `case_…` in a new directory below DIRECTORY, which is on the filesystem under test, and
prints as JSON which went well. It runs as root; other users are played by children. A case that
fails says so by an exception, which goes to standard error.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import socket
import stat
import sys
import traceback

libc = ctypes.CDLL(None, use_errno=True)
ALICE = 1001


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


def as_user(uid, action, *arguments):
    """Runs the action in a child with this identity. Raises the OSError or AssertionError that it raised."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
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
    assert libc.syncfs(folder) == 0, ctypes.get_errno()


def run(name, directory):
    """Runs a case in a child, in a new directory. Returns whether it went well."""
    os.mkdir(os.path.join(directory, name), 0o755)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.chdir(os.path.join(directory, name))
        try:
            globals()["case_" + name]()
            os._exit(0)
        except BaseException:
            print(f"{name}: {traceback.format_exc()}", file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def main():
    os.umask(0o022)
    names = [name.removeprefix("case_") for name in globals() if name.startswith("case_")]
    print(json.dumps({name: run(name, sys.argv[1]) for name in names}))


if __name__ == "__main__":
    main()
