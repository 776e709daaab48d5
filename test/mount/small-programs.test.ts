/**
 * What programs of 32 bits without large files can stand: offsets of directory entries below 2^31,
 * and counts of statfs below 2^32.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeQuarry, GIB, Volume } from './harness.ts';

/** getdents64(2) with this buffer: yields (name, offset). */
const GETDENTS = `
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def entries(fd, size):
    buffer = ctypes.create_string_buffer(size)
    while True:
        got = libc.syscall({'x86_64': 217, 'aarch64': 61}[os.uname().machine], fd, buffer, size)
        if got < 0: raise OSError(ctypes.get_errno(), 'getdents64')
        if got == 0: return
        at = 0
        while at < got:
            inode, offset, length, kind = struct.unpack_from('<QqHB', buffer.raw, at)
            yield buffer.raw[at + 19:at + length].split(b'\\0')[0].decode(), offset
            at += length
`;

describeQuarry('programs of 32 bits', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 4096 * GIB });
  });
  afterAll(() => volume?.destroy());

  test('list a directory: offsets below 2^31, with buffers of any size, cached or not, and from any offset again', async () => {
    const said = await volume.python(`${GETDENTS}
os.mkdir('many')
names = {f'name{i}' + 'x' * (i % 40) for i in range(3000)}
for name in names: os.mknod('many/' + name)
names |= {'.', '..'}
for size in (80, 300, 2048, 32768, 80, 32768):
    fd = os.open('many', os.O_RDONLY | os.O_DIRECTORY)
    found = list(entries(fd, size))
    assert len(found) == len(names) and {name for name, _ in found} == names, (size, len(found))
    assert max(offset for _, offset in found) < 2 ** 31
    if size == 2048:
        for i in range(0, len(found) - 1, 97):
            os.lseek(fd, found[i][1], os.SEEK_SET)
            assert next(entries(fd, 300))[0] == found[i + 1][0]
    os.close(fd)
print('whole')`);
    expect(said).toBe('whole\n');
  });

  test('ask for space: numbers of inodes below 2^32', async () => {
    const said = await volume.python(`
import os
status = os.statvfs('.')
print(0 < status.f_ffree < status.f_files < 2 ** 32)`);
    expect(said).toBe('True\n');
  });
});
