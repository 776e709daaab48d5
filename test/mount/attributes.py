"""What a filesystem says of ACLs and extended attributes, line by line, for attributes.test.ts.

    python3 attributes.py DIRECTORY

Each line is a question and what came of it. Run on two filesystems, the lines must be the same: the
kernel's own filesystem is the judge. Run as root; each call is made as somebody.
"""

import errno
import os
import stat
import struct
import sys

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
TAGS = {"u": (1, 2), "g": (4, 8), "m": (16, 16), "o": (32, 32)}
RIGHTS = "rwx"
OWNER, GROUP = 1001, 2001
NOBODY = 0xFFFFFFFF

# Whoever asks: user, group, further groups.
CALLERS = [
    (0, 0, []),
    (1001, 1001, []),
    (1002, 1002, []),
    (1002, 2001, []),
    (1003, 1003, [2001]),
    (1003, 1003, [2002]),
    (1003, 1003, [2001, 2002, 2003]),
    (1004, 2003, []),
]

ACLS = [
    "u::rw-,g::r--,o::---",
    "u::r-x,g::rwx,o::--x",
    "u::rwx,u:1002:r--,g::rw-,m::rwx,o::---",
    "u::---,u:1002:rwx,u:1003:---,g::---,m::rwx,o::rwx",
    "u::rw-,u:1002:rwx,g::rwx,m::r--,o::-w-",
    "u::rw-,g::---,g:2002:rwx,m::rwx,o::r--",
    "u::rw-,g::r--,g:2002:-w-,g:2003:--x,m::rwx,o::rwx",
    "u::rwx,u:0:---,u:1001:---,g::--x,g:2001:r--,m::rw-,o::--x",
    "u::rwx,u:1004:r-x,g::---,g:2003:---,m::---,o::rwx",
    "u::rw-,u:1003:r--,g::-w-,g:2002:rwx,m::-wx,o::r-x",
]
MODES = [None, 0o000, 0o640, 0o604, 0o070, 0o777]


def acl(text):
    value = struct.pack("<I", 2)
    for entry in text.split(","):
        who, name, rights = entry.split(":")
        tag = TAGS[who][1 if name else 0]
        bits = sum(4 >> RIGHTS.index(right) for right in rights if right != "-")
        value += struct.pack("<HHI", tag, bits, int(name) if name else NOBODY)
    return value


def acl_text(value):
    found = []
    for at in range(4, len(value), 8):
        tag, bits, name = struct.unpack_from("<HHI", value, at)
        who = next(key for key, tags in TAGS.items() if tag in tags)
        rights = "".join(right if bits & 4 >> i else "-" for i, right in enumerate(RIGHTS))
        found.append(f"{who}:{name if tag in (2, 8) else ''}:{rights}")
    return ",".join(found)


def be(uid, gid, groups):
    os.seteuid(0)
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)


def say(question, answer):
    print(f"{question} -> {answer}")


def outcome(call, *arguments, **named):
    try:
        found = call(*arguments, **named)
        return "done" if found is None else found
    except OSError as error:
        return errno.errorcode[error.errno]


def attribute(path, name):
    found = outcome(os.getxattr, path, name, follow_symlinks=False)
    if not isinstance(found, bytes):
        return found
    return acl_text(found) if name in (ACCESS, DEFAULT) else found.hex()


def state(path):
    found = os.lstat(path)
    return f"{oct(found.st_mode)} {found.st_uid}:{found.st_gid} {attribute(path, ACCESS)} {attribute(path, DEFAULT)}"


def make(path, kind, mode=0o644):
    if kind == "directory":
        os.mkdir(path, mode)
    elif kind == "symlink":
        os.symlink("target", path)
    else:
        types = {"file": stat.S_IFREG, "fifo": stat.S_IFIFO, "device": stat.S_IFCHR, "socket": stat.S_IFSOCK}
        os.mknod(path, types[kind] | mode, os.makedev(1, 3))


def rights_of(path):
    """Which of the seven ways to ask for access are granted."""
    return "".join(str(int(os.access(path, want, effective_ids=True))) for want in range(1, 8))


def opened(path, flags):
    def attempt():
        os.close(os.open(path, flags | os.O_NONBLOCK))

    return outcome(attempt)


def permissions():
    os.mkdir("matrix")
    os.chmod("matrix", 0o755)
    for number, text in enumerate(ACLS):
        for kind in ("file", "directory"):
            path = f"matrix/{kind}-{number}"
            make(path, kind)
            os.chown(path, OWNER, GROUP)
            os.setxattr(path, ACCESS, acl(text))
            for mode in MODES:
                if mode is not None:
                    os.chmod(path, mode)
                say(f"{text} {kind} {mode}", state(path))
                for uid, gid, groups in CALLERS:
                    be(uid, gid, groups)
                    answer = rights_of(path), opened(path, os.O_RDONLY), opened(path, os.O_WRONLY)
                    say(f"{text} {kind} {mode} {uid}:{gid}{groups}", answer)
                be(0, 0, [])


