/**
 * Ranges of files on a mount: what only the page cache holds is data for whoever seeks, and programs
 * that know holes keep them.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isMissing } from '../missing.ts';
import { describeMount, describeQuarry, MIB, Volume } from './harness.ts';

/** Looks at a file as somebody does who copies what is data; fails where he would lose bytes. */
const SEEKING = `
import errno, mmap, os, random, sys

def stretches(fd):
    found, at = [], 0
    while True:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            assert error.errno == errno.ENXIO, error
            return found
        end = os.lseek(fd, at, os.SEEK_HOLE)
        assert end > at, (at, end)
        found.append((at, end))
        at = end

def check(fd, model, what):
    size = os.fstat(fd).st_size
    assert size == len(model), (what, size, len(model))
    left = bytearray(model)
    covered = 0
    for at, end in stretches(fd):
        left[at:end] = bytes(end - at)
        covered += end - at
    lost = len(left) - len(left.lstrip(b'\\0'))
    assert lost == len(left), (what, 'data in a hole at', lost)
    return covered
`;

const PAGE_CACHE = `${SEEKING}
random.seed(SEED)
SIZE = 4 << 20
fd = os.open('cached', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
os.ftruncate(fd, SIZE)
model = bytearray(SIZE)
view = mmap.mmap(fd, SIZE)
covered = 0
for step in range(60):
    way = random.choice(['write', 'store', 'append', 'read'])
    at = random.randrange(SIZE - 9000)
    data = bytes([1 + random.randrange(255)]) * (1 + random.randrange(9000))
    if way == 'write':
        os.pwrite(fd, data, at)
        model[at:at + len(data)] = data
    elif way == 'store':
        view[at:at + len(data)] = data
        model[at:at + len(data)] = data
    elif way == 'append':
        end = len(model) + random.randrange(300000)
        os.pwrite(fd, data, end)
        model.extend(bytes(end - len(model)) + data)
    else:
        os.pread(fd, 100000, at)
    covered = check(fd, model, (step, way, at))
print(covered, len(model))
assert covered < len(model) * 3 // 4, 'too much is called data'
assert os.pread(fd, len(model), 0) == model
os.fsync(fd)
assert check(fd, model, 'synced') == covered
`;

describeMount('ranges of files', () => {
  let volume: Volume;

  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 256 * MIB });
  });
  afterAll(() => volume?.destroy());

  test.each([1, 2])('data that was written or stored without a sync is found, seed %i', async (seed) => {
    const output = await volume.python(PAGE_CACHE.replace('SEED', String(seed)));
    expect(output).toMatch(/^\d+ \d+\n$/);
  });

  test.skipIf(isMissing('rsync'))('cp, tar and rsync keep holes, and the bytes between them', async () => {
    await volume.shell(`
      python3 - <<'PROGRAM'
import os
with open('sparse', 'wb') as file:
    for at in (0, 3 << 20, (40 << 20) + 5, (90 << 20) - 100):
        file.seek(at)
        file.write(os.urandom(200000))
    file.truncate(100 << 20)
PROGRAM
      cp --sparse=auto sparse by-cp
      cp --reflink=never --sparse=always sparse by-cp-always
      tar -c --sparse sparse | (mkdir by-tar && tar -x -C by-tar)
      rsync -S sparse by-rsync
      for copy in by-cp by-cp-always by-tar/sparse by-rsync; do
        cmp sparse $copy
        sync $copy
        test $(stat -c %b $copy) -lt 4096 || { echo "$copy: $(stat -c %b $copy) sectors"; exit 1; }
      done
      rm -r sparse by-*`);
  });

  test('fallocate(1) and its relatives do what they say', async () => {
    await volume.shell(`
      fallocate -l 8M file && test $(stat -c %s-%b file) = 8388608-16384
      head -c 8M /dev/urandom > file && cp file whole
      fallocate -p -o 1M -l 2M file && sync file && test $(stat -c %b file) = 12288
      fallocate -z -o 4M -l 1M file && cmp -n 1048576 -i 4194304:0 file /dev/zero
      cmp -n 1048576 file whole && cmp -n 3145728 -i 5242880:5242880 file whole
      head -c 3M /dev/zero > zeros && fallocate -d zeros && test $(stat -c %b zeros) = 0
      fallocate -n -o 8M -l 4M file && test $(stat -c %s file) = 8388608
      rm file whole zeros`);
  });

  test('the volume is sound', () => volume.unmountAndCheck());
});

describeQuarry('a volume mounted with -o sync', () => {
  let volume: Volume;

  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    await volume.mount('-o', 'sync');
  });
  afterAll(() => volume?.destroy());

  test('data stored through a mapping is found there too', async () => {
    await volume.python(PAGE_CACHE.replace('SEED', '4'));
    await volume.shell(
      'cp cached copy && cmp cached copy && fallocate -p -l 1M copy && cmp -n 1048576 copy /dev/zero',
    );
  });

  test('the volume is sound', () => volume.unmountAndCheck());
});
