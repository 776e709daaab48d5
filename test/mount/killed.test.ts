/**
 * A daemon that was killed: nothing is left dangling, what was acknowledged is there, and nobody
 * else's mount is touched.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isMissing } from '../missing.ts';
import { FaultDisk } from './fault-disk.ts';
import {
  describeQuarry,
  hasEnded,
  isMountPoint,
  MIB,
  QUARRY,
  quarry,
  ROOT,
  run,
  runInNamespace,
  shell,
  shellResult,
  until,
  Volume,
} from './harness.ts';

/** Mounts in the background. @returns the daemon's number */
async function mountBehind(volume: Volume, ...more: string[]): Promise<number> {
  const mounted = await quarry('mount', ...more, volume.target, volume.directory);
  expect(mounted).toMatchObject({ status: 0, stdout: '' });
  return await daemonOf(volume.directory);
}

async function daemonOf(directory: string): Promise<number> {
  const { stdout } = await quarry('stat', '--json', directory);
  return JSON.parse(stdout).pid;
}

async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until('the end of the daemon', 10_000, () => hasEnded(pid));
}

/** Somebody who stands in a directory. */
async function standIn(directory: string): Promise<ChildProcess> {
  const user = spawn('sh', ['-c', 'echo; exec sleep 60'], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise((resolve) => user.stdout?.once('data', resolve));
  return user;
}

async function sendAway(user: ChildProcess): Promise<void> {
  user.kill('SIGKILL');
  await until('the end of the user', 5000, () => user.signalCode !== null);
}

describeQuarry.each(['image', 'loop'] as const)('a killed daemon of a volume on %s', (kind) => {
  let volume: Volume;
  let user: ChildProcess | undefined;
  beforeEach(async () => {
    volume = await Volume.make({ kind, sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(async () => {
    if (user) await sendAway(user);
    user = undefined;
    await volume?.destroy();
  });

  test('mounting on the dangling mountpoint again is all it takes', async ({ annotate }) => {
    const first = await mountBehind(volume);
    await volume.shell('echo kept > file && sync file && mkdir folder && sync folder');
    await kill(first);
    expect((await shellResult(`ls '${volume.directory}'`)).stderr).toMatch(/not connected|abort/);
    const again = await quarry('mount', volume.target, volume.directory);
    expect(again).toMatchObject({ status: 0, stdout: '' });
    expect(again.stderr).toMatch(
      /^quarry: the daemon of [^\n]* had died; its mount is taken away\nquarry: the volume was not unmounted in order: replayed \d+ transactions [^\n]*\n$/,
    );
    await annotate(again.stderr.trim());
    const second = await daemonOf(volume.directory);
    expect(second).not.toBe(first);
    await volume.shell('test "$(cat file)" = kept && test -d folder && echo more > later');
    await volume.unmountAndCheck();
    expect(isMountPoint(volume.directory)).toBe(false);
  });

  test('umount takes the mount away, used or not, and says so', async ({ annotate }) => {
    await kill(await mountBehind(volume));
    const unused = await quarry('umount', volume.directory);
    expect(unused.status).toBe(0);
    expect(unused.stderr).toMatch(/^quarry: the daemon of [^\n]* had died[^\n]*\n$/);
    await annotate(unused.stderr.trim());
    expect(isMountPoint(volume.directory)).toBe(false);

    const pid = await mountBehind(volume);
    user = await standIn(volume.directory);
    await kill(pid);
    const used = await quarry('umount', volume.directory);
    expect(used.status).toBe(0);
    expect(used.stderr).toContain(`sleep (${user.pid})`);
    expect(isMountPoint(volume.directory)).toBe(false);
    await sendAway(user);
    await mountBehind(volume);
    await volume.unmountAndCheck();
  });

  test('one that shows another subtype is known by its volume', async () => {
    const subtype = ['-o', 'subtype=elsewhere'];
    await kill(await mountBehind(volume, ...subtype));
    const unmounted = await quarry('umount', volume.directory);
    expect(unmounted).toMatchObject({ status: 0, stderr: expect.stringContaining('had died') });
    await kill(await mountBehind(volume, ...subtype));
    const again = await quarry('mount', ...subtype, volume.target, volume.directory);
    expect(again).toMatchObject({ status: 0, stderr: expect.stringContaining('is taken away') });

    // To wait for an answer that does not come takes its time.
    if (kind === 'loop') return;
    process.kill(await daemonOf(volume.directory), 'SIGSTOP');
    const forced = await quarry('umount', '--force', volume.directory);
    expect(forced).toMatchObject({ status: 0, stderr: expect.stringContaining('is killed') });
    expect(isMountPoint(volume.directory)).toBe(false);
  });

  test('who stands in the dead mount keeps a block device, by name; an image is free', async ({
    annotate,
  }) => {
    const pid = await mountBehind(volume);
    await volume.shell('echo kept > file && sync file');
    user = await standIn(volume.directory);
    await kill(pid);
    const again = await quarry('mount', volume.target, volume.directory);
    await annotate(again.stderr.trim());
    if (kind === 'loop') {
      expect(again.status).toBe(1);
      expect(again.stderr).toContain(`end sleep (${user.pid}) and mount again`);
      await sendAway(user);
      expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 0 });
    } else expect(again.status).toBe(0);
    await volume.shell('test "$(cat file)" = kept');
    await volume.unmountAndCheck();
  });

  test('the target on another directory: an image is free, and of a device it is said what to do', async () => {
    await kill(await mountBehind(volume));
    const other = volume.scratch.file('other');
    await shell(`mkdir '${other}'`);
    if (kind === 'loop') {
      const refused = await quarry('mount', volume.target, other);
      expect(refused).toMatchObject({ status: 1 });
      expect(refused.stderr).toContain(`'quarry umount ${volume.directory}' first`);
    }
    expect(await quarry('umount', volume.target)).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/had died/),
    });
    expect(isMountPoint(volume.directory)).toBe(false);
    expect(await quarry('mount', volume.target, other)).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^quarry: the volume was not unmounted in order: [^\n]*\n$/),
    });
    expect(await quarry('umount', other)).toMatchObject({ status: 0 });
  });
});

