/**
 * Mistakes that engines of this kind have made, each with a test on the real kernel that names it.
 *
 * Where a mistake needs a kernel that misbehaves, its test is in aio-file-faults.test.ts; where it
 * needs a device that is slow, in aio-conformance-slow.test.ts; and a wait that spins shows in
 * aio-lifecycle.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { AsyncFile, OpenFileOptions } from '../../src/aio/file/async-file.ts';
import { openFile } from '../../src/aio/file/open-file.ts';
import { expectRefused } from './aio-conformance-refusals.ts';
import {
  ENGINES,
  IS_ROOT,
  pattern,
  temporaryFile,
  temporaryFolder,
  undoAfterAll,
} from './aio-conformance-targets.ts';

const PROGRAM = fileURLToPath(new URL('aio-conformance-traced.mjs', import.meta.url));

undoAfterAll();

const opened: AsyncFile[] = [];
afterEach(async () => {
  for (const file of opened.splice(0)) await file.close();
});

async function open(path: string, options: OpenFileOptions): Promise<AsyncFile> {
  const file = await openFile(path, { flags: 'r+', ...options });
  opened.push(file);
  return file;
}

describe.each(ENGINES)('%s', (engine) => {
  test('64-bit offsets squeezed through 32 bits, or through the 53 of a number', async () => {
    const file = await open(temporaryFile(4096, '/dev/shm'), { engine });
    for (const offset of [2 ** 32, 2 ** 32 + 8192, 2 ** 48, 2 ** 53 - 65_536]) {
      const bytes = AlignedBuffer.from(pattern(4096, offset % 13));
      const request = file.submitWrite(bytes, offset);
      expect(request.offset).toBe(offset);
      expect(await request.wait()).toBe(4096);
      const next = await file.append(pattern(100, 1));
      expect(next.offset).toBe(offset + 4096);
      expect((await file.stat()).size).toBe(offset + 4196);
      const back = AlignedBuffer.allocate(8192);
      expect(await file.readAt(back, offset)).toBe(4196);
      expect(back.subarray(0, 4096).equals(bytes)).toBe(true);
      expect(await file.seek(0, 2)).toBe(offset + 4196);
    }
    const low = Buffer.alloc(4096, 1);
    expect(await file.readAt(low, 0)).toBe(4096);
    expect(low.equals(Buffer.alloc(4096)), 'nothing landed at the low bits').toBe(true);
  });

  test('a vector that is written although it should be read, and the other way round', async () => {
    const content = pattern(65_536);
    const path = temporaryFile(content);
    const file = await open(path, { engine });
    const pieces = [1, 2, 3].map((salt) => AlignedBuffer.from(pattern(4096, salt)));
    const before = Buffer.concat(pieces);
    await file.writeAtv(pieces, 8192);
    expect(Buffer.concat(pieces).equals(before), 'a write leaves its memory alone').toBe(true);
    before.copy(content, 8192);
    expect(readFileSync(path).equals(content)).toBe(true);
    await file.readAtv(pieces, 32_768);
    expect(Buffer.concat(pieces).equals(content.subarray(32_768, 45_056))).toBe(true);
    expect(readFileSync(path).equals(content), 'a read leaves the file alone').toBe(true);
  });

  test('a completion that is lost because it comes before its request is known', async () => {
    // On tmpfs the kernel is done before io_submit and io_uring_enter return.
    const file = await open(temporaryFile(pattern(65_536), '/dev/shm'), { engine, queueDepth: 64 });
    const memory = AlignedBuffer.allocate(4096);
    for (let round = 0; round < 20; round++) {
      const reads = Array.from({ length: 100 }, (_, at) => file.readAt(memory, (at % 16) * 4096));
      expect((await Promise.all(reads)).every((count) => count === 4096)).toBe(true);
    }
    expect(file.statistics()).toMatchObject({ submitted: 2000, completed: 2000 });
  });

  test.skipIf(!IS_ROOT && !process.env.CI)(
    'a transfer that is cut short for want of space, told as whole',
    async () => {
      const folder = temporaryFolder();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'quarry-test', folder]);
      try {
        const path = join(folder, 'data');
        const file = await open(path, { engine, flags: 'w+' });
        const bytes = AlignedBuffer.from(pattern(40_960));
        expect(await file.writeAt(bytes, 0)).toBe(40_960);
        const error = await expectRefused(file.writeAt(bytes, 40_960), 'ENOSPC');
        expect(error).toMatchObject({ path, offset: 40_960, length: 40_960 });
        const moved = error.transferredBytes;
        expect(moved).toBeLessThanOrEqual(65_536 - 40_960);
        const stored = readFileSync(path);
        expect(stored.subarray(0, 40_960).equals(bytes)).toBe(true);
        expect(stored.subarray(40_960, 40_960 + moved).equals(bytes.subarray(0, moved))).toBe(true);
        await file.truncate(0);
        expect(await file.writeAt(bytes, 0), 'there is room again').toBe(40_960);
        await file.close();
      } finally {
        execFileSync('umount', ['--lazy', folder]);
      }
    },
  );

  test('an error that is a text without a code', async () => {
    const file = await open(temporaryFile(10), { engine, flags: 'r' });
    const error = await expectRefused(file.writeAt(AlignedBuffer.allocate(4096), 4096), 'EBADF');
    expect(error).toMatchObject({
      errno: -9,
      syscall: 'write',
      offset: 4096,
      length: 4096,
      transferredBytes: 0,
    });
    expect(error.message).toMatch(/^EBADF: .*, write '.*' \(4096 bytes at 4096\)$/);
  });
});

const CANNOT_TRACE = !existsSync('/usr/bin/strace') || !IS_ROOT;

/** Lines of one system call in what strace saw of the child program. */
function traced(engine: string, systemCall: string, path: string): string[] {
  const out = join(temporaryFolder(), 'trace');
  const filter = `trace=${systemCall}`;
  execFileSync('strace', [
    '-f',
    '-v',
    '-s',
    '0',
    '-e',
    filter,
    '-o',
    out,
    process.execPath,
    PROGRAM,
    engine,
    path,
  ]);
  return readFileSync(out, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${systemCall}(`));
}

describe.skipIf(CANNOT_TRACE && !process.env.CI)('seen by strace', () => {
  test('opcodes of kernel AIO counted from an enum with a hole in it', () => {
    const lines = traced('aio', 'io_submit', temporaryFile(pattern(65_536), '/var/tmp'));
    const opcodes = lines.flatMap((line) => line.match(/IOCB_CMD_\w+/g) ?? []);
    // One read, one write, a vector read of two pieces, a vector write of two pieces, and a sync.
    expect(opcodes.slice(0, 5)).toEqual([
      expect.stringMatching(/^IOCB_CMD_PREADV?$/),
      expect.stringMatching(/^IOCB_CMD_PWRITEV?$/),
      'IOCB_CMD_PREADV',
      'IOCB_CMD_PWRITEV',
      'IOCB_CMD_FDSYNC',
    ]);
  });

  test('a short read at the end of the file that is asked for again from an unaligned place', () => {
    const lines = traced('aio', 'io_submit', temporaryFile(pattern(65_000), '/var/tmp'));
    const offsets = lines.flatMap((line) =>
      [...line.matchAll(/aio_offset=(\d+)/g)].map(([, offset]) => Number(offset)),
    );
    expect(offsets.length).toBeGreaterThan(3);
    expect(offsets.filter((offset) => offset % 512 !== 0)).toEqual([]);
  });

  test('a system call for each of many requests', () => {
    const lines = traced('aio', 'io_submit', temporaryFile(pattern(65_536), '/var/tmp'));
    const counts = lines.map((line) => Number(/io_submit\(0x[0-9a-f]+, (\d+),/.exec(line)?.[1]));
    expect(counts).toEqual([1, 1, 1, 1, 1, 32]);
  });
});
