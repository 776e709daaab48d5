"""Random reads, writes, truncations and mappings of one file, beside a twin on another filesystem.

    python3 model.py FILE TWIN SEED COUNT [direct]

After each step the bytes it touched are compared, at the end the whole. With `direct`, every other descriptor is
opened O_DIRECT, and offsets and lengths are multiples of 512. The twin is left for a comparison after a remount.
"""

import mmap
import os
import random
import sys

FILE_BYTES = 6 << 20


def open_both(paths, direct):
    flags = os.O_RDWR | os.O_CREAT
    return os.open(paths[0], flags | (os.O_DIRECT if direct else 0)), os.open(paths[1], flags)


def aligned(data):
    """The bytes in page-aligned memory, as O_DIRECT wants it."""
    memory = mmap.mmap(-1, max(len(data), 1))
    memory[: len(data)] = data
    return memoryview(memory)[: len(data)]


def pread(descriptor, length, offset):
    memory = mmap.mmap(-1, max(length, 1))
    count = os.preadv(descriptor, [memoryview(memory)[:length]], offset)
    return memory[:count]


def step(source, file, twin, unit, direct):
    action = source.choices(["write", "read", "truncate", "map", "sync", "append"], [40, 30, 8, 8, 4, 10])[0]
    size = os.fstat(twin).st_size
    length = source.choice([1, 3, 10, 100, 1000]) * source.randint(1, 300)
    length = max(unit, length // unit * unit)
    offset = source.randrange(0, FILE_BYTES - length) // unit * unit
    if action == "truncate":
        size = source.randrange(0, FILE_BYTES) // unit * unit
        os.ftruncate(file, size)
        os.ftruncate(twin, size)
    elif action == "sync":
        os.fsync(file)
    elif action == "map" and not direct and size > 0:
        offset %= size
        length = min(length, size - offset)
        data = source.randbytes(length)
        with mmap.mmap(file, size) as view:
            view[offset : offset + length] = data
        os.pwrite(twin, data, offset)
    elif action in ("write", "append"):
        if action == "append":
            offset = size // unit * unit
        data = source.randbytes(length)
        written = os.pwritev(file, [aligned(data)], offset)
        assert written == length, f"wrote {written} of {length}"
        os.pwrite(twin, data, offset)
    assert os.fstat(file).st_size == os.fstat(twin).st_size, f"size after {action}"
    if pread(file, length, offset) != os.pread(twin, length, offset):
        raise AssertionError(f"{action} of {length} at {offset}: different bytes")


def main():
    path, twin_path, seed, count = sys.argv[1:5]
    may_be_direct = "direct" in sys.argv[5:]
    source = random.Random(int(seed))
    unit = 512 if may_be_direct else 1
    direct = False
    file, twin = open_both((path, twin_path), direct)
    for index in range(int(count)):
        if index % 50 == 49:
            os.close(file)
            os.close(twin)
            direct = may_be_direct and not direct
            file, twin = open_both((path, twin_path), direct)
        try:
            step(source, file, twin, unit, direct)
        except Exception as error:
            raise SystemExit(f"seed {seed}, step {index}, direct {direct}: {error}") from error


if __name__ == "__main__":
    main()
