/**
 * open_by_handle_at(2) on a real mount: what `name_to_handle_at` gave is good until the inode is
 * gone, whatever the kernel has forgotten meanwhile.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, Volume } from './harness.ts';

/**
 * `take` writes the handles of the paths to a file outside; `open` opens them and says what became
 * of each.
 */
const PROGRAM = `
import ctypes, errno, json, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]

def take(path):
    handle, mount = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount), 0):
        raise OSError(ctypes.get_errno(), path)
    return [handle.type, list(handle.data[:handle.bytes])]

def opened(root, kind, data):
    handle = Handle(bytes=len(data), type=kind)
    handle.data[:len(data)] = data
    fd = libc.open_by_handle_at(root, ctypes.byref(handle), os.O_PATH | os.O_NOFOLLOW)
    if fd < 0: return errno.errorcode[ctypes.get_errno()]
    status = os.fstat(fd)
    text = f'{stat.filemode(status.st_mode)[0]} {status.st_ino}'
    if stat.S_ISREG(status.st_mode):
        with open(f'/proc/self/fd/{fd}') as file: text += ' ' + file.read()
    os.close(fd)
    return text
`;

describeMount('file handles', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  test('of every type, while the kernel has the inode, and when it has forgotten it', async () => {
    await volume.shell(
      'mkdir -p d/deep; echo -n text > d/file; ln -s nowhere link; mkfifo fifo; mknod device c 1 3',
    );
    // Directories last: to connect one to the root, the kernel lists its parent, and has the others
    // in its cache then.
    const paths = ['d/file', 'link', 'fifo', 'device', '.', 'd/deep', 'd'];
    const handles = volume.scratch.file('handles');
    const look = `${PROGRAM}
root = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
print(json.dumps([opened(root, *handle) for handle in json.load(open(sys.argv[1]))]))`;
    const expected = JSON.parse(
      await volume.python(
        `${PROGRAM}
json.dump([take(path) for path in sys.argv[2:]], open(sys.argv[1], 'w'))
def expect(path):
    status = os.lstat(path)
    return f'{stat.filemode(status.st_mode)[0]} {status.st_ino}' + (' text' if stat.S_ISREG(status.st_mode) else '')
print(json.dumps([expect(path) for path in sys.argv[2:]]))`,
        [handles, ...paths],
      ),
    );
    expect(JSON.parse(await volume.python(look, [handles]))).toEqual(expected);
    await volume.remount();
    expect(JSON.parse(await volume.python(look, [handles]))).toEqual(expected);
  });

  test('of a file without a name while it is open; stale after it, and when its number is used again', async () => {
    const said = await volume.python(`${PROGRAM}
root = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
file = os.open('open', os.O_CREAT | os.O_RDWR)
os.write(file, b'still here')
handle = take('open')
os.unlink('open')
print(opened(root, *handle) == f'- {os.fstat(file).st_ino} still here')
os.mknod('gone')
inode = os.stat('gone').st_ino
handle = take('gone')
os.unlink('gone')
print(opened(root, *handle))
os.fsync(root)
reused = False
for i in range(100):
    open(f'new{i}', 'w').close()
    reused = reused or os.stat(f'new{i}').st_ino == inode
print(reused)
print(opened(root, *handle))`);
    expect(said.trim().split('\n')).toEqual(['True', 'ESTALE', 'True', 'ESTALE']);
  });
});
