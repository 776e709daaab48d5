/**
 * The space that a file uses is told truly, whatever the kernel has cached of it: `tar -S` and its
 * relatives take a file with bytes and without blocks for a hole, and save zeros.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeMount, FULL, MIB, shell, Volume } from './harness.ts';

const DIRECT_WRITER = fileURLToPath(new URL('direct-writer.c', import.meta.url));

const PRELUDE = `
import ctypes, os, random, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
RANGE_WRITE_AND_WAIT = 7

def write_back(descriptor):
    "Has the kernel hand its pages over, without telling the filesystem that anybody waits."
    offset = ctypes.c_longlong
    assert libc.sync_file_range(descriptor, offset(0), offset(0), RANGE_WRITE_AND_WAIT) == 0

def blocks(name):
    return os.stat(name).st_blocks

def at_last(name, expected):
    end = time.monotonic() + 5
    while blocks(name) != expected and time.monotonic() < end: time.sleep(0.001)
    assert blocks(name) == expected, (name, blocks(name), expected)

def listed():
    for entry in os.scandir('.'): entry.stat()
`;

describeMount('space in use, as the kernel tells it', () => {
  let volume: Volume;
  const check = (program: string, args: string[] = []) => volume.python(PRELUDE + program, args);

  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 256 * MIB });
    await shell(`cc -O2 -o '${volume.scratch.file('direct-writer')}' '${DIRECT_WRITER}' -lpthread`);
  });
  afterAll(() => volume?.destroy());
  beforeEach(() => volume.shell('rm -rf ./*'));

  test('a file that is written, synced and kept open, in a directory that was listed', () =>
    check(`
descriptor = os.open('file', os.O_CREAT | os.O_WRONLY)
listed()
assert blocks('file') == 0
for count in range(1, 5):
    os.write(descriptor, os.urandom(1 << 20))
    os.fsync(descriptor)
    assert blocks('file') == count * 2048, (count, blocks('file'))
saved = subprocess.run('tar -cSf - file | tar -xOf -', shell=True, check=True, capture_output=True).stdout
assert saved == open('file', 'rb').read() and saved.count(0) < len(saved) // 8
`));

  test('a file that the kernel writes back by itself, and that is kept open', () =>
    check(`
descriptor = os.open('file', os.O_CREAT | os.O_RDWR)
listed()
for count in range(1, 5):
    os.write(descriptor, os.urandom(1 << 20))
    write_back(descriptor)
    at_last('file', count * 2048)
os.pwrite(descriptor, b'x' * 8192, 8 << 20)
write_back(descriptor)
at_last('file', 4 * 2048 + 16)
`));

  test('at once after write, close and whatever else answers with attributes', () =>
    check(`
for turn in range(200):
    name = 'file%d' % turn
    with open(name, 'wb') as file: file.write(b'x' * 5000)
    if turn % 4 == 0: os.utime(name, (1, 2))
    if turn % 4 == 1: os.chmod(name, 0o600)
    if turn % 4 == 2: os.link(name, name + '-too')
    assert blocks(name) == 16, (turn, blocks(name))
`));

  test('a hole that is filled past the cache, by each engine', async () => {
    await volume.shell('truncate -s 1M aio && truncate -s 1M uring && truncate -s 1M sync && ls -ls');
    for (const engine of ['aio', 'uring', 'sync']) {
      await volume.shell(`'${volume.scratch.file('direct-writer')}' ${engine} once ${engine}`);
      await check('at_last(sys.argv[1], 8)', [engine]);
    }
  });

  test('truncation, and writing again, with the file kept open', () =>
    check(`
descriptor = os.open('file', os.O_CREAT | os.O_RDWR)
for size in (1 << 20, 4096, 300000):
    os.ftruncate(descriptor, 0)
    listed()
    os.pwrite(descriptor, os.urandom(size), 0)
    os.fsync(descriptor)
    assert blocks('file') == -(-size // 4096) * 8, (size, blocks('file'))
`));

  test('what is said of files in use is what is said of them after a remount', async () => {
    const said = await check(`
seed = random.randrange(1 << 30)
chance = random.Random(seed)
print('seed', seed, file=sys.stderr)
files = [os.open('file%d' % turn, os.O_CREAT | os.O_RDWR) for turn in range(8)]
for turn in range(${FULL ? 20_000 : 600}):
    descriptor = chance.choice(files)
    action = chance.randrange(6)
    place, size = chance.randrange(0, 4 << 20), chance.choice((1, 500, 4096, 100_000))
    if action < 3: os.pwrite(descriptor, b'x' * size, place)
    elif action == 3: os.ftruncate(descriptor, place)
    elif action == 4: write_back(descriptor)
    else: os.fsync(descriptor)
    if chance.randrange(8) == 0: listed()
for descriptor in files: os.fsync(descriptor)
for turn in range(8): print(turn, os.stat('file%d' % turn).st_size, blocks('file%d' % turn))
`);
    await volume.remount();
    expect(
      await check(
        "for turn in range(8): print(turn, os.stat('file%d' % turn).st_size, blocks('file%d' % turn))",
      ),
    ).toBe(said);
  });

  test('the volume is sound', () => volume.unmountAndCheck());
});
