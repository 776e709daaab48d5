/**
 * What a program may pass to `quarryfs/aio`: paths, memory and places of every kind that Node has,
 * and errors with a code for what makes no sense. And what block devices are, and discarding.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  AlignedBuffer,
  type AsyncFile,
  BufferPool,
  Buffers,
  getBlockDevice,
  type OpenFileOptions,
  openFile,
  type RequestOptions,
} from '../../src/aio/file/open-file.ts';
import {
  ENGINES,
  IS_ROOT,
  NO_LOOP_DEVICES,
  pattern,
  temporaryFile,
  temporaryFolder,
  undoAfterAll,
} from './aio-conformance-targets.ts';

undoAfterAll();

const CODES = /^ERR_(INVALID_ARG_TYPE|INVALID_ARG_VALUE|OUT_OF_RANGE)$/;

/** Refused as senseless, with a code, and words that name what is wrong. */
async function expectCode(call: () => unknown, code: string, says: RegExp): Promise<void> {
  let thrown: unknown;
  try {
    await call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown instanceof TypeError || thrown instanceof RangeError, `${thrown}`).toBe(true);
  expect(thrown).toMatchObject({ code, message: expect.stringMatching(says) });
  expect(code).toMatch(CODES);
}

const wrong = <T>(value: unknown): T => value as T;

describe('paths', () => {
  test('text, bytes and a URL lead to the same file', async () => {
    const path = join(temporaryFolder(), 'a # b');
    writeFileSync(path, 'here');
    for (const given of [path, Buffer.from(path), new TextEncoder().encode(path), pathToFileURL(path)]) {
      await using file = await openFile(given);
      const bytes = Buffer.alloc(10);
      expect(await file.readAt(bytes, 0)).toBe(4);
      expect(bytes.toString('utf8', 0, 4)).toBe('here');
      expect(file.path).toBe(path);
    }
  });

  test('a name that is no text', async () => {
    const path = Buffer.concat([Buffer.from(temporaryFolder()), Buffer.from([0x2f, 0xff, 0xfe])]);
    const file = await openFile(path, { flags: 'w+' });
    await file.writeAt(Buffer.from('odd'), 0);
    // Unaligned, so by a descriptor that is opened later.
    await file.writeAt(Buffer.from('der'), 3);
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('oddder');
  });

  test('what is none', async () => {
    const type = 'ERR_INVALID_ARG_TYPE';
    for (const given of [undefined, null, 7, {}, []])
      await expectCode(() => openFile(wrong(given)), type, /^path must be/);
    await expectCode(() => openFile('/tmp/a\0b'), 'ERR_INVALID_ARG_VALUE', /without null bytes/);
    await expect(openFile(new URL('https://example.org/a'))).rejects.toMatchObject({
      code: 'ERR_INVALID_URL_SCHEME',
    });
  });
});

