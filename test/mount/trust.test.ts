/**
 * Whom the commands believe: the kernel, and a mount about itself; nothing that somebody else could
 * prepare.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askMount, NoAnswerError } from '../../src/cli/ask-mount.ts';
import { findMount } from '../../src/fuse/mount-table.ts';
import { isMissing } from '../missing.ts';
import {
  describeQuarry,
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
  whileStopped,
} from './harness.ts';

const LIMIT_MS = 15_000;
const commandWith = (env: Record<string, string>, ...args: string[]) =>
  run(process.execPath, [QUARRY, ...args], { limitMs: LIMIT_MS, env });
const command = (...args: string[]) => commandWith({}, ...args);

function mountOf(volume: Volume) {
  const mount = findMount(volume.directory);
  if (mount === undefined) throw new Error('not mounted');
  return mount;
}

/** Answers everybody on a socket as a daemon once did. */
const FORGER = `
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print('ready', flush=True)
while True:
    client = server.accept()[0]
    client.recv(64)
    client.sendall(b'{"clean":true,"forged":1}\\n')
    client.close()
`;

describeQuarry('files that a stranger prepared where records once lay', () => {
  const STRANGER = 64321;
  let volume: Volume;
  let place: string;
  let command: (...args: string[]) => ReturnType<typeof commandWith>;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const temporary = volume.scratch.file('tmp');
    place = join(temporary, `quarry-${STRANGER}`);
    await shell(`mkdir -m 1777 '${temporary}'; mkdir '${place}'; chown ${STRANGER} '${place}'`);
    command = (...args) => commandWith({ TMPDIR: temporary }, ...args);
  });
  afterEach(() => volume?.destroy());

  test('a dead process and the path of a victim: nothing is removed', async () => {
    const victim = volume.scratch.file('victim');
    writeFileSync(victim, 'kept');
    const record = { pid: 4194303, startTicks: 1, target: '/x', directory: '/x', socket: victim };
    writeFileSync(join(place, '1.json'), JSON.stringify(record));
    expect(await command('stat', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(victim, 'utf8')).toBe('kept');
    expect(existsSync(join(place, '1.json'))).toBe(true);
    expect(await command('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(victim, 'utf8')).toBe('kept');
  });

  test('a FIFO stops nobody', async () => {
    await shell(`mkfifo -m 666 '${place}/1.json'`);
    expect(await command('stat', volume.directory)).toMatchObject({ status: 0 });
    expect(await command('umount', volume.directory)).toMatchObject({ status: 0 });
    expect(await command('mount', volume.target, volume.directory)).toMatchObject({ status: 0 });
    expect(await command('umount', volume.directory)).toMatchObject({ status: 0 });
  });

  test('a living process that would answer in the place of the daemon is not asked', async () => {
    const socket = volume.scratch.file('socket');
    // Younger than the daemon, as the latest record once was the one that counted.
    const forger = spawn('python3', ['-c', FORGER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => forger.stdout.once('data', resolve));
      const ticks = readFileSync(`/proc/${forger.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19];
      const { target, directory } = volume;
      const record = { pid: forger.pid, startTicks: Number(ticks), target, directory, socket };
      writeFileSync(join(place, '1.json'), JSON.stringify(record));
      expect((await command('stat', directory)).stdout).toMatch(/^target: +\S+volume\.img$/m);
      await volume.shell('echo written > file');
      expect(await command('umount', directory)).toMatchObject({ status: 0 });
      expect(volume.daemon?.exitCode).toBe(0);
      expect(await quarry('fsck', '-n', target)).toMatchObject({ status: 0 });
    } finally {
      forger.kill('SIGKILL');
    }
  });
});

describeQuarry('a mount that is served by somebody else', () => {
  let volume: Volume;
  let server: ChildProcess | undefined;
  let victim: ChildProcess | undefined;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    victim = spawn('sleep', ['100'], { stdio: 'ignore' });
  });
  afterEach(async () => {
    victim?.kill('SIGKILL');
    server?.kill('SIGKILL');
    await shellResult(`umount -l '${volume.directory}'`);
    await volume?.destroy();
  });

  async function serveHostile(text: string, more: string[] = [], status = 0): Promise<void> {
    const program = join(ROOT, 'test/mount/hostile-server.py');
    const child = spawn('python3', [program, volume.directory, text, ...more], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, STATUS: String(status) },
    });
    server = child;
    await new Promise((resolve) => child.stdout.once('data', resolve));
  }

  test('its answer steers no terminal, and no process is ended for it', async () => {
    const answer = {
      pid: victim?.pid,
      failure: '\u001b[2J\u009bforged\nquarry: all is well',
      label: '\u202etxt',
    };
    await serveHostile(JSON.stringify(answer));
    for (const args of [
      ['stat', volume.directory],
      ['stat', '--json', volume.directory],
      ['stat', '--log', volume.directory],
    ]) {
      const { stdout, stderr } = await command(...args);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
      expect(stdout).not.toMatch(/^quarry: all is well/m);
    }
    expect((await command('umount', volume.directory)).stderr).not.toContain('\u001b');
    await until('the end of the server', 5000, () => server?.exitCode !== null);
    expect(victim?.exitCode ?? victim?.signalCode).toBe(null);
    expect(isMountPoint(volume.directory)).toBe(false);
  });

  test.each([
    ['no JSON', 'rubbish'],
    ['much of it', '['.repeat(16000)],
    ['another kind', '17'],
  ])('an answer that is %s ends in one line', async (_, text) => {
    await serveHostile(text);
    for (const args of [['stat'], ['stat', '--json']]) {
      const { status, stderr, stdout } = await command(...args, volume.directory);
      expect(stderr.split('\n').length + stdout.split('\n').length).toBeLessThan(5);
      expect([0, 1]).toContain(status);
    }
    expect(await command('umount', volume.directory)).toMatchObject({ status: expect.any(Number) });
    expect(isMountPoint(volume.directory)).toBe(false);
  });

  test('the reason why its volume takes no changes has an end', async () => {
    await serveHostile(JSON.stringify({ failure: 'x'.repeat(10_000) }), [], 1);
    const { status, stderr } = await command('umount', volume.directory);
    expect(status).toBe(1);
    expect(stderr).toMatch(/the last changes could not be written \(x+\)/);
    expect(stderr.length).toBeLessThan(1500);
  });

  test('one that lives on after its mount is waited for with a bound', async () => {
    await serveHostile('{}', ['60']);
    expect(await command('umount', '--timeout', '1', volume.directory)).toMatchObject({ status: 1 });
    expect(isMountPoint(volume.directory)).toBe(false);
  });

  test('force ends the process that serves the mount, and no other', async () => {
    await serveHostile(JSON.stringify({ pid: victim?.pid }));
    const forced = await whileStopped(server, () =>
      command('umount', '--force', '--timeout', '0.5', volume.directory),
    );
    expect(forced.status, forced.stderr).toBe(0);
    expect(forced.stderr).toContain(`(process ${server?.pid}) is killed`);
    expect(victim?.exitCode ?? victim?.signalCode).toBe(null);
  });
});

describeQuarry('questions to a mount', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
  });
  afterEach(() => volume?.destroy());

  test('who it is, its log, and a commit', async () => {
    expect(await askMount(mountOf(volume), 'identify')).toMatchObject({
      pid: volume.daemon?.pid,
      target: volume.target,
      readOnly: false,
      deviceNumbers: mountOf(volume).deviceNumbers,
    });
    await volume.shell('mkdir committed');
    await askMount(mountOf(volume), 'commit');
    expect(await askMount(mountOf(volume), 'log')).toBe('');
    const refused = await askMount(mountOf(volume), 'remount', { payload: 'ro' }).catch((thrown) => thrown);
    expect(refused).toBeInstanceOf(NoAnswerError);
    volume.daemon?.kill('SIGKILL');
    await volume.daemonEnd();
    expect((await quarry('umount', volume.directory)).stderr).toContain('had died');
    await volume.mount();
    await volume.shell('test -d committed');
    expect((await quarry('stat', '--log', volume.directory)).stdout).toMatch(
      / \[\d+\] .*not unmounted in order.*\n$/,
    );
    await volume.unmountAndCheck();
  });

  test('what the programs of others ask by ioctl is refused as before', async () => {
    // _IOR('Q', 1, long), which nobody has; TCGETS; a question that is none.
    const program = `
import fcntl, os, errno
fd = os.open('.', os.O_RDONLY)
for number in (0x80085101, 0x5401, 0xfff85151):
    try:
        fcntl.ioctl(fd, number, bytearray(16376 if number == 0xfff85151 else 8))
        raise SystemExit('accepted')
    except OSError as error:
        assert error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP), error
`;
    await volume.python(program);
    await volume.unmountAndCheck();
  });

  test('a stopped daemon: one line with its number, in the time given, and nobody hangs', async () => {
    await whileStopped(volume.daemon, async () => {
      for (const args of [
        ['stat', '--timeout', '1'],
        ['umount', '--timeout', '1'],
      ]) {
        const { status, stderr, stdout } = await command(...args, volume.directory);
        expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
        expect(stderr).toMatch(/^quarry: [^\n]*does not answer[^\n]*\n$/);
        expect(stderr).toContain(`process ${volume.daemon?.pid}`);
      }
    });
    expect(await command('stat', volume.directory)).toMatchObject({ status: 0 });
    await volume.unmountAndCheck();
  });

  test.skipIf(isMissing('fusermount3', 'setpriv'))('root asks the mount of a user, and ends it', async () => {
    await volume.unmount();
    const { scratch, image, directory } = volume;
    const project = join(scratch.path, 'project');
    const asUser = 'setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp';
    const main = `'${process.execPath}' '${project}/dist/cli/main.js'`;
    const script = `
      mkdir '${project}' && mount --bind '${join(QUARRY, '../../..')}' '${project}'
      mknod '${scratch.path}/fuse' c 10 229 && chmod 666 '${scratch.path}/fuse'
      mount --bind '${scratch.path}/fuse' /dev/fuse
      chown -R 65534:65534 '${image}' '${directory}'
      ${asUser} ${main} mount '${image}' '${directory}'
      ls '${directory}' 2> /dev/null && echo 'root can look into it' || true
      ${main} stat '${directory}' | grep -c '^pid'
      ${main} umount '${directory}'
      ${main} fsck -n '${image}' > /dev/null`;
    const result = await runInNamespace(script);
    expect(result).toEqual({ status: 0, stdout: '1\n', stderr: '' });
  });
});
