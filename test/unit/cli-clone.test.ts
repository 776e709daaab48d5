/** `quarry clone` on image files and streams: what is copied, what is refused, and what stays then. */
import {
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeCopy } from '../../src/cli/clone-copy.ts';
import { readRuns } from '../../src/cli/clone-source.ts';
import { ChunkHead, StreamHead } from '../../src/cli/clone-stream.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { backupPlaces } from '../../src/fs/format/backup-places.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import type { DeviceRequest } from '../../src/sim/request-queue.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const SIZE_BYTES = 16 * 1024 * 1024;
const BLOCK_BYTES = 4096;
let folder = '';
let clean = '';
let crashed = '';
const content = Buffer.alloc(700_000, 'what is in use ');

interface Ran {
  status: number;
  bytes: Buffer;
  out: string;
  err: string;
}

async function quarry(words: readonly string[], input?: Uint8Array | Readable): Promise<Ran> {
  const chunks: Uint8Array[] = [];
  const ran = { status: 0, bytes: Buffer.alloc(0), out: '', err: '' };
  async function* pieces(bytes: Uint8Array) {
    for (let at = 0; at < bytes.length; at += 70_001) yield bytes.subarray(at, at + 70_001);
  }
  ran.status = await runCommandLine(words, {
    out: (text) => {
      ran.out += text;
    },
    err: (text) => {
      ran.err += text;
    },
    bytes: async (chunk) => {
      chunks.push(chunk.slice());
      return true;
    },
    interactive: false,
    ...(input && { input: input instanceof Readable ? input : pieces(input) }),
  });
  ran.bytes = Buffer.concat(chunks);
  return ran;
}

const place = (name: string) => join(folder, name);

