/**
 * A daemon that is the one to close a file, on its way out of answering a request past the page cache: it never waits for an answer of its
 * own.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, isMountPoint, KIB, MIB, quarry, shell, type TargetKind, Volume } from './harness.ts';

const SOURCE = fileURLToPath(new URL('last-reference.c', import.meta.url));
const BLOCK_BYTES = 64 * KIB;
const LIMIT_MS = 15_000;

let volume: Volume;

/** Runs the program on a file of two blocks of zeros, with nothing of it dirty. */
async function lastReference(what: string, ...more: string[]): Promise<void> {
  const program = volume.scratch.file('last-reference');
  const file = `${volume.directory}/file`;
  await shell(`cc -O2 -Wall -o '${program}' '${SOURCE}'`);
  await shell(`head -c ${2 * BLOCK_BYTES} /dev/zero > '${file}'; sync '${file}'`);
  await shell([program, what, file, volume.daemon?.pid, ...more].join(' '), { limitMs: LIMIT_MS });
}

describeQuarry.each<TargetKind>(['loop', 'image'])('the last reference to a file, on a %s', (kind) => {
  beforeEach(async () => {
    volume = await Volume.make({ kind, sizeBytes: 64 * MIB });
  });
  afterEach(() => volume?.destroy());

  test('of a mount that is detached: the volume ends in order', async () => {
    await lastReference('detached', volume.directory);
    expect(await volume.daemonEnd(LIMIT_MS)).toBe(0);
    expect(isMountPoint(volume.directory)).toBe(false);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  test.each([
    ['pages', 'p'],
    ['times', 't'],
  ])('with dirty %s: they are written, and the mount goes on', async (what, letter) => {
    await lastReference(what);
    const count = `tr -cd ${letter} < '${volume.directory}/file' | wc -c`;
    expect(await shell(count, { limitMs: LIMIT_MS })).toBe(`${BLOCK_BYTES}\n`);
    await volume.remount();
    expect(await shell(count)).toBe(`${BLOCK_BYTES}\n`);
    await volume.unmountAndCheck();
  });
});
