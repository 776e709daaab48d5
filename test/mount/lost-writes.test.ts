/**
 * Whose error it is when cached data cannot be written: on a disk that fails when told to, and on a
 * thin image whose host is full for a while.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FaultDisk, volumeOnFaultDisk } from './fault-disk.ts';
import { describeQuarry, MIB, quarry, Scratch, shell, until, Volume } from './harness.ts';

interface Losses {
  filesWithLostData: number;
  lostRanges: number;
  lostBytes: number;
  lostBytesKept: number;
  cachedWritesFailed: number;
  readOnly: boolean;
  /** READ requests so far. */
  reads: number;
}

async function losses(volume: Volume): Promise<Losses> {
  const { stdout } = await quarry('stat', '--json', volume.directory);
  const { volume: counters, session } = JSON.parse(stdout);
  return { ...counters, reads: session.operations.read?.requests ?? 0 };
}

function untilLost(volume: Volume, files: number): Promise<void> {
  return until(`${files} files with lost data`, 20_000, async () => {
    return (await losses(volume)).filesWithLostData === files;
  });
}

/** What the programs below share: each prints errnos, 0 for success. */
const PRELUDE = `
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def told(call, *arguments):
    try:
        call(*arguments)
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]
def opened(name, flags=os.O_RDWR):
    return os.open(name, flags)
def write_back(fd):
    # Waits for what is under way, starts all, waits for it: no fsync, no metadata.
    if libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 7) != 0:
        raise OSError(ctypes.get_errno(), 'sync_file_range')
def syncfs(fd):
    if libc.syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), 'syncfs')
`;

function program(volume: Volume, text: string): Promise<string> {
  return volume.python(PRELUDE + text);
}

describeQuarry('data that a failing disk did not take', () => {
  let volume: Volume;
  let disk: FaultDisk;
  beforeEach(async () => {
    ({ volume, disk } = await volumeOnFaultDisk());
  });
  afterEach(async () => {
    await disk?.say('mend').catch(() => {});
    await volume?.destroy();
    await disk?.end();
  });

  /**
   * Files A (short writes), B (long ones) and C; A and B are overwritten while the disk fails,
   * which works again afterwards.
   */
  async function loseAAndB(): Promise<void> {
    await program(
      volume,
      `
for name, length in (('A', 65536), ('B', 1 << 20), ('C', 65536)):
    fd = opened(name, os.O_RDWR | os.O_CREAT)
    os.write(fd, b'old ' * (length // 4))
    os.fsync(fd)
`,
    );
    await disk.say('fail writes');
    await program(
      volume,
      `
for name, length in (('A', 65536), ('B', 1 << 20)):
    fd = opened(name)
    os.pwrite(fd, b'new ' * (length // 4), 0)
    told(write_back, fd)
`,
    );
    await untilLost(volume, 2);
    await disk.say('mend');
  }

  test.each(['aio', 'uring'])('engine=%s: A and B hear of it each time, C never', async (engine) => {
    await volume.mount('-o', `commit=3600,engine=${engine}`);
    await loseAAndB();
    expect(await losses(volume)).toMatchObject({ readOnly: false, lostBytes: 65536 + MIB, lostBytesKept: 0 });
    const heard = await program(
      volume,
      `
a, b, c, here = opened('A'), opened('B'), opened('C'), opened('.', os.O_RDONLY)
for time in range(3):
    print(told(os.fsync, c), told(os.fsync, here), told(os.fsync, a), told(os.fdatasync, a), told(os.fsync, b), told(syncfs, here))
print(told(os.pwrite, opened('C', os.O_RDWR | os.O_DSYNC), b'x', 0), told(os.pwrite, opened('A', os.O_RDWR | os.O_SYNC), b'x', 40000))
`,
    );
    expect(heard).toBe(`${'ok ok EIO EIO EIO EIO\n'.repeat(3)}ok EIO\n`);
    expect(volume.daemonSaid).toMatch(
      /lost data of inode \d+, "\/A": bytes 0 to 65535 could not be written \(EIO\)/,
    );
    expect(volume.daemonSaid).toMatch(/lost data of inode \d+, "\/B": bytes /);

    // Written again, cut off, and removed.
    const healed = await program(
      volume,
      `
a, b, c = opened('A'), opened('B'), opened('C')
os.pwrite(a, b'again ' * 5461 + b'abcd' * 8193, 0)
os.ftruncate(b, 0)
print(told(os.fsync, a), told(os.fsync, b), told(os.fsync, c), told(syncfs, c))
`,
    );
    expect(healed).toBe('ok ok ok ok\n');
    expect(await losses(volume)).toMatchObject({ filesWithLostData: 0, lostBytes: 0 });
    await volume.unmountAndCheck();
  });

  test('the unmount speaks for all; what was removed counts no more', async () => {
    await volume.mount('-o', 'commit=3600');
    await loseAAndB();
    await volume.shell('rm B');
    await untilLost(volume, 1);
    const ended = await quarry('umount', volume.directory);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toBe(
      `quarry: ${volume.target} is unmounted, but data of files could not be written: its log names them\n`,
    );
    expect(await volume.daemonEnd()).toBe(3);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
    // The next mount knows nothing of it, and the old content is whole.
    await volume.mount();
    await volume.shell('test "$(head -c 4 A)" = "old " && sync A');
    await volume.unmountAndCheck();
  });

  test('SIGTERM too', async () => {
    await volume.mount('-o', 'commit=3600');
    await loseAAndB();
    volume.daemon?.kill('SIGTERM');
    expect(await volume.daemonEnd()).toBe(3);
    expect(volume.daemonSaid).toContain('2 files have lost data that could not be written (EIO)');
  });

  test('100 files that are only closed: told in the log, in stat and at the end', async () => {
    await volume.mount('-o', 'commit=3600');
    await disk.say('fail writes');
    const closed = await program(
      volume,
      `
for number in range(100):
    fd = opened('file-%d' % number, os.O_RDWR | os.O_CREAT)
    os.write(fd, b'%04d' % number * 25000)
    os.close(fd)
print('closed')
`,
    );
    expect(closed).toBe('closed\n');
    await untilLost(volume, 100);
    await disk.say('mend');
    expect(await losses(volume)).toMatchObject({ lostBytes: 100 * 100_000, readOnly: false });
    const text = (await quarry('stat', volume.directory)).stdout;
    expect(text).toMatch(/^volume files with lost data: +100$/m);
    expect(text).toMatch(/^volume lost bytes: +10000000$/m);
    const ended = await quarry('umount', volume.directory);
    expect(ended).toMatchObject({ status: 1 });
    expect(ended.stderr).toContain('data of files could not be written');
    await volume.daemonEnd();
    expect(volume.daemonSaid).toContain('100 files have lost data that could not be written (EIO)');
    expect(
      volume.daemonSaid.match(/^quarry: lost data of inode \d+, "\/file-\d+": .*\(EIO\)$/gm),
    ).toHaveLength(10);
    expect(volume.daemonSaid).toMatch(/^quarry: lost data: \d+ more ranges, \d+ bytes in 90 files$/m);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });
});

