/**
 * fstrim(8) and `-o discard` on real mounts: what is freed goes back to the host, and nothing else
 * does.
 */
import { statSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, shell, type TargetKind, until, Volume } from './harness.ts';

const SIZE_BYTES = 96 * MIB;
const LARGE_BYTES = 24 * MIB;
/** What else may come and go: metadata. */
const SLACK_BYTES = 2 * MIB;

const MAKE = `
dd if=/dev/urandom of=kept bs=1M count=8 status=none
dd if=/dev/urandom of=large bs=1M count=24 status=none
sync kept large`;

/** fsync of a file commits what was removed, too: of sync(2) image files do not hear. */
const REMOVE = 'rm large; touch marker; sync marker';

describeQuarry.each<TargetKind>(['loop', 'image'])('discards on %s', (kind) => {
  let volume: Volume;
  let backing = '';
  beforeAll(async () => {
    volume = await Volume.make({ kind, sizeBytes: SIZE_BYTES });
    backing = volume.image;
  });
  afterAll(() => volume?.destroy());

  const usedBytes = () => statSync(backing).blocks * 512;
  const sum = () => volume.shell('sha256sum kept');

  test('fstrim gives back what is free, to root', async () => {
    await volume.shell(MAKE);
    const before = await sum();
    const full = usedBytes();
    await volume.shell('rm large');
    const trimmed = await shell(`fstrim -v '${volume.directory}'`);
    expect(Number(/\((\d+) bytes\) trimmed/.exec(trimmed)?.[1])).toBeGreaterThan(LARGE_BYTES);
    expect(usedBytes()).toBeLessThan(full - LARGE_BYTES + SLACK_BYTES);
    expect(await volume.shellResult('setpriv --reuid 1000 --clear-groups fstrim .')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/Operation not permitted/),
    });
    const stat = JSON.parse((await quarry('stat', '--json', volume.directory)).stdout);
    expect(stat.volume).toMatchObject({ discardFailures: 0, pendingBlocks: 0 });
    await volume.remount();
    expect(await sum()).toBe(before);
  });

  test.runIf(kind === 'image')('-o discard gives back what a commit freed, until a remount', async () => {
    await volume.unmountAndCheck();
    await volume.mount('-o', 'discard');
    for (const option of ['discard', 'nodiscard']) {
      await quarry('mount', '-o', `remount,${option}`, volume.directory);
      await volume.shell(MAKE);
      const full = usedBytes();
      await volume.shell(REMOVE);
      const expected = full - LARGE_BYTES + SLACK_BYTES;
      if (option === 'discard') await until('discards', 10_000, () => usedBytes() < expected);
      else expect(usedBytes()).toBeGreaterThan(expected);
    }
    const before = await sum();
    await volume.unmountAndCheck();
    await volume.mount();
    expect(await sum()).toBe(before);
  });

  test('fstrim of what is mounted read-only', async () => {
    await quarry('mount', '-o', 'remount,ro', volume.directory);
    expect(await volume.shellResult('fstrim .')).toMatchObject({
      stderr: expect.stringMatching(/Read-only file system/),
    });
    await volume.unmountAndCheck();
  });

  test.runIf(kind === 'loop')('mkfs gives back all of a block device, but for -K', async () => {
    await shell(`dd if=/dev/urandom of='${volume.target}' bs=1M count=32 oflag=direct status=none`);
    for (const [options, isKept] of [
      [['-K'], true],
      [[], false],
    ] as const) {
      expect(await quarry('mkfs', '-qf', ...options, volume.target)).toMatchObject({ status: 0 });
      expect(usedBytes() > 30 * MIB).toBe(isKept);
    }
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });
});
