/**
 * The life of processes that use asynchronous files, seen from outside: they may end at any stage,
 * by any way, and neither crash nor leave anything behind; and with nothing to do they do nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  ENGINES,
  IS_ROOT,
  makeSlowDevice,
  SLOWNESS_OBSTACLE,
  temporaryFile,
  undoAfterAll,
} from '../suite/aio-conformance-targets.ts';

const CHILD = fileURLToPath(new URL('aio-lifecycle-child.mjs', import.meta.url));
const LIMIT_MS = 60_000;
/** What the shared context of a thread asks for. */
const SLOTS_OF_A_PROCESS = 256;
/**
 * Opens of the engines that hold something of the kernel's besides descriptors, and of the others.
 */
const MANY_OPENS: Partial<Record<string, number>> = { aio: 4000, uring: 4000 };
const SOME_OPENS = 1000;
const HAS_STRACE = existsSync('/usr/bin/strace');

interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

undoAfterAll();

async function endingOf(child: ChildProcess): Promise<Ending> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { status, signal, out, err };
}

function runStage(stage: string, engine: string, path: string, detail = ''): Promise<Ending> {
  return endingOf(spawn(process.execPath, ['--expose-gc', CHILD, stage, engine, path, detail]));
}

/** The stage ended well: what it told. */
async function toldBy<T>(stage: string, engine: string, path: string, detail = ''): Promise<T> {
  const ending = await runStage(stage, engine, path, detail);
  expect(ending, ending.err).toMatchObject({ status: 0, signal: null, err: '' });
  return JSON.parse(ending.out) as T;
}

function slotsInUse(): number {
  return Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
}

/**
 * None of so many processes has left its slots behind. They are given back a little after the end,
 * and other tests and mounts hold some as well: what a process itself holds, its stages look up in
 * its memory map.
 */
async function expectSlotsGivenBack(before: number, processes: number): Promise<void> {
  const most = before + (processes * SLOTS_OF_A_PROCESS) / 2;
  for (let waited = 0; slotsInUse() > most && waited < 10_000; waited += 20) await sleep(20);
  expect(slotsInUse()).toBeLessThanOrEqual(most);
}

const EXITS = [
  'exit with a file open',
  'exit with requests in flight',
  'exit with requests submitted in this turn',
  'exit while closing',
  'exit in onDone',
  'exit while opening',
  'end by itself with a file open',
];

const WORKER_STAGES = [
  'workers that are terminated',
  'workers that are terminated at any moment',
  'workers that end',
];

const path = temporaryFile(Buffer.alloc(2 ** 20, 7));

describe.each(ENGINES)('%s', (engine) => {
  test.concurrent('ends at any stage without a crash', async () => {
    const before = slotsInUse();
    const endings = await Promise.all(EXITS.map((stage) => runStage(stage, engine, path)));
    for (const [at, ending] of endings.entries()) {
      expect(ending, EXITS[at]).toEqual({ status: 0, signal: null, out: '', err: '' });
    }
    await expectSlotsGivenBack(before, EXITS.length);
  });

  test.concurrent('requests keep the process alive until they have ended', async () => {
    expect(await toldBy('end by itself when the requests have ended', engine, path)).toEqual({ done: 8 });
  });

  test.concurrent('uncaught exceptions end it as they end any process', async () => {
    for (const stage of ['an uncaught exception with requests in flight', 'an exception in onDone']) {
      const ending = await runStage(stage, engine, path);
      expect(ending, stage).toMatchObject({ status: 1, signal: null });
      expect(ending.err).toContain('Error: on purpose');
    }
    expect(await toldBy('an exception in onDone that is caught at last', engine, path)).toEqual({
      caught: 4,
      done: 4,
    });
  });

  test.concurrent('worker threads may be terminated with I/O in flight', async () => {
    for (const stage of WORKER_STAGES) {
      const told = await toldBy<{ before: unknown; after: unknown }>(stage, engine, path);
      expect(told.after, stage).toEqual(told.before);
    }
  });

  test.concurrent('a worker thread that ends takes no descriptor of another', async () => {
    const stage = 'a worker that ends takes no descriptor of another thread';
    expect(await toldBy(stage, engine, path)).toEqual({ counts: Array(9).fill(4096) });
  });

  test.concurrent('files that nobody reaches are collected, and their requests are not', async () => {
    interface Told {
      before: { files: number };
      most: { files: number };
      after: unknown;
      count: number;
    }
    const told = await toldBy<Told>('files that nobody reaches are closed', engine, path);
    expect(told.most.files).toBe(told.before.files + 50);
    expect(told.after).toEqual(told.before);
    expect(told.count).toBe(4096);
    expect(await toldBy('requests outlive what nobody reaches', engine, path)).toEqual({ ended: 8 });
  });

  const opens = MANY_OPENS[engine] ?? SOME_OPENS;
  test.concurrent(`${opens} opens leave nothing`, async () => {
    const told = await toldBy<{ before: unknown; after: unknown }>('many opens', engine, path, String(opens));
    expect(told.after).toEqual(told.before);
  });
});

