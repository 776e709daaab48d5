"""The loads of bench/turns.mjs, and the other process that calls stat meanwhile.

    turns.py probe DIRECTORY            stat of a name that nobody has asked for, every 200 us, until standard input ends
    turns.py scatter FILE COUNT         a file of single blocks with holes between
    turns.py names DIRECTORY COUNT      empty files
    turns.py list DIRECTORY             reads a directory from end to end
    turns.py chain DIRECTORY DEPTH      directories, one in the other
    turns.py ancestors DIRECTORY DEPTH COUNT    moves a directory to the end of the chain, and back
"""

import json
import os
import select
import sys
import time


def probe(directory):
    times = []
    print("ready", flush=True)
    while not times or not select.select([sys.stdin], [], [], 0.0002)[0]:
        name = os.path.join(directory, f"missing-{os.getpid()}-{len(times)}")
        began = time.perf_counter()
        try:
            os.stat(name)
        except FileNotFoundError:
            pass
        times.append(time.perf_counter() - began)
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1e3
    print(json.dumps({"count": len(times), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "most": times[-1] * 1e3}))


def scatter(name, count):
    file = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600)
    for at in range(int(count)):
        os.pwrite(file, b"x" * 4096, at * 8192)
    os.fsync(file)


def names(directory, count):
    os.makedirs(directory, exist_ok=True)
    os.chdir(directory)
    for at in range(int(count)):
        os.mknod(f"a-name-as-files-have-it-{at}")


def list_names(directory):
    with os.scandir(directory) as entries:
        print(sum(1 for _ in entries))


def chain(directory, depth):
    os.mkdir(directory)
    os.chdir(directory)
    for _ in range(int(depth)):
        os.mkdir("d")
        os.chdir("d")


def ancestors(directory, depth, count):
    top = os.open(directory, os.O_RDONLY)
    os.mkdir("moved", dir_fd=top)
    os.chdir(directory)
    for _ in range(int(depth)):
        os.chdir("d")
    for _ in range(int(count)):
        os.rename("moved", "moved", src_dir_fd=top)
        os.rename("moved", "moved", dst_dir_fd=top)


LOADS = {
    "probe": probe,
    "scatter": scatter,
    "names": names,
    "list": list_names,
    "chain": chain,
    "ancestors": ancestors,
}
LOADS[sys.argv[1]](*sys.argv[2:])