describe.each(ENGINES)('%s', (engine) => {
  async function opened(content: Uint8Array | number): Promise<AsyncFile> {
    return openFile(temporaryFile(content), { engine, flags: 'r+' });
  }

  test('memory of every kind, aligned or not', async () => {
    const content = pattern(3 * 4096);
    await using file = await opened(content);
    const aligned = AlignedBuffer.allocate(4096);
    const views = [
      new DataView(new ArrayBuffer(4096)),
      new Float64Array(512),
      new Uint16Array(new ArrayBuffer(5000), 10, 2048),
      new BigInt64Array(new SharedArrayBuffer(4096)),
      new DataView(aligned.buffer, aligned.byteOffset, 4096),
    ];
    for (const view of views) {
      expect(await file.readAt(view, 4096)).toBe(4096);
      const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
      expect(bytes.equals(content.subarray(4096, 8192))).toBe(true);
    }
    const numbers = new Uint32Array([1, 2 ** 31, 3]);
    expect(await file.writeAt(numbers, 100)).toBe(12);
    expect(await file.writeAtv([new Uint8Array([9]), new DataView(numbers.buffer, 4, 4)], 200n)).toBe(5);
    const found = Buffer.alloc(205);
    await file.readAtv([new DataView(found.buffer, found.byteOffset, 205)], 0);
    expect([found.readUInt32LE(100), found.readUInt32LE(104), found[200], found.readUInt32LE(201)]).toEqual([
      1,
      2 ** 31,
      9,
      2 ** 31,
    ]);
  });

  test('places as bigints', async () => {
    await using file = await opened(pattern(8192));
    const bytes = AlignedBuffer.allocate(4096);
    expect(await file.readAt(bytes, 4096n)).toBe(4096);
    expect(bytes.equals(pattern(8192).subarray(4096))).toBe(true);
    expect(file.submitRead(bytes, 4096n).offset).toBe(4096);
    expect(await file.seek(4000n)).toBe(4000);
    expect(await file.seek(-10n, 1)).toBe(3990);
    await file.truncate(5000n);
    expect((await file.stat()).size).toBe(5000);
    const chunks: Buffer[] = [];
    for await (const chunk of file.chunks({ start: 100n, end: 200n })) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(pattern(8192).subarray(100, 200))).toBe(true);
    const range = 'ERR_OUT_OF_RANGE';
    await expectCode(() => file.readAt(bytes, -1n), range, /^offset/);
    await expectCode(() => file.readAt(bytes, 2n ** 53n), range, /^offset/);
    await expectCode(() => file.readAt(bytes, 2n ** 70n), range, /^offset/);
    await expectCode(() => file.truncate(-1n), range, /^lengthBytes/);
    await expectCode(() => file.readAt(bytes, wrong('0')), 'ERR_INVALID_ARG_TYPE', /^offset/);
  });

  test('a hole by discard, when what came before is done', async () => {
    const path = temporaryFile(pattern(65_536));
    await using file = await openFile(path, { engine, flags: 'r+' });
    const before = file.writeAt(AlignedBuffer.from(new Uint8Array(4096).fill(7)), 8192);
    await file.discard(4096n, 8192);
    expect(await before).toBe(4096);
    const found = AlignedBuffer.allocate(65_536);
    await file.readAt(found, 0);
    const expected = Buffer.from(pattern(65_536));
    expected.fill(0, 4096, 12_288);
    expect(found.equals(expected)).toBe(true);
    await file.sync();
    expect(readFileSync(path).equals(expected)).toBe(true);
    expect(statSync(path).size).toBe(65_536);
    await expectCode(() => file.discard(0, 0), 'ERR_OUT_OF_RANGE', /^lengthBytes/);
    await expectCode(() => file.discard(wrong('0'), 1), 'ERR_INVALID_ARG_TYPE', /^offset/);
    await using reader = await openFile(path, { engine });
    await expect(reader.discard(0, 4096)).rejects.toMatchObject({ code: 'EBADF', offset: 0, length: 4096 });
    expect(readFileSync(path).equals(expected)).toBe(true);
  });
});