async function expectSame(copy: string): Promise<void> {
  expect(await quarry(['fsck', '-n', copy])).toMatchObject({ status: 0 });
  const { bytes } = await quarry(['cat', `${copy}:/folder/file`]);
  expect(bytes.equals(content)).toBe(true);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-clone-'));
  const device = new MemoryDevice(SIZE_BYTES);
  // What is not in use is not to be found in a copy.
  device.poke(0, new Uint8Array(SIZE_BYTES).fill(0xa5));
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device);
  await volume.mkdir('/folder');
  await volume.write(await volume.create('/folder/file'), 0, content);
  await volume.volume.sync();
  crashed = place('crashed.img');
  writeFileSync(crashed, device.peek(0, SIZE_BYTES));
  await volume.volume.unmount();
  clean = place('clean.img');
  writeFileSync(clean, device.peek(0, SIZE_BYTES));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a copy', () => {
  test.each([
    ['clean', () => clean],
    ['that was not unmounted', () => crashed],
  ])('of a volume %s is the same, and holds no more than is in use', async (_, original) => {
    const copy = place('copy.img');
    const { status, err } = await quarry(['clone', '--check', original(), copy]);
    expect([status, err]).toEqual([
      0,
      expect.stringMatching(/^quarry: .* of 16 MiB copied and read again\n$/),
    ]);
    const { blocks, size } = statSync(copy);
    expect(size).toBe(SIZE_BYTES);
    expect(512 * blocks).toBeLessThan(4 * 1024 * 1024);
    expect(
      readFileSync(copy)
        .subarray(-BLOCK_BYTES)
        .every((byte) => byte === 0),
    ).toBe(true);
    await expectSame(copy);
    expect(await quarry(['clone', original(), copy])).toMatchObject({
      status: 1,
      err: expect.stringMatching(/holds a Quarry volume: use --force/),
    });
    rmSync(copy);
  });

  test('by way of a stream, and over something else', async () => {
    const stream = await quarry(['clone', clean, '-']);
    expect(stream).toMatchObject({ status: 0, out: '' });
    expect(stream.bytes.length).toBeLessThan(4 * 1024 * 1024);
    const copy = place('restored.img');
    writeFileSync(copy, new Uint8Array(2 * SIZE_BYTES).fill(0x5a));
    const words = ['clone', '--restore', '--check', '-', copy];
    expect(await quarry(words, stream.bytes)).toMatchObject({
      status: 1,
      err: expect.stringMatching(/--force/),
    });
    expect(readFileSync(copy).every((byte) => byte === 0x5a)).toBe(true);
    expect(await quarry([...words, '--force'], stream.bytes)).toMatchObject({ status: 0 });
    expect(statSync(copy).size).toBe(SIZE_BYTES);
    await expectSame(copy);
    const file = place('stream');
    writeFileSync(file, stream.bytes);
    expect(await quarry(['clone', '--restore', '--force', file, copy])).toMatchObject({ status: 0 });
    await expectSame(copy);
    // Nor is a stream written over by the next one, or by what it holds itself.
    for (const again of [
      ['clone', clean, file],
      ['clone', '--restore', '--force', file, file],
    ]) {
      expect(await quarry(again)).toMatchObject({ status: 1, err: expect.stringMatching(/stream/) });
      expect(readFileSync(file).equals(stream.bytes)).toBe(true);
    }
    rmSync(copy);
  });

  test('is not made of standard input onto the file that it comes from', async () => {
    const { bytes } = await quarry(['clone', clean, '-']);
    const file = place('itself');
    writeFileSync(file, bytes);
    const input = createReadStream('', { fd: openSync(file, 'r') });
    expect(await quarry(['clone', '--restore', '--force', '-', file], input)).toMatchObject({
      status: 1,
      err: `quarry: ${file} is the stream itself\n`,
    });
    input.destroy();
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });

  test('shows another id if it is to, on its backups too', async () => {
    const copy = place('other.img');
    const id = '01234567-89ab-4def-8123-456789abcdef';
    expect(await quarry(['clone', '-U', id, clean, copy])).toMatchObject({ status: 0 });
    expect((await quarry(['info', copy])).out).toContain(id);
    expect((await quarry(['info', clean])).out).not.toContain(id);
    const { out } = await quarry(['dump', copy, 'superblock']);
    expect(out.match(new RegExp(`shownUuid +${id}`, 'g'))).toHaveLength(2);
    expect(out.match(/: sound$/gm)).toHaveLength(2);
    await expectSame(copy);
    rmSync(copy);
  });
});

