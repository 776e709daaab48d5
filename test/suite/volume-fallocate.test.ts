/**
 * fallocate, seeking and copying on a volume: space behind the end, holes, zeros, against a naive
 * model of a file; and what was preallocated finds room, however full the volume is.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { FsError } from '../../src/fs/base/errors.ts';
import type { FallocateAction } from '../../src/fs/base/filesystem.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;

function fallocate(
  { volume }: TestVolume,
  inode: number,
  action: FallocateAction,
  [offsetBytes, lengthBytes]: readonly [number, number],
  keepSize = true,
): Promise<void> {
  const times = { updateTimes: true, killPrivileges: false };
  return volume.fallocate({ inode, action, offsetBytes, lengthBytes, keepSize, ...times });
}

async function soundAfterwards({ volume, device }: TestVolume): Promise<void> {
  await volume.checkInvariants();
  await volume.unmount();
  expect((await checkVolume((device as MemoryDevice).reopen())).problems).toEqual([]);
}

/** As `toEqual`, which takes a hundred times as long. */
function expectBytes(seen: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(seen, expected)).toBe(0);
}

/** Whole blocks of the file, as they are: data, unwritten, or a hole. */
function shapeOf({ volume }: TestVolume, inode: number, blocks: number): Promise<string> {
  const shape = new Array<string>(blocks).fill('.');
  return volume.run((tx) => {
    volume.visitExtents(tx, inode, (fileBlock, _block, length, unwritten) =>
      shape.fill(unwritten ? 'u' : 'd', fileBlock, fileBlock + length),
    );
    return shape.join('');
  });
}