def inheritance():
    os.mkdir("inherit")
    for number, text in enumerate(ACLS):
        for bits in (0o755, 0o2777):
            parent = f"inherit/{number}-{bits:o}"
            make(parent, "directory")
            os.chown(parent, OWNER, GROUP)
            os.setxattr(parent, DEFAULT, acl(text))
            os.chmod(parent, bits)
            be(1002, 1002, []) if bits == 0o2777 else be(0, 0, [])
            for umask in (0o000, 0o027):
                os.umask(umask)
                for mode in (0o777, 0o640, 0o4731):
                    for kind in ("file", "directory", "fifo", "symlink"):
                        path = f"{parent}/{kind}-{umask:o}-{mode:o}"
                        made = outcome(make, path, kind, mode)
                        say(path, f"{made} {state(path)}")
            be(0, 0, [])
    os.umask(0o022)


def changes():
    """Who may change an ACL, and what becomes of set-group-id, mode and capability."""
    os.mkdir("change")
    os.chmod("change", 0o777)
    capability = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
    for number, (uid, gid, groups) in enumerate(CALLERS):
        for kind in ("file", "directory"):
            path = f"change/{kind}-{number}"
            make(path, kind)
            os.chown(path, uid, GROUP)
            os.chmod(path, 0o2775)
            if kind == "file":
                os.setxattr(path, "security.capability", capability)
            be(uid, gid, groups)
            for name in (ACCESS, DEFAULT):
                for text in (ACLS[2], ACLS[0]):
                    done = outcome(os.setxattr, path, name, acl(text))
                    say(f"{path} {name} {text}", f"{done} {state(path)}")
                say(f"{path} without {name}", f"{outcome(os.removexattr, path, name)} {state(path)}")
            say(f"{path} chmod", f"{outcome(os.chmod, path, 0o2710)} {state(path)}")
            say(f"{path} chown", f"{outcome(os.chown, path, -1, gid)} {state(path)}")
            say(f"{path} capability", attribute(path, "security.capability"))
            be(1002, 1002, [])
            say(f"{path} by a stranger", outcome(os.setxattr, path, ACCESS, acl(ACLS[1])))
            be(0, 0, [])


def write(path):
    with open(path, "r+b", buffering=0) as file:
        file.write(b"x")


def capabilities():
    os.mkdir("capable")
    capability = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
    ways = {
        "write": write,
        "truncate": lambda path: os.truncate(path, 1),
        "chown": lambda path: os.chown(path, 5, 5),
        "chmod": lambda path: os.chmod(path, 0o755),
        "utime": lambda path: os.utime(path, (5, 5)),
        "rename": lambda path: (os.rename(path, f"{path}2"), os.rename(f"{path}2", path))[0],
    }
    for name, way in ways.items():
        path = f"capable/{name}"
        make(path, "file", 0o666)
        write(path)
        os.setxattr(path, "security.capability", capability)
        way(path)
        say(path, attribute(path, "security.capability"))


def names():
    os.mkdir("names")
    os.chmod("names", 0o777)
    spaces = ["user.a", "trusted.a", "security.a", "system.a", "user.", "a", "user." + "n" * 250, "user." + "n" * 251]
    for kind in ("file", "directory", "symlink", "fifo", "device", "socket"):
        path = f"names/{kind}"
        make(path, kind)
        os.chown(path, OWNER, GROUP, follow_symlinks=False)
        for name in spaces:
            for uid in (0, OWNER, 1002):
                be(uid, uid, [])
                question = f"{path} {name[:12]}{len(name)} {uid}"
                one = {"follow_symlinks": False}
                say(question, outcome(os.getxattr, path, name, **one))
                say(f"{question} replace", outcome(os.setxattr, path, name, b"1", os.XATTR_REPLACE, **one))
                say(f"{question} create", outcome(os.setxattr, path, name, b"22", os.XATTR_CREATE, **one))
                say(f"{question} again", outcome(os.setxattr, path, name, b"22", os.XATTR_CREATE, **one))
                say(f"{question} get", outcome(os.getxattr, path, name, **one))
                say(f"{question} list", outcome(lambda: sorted(os.listxattr(path, **one))))
                say(f"{question} remove", outcome(os.removexattr, path, name, **one))
                say(f"{question} removed", outcome(os.removexattr, path, name, **one))
                be(0, 0, [])
                os.setxattr(path, "trusted.kept", b"", follow_symlinks=False)
        for value in (b"", b"\x02\0\0\0", b"rubbish", acl(ACLS[2])[:-1], acl("u::rw-,u:7:r--,g::r--,o::---")):
            for name in (ACCESS, DEFAULT):
                say(f"{path} {name} {value.hex()}", outcome(os.setxattr, path, name, value, follow_symlinks=False))


def sticky():
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    for uid in (1002, OWNER, 0):
        os.chown("sticky", OWNER, GROUP)
        be(uid, uid, [])
        say(f"sticky {uid}", outcome(os.setxattr, "sticky", "user.a", b"x"))
        be(0, 0, [])


os.umask(0o022)
os.chdir(sys.argv[1])
for part in (permissions, inheritance, changes, capabilities, names, sticky):
    part()
