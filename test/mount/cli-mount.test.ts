/**
 * The command on real mounts: the helpers of mount(8), mkfs(8) and fsck(8), signals on a busy
 * mount, allocators, stat.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { IntervalFigures } from '../../src/cli/stat-intervals.ts';
import {
  describeQuarry,
  isMountPoint,
  MIB,
  QUARRY,
  quarry,
  ROOT,
  run,
  shell,
  until,
  Volume,
} from './harness.ts';

const alias = (name: string, ...args: string[]) =>
  run(process.execPath, [join(ROOT, `dist/cli/${name}-alias.js`), ...args]);

describeQuarry('the command on a mount', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 128 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  test('mkfs.quarry, fsck.quarry and mount.quarry as their front ends call them', async () => {
    const { image, directory } = volume;
    expect(await alias('mkfs', '-F', '-L', 'label', image)).toMatchObject({ status: 0, stderr: '' });
    expect(await alias('fsck', '-T', '-a', image)).toMatchObject({ status: 0, stderr: '' });
    expect(await alias('mount', image, directory, '-o', 'rw,nofail,x-systemd.automount', '-v')).toMatchObject(
      {
        status: 0,
        stderr: '',
      },
    );
    expect(isMountPoint(directory)).toBe(true);
    expect(await alias('fsck', '-a', image)).toMatchObject({ status: 8 });
    expect(await alias('mount', image, directory, '-n')).toMatchObject({ status: 32 });
    expect(await quarry('umount', directory)).toMatchObject({ status: 0, stderr: '' });
    expect(await alias('mount', image, directory, '-o', 'bogus')).toMatchObject({ status: 1 });
    expect(await alias('mount', image, directory, '-f', '-s', '-o', 'bogus')).toMatchObject({ status: 0 });
    expect(isMountPoint(directory)).toBe(false);
    expect(await alias('fsck', '-y', image)).toMatchObject({ status: 0, stderr: '' });
  });

  test('a daemon keeps no lock and no pipe of who mounts', async () => {
    const { image, directory, scratch } = volume;
    const lock = scratch.file('lock');
    const mount = `'${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' mount '${image}' '${directory}'`;
    await shell(`'${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' mkfs -q --force '${image}'`);
    expect(await shell(`exec 9> '${lock}'; flock 9; ${mount} 7>&1 2> >(cat)`)).toBe('');
    await shell(`flock --nonblock '${lock}' true`);
    await shell(`echo text > '${directory}/file'`);
    expect(await quarry('umount', directory)).toMatchObject({ status: 0, stderr: '' });
  });

  test('the target names the mount as well as the directory does', async () => {
    await volume.mount();
    expect(await quarry('stat', volume.image)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('umount', volume.image)).toMatchObject({ status: 0, stderr: '' });
    expect(isMountPoint(volume.directory)).toBe(false);
    expect(await volume.daemonEnd()).toBe(0);
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 1 });
  });

  test('stat tells target, space and operations', async () => {
    await volume.mount();
    await volume.shell('head -c 1M /dev/zero > file && mkdir folder && sync -f .');
    const { stdout } = await quarry('stat', '--json', volume.directory);
    expect(JSON.parse(stdout)).toMatchObject({
      target: volume.image,
      directory: volume.directory,
      pid: volume.daemon?.pid,
      space: { inodes: 3, blockBytes: 4096 },
      volume: { allocator: 'goal-and-window', readOnly: false },
      session: { operations: { mkdir: { requests: 1, errors: 0 } } },
    });
    await volume.shellResult('cat file file; getfattr -n user.none file; ls folder');
    const text = await quarry('stat', volume.directory);
    expect(text.stdout).toMatch(/^operation +requests +errors +agreed +mean +p50 +p99 +max$/m);
    expect(text.stdout).toMatch(/^mkdir +1 +0 +([\d.]+ [µm]s *){4}$/m);
    // What the kernel learns of opens, creates and attributes is no error.
    expect(text.stdout).not.toMatch(/^(open|opendir|flush|create|getxattr) +\d+ +[1-9]/m);
    expect(text.stdout).toMatch(/^(open|create) +1 +0 +1 /m);
    await volume.unmountAndCheck();
  });

  test('stat with an interval tells what happens in it', async () => {
    await volume.mount();
    const words = ['stat', volume.directory, '--interval', '0.5', '--count', '2'];
    const shown = quarry(...words, '--json');
    await volume.shell('for i in $(seq 60); do mkdir d$i; sleep 0.02; done');
    const lines = (await shown).stdout.trimEnd().split('\n');
    const found = lines.map((line) => JSON.parse(line) as IntervalFigures);
    expect(found).toHaveLength(2);
    const made = found.flatMap(({ requests }) => requests.kinds.filter(({ name }) => name === 'mkdir'));
    const count = made.reduce((sum, { requests }) => sum + requests, 0);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(60);
    expect(await quarry('stat', volume.directory, '--count', '2')).toMatchObject({ status: 2, stdout: '' });
    await volume.unmountAndCheck();
  });

  test.each([
    ['-d', ''],
    ['-o', 'ro,debug=mkdir,rw,debug'],
  ])('with %s %s each request is told, until the mount ends', async (...debug) => {
    const words = [QUARRY, 'mount', ...debug.filter(Boolean), volume.image, volume.directory];
    const daemon = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    daemon.stderr.on('data', (chunk) => {
      told += chunk;
    });
    await until('the mount', 20_000, () => told.includes('is mounted on'));
    await volume.shell('mkdir folder && ! rmdir missing');
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    await until('the end', 20_000, () => daemon.exitCode !== null);
    expect(daemon.exitCode).toBe(0);
    expect(told).toMatch(/^\d+\.\d{6} mkdir\(1, "folder"\) = inode 2, \d+\.\d{3} ms, pid \d+$/m);
    expect(told).toMatch(/ lookup\(1, "missing"\) = nothing, /);
  });

  test('info and dump take where a volume is mounted', async () => {
    await volume.mount();
    await volume.shell('mkdir folder && echo text > folder/file && sync -f .');
    const { stdout } = await quarry('info', '--json', volume.directory);
    expect(JSON.parse(stdout)).toMatchObject({ target: volume.image, mountedOn: volume.directory });
    const dumped = await quarry('dump', volume.directory, '/folder/file');
    expect(dumped).toMatchObject({ status: 0, stderr: '' });
    expect(dumped.stdout).toContain('text.');
    const inside = await quarry('info', `${volume.directory}/folder`);
    expect(inside).toMatchObject({ status: 1, stdout: '' });
    expect(inside.stderr).toMatch(/^quarry: [^\n]*is a directory in a mount[^\n]*\n$/);
    await volume.unmountAndCheck();
  });

  test('signals on a busy mount: the first syncs, the second detaches, the end comes with the last user', async () => {
    await volume.mount();
    await volume.shell('echo before > file');
    const user = spawn('sh', ['-c', 'echo inside > held; read wait; echo after >> held; sync held'], {
      cwd: volume.directory,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    await until('the user at work', 5000, async () => {
      return (await volume.shellResult('test "$(cat held)" = inside')).status === 0;
    });
    volume.daemon?.kill('SIGTERM');
    await until('a word on the busy mount', 10_000, () =>
      volume.daemonSaid.includes('another signal detaches'),
    );
    expect(isMountPoint(volume.directory)).toBe(true);
    volume.daemon?.kill('SIGTERM');
    await until('the mount detached', 10_000, () => !isMountPoint(volume.directory));
    expect(volume.daemon?.exitCode).toBe(null);
    user.stdin?.end('\n');
    expect(await volume.daemonEnd()).toBe(0);
    expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    await volume.mount();
    await volume.shell(`test "$(cat file)" = before && test "$(cat held)" = "$(printf 'inside\\nafter')"`);
    await volume.unmountAndCheck();
  });

  test('allocators by name and by file, and what is wrong with them', async () => {
    const mine = volume.scratch.file('mine.mjs');
    writeFileSync(
      mine,
      `export default {
        name: 'mine',
        create: (space) => ({ allocate: (want) => space.findRun(0, space.blockCount, want.minimum, want.length) }),
      };`,
    );
    for (const [words, name] of [
      [['--allocator', 'first-fit'], 'first-fit'],
      [['-o', 'allocator=next-fit'], 'next-fit'],
      [['--allocator', mine], 'mine'],
    ] as const) {
      expect(await quarry('mount', ...words, volume.image, volume.directory)).toMatchObject({
        status: 0,
        stderr: name === 'mine' ? `quarry: allocator 'mine' (${mine})\n` : '',
      });
      await volume.shell('head -c 300k /dev/urandom > file; cp file copy; cmp file copy');
      const { stdout } = await quarry('stat', '--json', volume.directory);
      expect(JSON.parse(stdout)).toMatchObject({ volume: { allocator: name } });
      expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
      expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    }
    for (const [allocator, says] of [
      ['perfect-fit', /unknown allocator 'perfect-fit'/],
      [volume.scratch.file('none.js'), /none\.js does not exist/],
    ] as const) {
      const refused = await quarry('mount', '--allocator', allocator, volume.image, volume.directory);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(/^quarry: [^\n]+\n$/);
      expect(refused.stderr).toMatch(says);
    }
  });

  test('mkfs of an image behind a loop device, mounted and not', async () => {
    const loop = (await shell(`losetup --find --show '${volume.image}'`)).trim();
    try {
      expect((await quarry('mkfs', volume.image)).stderr).toContain(loop);
      expect(await quarry('mkfs', '--force', loop)).toMatchObject({ status: 0 });
      expect(await quarry('mount', loop, volume.directory)).toMatchObject({ status: 0, stderr: '' });
      expect((await quarry('mkfs', '--force', volume.image)).stderr).toContain('mounted');
      expect((await quarry('mkfs', '--force', loop)).stderr).toContain('mounted');
      expect(await quarry('umount', loop)).toMatchObject({ status: 0, stderr: '' });
      expect(await quarry('fsck', '-n', loop)).toMatchObject({ status: 0 });
    } finally {
      await shell(`losetup --detach '${loop}'`);
    }
  });

  test('mkfs on part of a device, on a new file, and over what was there', async () => {
    const fresh = volume.scratch.file('fresh.img');
    const made = await quarry('mkfs', '--json', '--size', '1T', '--label', 'new', fresh);
    expect(made).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(made.stdout)).toMatchObject({ label: 'new', sizeBytes: 2 ** 40, blockBytes: 4096 });
    expect(Number((await shell(`du -k '${fresh}'`)).split(/\s/)[0])).toBeLessThan(1024);
    expect(await quarry('fsck', '-n', fresh)).toMatchObject({ status: 0 });
    await shell(
      `mkfs.ext4 -q -F '${volume.image}' 2>/dev/null || dd if=/dev/urandom of='${volume.image}' bs=1M count=1 conv=notrunc status=none`,
    );
    expect(await quarry('mkfs', '--force', volume.image)).toMatchObject({ status: 0 });
    expect((await shell(`blkid -p '${volume.image}' || true`)).trim()).not.toContain('ext4');
    expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
  });
});
