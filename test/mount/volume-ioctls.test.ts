/**
 * Ioctls that tell where files lie and what the volume is called, and those that shut it down, on
 * real mounts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, type TargetKind, Volume } from './harness.ts';

/** FIBMAP of each block, and the ioctl of ours as blocks; both of 4 KiB. */
const WHERE = `
import fcntl, json, os, struct, sys
BLOCK = 4096
def extents(fd):
    found, start = [], 0
    while True:
        buffer = bytearray(struct.pack('=QII', start, 0, 0).ljust(4096, b'\\0'))
        fcntl.ioctl(fd, 0xd0005152, buffer, True)
        _, count, more = struct.unpack_from('=QII', buffer)
        rows = [struct.unpack_from('=QQQI', buffer, 16 + 32 * i) for i in range(count)]
        found += rows
        if not more: return found
        start = rows[-1][0] + rows[-1][2]
def blocks(fd):
    found = {}
    for logical, physical, length, flags in extents(fd):
        for at in range(0, length, BLOCK): found[(logical + at) // BLOCK] = (physical + at) // BLOCK
    return found
def fibmap(fd):
    found = {}
    for at in range((os.fstat(fd).st_size + BLOCK - 1) // BLOCK):
        block = struct.unpack('i', fcntl.ioctl(fd, 1, struct.pack('i', at)))[0]
        if block: found[at] = block
    return found
`;

/** A file of many extents, since every other block of it is a hole, and one of a single extent. */
const FILES = `
import os
a, b = (os.open(name, os.O_CREAT | os.O_RDWR) for name in ('a', 'b'))
for at in range(0, 300, 2): os.pwrite(a, os.urandom(4096), at * 4096)
os.pwrite(b, os.urandom(100000), 0)
os.fsync(a); os.fsync(b)
`;

/** Says how each call ends. */
const SHUTDOWN = `
import errno, fcntl, os, struct, sys
def ends(work):
    try: work(); return 'done'
    except OSError as error: return errno.errorcode[error.errno]
def shut_down(mode):
    fd = os.open('.', os.O_RDONLY)
    return ends(lambda: fcntl.ioctl(fd, 0x8004587d, struct.pack('I', mode)))
`;

describeQuarry.each<TargetKind>(['loop', 'image'])('ioctls of a volume on %s', (kind) => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind, sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  test('where files lie, as the device and FIBMAP have it', async () => {
    await volume.python(FILES);
    const program = `${WHERE}
fd = os.open('a', os.O_RDONLY)
device = os.open(sys.argv[1], os.O_RDONLY)
there = blocks(fd)
same = all(os.pread(device, BLOCK, block * BLOCK) == os.pread(fd, BLOCK, at * BLOCK)
           for at, block in there.items())
print(json.dumps([len(there), len(extents(fd)) > 127, same, fibmap(fd) == there, len(fibmap(fd))]))`;
    // The kernel asks where blocks are on block devices only.
    const mapped = kind === 'loop' ? [true, 150] : [false, 0];
    expect(JSON.parse(await volume.python(program, [volume.target]))).toEqual([150, true, true, ...mapped]);
    if (kind === 'image') return;
    expect(await volume.shell('filefrag -B b')).toMatch(/^b: 1 extent found/m);
  });

  test('a swap file is refused, since blocks move', async () => {
    await volume.shell(
      'dd if=/dev/zero of=swap bs=1M count=2 status=none; chmod 600 swap; mkswap -q swap; sync -f .',
    );
    expect(await volume.shellResult('swapon swap')).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(/Invalid argument/),
    });
    expect(await volume.shell("grep -c ' *swap$' /proc/swaps || true")).toBe('0\n');
  });

  test.runIf(kind === 'loop')('the label is changed by root, and lasts', async () => {
    const label = `
import fcntl, os, sys
fd = os.open('.', os.O_RDONLY)
if len(sys.argv) > 2: os.setuid(int(sys.argv[2]))
if sys.argv[1]: fcntl.ioctl(fd, 0x41009432, sys.argv[1].encode().ljust(256, b'\\0'))
print(fcntl.ioctl(fd, 0x81009431, bytes(256)).rstrip(b'\\0').decode())`;
    expect(await volume.python(label, [''])).toBe('\n');
    expect(await volume.python(label, ['Größe'])).toBe('Größe\n');
    for (const refused of [['other', '1000'], ['x'.repeat(65)], ['a\tb']]) {
      await expect(volume.python(label, refused)).rejects.toThrow(/Operation not permitted|Invalid argument/);
    }
    await volume.unmountAndCheck();
    expect((await quarry('info', volume.target)).stdout).toMatch(/^label: +Größe$/m);
  });
});

describeQuarry('a volume that is shut down', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
    await volume.mount('-o', 'commit=600');
  });
  afterAll(() => volume?.destroy());

  /** Shuts it down, and says how changes end that come then. */
  const program = `${SHUTDOWN}
old = os.open('synced', os.O_RDWR)
print(shut_down(int(sys.argv[1])))
print(ends(lambda: os.mkdir('new')), ends(lambda: os.unlink('synced')), ends(lambda: os.chmod('synced', 0o600)),
      ends(lambda: os.truncate('synced', 0)), ends(lambda: os.fsync(old)), os.pread(old, 9, 0).decode())`;

  describe.each([
    ['when all is in the journal', 1, true],
    ['at once', 2, false],
  ])('%s', (_, mode, keepsAll) => {
    test('changes nothing any more, ends by umount, and is replayed', async () => {
      await volume.shell(
        'rm -rf later; echo -n content > synced; sync -f .; mkdir later; echo -n more > later/file',
      );
      expect(await volume.python(program, [String(mode)])).toBe('done\nEIO EIO EIO EIO EIO content\n');
      expect((await quarry('stat', volume.directory)).stdout).toMatch(/shut down/);
      await quarry('umount', volume.directory);
      await volume.daemonEnd();
      await volume.mount('-o', 'commit=600');
      expect(await volume.shell('cat synced')).toBe('content');
      expect((await volume.shellResult('cat later/file')).stdout).toBe(keepsAll ? 'more' : '');
    });
  });

  test('is refused to others, and for a manner that there is not', async () => {
    const refused = `${SHUTDOWN}
print(shut_down(3), end=' ')
os.setuid(1000)
print(shut_down(0))`;
    expect(await volume.python(refused)).toBe('EINVAL EPERM\n');
    await volume.shell('mkdir still');
    await volume.unmountAndCheck();
  });
});
