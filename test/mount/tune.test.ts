/** `quarry tune` and mounts: what a volume asks for, and what may be changed while it is mounted. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mount-table.ts';
import { describeQuarry, MIB, QUARRY, quarry, shell, Volume } from './harness.ts';

describeQuarry('a volume that is tuned', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    expect(await quarry('mkfs', '--force', '-q', volume.image)).toMatchObject({ status: 0 });
  });
  afterEach(() => volume?.destroy());

  const flags = () => findMount(volume.directory)?.flags.split(',') ?? [];
  const told = async (what: string) =>
    JSON.parse((await quarry('info', '--json', volume.image)).stdout)[what];

  test('is mounted with its options, in the background too, and as who mounts says', async () => {
    expect(await quarry('tune', '-o', 'noexec,noatime', volume.image)).toMatchObject({ status: 0 });
    expect(await quarry('mount', volume.image, volume.directory)).toMatchObject({ status: 0, stderr: '' });
    expect(flags()).toEqual(expect.arrayContaining(['noexec', 'noatime']));
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
    expect(await quarry('mount', '-o', 'exec', volume.image, volume.directory)).toMatchObject({ status: 0 });
    expect(flags()).toContain('noatime');
    expect(flags()).not.toContain('noexec');
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
  });

  test('changes its label, id and options while it is mounted, and no features', async () => {
    expect(await quarry('mount', volume.image, volume.directory)).toMatchObject({ status: 0 });
    const id = '01234567-89ab-4def-8123-456789abcdef';
    const words = ['tune', '-L', 'live', '-U', id, '-o', 'noatime'];
    expect(await quarry(...words, volume.directory)).toMatchObject({ status: 0 });
    expect([await told('label'), await told('uuid')]).toEqual(['live', id]);
    const refused = await quarry('tune', '-O', '^unwritten', volume.image);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^quarry: [^\n]* is mounted: features are changed while it is not\n$/);
    const stranger = await shell(
      `setpriv --reuid 65533 --clear-groups '${process.execPath}' '${QUARRY}' tune -L x '${volume.directory}' 2>&1 || true`,
    );
    expect(stranger).toMatch(/^quarry: only root and the daemon's owner may ask [^\n]*\n$/);
    await shell(`echo text > '${volume.directory}/file'`);
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
    expect([await told('label'), await told('mountOptions')]).toEqual(['live', 'noatime']);
    expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
  });
});