describe('what is wrong', () => {
  const restored = () => place('damaged.img');

  test('a stream that is cut off or damaged anywhere makes no volume, and no file', async () => {
    const { bytes } = await quarry(['clone', clean, '-']);
    const first = StreamHead.sizeBytes;
    const cuts = [0, 5, first, first + 3, first + ChunkHead.sizeBytes + 17, bytes.length - 1];
    for (const cut of cuts) {
      const { status, err } = await quarry(['clone', '--restore', '-', restored()], bytes.subarray(0, cut));
      expect([status, err, existsSync(restored())]).toEqual([
        1,
        expect.stringMatching(/^quarry: [^\n]+\n$/),
        false,
      ]);
    }
    const places = [0, 12, 16, 28, first, first + 4, first + 8, first + 30, bytes.length - 20];
    for (const at of places) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const { status, err } = await quarry(['clone', '--restore', '-', restored()], damaged);
      expect([at, status, err, existsSync(restored())]).toEqual([
        at,
        1,
        expect.stringMatching(/^quarry: [^\n]+\n$/),
        false,
      ]);
    }
    const more = Buffer.concat([bytes, Buffer.from('x')]);
    expect(await quarry(['clone', '--restore', '-', restored()], more)).toMatchObject({ status: 1 });
    expect(existsSync(restored())).toBe(false);
  });

  test('a volume that a cut off restore was to replace is one no more', async () => {
    const { bytes } = await quarry(['clone', clean, '-']);
    writeFileSync(restored(), readFileSync(clean));
    const cut = bytes.subarray(0, bytes.length - 1);
    expect(await quarry(['clone', '--restore', '-f', '-', restored()], cut)).toMatchObject({ status: 1 });
    expect((await quarry(['info', restored()])).status).toBe(1);
    // Nor does a repair find a backup of it, or of what was to replace it.
    expect(await quarry(['fsck', '-y', restored()])).toMatchObject({ status: 8 });
    rmSync(restored());
  });

  test('superblocks are there from the last flushes on: the backups, then the first', async () => {
    const [blockBytes, blockCount] = [1024, SIZE_BYTES / 1024];
    const original = new MemoryDevice(SIZE_BYTES);
    await formatted(original, blockBytes);
    original.poke(SIZE_BYTES - 4, Buffer.from('last'));
    const places = [0, ...new Set(backupPlaces(SIZE_BYTES).map(({ offsetBytes }) => offsetBytes))];
    const superblocks = (device: MemoryDevice) =>
      places.filter((at) => Buffer.from(device.peek(at, 8)).toString('latin1') === 'QUARRY\x01\0');
    const atFlushes: [string, number[]][] = [];
    class Copy extends MemoryDevice {
      protected override accept(request: DeviceRequest): void {
        const end = Buffer.from(this.peek(SIZE_BYTES - 4, 4)).toString();
        if (request.operation === 'flush') atFlushes.push([end, superblocks(this)]);
        super.accept(request);
      }
    }
    const copy = new Copy(SIZE_BYTES);
    const shape = { blockBytes, blockCount };
    const chunks = readRuns(original, [0, blockCount], blockBytes);
    await writeCopy(copy, shape, chunks, { stale: [], accept: () => {}, progress: () => {} });
    const [first, ...backups] = superblocks(original);
    expect([first, backups.length]).toEqual([0, 2]);
    const whole = atFlushes.filter(([end]) => end === 'last').map(([, found]) => found);
    expect(whole).toEqual([[], backups, [0, ...backups]]);
    const before = atFlushes.slice(0, -whole.length).flatMap(([, found]) => found);
    expect(before).toEqual([]);
    expect(Buffer.from(copy.peek(0, SIZE_BYTES)).equals(original.peek(0, SIZE_BYTES))).toBe(true);
  });

  test.each([
    [['clone', '-', 'x'], 2, /--restore/],
    [['clone', '--restore', 'x', '-'], 2, /makes a volume/],
    [['clone', '--check', 'x', '-'], 2, /checked when it is restored/],
    [['clone', '-U', 'nonsense', 'x', 'y'], 2, /nonsense/],
    [['clone', '/nowhere.img', '/nowhere/copy'], 1, /\/nowhere\.img/],
    [['clone', '--restore', '/nowhere.img', '/nowhere/copy'], 1, /\/nowhere\.img/],
    [['clone', '/dev/null', '/nowhere/copy'], 1, /\/dev\/null/],
  ] as const)('%j', async (words, status, fault) => {
    const ran = await quarry(words);
    expect(ran).toMatchObject({ status, out: '', err: expect.stringMatching(fault) });
    expect(ran.err).toMatch(/^quarry: [^\n]+\n$/);
  });

  test('a link that leads nowhere but to itself, to restore onto', async () => {
    const link = place('loop');
    symlinkSync('loop', link);
    const ran = await quarry(['clone', '--restore', clean, link]);
    expect(ran).toMatchObject({
      status: 1,
      err: expect.stringMatching(/^quarry: \/[^\n]*\/loop: [^\n]+\n$/),
    });
  });

  test('a place where nothing can be made', async () => {
    const ran = await quarry(['clone', clean, '/nowhere/copy']);
    expect(ran).toMatchObject({
      status: 1,
      err: expect.stringMatching(/^quarry: [^\n]*\/nowhere\/copy[^\n]*\n$/),
    });
  });
});
