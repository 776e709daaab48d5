/**
 * How mounts begin and end: daemons, signals, busy mounts, kills, read-only, and users without
 * rights.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isMissing } from '../missing.ts';
import {
  describeQuarry,
  isMountPoint,
  MIB,
  QUARRY,
  quarry,
  runInNamespace,
  shell,
  shellResult,
  until,
  Volume,
} from './harness.ts';

const sha256 = async (file: string) => (await shell(`sha256sum '${file}'`)).split(' ')[0];

describeQuarry.each(['image', 'loop'] as const)('the life of a mount on %s', (kind) => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ kind, sizeBytes: 96 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  test('mount in the background: usable when it returns, and umount returns when the volume is consistent', async ({
    annotate,
  }) => {
    expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 0, stderr: '' });
    await volume.shell(
      'for i in {1..500}; do echo "content $i" > file-$i; done; head -c 20M /dev/urandom > large',
    );
    const sum = (await volume.shell('sha256sum large')).split(' ')[0];
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    const copy = volume.scratch.file('copy.img');
    await shell(`cp --sparse=always '${volume.target}' '${copy}'`);
    const check = await quarry('fsck', '-n', copy);
    await annotate(`fsck -n of a copy made right after umount: exit ${check.status}, ${check.stdout.trim()}`);
    expect(check.status).toBe(0);
    expect(await quarry('mount', copy, volume.directory)).toMatchObject({ status: 0 });
    await volume.shell(`test "$(sha256sum < large | cut -d' ' -f1)" = ${sum} && test $(ls | wc -l) = 501`);
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
  });

  test('umount(8) does as well', async () => {
    await volume.mount();
    await volume.shell('for i in {1..200}; do echo "content $i" > file-$i; done');
    await shell(`umount '${volume.directory}'`);
    expect(await volume.daemonEnd()).toBe(0);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  test('a busy mount says so, and goes on', async ({ annotate }) => {
    await volume.mount();
    const user = spawn('sleep', ['60'], { cwd: volume.directory, stdio: 'ignore' });
    try {
      const refused = await quarry('umount', volume.directory);
      expect(refused.status).not.toBe(0);
      expect(refused.stderr.trim().split('\n')).toHaveLength(1);
      expect(refused.stderr).toMatch(/busy/i);
      await annotate(refused.stderr.trim());
      await volume.shell('echo still > here && test "$(cat here)" = still');
    } finally {
      user.kill('SIGKILL');
      await until('end of the user', 5000, () => user.signalCode !== null);
    }
    await volume.unmountAndCheck();
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s unmounts and leaves the volume clean', async (signal) => {
    await volume.mount();
    await volume.shell(
      'for i in {1..200}; do echo "content $i" > file-$i; done; head -c 9M /dev/urandom > large',
    );
    volume.daemon?.kill(signal);
    expect(await volume.daemonEnd()).toBe(0);
    expect(isMountPoint(volume.directory)).toBe(false);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
    await volume.mount();
    await volume.shell('test $(ls | wc -l) = 201 && test "$(cat file-77)" = "content 77"');
    await volume.unmountAndCheck();
  });

  test('after kill -9 the mount point can be had back, and the volume is not locked', async () => {
    await volume.mount();
    await volume.shell('echo synced > file && sync file && echo more > later');
    volume.daemon?.kill('SIGKILL');
    await volume.daemonEnd();
    const dead = await shellResult(`ls '${volume.directory}'`, { limitMs: 10_000 });
    expect(dead.stderr).toMatch(/not connected|aborted/);
    await shell(`umount -l '${volume.directory}'`);
    expect(isMountPoint(volume.directory)).toBe(false);
    const check = await quarry('fsck', '-n', volume.target);
    expect([0, 4]).toContain(check.status);
    await volume.mount();
    await volume.shell('test "$(cat file)" = synced');
    await volume.unmount();
  });

  test('a volume is in use once only', async ({ annotate }) => {
    await volume.mount();
    await volume.shell('echo kept > file');
    for (const args of [
      ['mount', volume.target, volume.scratch.path],
      ['mkfs', volume.target],
      ['mkfs', '--force', volume.target],
      ['fsck', '-y', volume.target],
    ]) {
      const refused = await quarry(...args);
      expect(refused.status, args.join(' ')).not.toBe(0);
      expect(refused.stderr.trim().split('\n'), args.join(' ')).toHaveLength(1);
      await annotate(`${args[0]}: ${refused.stderr.trim()}`);
    }
    await volume.shell('test "$(cat file)" = kept');
    await volume.unmountAndCheck();
  });

  test('read-only: nothing changes, not one byte', async () => {
    await volume.mount();
    await volume.shell('echo kept > file && mkdir folder');
    await volume.unmount();
    const before = await sha256(volume.target);
    await volume.mount('-o', 'ro');
    await volume.shell('test "$(cat file)" = kept && ls -lR > /dev/null');
    for (const script of [
      'echo x > file',
      'rm file',
      'mkdir new',
      'touch file',
      'chmod 600 file',
      'mv file x',
    ]) {
      expect((await volume.shellResult(script)).stderr, script).toContain('Read-only file system');
    }
    await volume.unmountAndCheck();
    expect(await sha256(volume.target)).toBe(before);
  });

  test('what was written before umount is there, without any sync', async () => {
    for (let round = 1; round <= 3; round++) {
      await volume.mount();
      await volume.shell(
        `for i in {1..50}; do head -c 100k /dev/urandom > ${round}-$i; done; sha256sum ${round}-* > ${round}.sum`,
      );
      await volume.unmount();
    }
    await volume.mount();
    await volume.shell('sha256sum --quiet -c 1.sum 2.sum 3.sum');
    await volume.unmountAndCheck();
  });

  test('info and stat answer with JSON', async () => {
    const info = await quarry('info', '--json', volume.target);
    expect(info.status).toBe(0);
    expect(JSON.parse(info.stdout)).toBeTypeOf('object');
    // In the background, where mount returns when everything answers.
    expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 0 });
    const stat = await quarry('stat', '--json', volume.directory);
    expect(stat).toMatchObject({ status: 0 });
    expect(JSON.parse(stat.stdout)).toBeTypeOf('object');
    await volume.unmount();
  });

  test('an idle daemon uses no processor time', async () => {
    await volume.mount();
    await volume.shell('echo x > file && sync -f .');
    await sleep(500);
    const ticks = async () => {
      const fields = (await shell(`cat /proc/${volume.daemon?.pid}/stat`)).split(') ')[1]?.split(' ') ?? [];
      return Number(fields[11]) + Number(fields[12]);
    };
    const before = await ticks();
    await sleep(2000);
    expect((await ticks()) - before).toBeLessThanOrEqual(4);
    await volume.unmount();
  });
});

describeQuarry('an ordinary user', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  /**
   * 'nobody', in a mount namespace where /dev/fuse is open to all as on a desktop. The project
   * folder may be closed to others, so it is seen through a bind mount.
   */
  test.skipIf(isMissing('fusermount3', 'setpriv', 'unshare'))(
    'mounts an image of his own through fusermount3',
    async () => {
      const project = join(volume.scratch.path, 'project');
      const as = 'setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp';
      const command = `${as} '${process.execPath}' '${project}/dist/cli/main.js'`;
      const script = `
      mkdir '${project}' && mount --bind '${join(QUARRY, '../../..')}' '${project}'
      mknod '${volume.scratch.path}/fuse' c 10 229 && chmod 666 '${volume.scratch.path}/fuse'
      mount --bind '${volume.scratch.path}/fuse' /dev/fuse
      chown -R 65534:65534 '${volume.image}' '${volume.directory}'
      ${command} mkfs --quiet --force '${volume.image}'
      ${command} mount '${volume.image}' '${volume.directory}'
      ${as} bash -euc "cd '${volume.directory}'; umask 027; mkdir folder; echo mine > folder/file; chmod 640 folder/file
        stat -c '%a %u %g' folder/file; mv folder renamed; cat renamed/file"
      ${command} umount '${volume.directory}'
      ${command} fsck -n '${volume.image}' > /dev/null`;
      const result = await runInNamespace(script);
      expect(result).toEqual({ status: 0, stdout: '640 65534 65534\nmine\n', stderr: '' });
    },
  );
});