describe('one file of ten blocks', () => {
  const BLOCK = 4096;

  async function made(): Promise<{ volume: TestVolume; inode: number }> {
    const volume = await TestVolume.make(4 * MIB, BLOCK);
    const inode = await volume.create('/f');
    await volume.write(inode, 0, new Uint8Array(10 * BLOCK).fill(7));
    return { volume, inode };
  }

  test.each([
    ['punch', 3 * BLOCK, 2 * BLOCK, 'ddd..ddddd'],
    ['punch', 3 * BLOCK - 1, 2 * BLOCK + 2, 'ddd..ddddd'],
    ['punch', 3 * BLOCK + 1, 2 * BLOCK, 'dddd.ddddd'],
    ['punch', 3 * BLOCK + 1, 8, 'dddddddddd'],
    ['punch', 0, 100 * BLOCK, '..........'],
    ['zero', 3 * BLOCK - 1, 2 * BLOCK + 2, 'ddduuddddd'],
    ['zero', 9 * BLOCK, 5, 'dddddddddd'],
    ['zero', 0, 10 * BLOCK, 'uuuuuuuuuu'],
  ] as const)('%s from %i, %i bytes: %s', async (action, offset, length, shape) => {
    const { volume, inode } = await made();
    await fallocate(volume, inode, action, [offset, length]);
    const expected = new Uint8Array(10 * BLOCK).fill(7).fill(0, offset, offset + length);
    expectBytes(await volume.read(inode, 0, 20 * BLOCK), expected);
    expect(await shapeOf(volume, inode, 10)).toBe(shape);
    await soundAfterwards(volume);
  });

  test('what is kept behind the end is not seen, is used by a write, and goes with a truncation', async () => {
    const { volume, inode } = await made();
    await fallocate(volume, inode, 'allocate', [8 * BLOCK, 8 * BLOCK]);
    expect(await volume.stat('/f')).toMatchObject({ sizeBytes: 10 * BLOCK, sectors: 16 * 8 });
    await volume.write(inode, 12 * BLOCK + 10, new Uint8Array(20).fill(9));
    expect(await shapeOf(volume, inode, 16)).toBe('dddddddddduud...');
    expect((await volume.read(inode, 10 * BLOCK, 9 * BLOCK)).indexOf(9)).toBe(2 * BLOCK + 10);
    expect((await volume.stat('/f')).sectors).toBe(16 * 8);
    await volume.truncate('/f', 12 * BLOCK + 30);
    expect((await volume.stat('/f')).sectors).toBe(13 * 8);
    await soundAfterwards(volume);
  });

  test('a range that zeros make longer than the file moves its end', async () => {
    const { volume, inode } = await made();
    await fallocate(volume, inode, 'zero', [9 * BLOCK + 100, 3 * BLOCK], false);
    expect(await volume.stat('/f')).toMatchObject({ sizeBytes: 12 * BLOCK + 100, sectors: 13 * 8 });
    const expected = new Uint8Array(12 * BLOCK + 100).fill(7, 0, 9 * BLOCK + 100);
    expectBytes(await volume.read(inode, 0, 20 * BLOCK), expected);
    await soundAfterwards(volume);
  });

  test('who has no privileges loses set-user-id, and times move as they are asked to', async () => {
    const { volume, inode } = await made();
    await volume.change('/f', { mode: 0o6755, modifySeconds: 5, modifyNanoseconds: 0 });
    const range = { inode, offsetBytes: 0, lengthBytes: 10, keepSize: true } as const;
    await volume.volume.fallocate({ ...range, action: 'punch', updateTimes: false, killPrivileges: true });
    expect(await volume.stat('/f')).toMatchObject({ mode: 0o100755, modifySeconds: 5 });
    await volume.volume.fallocate({ ...range, action: 'zero', updateTimes: true, killPrivileges: false });
    expect((await volume.stat('/f')).modifySeconds).toBeGreaterThan(5);
    await soundAfterwards(volume);
  });

  test('who asks is looked up only for a file with such bits', async () => {
    const { volume, inode } = await made();
    let looks = 0;
    const request = (action: 'allocate' | 'punch') => ({
      ...{ inode, action, offsetBytes: 0, lengthBytes: 10, keepSize: true, updateTimes: false },
      get killPrivileges() {
        looks++;
        return true;
      },
    });
    for (const mode of [0o644, 0o2644, 0o755, 0o2755, 0o4644]) {
      await volume.change('/f', { mode });
      const before = looks;
      await volume.volume.fallocate(request('allocate'));
      await volume.volume.fallocate(request('punch'));
      expect([mode, looks - before]).toEqual([mode, mode > 0o2700 ? 1 : 0]);
      const left = mode > 0o2700 ? mode & 0o777 : mode;
      expect((await volume.stat('/f')).mode).toBe(0o100000 | left);
    }
    await soundAfterwards(volume);
  });

  test('what the inode holds itself', async () => {
    const { volume } = await made();
    const inode = await volume.create('/small');
    await volume.write(inode, 0, new Uint8Array(100).fill(3));
    await fallocate(volume, inode, 'punch', [20, 30]);
    await fallocate(volume, inode, 'allocate', [0, 300]);
    expect(await volume.stat('/small')).toMatchObject({ sizeBytes: 100, sectors: 0 });
    await fallocate(volume, inode, 'allocate', [0, 3 * BLOCK]);
    expect(await volume.stat('/small')).toMatchObject({ sizeBytes: 100, sectors: 24 });
    expectBytes(await volume.read(inode, 0, 999), new Uint8Array(100).fill(3).fill(0, 20, 50));
    await volume.truncate('/small', 0);
    await fallocate(volume, inode, 'allocate', [0, 3 * BLOCK]);
    expect(await volume.stat('/small')).toMatchObject({ sizeBytes: 0, sectors: 24 });
    await volume.truncate('/small', 0);
    expect((await volume.stat('/small')).sectors).toBe(0);
    await soundAfterwards(volume);
  });

  test('more than there is: refused, and nothing is taken', async () => {
    const { volume, inode } = await made();
    const before = await volume.statistics();
    await expect(fallocate(volume, inode, 'allocate', [0, 5 * MIB])).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    await expect(fallocate(volume, inode, 'zero', [0, 2 ** 53])).rejects.toMatchObject({ code: 'EFBIG' });
    await expect(fallocate(volume, inode, 'zero', [0, 5 * MIB])).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(fallocate(volume, inode, 'punch', [0, 0])).rejects.toMatchObject({ code: 'EINVAL' });
    expect(await volume.statistics()).toEqual(before);
    expectBytes(await volume.read(inode, 0, 99 * BLOCK), new Uint8Array(10 * BLOCK).fill(7));
    await soundAfterwards(volume);
  });
});

/** Bytes, and nothing else. */
class FileModel {
  bytes = new Uint8Array(0);

