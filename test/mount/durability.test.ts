/**
 * When a change is on disk: fsync, fdatasync, O_DSYNC, O_SYNC, syncfs, -o sync, -o dirsync, also by
 * a remount, -o commit; and what many syncs at once cost.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, Volume } from './harness.ts';

interface Counters {
  commits: number;
  flushes: number;
  /** Requests by name of operation. */
  requests: (name: string) => number;
}

async function counters(volume: Volume): Promise<Counters> {
  const { stdout } = await quarry('stat', '--json', volume.directory);
  const { volume: found, session } = JSON.parse(stdout);
  const requests = (name: string) => session.operations[name]?.requests ?? 0;
  return { commits: found.commits, flushes: found.flushes, requests };
}

/** Mounts in the background, where `stat` answers at once. */
async function mount(volume: Volume, options: string): Promise<number> {
  expect(await quarry('mount', '-o', options, volume.target, volume.directory)).toMatchObject({ status: 0 });
  const told = await quarry('stat', '--json', volume.directory);
  expect(told).toMatchObject({ status: 0, stderr: '' });
  return JSON.parse(told.stdout).pid;
}

/** Ways to make a file durable; none of them closes it, or closes it before. */
const PERSISTENCE = [
  ['fsync', 'fd = os.open(name, os.O_RDWR | os.O_CREAT); os.write(fd, data); os.fsync(fd)'],
  ['fdatasync', 'fd = os.open(name, os.O_RDWR | os.O_CREAT); os.write(fd, data); os.fdatasync(fd)'],
  ['O_DSYNC', 'fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_DSYNC); os.write(fd, data)'],
  ['O_SYNC', 'fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_SYNC); os.write(fd, data)'],
  [
    'O_DSYNC and O_DIRECT',
    'fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_DSYNC | os.O_DIRECT); m = mmap.mmap(-1, len(data)); m.write(data); os.writev(fd, [m])',
  ],
  [
    'fsync of the directory after close',
    "fd = os.open(name, os.O_RDWR | os.O_CREAT); os.write(fd, data); os.close(fd); os.fsync(os.open('.', os.O_RDONLY))",
  ],
  [
    'msync',
    'fd = os.open(name, os.O_RDWR | os.O_CREAT); os.truncate(fd, len(data)); m = mmap.mmap(fd, len(data)); m.write(data); m.flush()',
  ],
] as const;

describeQuarry('what is durable', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterAll(() => volume?.destroy());

  /**
   * Performs `program` and kills the daemon before it ends.
   * @param options `commit=9 then sync` for a remount
   */
  async function killAfter(program: string, options: string, name = ''): Promise<void> {
    const [first = '', ...later] = options.split(' then ');
    const pid = await mount(volume, first);
    for (const changed of later) {
      const told = await quarry('mount', '-o', `remount,${changed}`, volume.directory);
      expect(told).toMatchObject({ status: 0, stderr: '' });
    }
    const killing = `
import mmap, os, signal, sys
data = b'0123456789abcdef' * 1024
name = sys.argv[1]
${program}
os.kill(${pid}, signal.SIGKILL)
`;
    await volume.python(killing, [name]);
  }

  test.each(PERSISTENCE)('%s: the data and its name survive a kill right after it', async (name, program) => {
    await killAfter(program, 'commit=3600', name);
    await mount(volume, 'commit=3600');
    await volume.python("import sys; assert open(sys.argv[1], 'rb').read() == b'0123456789abcdef' * 1024", [
      name,
    ]);
    await volume.unmount();
  });

  test('without any of these, nothing has to be there', async () => {
    // Shows that the kill comes before anything else makes data durable.
    await killAfter('fd = os.open(name, os.O_RDWR | os.O_CREAT); os.write(fd, data)', 'commit=3600', 'lost');
    await mount(volume, 'commit=3600');
    await volume.shell('test ! -e lost');
    await volume.unmountAndCheck();
  });

  test.each(['sync,commit=3600', 'commit=3600 then sync,lazytime'])(
    '-o %s: every call is on disk when it returns',
    async (options) => {
      await killAfter(
        `
os.mkdir('sync'); os.chdir('sync'); os.mkdir('d'); os.mkdir('gone')
fd = os.open('d/f', os.O_RDWR | os.O_CREAT); os.write(fd, data); os.write(fd, data); os.ftruncate(fd, 20000)
os.rename('d/f', 'g'); os.symlink('g', 's'); os.link('g', 'h'); os.chmod('g', 0o600); os.rmdir('gone')`,
        options,
      );
      await mount(volume, 'commit=3600');
      await volume.python(`
import os
os.chdir('sync')
assert sorted(os.listdir('.')) == ['d', 'g', 'h', 's'] and os.listdir('d') == []
assert open('s', 'rb').read() == (b'0123456789abcdef' * 2048)[:20000]
assert os.stat('g').st_mode & 0o777 == 0o600 and os.stat('h').st_nlink == 2
`);
      await volume.shell('rm -r sync');
      await volume.unmount();
    },
  );

  test.each(['dirsync,commit=3600', 'sync,commit=3600 then async,dirsync,noatime'])(
    '-o %s: names are on disk when the call returns',
    async (options) => {
      await killAfter(
        "os.mkdir('names'); os.mkdir('names/d'); os.close(os.open('names/d/f', os.O_RDWR | os.O_CREAT)); os.rename('names/d/f', 'names/g')",
        options,
      );
      await mount(volume, 'commit=3600');
      await volume.shell(
        'test "$(ls names | tr "\\n" " ")" = "d g " && test -z "$(ls names/d)" && rm -r names',
      );
      await volume.unmountAndCheck();
    },
  );

  test('-o commit: so many seconds later, and not before', async () => {
    await mount(volume, 'commit=1');
    await volume.shell('sync -f . ; sleep 1.5');
    const before = await counters(volume);
    await volume.shell('mkdir d');
    await sleep(2500);
    const after = await counters(volume);
    expect(after.commits - before.commits).toBe(1);
    await volume.unmount();

    await mount(volume, 'commit=3600');
    await volume.shell('mkdir e');
    const lazy = await counters(volume);
    await sleep(2000);
    expect((await counters(volume)).commits).toBe(lazy.commits);
    await volume.unmountAndCheck();
  });
});

