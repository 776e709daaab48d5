"""Locks and leases between processes: what one holds, another meets. Exits with what went wrong."""
import errno, fcntl, os, signal, struct, sys, time

OFD_GETLK, OFD_SETLK, OFD_SETLKW, SETLEASE = 36, 37, 38, 1024
FLOCK = 'hhqqixxxx'
NAME = 'file'


def lock(fd, command, kind, start=0, length=0):
    """fcntl(2) with a struct flock. Returns the pid in the answer, and its kind."""
    answer = fcntl.fcntl(fd, command, struct.pack(FLOCK, kind, os.SEEK_SET, start, length, 0))
    kind, _, _, _, pid = struct.unpack(FLOCK, answer)
    return kind, pid


def refused(work, *numbers):
    """Whether the call fails with one of these errnos, and with no other."""
    try:
        work()
    except OSError as error:
        assert error.errno in numbers, error
        return True
    return False


def waits(pid):
    """Whether the process waits for a lock: proc_locks(5)."""
    with open('/proc/locks') as table:
        return any(' -> ' in line and f' {pid} ' in line for line in table)


class Other:
    """A process with a descriptor of its own: does what it is told, and says what became of it."""

    def __init__(self):
        self.to, self.back = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.serve()

    def serve(self):
        os.close(self.to[1])
        fd = os.open(NAME, os.O_RDWR)
        for line in os.fdopen(self.to[0]):
            try:
                answer = repr(eval(line, globals(), {'fd': fd}))
            except OSError as error:
                answer = repr(-error.errno)
            os.write(self.back[1], answer.encode() + b'\n')
        os._exit(0)

    def begin(self, text):
        os.write(self.to[1], text.encode() + b'\n')

    def end(self):
        answer = b''
        while not answer.endswith(b'\n'):
            answer += os.read(self.back[0], 100)
        return eval(answer)

    def do(self, text):
        self.begin(text)
        return self.end()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


BUSY = (-errno.EAGAIN, -errno.EACCES)
RD, WR, UN = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
with open(NAME, 'wb') as made:
    made.write(b'x' * 1000)
# The others first: a process has the open files of the one that it was made by.
other, third = Other(), Other()
mine = os.open(NAME, os.O_RDWR)

# flock: of the open file, whole, shared or not; gone with its last descriptor.
fcntl.flock(mine, fcntl.LOCK_SH)
assert other.do('fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)') is None
assert other.do('fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)') in BUSY
# A conversion that was refused has lost the shared lock, or kept it: it is given back.
assert other.do('fcntl.flock(fd, fcntl.LOCK_UN)') is None
fcntl.flock(mine, fcntl.LOCK_EX)
assert other.do('fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)') in BUSY
again = os.open(NAME, os.O_RDWR)
assert refused(lambda: fcntl.flock(again, fcntl.LOCK_SH | fcntl.LOCK_NB), errno.EWOULDBLOCK)
copy = os.dup(mine)
os.close(mine)
assert other.do('fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)') in BUSY
other.begin('fcntl.flock(fd, fcntl.LOCK_EX)')
os.close(copy)
assert other.end() is None
assert refused(lambda: fcntl.flock(again, fcntl.LOCK_SH | fcntl.LOCK_NB), errno.EWOULDBLOCK)
assert other.do('fcntl.flock(fd, fcntl.LOCK_UN)') is None
os.close(again)

# fcntl: of the process, by ranges; gone when it closes any descriptor of the file.
mine = os.open(NAME, os.O_RDWR)
lock(mine, fcntl.F_SETLK, WR, 100, 50)
assert other.do('lock(fd, fcntl.F_SETLK, WR, 149, 1)') in BUSY
assert other.do('lock(fd, fcntl.F_SETLK, WR, 150, 1)') == (WR, 0)
assert other.do('lock(fd, fcntl.F_GETLK, RD, 0, 0)') == (WR, os.getpid())
assert lock(mine, fcntl.F_GETLK, RD, 0, 0) == (WR, other.pid)
os.close(os.open(NAME, os.O_RDONLY))
assert other.do('lock(fd, fcntl.F_SETLK, WR, 100, 50)') == (WR, 0)
# A circle of who waits for whom is told to the last.
assert third.do('lock(fd, fcntl.F_SETLK, WR, 500, 1)') == (WR, 0)
third.begin('lock(fd, fcntl.F_SETLKW, WR, 100, 1)')
while not waits(third.pid):
    time.sleep(0.01)
assert other.do('lock(fd, fcntl.F_SETLKW, WR, 500, 1)') == -errno.EDEADLK
# With its process a lock goes, however that ends.
other.kill()
assert third.end() == (WR, 0)
third.kill()

# OFD: by ranges and of the open file; meets the others, and itself through another opening.
os.close(mine)
other = Other()
mine = os.open(NAME, os.O_RDWR)
lock(mine, OFD_SETLK, WR, 0, 10)
again = os.open(NAME, os.O_RDWR)
assert refused(lambda: lock(again, OFD_SETLK, RD, 9, 1), errno.EAGAIN)
lock(again, OFD_SETLK, RD, 10, 1)
os.close(again)
assert other.do('lock(fd, fcntl.F_SETLK, RD, 0, 1)') in BUSY
assert other.do('lock(fd, fcntl.F_GETLK, RD, 0, 1)') == (WR, -1)
assert other.do('lock(fd, OFD_GETLK, RD, 0, 1)') == (WR, -1)
assert other.do('lock(fd, OFD_SETLK, WR, 10, 1)') == (WR, 0)
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
assert other.do('lock(fd, OFD_SETLK, RD, 0, 1)') in BUSY
os.close(mine)
assert other.do('lock(fd, OFD_SETLK, RD, 0, 1)') == (RD, 0)
other.kill()

# Leases: who opens the file, or cuts it, waits until the holder was told and has let go of it.
told = []
signal.signal(signal.SIGIO, lambda *_: told.append('told'))
for kind, opening in ((WR, 'os.O_RDONLY'), (RD, 'os.O_WRONLY'), (RD, 'os.O_RDWR | os.O_TRUNC')):
    other = Other()
    # With another opening of the file there is no lease.
    other.do('os.close(fd)')
    mine = os.open(NAME, os.O_RDONLY)
    fcntl.fcntl(mine, SETLEASE, kind)
    assert other.do(f'os.close(os.open(NAME, os.O_NONBLOCK | {opening}))') == -errno.EWOULDBLOCK
    assert told, (kind, opening)
    told.clear()
    other.begin(f'os.close(os.open(NAME, {opening}))')
    time.sleep(0.05)
    fcntl.fcntl(mine, SETLEASE, UN)
    assert other.end() is None
    os.close(mine)
    other.kill()