  /** Does nothing with a value of 0 behind the end, unless it `extends`. */
  fill(offset: number, length: number, value: number, extends_: boolean): void {
    const end = offset + length;
    if (extends_ && end > this.bytes.length) this.resize(end);
    this.bytes.fill(value, offset, end);
  }

  set(offset: number, data: Uint8Array): void {
    if (data.length === 0) return;
    if (offset + data.length > this.bytes.length) this.resize(offset + data.length);
    this.bytes.set(data, offset);
  }

  resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }
}

/** Nothing but zeros outside of the stretches. */
function expectZeros(bytes: Uint8Array, stretches: readonly [number, number][], what: string): void {
  const left = bytes.slice();
  for (const [from, to] of stretches) left.fill(0, from, to);
  expect(
    left.findIndex((byte) => byte !== 0),
    what,
  ).toBe(-1);
}

async function copyWhole(volume: TestVolume, from: number, to: number, range: number[]): Promise<void> {
  const [fromBytes = 0, toBytes = 0, lengthBytes = 0] = range;
  for (let done = 0; done < lengthBytes; ) {
    const count = await copy(volume, from, to, [fromBytes + done, toBytes + done, lengthBytes - done]);
    if (count === 0) return;
    done += count;
  }
}

describe.each([1024, 4096, 65_536])('random operations, blocks of %i', (blockBytes) => {
  test.each([1, 2])('seed %i', async (seed) => {
    const random = new SeededRandom(seed * blockBytes);
    const volume = await TestVolume.make(Math.max(4 * MIB, 160 * blockBytes), blockBytes);
    const files = [];
    for (const path of ['/a', '/b'])
      files.push({ path, inode: await volume.create(path), model: new FileModel() });
    for (let step = 0; step < (blockBytes > 4096 ? 30 : 120); step++) {
      const { path, inode, model } = random.pick(files);
      const unit = random.pick([1, 512, blockBytes]);
      const offset = random.below(Math.ceil((16 * blockBytes) / unit)) * unit;
      const length = (1 + random.below(random.pick([300, 3 * blockBytes, 12 * blockBytes]) / unit)) * unit;
      volume.early = random.chance(0.5);
      const value = 1 + random.below(255);
      const action = random.pick([
        'write',
        'write',
        'truncate',
        'allocate',
        'punch',
        'zero',
        'copy',
      ] as const);
      const other = random.pick(files);
      const place = random.below(8 * blockBytes);
      const keepSize = random.chance(0.5);
      try {
        if (action === 'write') await volume.write(inode, offset, new Uint8Array(length).fill(value));
        else if (action === 'truncate') await volume.truncate(path, offset);
        else if (action === 'copy') {
          if (other.inode !== inode) await copyWhole(volume, other.inode, inode, [place, offset, length]);
        } else await fallocate(volume, inode, action, [offset, length], keepSize);
      } catch (thrown) {
        if (!(thrown instanceof FsError && thrown.code === 'ENOSPC')) throw thrown;
        if (action === 'punch') throw thrown;
        // It may be done in part, as a zero is.
        await volume.truncate(path, 0);
        model.resize(0);
        continue;
      }
      if (action === 'write') model.fill(offset, length, value, true);
      else if (action === 'truncate') model.resize(offset);
      else if (action === 'allocate') {
        if (!keepSize) model.resize(Math.max(model.bytes.length, offset + length));
      } else if (action === 'copy') {
        if (other.inode !== inode) model.set(offset, other.model.bytes.slice(place, place + length));
      } else model.fill(offset, length, 0, action === 'zero' && !keepSize);
      const what = `${step}: ${action} ${offset} ${length}`;
      const read = await volume.read(inode, 0, model.bytes.length + 1);
      expect(Buffer.compare(read, model.bytes), what).toBe(0);
      expectZeros(model.bytes, await stretchesOf(volume, inode), what);
    }
    await volume.volume.checkInvariants();
    await soundAfterwards(volume);
  });
});

/** All stretches of data. */
async function stretchesOf({ volume }: TestVolume, inode: number): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for (let at = 0; ; ) {
    const { offsetBytes } = await volume.seek(inode, at, 'data');
    if (offsetBytes < 0) return found;
    at = (await volume.seek(inode, offsetBytes, 'hole')).offsetBytes;
    found.push([offsetBytes, at]);
  }
}

