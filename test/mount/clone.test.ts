/** `quarry clone` beside mounts, onto devices, where there is no room, and interrupted. */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, run, runInNamespace, shell, until, Volume } from './harness.ts';

describeQuarry('a clone', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 96 * MIB });
    await volume.shell('head -c 40M /dev/urandom > file && sha256sum file > sum');
  });
  afterEach(() => volume?.destroy());

  test('of a mount only while it cannot be written, onto a device that has room', async () => {
    const copy = volume.scratch.file('copy.img');
    const refused = await quarry('clone', volume.image, copy);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^quarry: [^\n]*is mounted on [^\n]* and may change: [^\n]*\n$/);
    expect(existsSync(copy)).toBe(false);
    await quarry('mount', '-o', 'remount,ro', volume.directory);
    expect(await quarry('clone', '--check', volume.image, copy)).toMatchObject({ status: 0 });
    await quarry('umount', volume.directory);
    expect(await quarry('fsck', '-n', copy)).toMatchObject({ status: 0 });
    const [small, large] = [volume.scratch.file('small'), volume.scratch.file('large')];
    await shell(`truncate -s 95M '${small}'; truncate -s 97M '${large}'`);
    const loops = [small, large].map((file) => run('losetup', ['--find', '--show', file]));
    const [smallLoop = '', largeLoop = ''] = (await Promise.all(loops)).map(({ stdout }) => stdout.trim());
    try {
      const tooSmall = await quarry('clone', copy, smallLoop);
      expect(tooSmall).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/has 95 MiB, and the volume 96 MiB/),
      });
      const pipe = `'${process.execPath}' '${QUARRY}'`;
      await shell(
        `set -o pipefail; ${pipe} clone '${copy}' - | ${pipe} clone --restore --check - ${largeLoop}`,
      );
      expect(await quarry('mount', largeLoop, volume.directory)).toMatchObject({ status: 0, stderr: '' });
      await shell(`cd '${volume.directory}' && sha256sum -c sum`);
      expect(await quarry('clone', copy, largeLoop)).toMatchObject({ status: 1 });
    } finally {
      await quarry('umount', volume.directory);
      await run('losetup', ['-d', smallLoop]);
      await run('losetup', ['-d', largeLoop]);
    }
  });

  test('that finds no room, or is interrupted, leaves no file', async () => {
    await quarry('umount', volume.directory);
    const quarryHere = `'${process.execPath}' '${QUARRY}'`;
    const full = await runInNamespace(`
      mount -t tmpfs -o size=20M none /run
      ! ${quarryHere} clone '${volume.image}' /run/copy
      ls /run`);
    expect(full).toMatchObject({ status: 0, stdout: '' });
    expect(full.stderr).toMatch(/^quarry: no space left for \/run\/copy\n$/);
    const copy = volume.scratch.file('copy.img');
    const fifo = volume.scratch.file('fifo');
    await shell(`mkfifo '${fifo}'`);
    const restore = spawn(process.execPath, [QUARRY, 'clone', '--restore', fifo, copy], { stdio: 'pipe' });
    let said = '';
    restore.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const feeder = spawn('bash', [
      '-c',
      `${quarryHere} clone '${volume.image}' - | (head -c 20M; sleep 1; cat) > '${fifo}'`,
    ]);
    await until('the copy', 20_000, () => existsSync(copy) && statSync(copy).blocks > 8192);
    restore.kill('SIGINT');
    await until('its end', 20_000, () => restore.exitCode !== null || restore.signalCode !== null);
    feeder.kill();
    expect([restore.exitCode, said, existsSync(copy)]).toEqual([
      1,
      expect.stringMatching(/interrupted\n$/),
      false,
    ]);
  });
});
