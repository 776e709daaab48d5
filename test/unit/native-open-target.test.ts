/**
 * What is no target is not even opened: to open a FIFO lets a writer through, and some devices
 * begin to act.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { holdStorage, requireFreeStorage } from '../../src/cli/storage-hold.ts';
import { native } from '../../src/native.ts';

const directory = mkdtempSync(join(tmpdir(), 'quarry-open-target-'));
const fifo = join(directory, 'fifo');
afterAll(() => rmSync(directory, { recursive: true }));

/** Waits until the shell waits, which it does in open(2). */
async function waitsInOpen({ pid }: ChildProcess): Promise<void> {
  const end = Date.now() + 10_000;
  for (let seen = 0; seen < 10; ) {
    seen = / S /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')) ? seen + 1 : 0;
    if (Date.now() > end) throw new Error('the writer does not wait');
    await sleep(10);
  }
}

test.each([true, false])('a FIFO, also by a link; to be read only: %s', async (readOnly) => {
  rmSync(fifo, { force: true });
  execFileSync('mkfifo', [fifo]);
  const link = join(directory, `link-${readOnly}`);
  symlinkSync(fifo, link);
  const writer = spawn('sh', ['-c', `exec 3> '${fifo}'`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => writer.once('exit', resolve));
  try {
    await waitsInOpen(writer);
    for (const path of [fifo, link]) {
      expect(() => native.openDevice(path, { readOnly, exclusive: false, direct: false })).toThrow(
        expect.objectContaining({ code: 'ENOTBLK', path, syscall: 'open' }),
      );
      // It was a file when it was looked at.
      const target = { path, isBlockDevice: false, sizeBytes: 4096, id: 'file 0:1 1' };
      requireFreeStorage(target);
      holdStorage(target, readOnly ? 'shared' : 'exclusive').release();
    }
    await sleep(100);
    expect(writer.exitCode).toBe(null);
    closeSync(openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK));
    expect(await ended).toBe(0);
  } finally {
    writer.kill('SIGKILL');
  }
});

test('a file by a link, and one that may not be opened', () => {
  const file = join(directory, 'file');
  writeFileSync(file, 'twelve bytes');
  symlinkSync(file, join(directory, 'link'));
  const { descriptor, sizeBytes } = native.openDevice(join(directory, 'link'), {
    exclusive: true,
    direct: false,
  });
  expect(sizeBytes).toBe(12);
  expect(() => native.openDevice(file, { exclusive: true, direct: false })).toThrow(
    expect.objectContaining({ code: 'EBUSY' }),
  );
  native.closeDevice(descriptor);
});
