/**
 * A mount that is not where it was: moved, renamed, covered, mounted twice. It is found, and its
 * daemon ends it and nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  describeQuarry,
  isMountPoint,
  MIB,
  namespaceArguments,
  QUARRY,
  quarry,
  ROOT,
  run,
  runInNamespace,
  shell,
  shellResult,
  until,
  Volume,
  whileStopped,
} from './harness.ts';

let volume: Volume;
let others: Volume[];
let processes: ChildProcess[];

/** A directory for other things; whatever is mounted in or on it goes at the end. */
let place: string;

async function makePlace(options: Parameters<typeof Volume.make>[0] = {}): Promise<void> {
  others = [];
  processes = [];
  volume = await Volume.make({ sizeBytes: 64 * MIB, ...options }, { mounted: false });
  place = volume.scratch.file('place');
  mkdirSync(place);
}

async function clear(): Promise<void> {
  for (const child of processes) child.kill('SIGKILL');
  volume.daemon?.kill('SIGCONT');
  for (const at of [place, volume.directory])
    await shellResult(`for i in 1 2 3 4; do umount -l '${at}' || break; done`, { limitMs: 10_000 });
  volume.daemon?.kill('SIGTERM');
  for (const other of others) await other.destroy();
  await volume.destroy();
}

const mountOnOf = (directory: string) => shell(`findmnt -rno FSTYPE '${directory}' || true`);

describeQuarry('a mount in another place', () => {
  beforeEach(() => makePlace());
  afterEach(clear);

  test('moved: stat and umount find it, and SIGTERM ends it', async () => {
    for (const end of ['umount', 'SIGTERM']) {
      await volume.mount();
      await volume.shell(`echo ${end} > file`);
      await shell(`mount --move '${volume.directory}' '${place}'`);
      const stat = await quarry('stat', '--json', place);
      expect(stat).toMatchObject({ status: 0, stderr: '' });
      expect(JSON.parse(stat.stdout)).toMatchObject({ directory: place, pid: volume.daemon?.pid });
      if (end === 'umount') expect(await quarry('umount', place)).toMatchObject({ status: 0, stderr: '' });
      else volume.daemon?.kill('SIGTERM');
      expect(await volume.daemonEnd()).toBe(0);
      expect(isMountPoint(place)).toBe(false);
      expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
    }
  });

  test('below a renamed directory: the same', async () => {
    const [before, after] = [join(place, 'before'), join(place, 'after')];
    mkdirSync(join(before, 'mnt'), { recursive: true });
    await quarry('mount', volume.target, join(before, 'mnt'));
    await shell(`mv '${before}' '${after}'`);
    const { stdout } = await quarry('stat', '--json', join(after, 'mnt'));
    expect(JSON.parse(stdout)).toMatchObject({ directory: join(after, 'mnt') });
    process.kill(JSON.parse(stdout).pid, 'SIGTERM');
    await until('the end of the mount', 5000, () => !isMountPoint(join(after, 'mnt')));
    await until('a clean volume', 5000, async () => (await quarry('fsck', '-n', volume.target)).status === 0);
  });

  test('another volume on top: SIGTERM ends the one below, with all that was written, and leaves the other', async () => {
    const other = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    others.push(other);
    await volume.mount('-o', 'commit=3600');
    await volume.shell('head -c 3M /dev/urandom > file; sha256sum file > sum');
    expect(await quarry('mount', other.target, volume.directory)).toMatchObject({ status: 0, stderr: '' });
    await volume.shell('echo above > above');
    volume.daemon?.kill('SIGTERM');
    expect(await volume.daemonEnd()).toBe(0);
    await volume.shell('test "$(cat above)" = above && echo more > above');
    expect(volume.daemonSaid).toMatch(/covered by another mount \(fuse\.quarry\)/);
    // What is left of it still names its target: a copy tells.
    const copy = volume.scratch.file('copy.img');
    await shell(`cp --sparse=always '${volume.target}' '${copy}'`);
    expect(await quarry('fsck', '-n', copy)).toMatchObject({ status: 0 });
    const ended = await quarry('umount', volume.directory);
    expect(ended).toMatchObject({ status: 0 });
    expect(ended.stderr).toMatch(/^quarry: another mount was beneath [^\n]*volume\.img[^\n]*\n$/);
    expect(await quarry('fsck', '-n', other.target)).toMatchObject({ status: 0 });
    // What is left of the lower one goes with the next mount.
    expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 0 });
    await volume.shell('sha256sum --quiet -c sum');
    await volume.unmountAndCheck();
  });

  test('another filesystem over a parent directory, while a file is open for writing below: only a second signal ends it', async () => {
    const inner = join(place, 'inner');
    mkdirSync(inner);
    const daemon = spawn(process.execPath, [QUARRY, 'mount', '--foreground', volume.target, inner], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    processes.push(daemon);
    let said = '';
    daemon.stderr.on('data', (text) => {
      said += text;
    });
    await until('the mount', 10_000, () => isMountPoint(inner));
    const writer = spawn(
      'sh',
      ['-c', `exec 3> '${inner}/file'; echo written >&3; echo ready; exec sleep 60`],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    processes.push(writer);
    await new Promise((resolve) => writer.stdout.once('data', resolve));
    await shell(`mount -t tmpfs none '${place}'; echo other > '${place}/other'`);
    daemon.kill('SIGTERM');
    await until('a word', 10_000, () => said.includes('another signal'));
    expect(daemon.exitCode).toBe(null);
    daemon.kill('SIGTERM');
    await until('the end', 10_000, () => daemon.exitCode !== null);
    expect(daemon.exitCode).toBe(0);
    await shell(`test "$(cat '${place}/other')" = other; umount '${place}'`);
    await shellResult(`umount -l '${inner}'`);
    await volume.mount();
    await volume.shell('test "$(cat file)" = written');
    await volume.unmountAndCheck();
  });

  test('the target of a covered mount: umount says what is on top', async () => {
    await volume.mount();
    await shell(`mount -t tmpfs none '${volume.directory}'`);
    const refused = await quarry('umount', volume.target);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/^quarry: [^\n]*below another mount \(tmpfs [^\n]*\n$/);
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 1 });
    expect((await mountOnOf(volume.directory)).trim()).toContain('tmpfs');
    await shell(`umount '${volume.directory}'`);
    await volume.unmountAndCheck();
  });
});