describeQuarry('a thin image whose host is full', () => {
  const scratch = new Scratch();
  const host = scratch.file('host');
  let volume: Volume | undefined;
  beforeEach(() => shell(`mkdir -p '${host}' && mount -t tmpfs -o size=64m quarry-thin-host '${host}'`));
  afterEach(async () => {
    await volume?.destroy();
    await shell(`umount '${host}' || umount -l '${host}'`);
    await scratch.remove();
  });

  test('what it did not take is there after the next fsync with room, also after a remount', async () => {
    volume = await Volume.make({ sizeBytes: 96 * MIB }, { mounted: false });
    volume.target = `${host}/thin.img`;
    await shell(`truncate -s 96M '${volume.target}'`);
    await volume.format();
    // The journal and the first of all else have their place; data will need more.
    await shell(`dd if='${volume.target}' of='${volume.target}' bs=1M count=24 conv=notrunc status=none`);
    await volume.mount('-o', 'commit=3600');
    await program(
      volume,
      `
fd = opened('taken', os.O_RDWR | os.O_CREAT)
os.write(fd, os.urandom(20 << 20))
os.fsync(fd)
`,
    );
    await shell(
      `dd if=/dev/zero of='${host}/filler' bs=64k status=none 2> /dev/null || test "$(stat -f -c %a '${host}')" = 0`,
    );
    const first = await program(
      volume,
      `
import hashlib
fd = opened('A', os.O_RDWR | os.O_CREAT)
data = os.urandom(12 << 20)
def put(at, length):
    # A write(2) may be told of an earlier one that failed; it wrote nothing then.
    while told(os.pwrite, fd, data[at:at + length], at) != 'ok': pass
# Short runs of dirty pages, whose WRITEs are answered early, and long ones.
for at in range(0, 4 << 20, 65536):
    put(at, 65536)
    told(write_back, fd)
for at in range(4 << 20, len(data), 1 << 20): put(at, 1 << 20)
# The kernel tells once what it was told itself; from then on it is our word.
heard = [told(os.fsync, fd) for time in range(4)]
assert heard == ['ENOSPC'] * 4, heard
print(hashlib.sha256(data).hexdigest())
`,
    );
    const before = await losses(volume);
    expect(before).toMatchObject({ filesWithLostData: 1, readOnly: false });
    expect(before.lostBytesKept).toBe(before.lostBytes);
    const content = () => (volume as Volume).shell('sha256sum < A | cut -d " " -f 1');
    // The kernel's cache forgets it, and it still reads as it was written.
    await program(volume, "fd = opened('A'); os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)");
    expect(await content()).toBe(first);
    const after = await losses(volume);
    expect(after.reads).toBeGreaterThan(before.reads);

    await shell(`rm '${host}/filler'`);
    expect(await program(volume, "print(told(os.fsync, opened('A')), told(os.fsync, opened('taken')))")).toBe(
      'ok ok\n',
    );
    expect(await losses(volume)).toMatchObject({ filesWithLostData: 0, lostBytes: 0 });
    await volume.remount();
    expect(await content()).toBe(first);
    await volume.unmountAndCheck();
  });
});
