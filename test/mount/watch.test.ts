/**
 * `quarry watch` on mounts: what it counts is what programs did, who may watch, and how a watch
 * ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import type { WatchFigures } from '../../src/page/messages.ts';
import { describeQuarry, KIB, MIB, QUARRY, quarry, run, until, Volume } from './harness.ts';

/** The command as it runs; ended by `end`. */
class Watch {
  readonly child: ChildProcess;
  out = '';
  err = '';

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.out += chunk;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.err += chunk;
    });
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async end(): Promise<number | null> {
    await until('end of the watch', 30_000, () => this.hasEnded);
    return this.child.exitCode;
  }

  /** The lines of JSON so far. */
  get figures(): WatchFigures[] {
    const lines = this.out.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as WatchFigures);
  }
}

/** The letter of a process's state, as proc(5) has it. */
function stateOf({ pid }: ChildProcess): string | undefined {
  return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
}

/** Writes, reads past the kernel's cache, and removes; the rest is the kernel's. */
const WORK = `
import os, subprocess, sys
os.mkdir('work')
for i in range(60):
    path = 'work/file%d' % i
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(file, os.urandom(16384))
    os.fsync(file)
    os.close(file)
subprocess.run(['sync', '-f', '.'], check=True)
for i in range(60):
    path = 'work/file%d' % i
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.read(file, 16384)
    os.close(file)
for i in range(0, 60, 2):
    os.unlink('work/file%d' % i)
`;