function copy({ volume }: TestVolume, from: number, to: number, [fromBytes, toBytes, lengthBytes]: number[]) {
  return volume.copyRange({
    from,
    fromBytes: fromBytes ?? 0,
    to,
    toBytes: toBytes ?? 0,
    lengthBytes: lengthBytes ?? 0,
    updateTimes: true,
    killPrivileges: false,
  });
}

describe('seeking and copying', () => {
  const BLOCK = 4096;

  test('an answer says which hole it rests on', async () => {
    const volume = await TestVolume.make(4 * MIB, BLOCK);
    const inode = await volume.create('/f');
    await volume.write(inode, 4 * BLOCK, new Uint8Array(BLOCK).fill(1));
    await volume.truncate('/f', 9 * BLOCK);
    const END = Number.POSITIVE_INFINITY;
    const seek = (at: number, target: 'data' | 'hole') => volume.volume.seek(inode, at, target);
    expect(await seek(5, 'data')).toEqual({ offsetBytes: 4 * BLOCK, holeFrom: 5, holeEnd: 4 * BLOCK });
    expect(await seek(4 * BLOCK + 5, 'data')).toMatchObject({
      offsetBytes: 4 * BLOCK + 5,
      holeEnd: 4 * BLOCK + 5,
    });
    expect(await seek(5, 'hole')).toEqual({ offsetBytes: 5, holeFrom: 5, holeEnd: 4 * BLOCK });
    expect(await seek(4 * BLOCK, 'hole')).toEqual({
      offsetBytes: 5 * BLOCK,
      holeFrom: 5 * BLOCK,
      holeEnd: END,
    });
    expect(await seek(6 * BLOCK, 'data')).toEqual({ offsetBytes: -1, holeFrom: 6 * BLOCK, holeEnd: END });
    expect(await seek(9 * BLOCK, 'hole')).toEqual({ offsetBytes: -1, holeFrom: 9 * BLOCK, holeEnd: END });
    await soundAfterwards(volume);
  });

  test('what was answered early is data, though it is on its way', async () => {
    const volume = await TestVolume.make(4 * MIB, BLOCK);
    const inode = await volume.create('/f');
    volume.early = true;
    await volume.write(inode, 4 * BLOCK, new Uint8Array(BLOCK).fill(1));
    expect(await stretchesOf(volume, inode)).toEqual([[4 * BLOCK, 5 * BLOCK]]);
    await soundAfterwards(volume);
  });

  test('sparse stays sparse, beyond what one call copies, and others come in between', async () => {
    const volume = await TestVolume.make(64 * MIB, BLOCK);
    const source = await volume.create('/from');
    const target = await volume.create('/to');
    for (const at of [0, 5 * MIB + 100, 30 * MIB])
      await volume.write(source, at, new Uint8Array(MIB).fill(at / MIB + 1));
    await volume.truncate('/from', 2 ** 40);
    await volume.write(source, 2 ** 40 - 5, new Uint8Array(5).fill(9));
    await volume.write(target, 0, new Uint8Array(20 * MIB).fill(77));
    const first = copy(volume, source, target, [0, 0, 2 ** 41]);
    const during = volume.read(source, 0, 10);
    expect(await Promise.race([first.then(() => 'copy'), during.then(() => 'read')])).toBe('read');
    expect(await first).toBe(2 ** 40);
    expect(await stretchesOf(volume, target)).toEqual(await stretchesOf(volume, source));
    expect((await volume.statInode(target)).sectors).toBe((await volume.statInode(source)).sectors);
    for (const at of [0, 5 * MIB, 20 * MIB, 30 * MIB, 2 ** 40 - MIB]) {
      const [copied, original] = [
        await volume.read(target, at, 2 * MIB),
        await volume.read(source, at, 2 * MIB),
      ];
      expect(Buffer.compare(copied, original)).toBe(0);
    }
    await soundAfterwards(volume);
  });

  test('one call moves a bounded number of bytes of data', async () => {
    const volume = await TestVolume.make(64 * MIB, BLOCK);
    const source = await volume.create('/from');
    await volume.write(source, 0, new Uint8Array(20 * MIB).fill(5));
    const target = await volume.create('/to');
    expect(await copy(volume, source, target, [1, 0, 20 * MIB])).toBe(16 * MIB);
    expect(await copy(volume, source, target, [16 * MIB + 1, 16 * MIB, 20 * MIB])).toBe(4 * MIB - 1);
    expectBytes(await volume.read(target, 0, 21 * MIB), new Uint8Array(20 * MIB - 1).fill(5));
    expect(await copy(volume, source, target, [20 * MIB, 0, 1])).toBe(0);
    await soundAfterwards(volume);
  });

  test('copies that cross, more than have memory at once, all end', async () => {
    const volume = await TestVolume.make(32 * MIB, BLOCK);
    const files = [await volume.create('/a'), await volume.create('/b')] as const;
    for (const [i, file] of files.entries()) await volume.write(file, 0, new Uint8Array(3 * MIB).fill(i + 1));
    const copies = Array.from({ length: 12 }, (_, i) => {
      const [from, to] = i % 2 === 0 ? files : [files[1], files[0]];
      return copy(volume, from, i % 3 === 0 ? from : to, [0, 4 * MIB, 3 * MIB]);
    });
    expect(new Set(await Promise.all(copies))).toEqual(new Set([3 * MIB]));
    await soundAfterwards(volume);
  });

  test('where there is no room: what was copied, then ENOSPC', async () => {
    const volume = await TestVolume.make(8 * MIB, BLOCK);
    const source = await volume.create('/from');
    await volume.write(source, 0, new Uint8Array(5 * MIB).fill(5));
    const target = await volume.create('/to');
    const copied = await copy(volume, source, target, [0, 0, 5 * MIB]);
    expect(copied).toBe(2 * MIB);
    expect((await volume.statInode(target)).sizeBytes).toBe(copied);
    await expect(copy(volume, source, target, [copied, copied, MIB])).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    await soundAfterwards(volume);
  });
});