describeQuarry('what is not a dead mount of Quarry', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  test('a live mount stays: neither a second mount on it nor its target elsewhere disturbs it', async () => {
    await volume.mount();
    await volume.shell('echo kept > file');
    expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 1 });
    await volume.shell('test "$(cat file)" = kept');
    await volume.unmountAndCheck();
  });

  test('a service that could not start leaves the mount alone that was in its way', async () => {
    const ended = () => quarry('umount', '--dead', volume.directory);
    expect(await ended()).toEqual({ status: 0, stdout: '', stderr: '' });
    const pid = await mountBehind(volume);
    expect(await ended()).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(isMountPoint(volume.directory)).toBe(true);
    await kill(pid);
    expect(await ended()).toMatchObject({ status: 0, stderr: expect.stringContaining('had died') });
    expect(isMountPoint(volume.directory)).toBe(false);
  });

  test('a dead mount of another filesystem stays', async () => {
    const disk = await FaultDisk.start(MIB);
    const { directory } = disk;
    try {
      await shell(`losetup --detach '${disk.loop}'`);
      await disk.kill();
      const refused = await quarry('mount', volume.target, directory);
      expect(refused).toMatchObject({ status: 1 });
      expect(refused.stderr).toMatch(/died: 'umount -l /);
      expect(await quarry('umount', directory)).toMatchObject({ status: 1 });
      expect(isMountPoint(directory)).toBe(true);
    } finally {
      await disk.end();
    }
  });
});

describeQuarry('an ordinary user', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  test.skipIf(isMissing('fusermount3', 'setpriv', 'unshare'))(
    'has a dead mount taken away by fusermount3',
    async () => {
      const { scratch, image, directory } = volume;
      const project = join(scratch.path, 'project');
      const as = 'setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp';
      const command = `${as} '${process.execPath}' '${project}/dist/cli/main.js'`;
      const stat = `${command} stat --json '${directory}' | grep -o '"pid": [0-9]*' | grep -o '[0-9]*'`;
      const script = `
      mkdir '${project}' && mount --bind '${join(QUARRY, '../../..')}' '${project}'
      mknod '${scratch.path}/fuse' c 10 229 && chmod 666 '${scratch.path}/fuse'
      mount --bind '${scratch.path}/fuse' /dev/fuse
      chown -R 65534:65534 '${image}' '${directory}'
      ${command} mkfs --quiet --force '${image}'
      ${command} mount '${image}' '${directory}'
      ${as} bash -euc "echo mine > '${directory}/file'; sync '${directory}/file'"
      for i in 1 2; do
        pid=$(${stat}); kill -9 $pid; while test -d /proc/$pid; do sleep 0.01; done
        ${command} mount '${image}' '${directory}' 2>> '${scratch.path}/said'
        ${as} cat '${directory}/file'
      done
      pid=$(${stat}); kill -9 $pid; while test -d /proc/$pid; do sleep 0.01; done
      ${command} umount '${directory}' 2>> '${scratch.path}/said'
      ${command} mount '${image}' '${directory}' 2>> '${scratch.path}/said'; ${command} umount '${directory}'
      ${command} fsck -n '${image}' > /dev/null
      grep -c 'had died' '${scratch.path}/said'; grep -c 'not unmounted in order' '${scratch.path}/said'`;
      const result = await runInNamespace(script);
      expect(result).toEqual({ status: 0, stdout: 'mine\nmine\n3\n3\n', stderr: '' });
    },
  );
});

describe('kill cycles', () => {
  test('the judge finds what is lost, foreign, misplaced or old', async () => {
    const program = join(ROOT, 'test/mount/judge-cases.mjs');
    const result = await run(process.execPath, [program]);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toMatch(/^\d\d cases as expected\n$/);
  });
});

describeQuarry('kill cycles on a mount', () => {
  test.each([
    ['a device that keeps what it has', '0'],
    ['a device that loses what was not flushed', '100'],
  ])('%s', async (_, power) => {
    const seed = process.env.QUARRY_KILL_SEED ?? '1';
    const cycles = process.env.QUARRY_KILL_CYCLES ?? '3';
    const args = ['--cycles', cycles, '--seed', seed, '--writers', '3', '--power', power];
    const result = await run(process.execPath, [join(ROOT, 'scripts/kill-cycles.mjs'), ...args], {
      limitMs: 110_000,
    });
    expect(result.stderr).toBe('');
    expect(result.stdout).toContain(`: ${cycles} cycles in`);
    expect(result.stdout).toContain(' 0 violations');
    expect(result.status).toBe(0);
  });
});