describeQuarry('watching a mount', () => {
  let volume: Volume;
  let watches: Watch[] = [];

  function watch(...words: string[]): Watch {
    const started = new Watch(process.execPath, [QUARRY, 'watch', volume.directory, ...words]);
    watches.push(started);
    return started;
  }

  afterEach(async () => {
    for (const { child } of watches) child.kill('SIGKILL');
    watches = [];
    await volume.destroy();
  });

  test('figures are of what programs did, right in sum', async () => {
    volume = await Volume.make({ sizeBytes: 128 * MIB });
    const started = watch('--json', '--interval', '0.3');
    await until('the first figures', 30_000, () => started.figures.length > 0);
    await volume.python(WORK);
    const sofar = started.figures.length;
    // A question may be under way, and the free space is as the next one found it.
    await until('the figures of all of it', 30_000, () => started.figures.length > sofar + 2);
    started.child.kill('SIGINT');
    expect([await started.end(), started.err]).toEqual([0, '']);
    const { figures } = started;
    const sum = (of: (one: WatchFigures) => number) => figures.reduce((all, one) => all + of(one), 0);
    // CREATE is refused once, by agreement, and then left to MKNOD.
    const kind = (name: string) =>
      sum(({ requests }) => {
        const found = requests?.kinds.find((one) => one.name === name);
        return found === undefined ? 0 : found.requests - found.errors;
      });
    expect([kind('mknod'), kind('create')]).toEqual([60, 1]);
    expect([kind('mkdir'), kind('unlink')]).toEqual([1, 30]);
    expect(kind('ioctl')).toBe(0);
    expect(sum(({ requests }) => requests?.bytesWritten ?? 0)).toBe(60 * 16 * KIB);
    expect(sum(({ requests }) => requests?.bytesRead ?? 0)).toBe(60 * 16 * KIB);
    expect(sum(({ allocations }) => allocations.dataBlocks - allocations.returnedBlocks)).toBe(240);
    expect(sum(({ allocations }) => allocations.freedBlocks)).toBeGreaterThanOrEqual(120);
    expect(sum(({ commits }) => commits.commits)).toBeGreaterThan(0);
    for (const { requests, seconds } of figures) {
      expect(requests?.perSecond).toBeCloseTo((requests?.requests ?? -1) / seconds);
      for (const { p50Microseconds, p99Microseconds } of requests?.kinds ?? []) {
        expect(p50Microseconds).toBeGreaterThan(0);
        expect(p99Microseconds).toBeGreaterThanOrEqual(p50Microseconds);
      }
    }
    // What is free at the end is what fsck finds.
    const space = figures.at(-1)?.space;
    expect(space?.knownShare).toBe(1);
    await volume.shell('sync -f .');
    await volume.unmount();
    const { stdout } = await quarry('frag', '--json', volume.target);
    const { freeSpace } = JSON.parse(stdout) as { freeSpace: { freeBlocks: number; runs: number } };
    expect([space?.freeBlocks, space?.freeRuns]).toEqual([freeSpace.freeBlocks, freeSpace.runs]);
  });

  test('a line for each interval, and the reader may go away', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const three = watch('--json', '--interval', '0.2', '--count', '3');
    expect([await three.end(), three.figures.length]).toEqual([0, 3]);
    const two = watch('--interval', '0.2', '--count', '2');
    expect(await two.end()).toBe(0);
    expect(two.out).toMatch(/^(\d\d:\d\d:\d\d {2}[\d,.]+ requests\/s .*free [^\n]+\n){2}$/);
    const words = `'${process.execPath}' '${QUARRY}' watch '${volume.directory}' --interval 0.1 | head -n 1`;
    const { stdout, stderr, status } = await run('bash', ['-o', 'pipefail', '-c', words], {
      limitMs: 20_000,
    });
    expect([status, stderr, stdout.split('\n').length]).toEqual([0, '', 2]);
  });

  test('watchers keep nobody from unmounting, and say that the mount has ended', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const several = [1, 2, 3].map(() => watch('--json', '--interval', '0.1'));
    await until('some figures', 30_000, () => several.every(({ figures }) => figures.length > 2));
    // By `quarry umount`, which tries again; umount(8) would not, and may come upon a question.
    await volume.unmount();
    for (const started of several) {
      expect(await started.end()).toBe(0);
      expect(started.err).toBe(`quarry: ${volume.directory} was unmounted\n`);
    }
  });

  test('a signal ends it while the daemon says nothing', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const started = watch('--json', '--interval', '0.1');
    await until('some figures', 30_000, () => started.figures.length > 0);
    volume.daemon?.kill('SIGSTOP');
    try {
      const { length } = started.figures;
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(started.figures.length).toBeLessThanOrEqual(length + 1);
      const began = performance.now();
      started.child.kill('SIGINT');
      expect([await started.end(), started.err]).toEqual([0, '']);
      // An answer is waited for five seconds.
      expect(performance.now() - began).toBeLessThan(3000);
    } finally {
      volume.daemon?.kill('SIGCONT');
    }
  });

  test('a daemon that is killed ends the watch with a failure', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const started = watch('--json', '--interval', '0.1');
    await until('some figures', 30_000, () => started.figures.length > 0);
    volume.daemon?.kill('SIGKILL');
    expect(await started.end()).toBe(1);
    expect(started.err).toMatch(/^\{"error":"the daemon of [^\n]+ is gone"\}\n$/);
  });

  test('a signal ends it in order, and the terminal is as it was', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const started = watch('--json', '--interval', '0.2');
      await until('the first figures', 30_000, () => started.figures.length > 0);
      started.child.kill(signal);
      expect([signal, await started.end(), started.err]).toEqual([signal, 0, '']);
    }
    // In a terminal of its own, which script(1) makes; the bytes that Ctrl-Z and Ctrl-\ are, come
    // from it. script(1) stops when its child does, and goes on with it.
    const command = `stty rows 30 cols 70; exec '${process.execPath}' '${QUARRY}' watch '${volume.directory}' --interval 0.2`;
    const screen = new Watch('script', ['-qec', command, '/dev/null']);
    watches.push(screen);
    await until('a screen', 30_000, () => /score/.test(screen.out));
    const isLeft = () => screen.out.trimEnd().endsWith('\x1b[?25h\x1b[?1049l');
    expect([screen.out.startsWith('\x1b[?1049h'), isLeft()]).toEqual([true, false]);
    const { length } = screen.out;
    screen.child.stdin?.write('\x1a');
    // What was written last it may hand on only when it goes on.
    await until('script(1) stopped', 30_000, () => stateOf(screen.child) === 'T');
    screen.child.kill('SIGCONT');
    const again = /\?25h.\[\?1049l.*\?1049h.*score/s;
    await until('the screen left and entered', 30_000, () => again.test(screen.out.slice(length)));
    screen.child.stdin?.write('\x1c');
    expect(await screen.end()).toBe(0);
    expect(isLeft()).toBe(true);
    const last = screen.out.split('\x1b[H').at(-1) ?? '';
    const lines = last.split('\r\n').map((line) => line.split('\x1b')[0] ?? '');
    expect(lines.length).toBeLessThanOrEqual(30);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(70);
  });

  test('only root and the owner may watch', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    chmodSync(volume.scratch.path, 0o755);
    const words = `exec '${process.execPath}' '${QUARRY}' watch '${volume.directory}' --count 1 --interval 0.1`;
    const foreign = await run('setpriv', ['--reuid=65534', '--clear-groups', 'bash', '-c', words]);
    expect([foreign.status, foreign.stdout]).toEqual([1, '']);
    expect(foreign.stderr).toMatch(/^quarry: [^\n]*only root and the daemon's owner[^\n]*\n$/);
  });
});