describeQuarry.each(['image', 'loop'] as const)('a volume on %s that is held elsewhere', (kind) => {
  beforeEach(() => makePlace({ kind }));
  afterEach(clear);

  test('by a bind mount: umount says so and by what, and waits no longer than it is told', async () => {
    await volume.mount();
    await volume.shell('mkdir below; echo kept > below/file');
    await shell(`mount --bind '${volume.directory}/below' '${place}'`);
    const waited = await quarry('umount', '--timeout', '1.5', volume.directory);
    expect(waited.status).toBe(1);
    expect(waited.stderr).toMatch(/^quarry: [^\n]* is still in use: the mount on [^\n]*place\n/);
    expect(waited.stderr).toContain(`still served by process ${volume.daemon?.pid}`);
    await shell(`test "$(cat '${place}/file')" = kept; echo more > '${place}/more'`);
    expect(await quarry('umount', place)).toMatchObject({ status: 0, stderr: '' });
    expect(await volume.daemonEnd()).toBe(0);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  test('by its own mount: a bind mount of a part, a file or all of it goes at once', async () => {
    await volume.mount();
    await volume.shell('mkdir below; echo kept > below/file; echo kept > file');
    const file = `${place}-file`;
    writeFileSync(file, '');
    for (const [what, where] of [
      ['below', place],
      ['file', file],
      ['.', place],
    ] as const) {
      await shell(`mount --bind '${volume.directory}/${what}' '${where}'`);
      expect(await quarry('umount', '--timeout', '10', where)).toMatchObject({ status: 0, stderr: '' });
      expect(isMountPoint(where)).toBe(false);
    }
    await volume.shell('test "$(cat file)" = kept');
    await volume.unmountAndCheck();
  });

  test('by another mount namespace: umount names it, and ends with it', async () => {
    await volume.mount();
    const holder = spawn('unshare', namespaceArguments('echo ready; exec sleep 2', volume.directory), {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    processes.push(holder);
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const ended = await quarry('umount', volume.directory);
    expect(ended).toMatchObject({ status: 0 });
    expect(ended.stderr).toMatch(new RegExp(`in the mount namespace of \\S+ \\(${holder.pid}\\)`));
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  test('SIGTERM while another namespace holds it: said, and the end comes with that', async () => {
    await volume.mount();
    const holder = spawn('unshare', namespaceArguments('echo ready; exec sleep 60', volume.directory), {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    processes.push(holder);
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    volume.daemon?.kill('SIGTERM');
    await until('a word', 10_000, () => volume.daemonSaid.includes(`(${holder.pid})`));
    expect(isMountPoint(volume.directory)).toBe(false);
    holder.kill('SIGKILL');
    expect(await volume.daemonEnd()).toBe(0);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  test('SIGTERM with a bind mount: said, and the second one ends all', async () => {
    await volume.mount();
    await shell(`mount --bind '${volume.directory}' '${place}'`);
    volume.daemon?.kill('SIGTERM');
    await until('a word', 10_000, () => volume.daemonSaid.includes(`still mounted on ${place}`));
    expect(isMountPoint(volume.directory)).toBe(false);
    volume.daemon?.kill('SIGTERM');
    expect(await volume.daemonEnd()).toBe(0);
    expect(isMountPoint(place)).toBe(false);
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });

  test('by a daemon that hangs: force says what it does, and the next mount recovers', async () => {
    await volume.mount();
    await volume.shell('echo kept > file; sync file');
    const forced = await whileStopped(volume.daemon, () =>
      quarry('umount', '--force', '--timeout', '0.5', volume.directory),
    );
    expect(forced).toMatchObject({ status: 0 });
    expect(forced.stderr).toMatch(
      /^quarry: [^\n]*\(process \d+\) is killed and the mount taken away; [^\n]* recovers [^\n]*\n$/,
    );
    expect(await volume.daemonEnd()).toBe(137);
    expect(isMountPoint(volume.directory)).toBe(false);
    await volume.mount();
    await volume.shell('test "$(cat file)" = kept');
    await volume.unmountAndCheck();
  });
});

describeQuarry('umount(8)', () => {
  beforeEach(() => makePlace());
  afterEach(clear);

  const alias = (...args: string[]) =>
    run(process.execPath, [join(ROOT, 'dist/cli/umount-alias.js'), ...args]);

  test('its helper, with the words it gives', async () => {
    await volume.mount();
    await volume.shell('echo x > file');
    expect(await alias(volume.directory, '-n', '-v', '-t', 'fuse.quarry')).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(await volume.daemonEnd()).toBe(0);
    expect(await alias(volume.directory, '-r')).toMatchObject({ status: 32 });
    await volume.mount();
    const user = spawn('sleep', ['60'], { cwd: volume.directory });
    processes.push(user);
    expect(await alias(volume.directory)).toMatchObject({ status: 32 });
    expect(await alias(volume.directory, '-nl')).toMatchObject({ status: 0 });
    user.kill('SIGKILL');
    expect(await volume.daemonEnd()).toBe(0);
  });

  test('runs it for an image file, so that the volume is consistent when it returns', async () => {
    const helper = volume.scratch.file('helper');
    writeFileSync(
      helper,
      `#!/bin/sh\necho "$@" >> '${helper}.said'\nexec '${process.execPath}' '${ROOT}/dist/cli/umount-alias.js' "$@"\n`,
      { mode: 0o755 },
    );
    // A namespace of its own, where nothing else is in the folder of helpers.
    const script = `
      mount -t tmpfs none "$(readlink -f /sbin)"; cp '${helper}' /sbin/umount.fuse.quarry
      '${process.execPath}' '${QUARRY}' mount '${volume.target}' '${volume.directory}'
      for i in $(seq 300); do echo $i > '${volume.directory}'/$i; done
      # With an absolute path umount(8) of util-linux 2.38 does not look at the mount table, and asks for umount.fuse.
      cd '${volume.scratch.path}'; umount mnt
      '${process.execPath}' '${QUARRY}' fsck -n '${volume.target}'; cat '${helper}.said'`;
    const result = await runInNamespace(script);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toMatch(/: clean; 301 inodes/);
    expect(result.stdout.split('\n').at(-2)).toMatch(new RegExp(`^${volume.directory}( |$)`));
  });
});
