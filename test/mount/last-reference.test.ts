/**
 * A daemon that is the one to close a file, on its way out of answering a request past the page
 * cache: it never waits for an answer of its own.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { describeQuarry, isMountPoint, KIB, MIB, quarry, shell, Volume } from './harness.ts';

const SOURCE = fileURLToPath(new URL('last-reference.c', import.meta.url));
const BLOCK_BYTES = 64 * KIB;
const LIMIT_MS = 20_000;

let volume: Volume;

/** Runs the program on a file of two blocks of zeros, with nothing of it dirty. */
async function lastReference(what: string, ...more: string[]): Promise<void> {
  const program = volume.scratch.file('last-reference');
  const file = `${volume.directory}/file`;
  await shell(`cc -O2 -Wall -o '${program}' '${SOURCE}'`);
  await shell(`head -c ${2 * BLOCK_BYTES} /dev/zero > '${file}'; sync '${file}'`);
  await shell([program, what, file, volume.daemon?.pid, ...more].join(' '), { limitMs: LIMIT_MS });
}

describeQuarry('the last reference to a file', () => {
  afterEach(() => volume?.destroy());

  test('of a mount that is detached: the volume ends in order', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    await lastReference('detached', volume.directory);
    expect(await volume.daemonEnd(LIMIT_MS)).toBe(0);
    expect(isMountPoint(volume.directory)).toBe(false);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  // A crowd makes the kernel hold back what the daemon waits for.
  test.each([
    ['pages', 'p'],
    ['times', 't'],
    ['crowd', 'p'],
  ])('%s: what is dirty is written, and the mount goes on', async (what, letter) => {
    volume = await Volume.make({ kind: 'image', sizeBytes: 64 * MIB });
    await lastReference(what);
    const count = `tr -cd ${letter} < '${volume.directory}/file' | wc -c`;
    expect(await shell(count, { limitMs: LIMIT_MS })).toBe(`${BLOCK_BYTES}\n`);
    await volume.remount();
    expect(await shell(count)).toBe(`${BLOCK_BYTES}\n`);
    await volume.unmountAndCheck();
  });
});
