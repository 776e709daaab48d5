"""A FUSE server that calls itself Quarry's: the least that the kernel wants, and to every ioctl the answer given.

hostile-server.py DIRECTORY JSON [SECONDS]: mounts on the directory as fuse.quarry, says "ready", serves until the mount ends, and
lives on for so long. With DEVICE in the environment it mounts that as fuseblk.quarry; OWNER is the user whose mount it is, root if not
given, SOURCE what the mount table shows, STATUS how it ends.
"""

import ctypes
import os
import struct
import sys

HEAD = struct.Struct("<IIQQIIII")
INIT, GETATTR, STATFS, OPENDIR, DESTROY, IOCTL = 26, 3, 17, 27, 38, 39
SILENT = {2, 36, 42}
ENOSYS = 38


def attributes():
    times = struct.pack("<QQQIII", 0, 0, 0, 0, 0, 0)
    return struct.pack("<QII", 1000, 0, 0) + struct.pack("<QQQ", 1, 0, 0) + times + struct.pack("<IIIIIII", 0o40755, 2, 0, 0, 0, 4096, 0)


def answer(opcode, body, text):
    if opcode == INIT:
        return struct.pack("<IIII", 7, 31, 0, 0) + struct.pack("<HHII", 12, 9, 131072, 1) + bytes(36)
    if opcode == GETATTR:
        return attributes()
    if opcode == STATFS:
        return bytes(80)
    if opcode == OPENDIR:
        return bytes(16)
    if opcode == IOCTL:
        head = struct.pack("<IIiIQQQQ", 0x59525251, 1, 0, len(text), 1, 0, len(text), 0)
        return bytes(16) + (head + text)[: 16376]
    return None


def main():
    directory, text = sys.argv[1], os.fsencode(sys.argv[2])
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    owner = os.environ.get("OWNER", "0")
    data = f"fd={device},rootmode=40000,user_id={owner},group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    source = os.environ.get("DEVICE", os.environ.get("SOURCE", "/dev/null"))
    kind = b"fuseblk.quarry" if "DEVICE" in os.environ else b"fuse.quarry"
    if libc.mount(os.fsencode(source), os.fsencode(directory), kind, 0, data.encode()) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    print("ready", flush=True)
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError:
            break
        _, opcode, unique, *_ = HEAD.unpack_from(request)
        if opcode in SILENT:
            continue
        reply = answer(opcode, request[HEAD.size :], text)
        error = 0 if reply is not None else -ENOSYS
        reply = reply or b""
        os.write(device, struct.pack("<IiQ", 16 + len(reply), error, unique) + reply)
    # Lives on after its mount: nobody may wait for that without a bound, and nobody may take another for it.
    if len(sys.argv) > 3:
        import time

        time.sleep(float(sys.argv[3]))
    sys.exit(int(os.environ.get("STATUS", "0")))


main()
