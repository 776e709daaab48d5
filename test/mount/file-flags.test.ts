/**
 * Flags of files as people set them, chattr(1) and lsattr(1), on a real mount: they last, what the
 * kernel's cache held before them arrives, and synchronous directories survive the daemon.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, until, Volume } from './harness.ts';

describeQuarry('flags of files', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  /** The letters and names that lsattr(1) gives, without what stands for no flag. */
  const flagsOf = async (path: string) =>
    (await volume.shell(`lsattr -d -p -v ${path}`)).trim().split(/\s+/).slice(0, 3);

  test('are set by chattr, and there after a remount', async () => {
    await volume.shell('mkdir d; echo text > f; chattr +AdSDT d; chattr +i f; chattr -p 4711 d');
    const [project, , letters] = await flagsOf('d');
    expect([project, letters?.replaceAll('-', '')]).toEqual(['4711', 'SDdAT']);
    const before = await flagsOf('f');
    expect(before[2]?.replaceAll('-', '')).toBe('i');
    await volume.remount();
    expect(await flagsOf('f')).toEqual(before);
    expect(await volume.shell('echo more >> f || true; cat f')).toBe('text\n');
    expect(await volume.shell('stat -c %s f; chattr -i f; echo more >> f; cat f')).toBe('5\ntext\nmore\n');
  });

  test('let arrive what the cache took before them', async () => {
    await volume.shell(`head -c 300000 /dev/zero | tr '\\0' x > g; chattr +i g`);
    await volume.remount();
    expect(await volume.shell(`tr -d x < g | wc -c; stat -c %s g; chattr -i g; rm g`)).toBe('0\n300000\n');
  });

  test('move the time of change, of what is in the cache as well', async () => {
    const changeOf = (path: string) => volume.shell(`stat -c %z ${path}`);
    await volume.shell('mkdir times; echo text > times/f; sync times/f');
    for (const path of ['times/f', 'times']) {
      const before = await changeOf(path);
      await volume.shell(`chattr +A ${path}`);
      await until(`a new ctime of ${path}`, 10_000, async () => (await changeOf(path)) !== before);
      const warm = await changeOf(path);
      await volume.remount();
      expect(await changeOf(path)).toBe(warm);
    }
  });

  test('an append-only log grows by whoever appends', async () => {
    await volume.shell('touch log; chattr +a log; for i in 1 2 3; do echo $i >> log; done');
    expect(await volume.shell('cat log; ! echo 4 > log; ! truncate -s 0 log; ! rm -f log')).toBe('1\n2\n3\n');
    await volume.shell('chattr -a log; rm log');
  });

  test('openat2 is refused as well, wherever its arguments stand', async () => {
    await volume.shell('echo text > fixed; chattr +i fixed; echo text > log2; chattr +a log2');
    await volume.shell('head -c 65536 /dev/zero > mapped; sync mapped');
    // They stand in a file of this mount, of which another thread drops the pages all the time.
    const said = await volume.python(`
import ctypes, errno, mmap, os, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
file = os.open('mapped', os.O_RDWR)
memory = mmap.mmap(file, 65536)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
def openat2(name, flags, seconds=0):
    os.pwrite(file, struct.pack('QQQ', flags, 0, 0), 8192)
    os.fsync(file)
    answers, end = set(), time.monotonic() + seconds
    while True:
        got = libc.syscall(437, -100, name, ctypes.c_void_p(start + 8192), 24)
        answers.add('opened' if got >= 0 else errno.errorcode[ctypes.get_errno()])
        if got >= 0: os.close(got)
        if time.monotonic() >= end: break
    print(' '.join(sorted(answers)), flush=True)
def drop():
    while True:
        libc.madvise(ctypes.c_void_p(start), 65536, mmap.MADV_DONTNEED)
        libc.posix_fadvise(file, ctypes.c_long(0), ctypes.c_long(65536), os.POSIX_FADV_DONTNEED)
openat2(b'fixed', os.O_RDONLY)
openat2(b'log2', os.O_WRONLY)
openat2(b'log2', os.O_WRONLY | os.O_APPEND)
threading.Thread(target=drop, daemon=True).start()
openat2(b'fixed', os.O_RDWR, 1)
os._exit(0)
`);
    expect(said.trim().split('\n')).toEqual(['opened', 'EPERM', 'opened', 'EPERM']);
    await volume.shell('chattr -i fixed; chattr -a log2; rm fixed log2 mapped');
  });

  test('names in a synchronous directory are there when the daemon is killed', async () => {
    await volume.shell('mkdir sync; chattr +D sync; sync -f .');
    await volume.remount('-o', 'commit=600');
    await volume.shell('touch sync/file; mv sync/file sync/name');
    volume.daemon?.kill('SIGKILL');
    await volume.daemonEnd();
    expect((await quarry('umount', volume.directory)).status).toBe(0);
    await volume.mount();
    expect(await volume.shell('ls sync')).toBe('name\n');
  });
});
