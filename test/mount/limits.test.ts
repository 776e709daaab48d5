/**
 * What a mount takes over from the shell that made it: limits of processes, and the ways into
 * Node's debugger.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, run, Volume } from './harness.ts';

/** Runs the command under a limit of the shell. */
function limited(ulimit: string, ...words: string[]) {
  return run('bash', ['-c', `ulimit ${ulimit} && exec "$0" "$@"`, process.execPath, QUARRY, ...words]);
}

/** The same for hard limits, without the right to raise them. */
function withoutRights(ulimit: string, ...words: string[]) {
  const script = `ulimit ${ulimit} && exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource "$0" "$@"`;
  return run('bash', ['-c', script, process.execPath, QUARRY, ...words]);
}

async function daemonOf(directory: string): Promise<number> {
  const stat = JSON.parse((await quarry('stat', '--json', directory)).stdout) as { pid: number };
  return stat.pid;
}

/**
 * Does the process listen on a port? Whoever may connect to a debugger's may do all that the
 * process may.
 */
function listens(pid: number): boolean {
  const sockets = new Set<string>();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1];
      if (inode !== undefined) sockets.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  const lines = ['tcp', 'tcp6'].flatMap((name) =>
    readFileSync(`/proc/${pid}/net/${name}`, 'utf8').split('\n'),
  );
  const listening = lines.map((line) => line.trim().split(/\s+/)).filter(([, , , state]) => state === '0A');
  return listening.some((fields) => sockets.has(fields[9] ?? ''));
}

describeQuarry('limits of the shell that mounts', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  test('are raised', async () => {
    const ulimit = '-S -f 100 -S -t 1000 -S -v 1200000 -S -d 400000 -S -s 512 -S -n 64';
    const mounted = await limited(ulimit, 'mount', volume.target, volume.directory);
    expect(mounted).toMatchObject({ status: 0, stderr: '' });
    await volume.shell(
      'for i in {1..100}; do head -c 200k /dev/zero | tr "\\0" "$((i % 10))" > file-$i; done',
    );
    const sum = await volume.shell('cat file-* | sha256sum');
    const limits = readFileSync(`/proc/${await daemonOf(volume.directory)}/limits`, 'utf8');
    for (const name of ['cpu time', 'file size', 'data size', 'address space'])
      expect(limits).toMatch(new RegExp(`^Max ${name} +unlimited`, 'm'));
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
    await volume.mount();
    expect(await volume.shell('cat file-* | sha256sum')).toBe(sum);
    await volume.unmount();
  });

  test('are raised for mkfs and fsck as well', async () => {
    expect(await limited('-S -f 100', 'mkfs', '--force', volume.target)).toMatchObject({ status: 0 });
    expect(await limited('-S -f 100', 'fsck', '-y', volume.target)).toMatchObject({ status: 0 });
  });

  test('that cannot be raised are refused in one line', async () => {
    const cases: [ulimit: string, command: string, line: RegExp][] = [
      [
        '-f 100',
        'mount',
        /^quarry: .*volume\.img has 64 MiB, and files are limited to 100 KiB here: .*'ulimit -f/,
      ],
      ['-f 100', 'fsck -y', /files are limited to 100 KiB here/],
      ['-f 100', 'mkfs --force', /files are limited to 100 KiB here/],
      ['-t 1000', 'mount', /may use 1000 s of the processor here, and a mount has no end/],
      ['-v 1200000', 'mount', /address space is limited to 1\.1 GiB here/],
      ['-s 512', 'mount', /the stack is limited to 512 KiB here/],
      ['-n 20', 'fsck -y', /no more than 20 files may be open at once here/],
    ];
    for (const [ulimit, command, line] of cases) {
      const words = [
        ...command.split(' '),
        volume.target,
        ...(command === 'mount' ? [volume.directory] : []),
      ];
      const refused = await withoutRights(ulimit, ...words);
      expect(refused.stderr, `ulimit ${ulimit}, ${command}`).toMatch(line);
      expect(refused.stderr.trim().split('\n')).toHaveLength(1);
      expect(refused.status).toBe(command.startsWith('fsck') ? 8 : 1);
    }
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });
});

describeQuarry('the debugger of the engine', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(() => volume?.destroy());

  test('is opened neither by SIGUSR1 nor by the environment of who mounts', async () => {
    const env = { NODE_OPTIONS: '--inspect=127.0.0.1:0 --no-warnings' };
    const mounted = await run(process.execPath, [QUARRY, 'mount', volume.target, volume.directory], { env });
    expect(mounted).toMatchObject({ status: 0 });
    const pid = await daemonOf(volume.directory);
    expect(readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')).toContain(
      'NODE_OPTIONS=--no-warnings',
    );
    expect(listens(pid)).toBe(false);
    for (let count = 0; count < 20; count++) {
      process.kill(pid, 'SIGUSR1');
      await sleep(10);
    }
    expect(listens(pid)).toBe(false);
    await volume.shell('echo still > here && test "$(cat here)" = still');
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
  });

  test('is not opened in a mount in the foreground', async () => {
    await volume.mount();
    const pid = volume.daemon?.pid ?? 0;
    process.kill(pid, 'SIGUSR1');
    await sleep(200);
    expect(listens(pid)).toBe(false);
    await volume.unmountAndCheck();
  });
});