describe('options', () => {
  test('that nobody knows are refused, and nothing is made', async () => {
    const path = join(temporaryFolder(), 'not-made');
    const value = 'ERR_INVALID_ARG_VALUE';
    const misspelt = wrong<OpenFileOptions>({ flags: 'w', enigne: 'aio' });
    await expectCode(() => openFile(path, misspelt), value, /no 'enigne'/);
    expect(existsSync(path)).toBe(false);
    await using file = await openFile(temporaryFile(4096), { flags: 'r+' });
    const late = wrong<RequestOptions>({ timeout: 5 });
    const bytes = AlignedBuffer.allocate(4096);
    await expectCode(() => file.readAt(bytes, 0, late), value, /no 'timeout'/);
    await expectCode(() => file.append(bytes, late), value, /no 'timeout'/);
    await expectCode(() => file.sync(late), value, /no 'timeout'/);
    await expectCode(() => file.lock('shared', late), value, /no 'timeout'/);
    await expectCode(() => file.chunks(wrong({ size: 1 })).next(), value, /no 'size'/);
    await expectCode(() => file.createReadStream(wrong({ size: 1 })), value, /no 'size'/);
    await expectCode(() => file.createWriteStream(wrong({ end: 1 })), value, /no 'end'/);
    await expectCode(() => new BufferPool(wrong({ size: 1 })), value, /no 'size'/);
    await expectCode(() => openFile(path, wrong(null)), 'ERR_INVALID_ARG_TYPE', /^options/);
    expect(file.statistics().submitted).toBe(0);
  });

  test('and arguments that make no sense have a code, each of them', async () => {
    const [type, value, range] = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'];
    await using file = await openFile(temporaryFile(4096), { flags: 'r+' });
    const { path } = file;
    await expectCode(() => openFile(path, wrong({ engine: 'steam' })), value, /^engine/);
    await expectCode(() => openFile(path, { flags: 'q' }), value, /^flags/);
    await expectCode(() => openFile(path, { queueDepth: 0 }), range, /^queueDepth/);
    await expectCode(() => openFile(path, { timeoutMs: -1 }), range, /^timeoutMs/);
    await expectCode(() => file.readAt(wrong('text'), 0), type, /^bytes/);
    await expectCode(() => file.readAt(wrong(new ArrayBuffer(8)), 0), type, /^bytes/);
    await expectCode(() => file.readAtv(wrong(Buffer.alloc(8)), 0), type, /^vector/);
    await expectCode(() => file.writeAtv([wrong(7)], 0), type, /a piece of vector/);
    await expectCode(() => file.submitAll([wrong({ operation: 'erase' })]), value, /^operation/);
    await expectCode(() => file.registerMemory(Buffer.alloc(8)), value, /AlignedBuffer/);
    await expectCode(() => file.lock(wrong('firm')), value, /^kind/);
    await expectCode(() => file.chunks({ chunkBytes: 100_001 }).next(), range, /^chunkBytes/);
    await expectCode(() => AlignedBuffer.allocate(0), range, /^lengthBytes/);
    await expectCode(() => Buffers.of(wrong('text')), type, /^piece/);
    await expectCode(() => Buffers.of(Buffer.alloc(2)).consume(3), range, /consume/);
    await expectCode(() => new BufferPool({ count: 0 }), range, /^count/);
    await expectCode(() => getBlockDevice(wrong(7)), type, /^path/);
  });
});

describe('getBlockDevice', () => {
  test('of anything else', async () => {
    for (const path of [temporaryFile(4096), '/', '/dev/null'])
      await expect(getBlockDevice(path)).rejects.toMatchObject({ code: 'ENOTBLK', path });
    await expect(getBlockDevice('/nothing')).rejects.toMatchObject({ code: 'ENOENT', path: '/nothing' });
  });

  test.skipIf(NO_LOOP_DEVICES)('of a loop device, which discards as well', async () => {
    expect(IS_ROOT).toBe(true);
    const path = temporaryFile(pattern(1024 * 1024));
    const shown = ['--find', '--show', '--sector-size', '4096', path];
    const device = execFileSync('losetup', shown, { encoding: 'utf8' }).trim();
    try {
      const found = await getBlockDevice(pathToFileURL(device));
      expect(found).toMatchObject({
        path: device,
        name: device.slice('/dev/'.length),
        sizeBytes: 1024 * 1024,
        logicalSectorBytes: 4096,
        isReadOnly: false,
        isRemovable: false,
        partitionOf: undefined,
        model: undefined,
      });
      expect(found.discardBytes).toBeGreaterThan(0);
      await using file = await openFile(device, { flags: 'r+' });
      await file.discard(8192, 4096);
      const bytes = AlignedBuffer.allocate(12_288);
      await file.readAt(bytes, 4096);
      expect(bytes.subarray(0, 4096).equals(pattern(12_288).subarray(4096, 8192))).toBe(true);
      expect(bytes.subarray(4096, 8192).every((byte) => byte === 0)).toBe(true);
      await expect(file.discard(100, 4096)).rejects.toMatchObject({ code: 'EINVAL', syscall: 'discard' });
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  });
});