describeQuarry('how many commits and flushes', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 96 * MIB }, { mounted: false });
    await mount(volume, 'commit=3600');
  });
  afterAll(() => volume?.destroy());

  /** Flush requests that the loop device has seen. */
  function flushesOfDevice(): number {
    const fields = readFileSync(`/sys/block/${basename(volume.target)}/stat`, 'utf8')
      .trim()
      .split(/ +/);
    return Number(fields[15]);
  }

  async function cost(program: string) {
    const before = await counters(volume);
    const flushedBefore = flushesOfDevice();
    await volume.python(program);
    const after = await counters(volume);
    return {
      deviceFlushes: flushesOfDevice() - flushedBefore,
      commits: after.commits - before.commits,
      flushes: after.flushes - before.flushes,
      fsyncs: after.requests('fsync') - before.requests('fsync'),
    };
  }

  test('100 fsyncs at once share them', async ({ annotate }) => {
    const { commits, flushes, fsyncs } = await cost(`
import os, threading
ready = threading.Barrier(100)
def one(number):
    fd = os.open('together-%d' % number, os.O_RDWR | os.O_CREAT)
    os.write(fd, b'%04d' % number * 1024)
    ready.wait()
    os.fsync(fd)
threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
for thread in threads: thread.start()
for thread in threads: thread.join()
`);
    await annotate(
      `100 concurrent fsyncs of 4 KiB files: ${fsyncs} FSYNC requests, ${commits} commits, ${flushes} flushes`,
    );
    expect(fsyncs).toBe(100);
    expect(commits).toBeLessThanOrEqual(30);
    expect(flushes).toBeLessThanOrEqual(commits + 2);
    expect(commits).toBeGreaterThanOrEqual(1);
  });

  test.each([
    ['fdatasync', 'os.O_RDWR', 'os.fdatasync(fd)'],
    ['O_DSYNC', 'os.O_RDWR | os.O_DSYNC', ''],
  ])('%s of data within a file is a flush, and no commit', async (_, flags, sync) => {
    await volume.python(`
import os
fd = os.open('within', os.O_RDWR | os.O_CREAT)
os.write(fd, bytes(20 * 4096))
os.fsync(fd)
`);
    const { commits, deviceFlushes, fsyncs } = await cost(`
import os
fd = os.open('within', ${flags})
for number in range(20):
    os.pwrite(fd, b'x' * 4096, number * 4096)
    ${sync}
`);
    expect([commits, deviceFlushes, fsyncs]).toEqual([0, 20, 20]);
  });

  test('so it is when an ordinary user writes past the page cache', async () => {
    await volume.python(`
import os
fd = os.open('users', os.O_RDWR | os.O_CREAT)
os.write(fd, bytes(20 * 4096))
os.fsync(fd)
`);
    const { commits, deviceFlushes, fsyncs } = await cost(`
import mmap, os
fd = os.open('users', os.O_RDWR | os.O_DIRECT)
os.setuid(65534)
page = mmap.mmap(-1, 4096)
for number in range(20):
    os.pwritev(fd, [page], number * 4096)
    os.fdatasync(fd)
`);
    expect([commits, deviceFlushes, fsyncs]).toEqual([0, 20, 20]);
  });

  test('one after the other each has its own, with a flush and a commit block written through', async ({
    annotate,
  }) => {
    const { commits, flushes, deviceFlushes } = await cost(`
import os
for number in range(20):
    fd = os.open('alone-%d' % number, os.O_RDWR | os.O_CREAT)
    os.write(fd, b'x' * 4096)
    os.fsync(fd)
`);
    await annotate(`20 files of 4 KiB, each with fsync: ${commits} commits, ${flushes} flushes`);
    expect(commits).toBe(20);
    // And now and then a checkpoint.
    expect(flushes).toBeGreaterThanOrEqual(20);
    expect(flushes).toBeLessThanOrEqual(30);
    // The device has no FUA: the kernel follows each of these writes by a flush of its own.
    expect(deviceFlushes).toBeGreaterThanOrEqual(40);
    expect(deviceFlushes).toBeLessThanOrEqual(60);
  });

  test.each(['O_DSYNC', 'O_SYNC'])('a write(2) with %s returns after a commit', async (flag) => {
    const { commits, flushes } = await cost(`
import os
fd = os.open('file-${flag}', os.O_RDWR | os.O_CREAT | os.${flag})
for number in range(10): os.pwrite(fd, b'%d' % number * 4096, number * 4096)
`);
    expect(commits).toBe(10);
    expect(flushes).toBeGreaterThanOrEqual(10);
  });

  test('syncs with nothing to write cost nothing', async () => {
    await volume.shell('sync -f .');
    const { commits, flushes } = await cost(
      "import os\nfor _ in range(10): os.fsync(os.open('.', os.O_RDONLY))",
    );
    expect({ commits, flushes }).toEqual({ commits: 0, flushes: 0 });
  });
});
