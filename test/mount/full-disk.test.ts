/** A full disk says ENOSPC to the writer, keeps what it has, and gives the space back. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeMount, FULL, GIB, KIB, MIB, Volume } from './harness.ts';

describeMount.each([{ blockBytes: 4 * KIB }, { blockBytes: KIB }])(
  'a full disk, blocks of $blockBytes',
  (options) => {
    let volume: Volume;
    /** Free blocks of the empty volume, after its first file came and went. */
    let free: number;
    const freeBlocks = async () => Number(await volume.shell('sync -f . && stat -f -c %f .'));
    const sizeBytes = FULL ? GIB : 64 * MIB;

    beforeAll(async () => {
      volume = await Volume.make({ ...options, sizeBytes });
      await volume.shell('mkdir first && echo x > first/file && rm -r first');
      free = await freeBlocks();
    });
    afterAll(() => volume?.destroy());
    beforeEach(() => volume.shell('rm -rf ./*'));

    /**
     * The freed space may come back a moment later: after the last inode is forgotten, or with the
     * next commit.
     */
    async function expectSpaceBack(): Promise<void> {
      await expect.poll(freeBlocks, { timeout: 20_000 }).toBeGreaterThanOrEqual(free - 8);
    }

    test('a large file: the writer hears of it, the rest stays readable', async ({ annotate }) => {
      await volume.shell('head -c 5M /dev/urandom > kept && sync kept && sha256sum kept > kept.sum');
      // Without a count: it ends because it is told, although the kernel caches what it writes.
      const result = await volume.shellResult('dd if=/dev/zero of=large bs=1M conv=fsync');
      expect(result.stderr).toContain('No space left on device');
      expect(result.status).not.toBe(0);
      await annotate(result.stderr.trim().split('\n').join('; '));
      const again = await volume.shellResult('cat kept kept > another && sync another');
      expect(again.stderr).toContain('No space left on device');
      await volume.shell('sha256sum --status -c kept.sum && ls -l > /dev/null && rm -f another');
      await volume.remount();
      await volume.shell(`sha256sum --status -c kept.sum
      test $(stat -c %s large) -gt ${sizeBytes / 2} && cmp -n ${sizeBytes / 2} large /dev/zero && rm large kept kept.sum`);
      await expectSpaceBack();
    });

    test('what writers were not refused is there, and fsync and close find nothing wrong', async () => {
      const FILL = `
import errno, hashlib, json, os, threading
facts = {}
def fill(name, length, flags):
    digest, size = hashlib.md5(), 0
    file = os.open(name, os.O_WRONLY | os.O_CREAT | flags)
    try:
        while True:
            data = os.urandom(length)
            written = os.write(file, data)
            digest.update(data[:written])
            size += written
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    os.fsync(file)
    os.close(file)
    facts[name] = [size, digest.hexdigest()]
writers = [threading.Thread(target=fill, args=arguments) for arguments in
           [('whole', 1 << 20, 0), ('odd', 7777, 0), ('log', 333, os.O_APPEND)]]
for writer in writers: writer.start()
for writer in writers: writer.join()
with open('odd', 'r+b') as file:
    file.write(b'over' * 10000)
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    facts['odd'] = [facts['odd'][0], hashlib.md5(file.read()).hexdigest()]
print(json.dumps(facts))
`;
      const facts = Object.entries<[number, string]>(JSON.parse(await volume.python(FILL)));
      expect(facts.map(([name]) => name).sort()).toEqual(['log', 'odd', 'whole']);
      await volume.remount();
      for (const [name, [size, digest]] of facts)
        expect(await volume.shell(`stat -c %s ${name}; md5sum < ${name}`)).toBe(`${size}\n${digest}  -\n`);
      await volume.shell('rm whole odd log');
      await expectSpaceBack();
    });

    test('more writers than the mount takes requests at once all come to an end', async () => {
      const FILL = `
import errno, hashlib, json, os, threading
COUNT = 150
facts, gate = {}, threading.Barrier(COUNT)
def fill(name):
    digest, size, data = hashlib.md5(), 0, os.urandom(20000)
    file = os.open(name, os.O_WRONLY | os.O_CREAT)
    gate.wait()
    try:
        while True:
            written = os.write(file, data)
            digest.update(data[:written])
            size += written
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    try:
        os.fsync(file)
        facts[name] = [size, digest.hexdigest()]
    except OSError as error:
        # So many have more in the page cache than the kernel was allowed: some may hear of it here.
        assert error.errno == errno.ENOSPC, error
    os.close(file)
writers = [threading.Thread(target=fill, args=('many%d' % number,), daemon=True) for number in range(COUNT)]
for writer in writers: writer.start()
for writer in writers: writer.join(60)
assert not any(writer.is_alive() for writer in writers), 'some are still waiting'
print(json.dumps(facts))
`;
      const facts = Object.entries<[number, string]>(JSON.parse(await volume.python(FILL)));
      // How many hear it only by fsync hangs on how busy the machine is.
      await volume.remount();
      const sums = await volume.shell('md5sum many*');
      expect(sums.trim().split('\n').length).toBe(150);
      for (const [name, [size, digest]] of facts) {
        expect(sums).toContain(`${digest}  ${name}\n`);
        expect(size).toBeGreaterThan(0);
      }
      await volume.shell('rm many*');
      await expectSpaceBack();
    });

    test('buffered writes of libaio that were taken are there', async () => {
      const FILL = `
import ctypes, errno, os, platform, struct
SETUP, SUBMIT, EVENTS = (206, 209, 208) if platform.machine() == 'x86_64' else (0, 2, 4)
libc = ctypes.CDLL(None, use_errno=True)
context = ctypes.c_ulong()
assert libc.syscall(SETUP, 4, ctypes.byref(context)) == 0
file = os.open('aio', os.O_RDWR | os.O_CREAT)
# Two at once, each beside a hole, in an order that is nobody's.
LENGTH = 20000
written, refused, turn = [], 0, 0
while refused < 20:
    pieces = [(turn * 2 + at) * 7919 % 20011 * 32768 for at in (0, 1)]
    data = [ctypes.create_string_buffer(struct.pack('Q', place) * (LENGTH // 8), LENGTH) for place in pieces]
    requests = [ctypes.create_string_buffer(struct.pack('QIIHhIQQqQII', at, 0, 0, 1, 0, file,
                ctypes.addressof(data[at]), LENGTH, pieces[at], 0, 0, 0)) for at in (0, 1)]
    pointers = (ctypes.c_void_p * 2)(*map(ctypes.addressof, requests))
    assert libc.syscall(SUBMIT, context, 2, pointers) == 2, ctypes.get_errno()
    events = ctypes.create_string_buffer(64)
    assert libc.syscall(EVENTS, context, 2, 2, events, None) == 2
    for at, event in enumerate(sorted(struct.iter_unpack('QQqq', events.raw))):
        if event[2] == LENGTH: written.append(pieces[at])
        else:
            assert event[2] == -errno.ENOSPC or 0 < event[2] < LENGTH, event
            refused += 1
    turn += 1
os.fsync(file)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
for place in written:
    assert os.pread(file, LENGTH, place) == struct.pack('Q', place) * (LENGTH // 8), place
assert len(written) * LENGTH > ${sizeBytes / 2}, len(written)
`;
      await volume.python(FILL);
      await volume.shell('rm aio');
      await expectSpaceBack();
    });

    test('what was taken is there, although somebody allocates the rest of the space', async () => {
      const TAKE = `
import errno, os
data = os.urandom(6 << 20)
file = os.open('taken', os.O_RDWR | os.O_CREAT)
other = os.open('other', os.O_WRONLY | os.O_CREAT)
space = os.statvfs('.')
room = space.f_bfree * space.f_frsize - (1 << 20)
assert os.write(file, data) == len(data)
try:
    os.posix_fallocate(other, 0, room)
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.fsync(file)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
assert os.pread(file, len(data), 0) == data
`;
      await volume.python(TAKE);
      await volume.shell('rm taken other');
      await expectSpaceBack();
    });

    test('small files until nothing goes: inodes are not the limit', async ({ annotate }) => {
      const FILL = `
import errno, os
os.mkdir('small')
count = 0
try:
    while True:
        with open('small/%d' % count, 'wb') as file:
            file.write(b'%d' % count + b'.' * ${FULL ? 20_000 : 5000})
            file.flush()
            if count % 64 == 0: os.fsync(file.fileno())
        count += 1
except OSError as error:
    assert error.errno == errno.ENOSPC, error
left = os.statvfs('.')
print(count, 'files, then ENOSPC,', left.f_bfree, 'blocks left')
`;
      await annotate((await volume.python(FILL)).trim());
      // What was written and synced is whole; a file cut off by ENOSPC may be short, never wrong.
      await volume.python(`
import os
for name in os.listdir('small'):
    data = open('small/' + name, 'rb').read()
    assert data.rstrip(b'.') in (name.encode(), b'') or not data.strip(b'\\0'), name
`);
      await volume.shell('rm -r small');
      await expectSpaceBack();
    });

    test('names until nothing goes', async ({ annotate }) => {
      const result = await volume.shellResult(
        `mkdir names && cd names && 
       dd if=/dev/zero of=large bs=1M count=${(sizeBytes / MIB) * 2} conv=fsync 2>/dev/null
       for i in {1..3000}; do mkdir $i && ln -s $(printf 'l%.0s' {1..3000}) $i/link || exit 1; done`,
      );
      expect(result.stderr).toContain('No space left on device');
      await annotate(
        `${(await volume.shell('ls names | wc -l')).trim()} names, then: ${result.stderr.trim()}`,
      );
      await volume.shell('rm -r names');
      await expectSpaceBack();
    });

    test('the volume is sound', () => volume.unmountAndCheck());
  },
);