/** System calls that strace sees the process make within half a second. */
async function systemCallsWithin(pid: number, milliseconds: number): Promise<string[]> {
  const strace = spawn('strace', ['-f', '-qq', '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ending = endingOf(strace);
  await sleep(milliseconds);
  strace.kill('SIGINT');
  const { err } = await ending;
  expect(err).not.toContain('attach:');
  // Calls that were under way at the start or the end are waits, not wake-ups.
  return err
    .split('\n')
    .filter((line) => line.includes('(') && !/restart_syscall|unfinished|detached/.test(line));
}

describe('idle', () => {
  test.concurrent.each(ENGINES)('an open file costs nothing and wakes nobody: %s', async (engine) => {
    const child = spawn(process.execPath, [CHILD, 'idle', engine, path], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const ending = endingOf(child);
    await once(child, 'message');
    // strace is no part of every system; the processor time is there always.
    const calls = HAS_STRACE && IS_ROOT ? await systemCallsWithin(child.pid as number, 500) : [];
    const { status, out, err } = await ending;
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(calls.filter((line) => !/epoll_wait|epoll_pwait|futex/.test(line))).toEqual([]);
    expect(calls.length).toBeLessThanOrEqual(4);
    expect((JSON.parse(out) as { cpuMs: number }).cpuMs).toBeLessThan(25);
  });
});

describe.skipIf(SLOWNESS_OBSTACLE !== '' && !process.env.CI)('on a slow device', () => {
  test.concurrent.each(ENGINES)('%s: exit with requests in flight', async (engine) => {
    const device = makeSlowDevice(16);
    for (const stage of ['exit with requests in flight', 'exit while closing']) {
      expect(await runStage(stage, engine, device), stage).toEqual({
        status: 0,
        signal: null,
        out: '',
        err: '',
      });
    }
  });

  test.concurrent.each(ENGINES)('%s: a wait does not spin', async (engine) => {
    const device = makeSlowDevice(8);
    const { cpuMs, waitedMs } = await toldBy<{ cpuMs: number; waitedMs: number }>('waiting', engine, device);
    expect(waitedMs).toBeGreaterThan(200);
    expect(cpuMs / waitedMs).toBeLessThan(0.1);
  });
});

/** Runs a stage under a filter that makes system calls fail, by their numbers on x86-64. */
function runFiltered(refusals: Record<number, number>, engine: string): Promise<Ending> {
  const program = `
import ctypes, os, struct, sys
refusals = eval(sys.argv[1])
code = [(0x20, 0, 0, 0)]
for number, errno in refusals.items():
    code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | errno)]
code += [(0x06, 0, 0, 0x7fff0000)]
filters = b''.join(struct.pack('HBBI', *one) for one in code)
memory = ctypes.create_string_buffer(filters)
program = struct.pack('HxxxxxxP', len(code), ctypes.addressof(memory))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])`;
  const words = ['-c', program, JSON.stringify(refusals).replaceAll('"', ''), process.execPath, CHILD];
  return endingOf(spawn('python3', [...words, 'opening', engine, path]));
}

const IO_SETUP = 206;
const IO_URING_SETUP = 425;
const EPERM = 1;
const EAGAIN = 11;
const ENOSYS = 38;

describe.skipIf(process.arch !== 'x64')('where the system refuses an engine', () => {
  test.concurrent.each([
    ['aio', { [IO_SETUP]: EAGAIN }, 'EAGAIN', /aio-max-nr/],
    ['aio', { [IO_SETUP]: ENOSYS }, 'ENOSYS', /io_setup/],
    ['uring', { [IO_URING_SETUP]: EPERM }, 'EPERM', /io_uring/],
    ['uring', { [IO_URING_SETUP]: ENOSYS }, 'ENOSYS', /io_uring/],
  ] as const)('%s refused by %j says so', async (engine, refusals, code, says) => {
    const { status, out, err } = await runFiltered(refusals, engine);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ name: 'AioError', code, message: expect.stringMatching(says) });
  });

  test.concurrent.each([
    [{ [IO_URING_SETUP]: EPERM }, 'aio'],
    [{ [IO_URING_SETUP]: ENOSYS, [IO_SETUP]: EAGAIN }, 'direct'],
    [{}, 'uring'],
  ])('auto takes the next one: %j', async (refusals, found) => {
    const { status, out, err } = await runFiltered(refusals, 'auto');
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(JSON.parse(out)).toEqual({ found, count: 4096 });
  });

  test('auto takes buffered where there is no O_DIRECT, and the engines that need it say so', async () => {
    const told = async (engine: string) =>
      JSON.parse((await runStage('opening', engine, '/proc/version')).out);
    expect(await told('auto')).toMatchObject({ found: 'buffered' });
    for (const engine of ['direct', 'aio', 'uring']) {
      expect(await told(engine)).toMatchObject({
        code: 'EINVAL',
        message: expect.stringMatching(/O_DIRECT/),
      });
    }
  });
});