describe('ranges taken out and put in', () => {
  test.each([1, 2])('beside a model, seed %i', async (seed) => {
    const blockBytes = 1024;
    const random = new SeededRandom(seed);
    const volume = await TestVolume.make(8 * MIB, blockBytes);
    const inode = await volume.create('/f');
    const model = new FileModel();
    for (let step = 0; step < 80; step++) {
      const blocks = 400;
      const offset = random.below(blocks) * blockBytes;
      const length = (1 + random.below(30)) * blockBytes;
      const action = random.pick(['write', 'allocate', 'collapse', 'collapse', 'insert', 'insert'] as const);
      const size = model.bytes.length;
      if (action === 'write') {
        const [at, bytes] = [offset + random.below(900), random.below(3000) + 1];
        volume.early = random.chance(0.5);
        await volume.write(inode, at, new Uint8Array(bytes).fill(1 + (step % 255)));
        model.fill(at, bytes, 1 + (step % 255), true);
      } else if (action === 'allocate') await fallocate(volume, inode, action, [offset, length]);
      else if (action === 'collapse' ? offset + length >= size : offset >= size)
        await expect(fallocate(volume, inode, action, [offset, length])).rejects.toMatchObject({
          code: 'EINVAL',
        });
      else if (size + length < blocks * blockBytes) {
        await fallocate(volume, inode, action, [offset, length]);
        const rest = model.bytes.slice(action === 'collapse' ? offset + length : offset);
        const gap = new Uint8Array(action === 'collapse' ? 0 : length);
        model.bytes = Buffer.concat([model.bytes.slice(0, offset), gap, rest]);
      }
      const read = await volume.read(inode, 0, model.bytes.length + 1);
      expect(Buffer.compare(read, model.bytes), `${step}: ${action} ${offset} ${length}`).toBe(0);
    }
    await soundAfterwards(volume);
  });

  test('more extents than one transaction moves, and what the inode holds itself', async () => {
    const blockBytes = 1024;
    const device = new MemoryDevice(8 * MIB);
    await formatted(device, blockBytes, 64);
    const volume = await TestVolume.open(device);
    const inode = await volume.create('/f');
    for (let i = 0; i < 600; i++)
      await volume.write(inode, 2 * i * blockBytes, new Uint8Array(blockBytes).fill(1 + (i % 200)));
    const before = await volume.read(inode, 0, 2 * MIB);
    const states: MemoryDevice[] = [];
    const inserted = volume.volume.insertRange(inode, 100 * blockBytes, 77 * blockBytes);
    for (let isOver = false; !isOver; ) {
      await volume.volume.sync();
      states.push(device.clone());
      isOver = await Promise.race([
        inserted.then(() => true),
        new Promise<false>((no) => setImmediate(no, false)),
      ]);
    }
    // What is on the disk in the midst of it is whole.
    expect(states.length).toBeGreaterThan(3);
    for (const state of states.slice(0, 12)) await soundAfterwards(await TestVolume.open(state));
    expect((await volume.statInode(inode)).sizeBytes).toBe(before.length + 77 * blockBytes);
    await volume.volume.collapseRange(inode, 100 * blockBytes, 77 * blockBytes);
    expect(Buffer.compare(await volume.read(inode, 0, 2 * MIB), before)).toBe(0);
    const small = await volume.create('/small');
    await volume.write(small, 0, new Uint8Array(50).fill(5));
    await expect(volume.volume.collapseRange(small, 0, blockBytes)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(volume.volume.insertRange(small, 0, 100)).rejects.toMatchObject({ code: 'EINVAL' });
    await volume.volume.insertRange(small, 0, 2 * blockBytes);
    expectBytes(
      await volume.read(small, 0, 4 * blockBytes),
      new Uint8Array(2 * blockBytes + 50).fill(5, 2 * blockBytes),
    );
    await soundAfterwards(volume);
  });
});

describe('what was preallocated finds room on a full volume', () => {
  test.each([
    ['one after the other', false],
    ['many at once, answered early', true],
  ])('%s', async (_, together) => {
    const blockBytes = 1024;
    const volume = await TestVolume.make(2 * MIB, blockBytes);
    const inode = await volume.create('/f');
    const { freeBlocks } = await volume.statistics();
    const blocks = freeBlocks - 40;
    await volume.volume.preallocate(inode, 0, blocks * blockBytes);
    const other = await volume.create('/rest');
    for (let at = 0; ; at++) {
      const written = volume.write(other, at * blockBytes, new Uint8Array(blockBytes).fill(1));
      if (
        !(await written.then(
          () => true,
          () => false,
        ))
      )
        break;
    }
    expect((await volume.statistics()).freeBlocks).toBe(0);
    volume.early = together;
    // Every second block: as many extents as there can be, in an order that splits nodes everywhere.
    const wanted = Array.from({ length: Math.floor(blocks / 2) }, (_unused, i) => 2 * i);
    const random = new SeededRandom(5);
    for (let i = wanted.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [wanted[i], wanted[j]] = [wanted[j] as number, wanted[i] as number];
    }
    const write = (block: number) =>
      volume.write(inode, block * blockBytes, new Uint8Array(blockBytes).fill(8));
    if (together) await Promise.all(wanted.map(write));
    else for (const block of wanted) await write(block);
    await volume.volume.sync();
    const bytes = await volume.read(inode, 0, blocks * blockBytes);
    for (let i = 0; i < 2 * wanted.length; i++)
      expect(bytes[i * blockBytes], `block ${i}`).toBe(i % 2 === 0 ? 8 : 0);
    await soundAfterwards(volume);
  });

  test('also behind the end, where no data may be before the end is there', async () => {
    const blockBytes = 1024;
    const volume = await TestVolume.make(2 * MIB, blockBytes);
    const inode = await volume.create('/f');
    await volume.write(inode, 0, new Uint8Array(90).fill(3));
    const { freeBlocks } = await volume.statistics();
    await fallocate(volume, inode, 'allocate', [0, (freeBlocks - 1) * blockBytes]);
    await volume.write(inode, 90, new Uint8Array(2 * blockBytes).fill(4));
    await volume.volume.sync();
    const state = (volume.device as MemoryDevice).clone();
    await soundAfterwards(await TestVolume.open(state));
    for (let at = 3; at < 400; at += 1 + (at % 3))
      await volume.write(inode, at * blockBytes, new Uint8Array(700).fill(5));
    expect((await volume.statInode(inode)).sizeBytes).toBeGreaterThan(390 * blockBytes);
    await soundAfterwards(volume);
  });
});
