/**
 * The FUSE channel against the kernel: a server in a child process, its user here. Needs root and
 * /dev/fuse.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { native } from '../../src/native.ts';

const SERVER = fileURLToPath(new URL('native-fuse-server.cjs', import.meta.url));
const ADDON = fileURLToPath(new URL('../../build/Release/quarry.node', import.meta.url));
const MNT_DETACH = 2;
const canMount = process.getuid?.() === 0 && existsSync('/dev/fuse');

interface Server {
  readonly directory: string;
  readonly process: ChildProcess;
  /** How it ended, and what it said at the end. */
  readonly ended: Promise<{ code: number | null; counters: Record<string, number> }>;
}

const servers: Server[] = [];

async function serve(slots: number, mode = '', spin = 50_000): Promise<Server> {
  const directory = mkdtempSync('/var/tmp/quarry-mount-');
  const child = spawn(process.execPath, [SERVER, ADDON, directory, `${slots}`, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SPIN: `${spin}` },
  });
  let text = '';
  const ended = new Promise<Awaited<Server['ended']>>((resolve) => {
    child.on('close', (code) => {
      const last = text.trim().split('\n').at(-1) ?? '';
      resolve({ code, counters: last.startsWith('{') ? JSON.parse(last) : {} });
    });
  });
  const server = { directory, process: child, ended };
  servers.push(server);
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (data) => {
      text += data;
      if (text.includes('mounted')) resolve();
    });
    child.on('close', () => reject(new Error(`the server ended: ${text}`)));
  });
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) {
    try {
      native.umount(server.directory, MNT_DETACH);
    } catch {
      // Not mounted any more.
    }
    server.process.kill('SIGKILL');
    await server.ended;
    rmdirSync(server.directory);
  }
});

/** Looks for names that are not there: one request each, as nothing is cached. */
function lookUp(server: Server, count: number): number {
  let missing = 0;
  for (let at = 0; at < count; at++) {
    if (statSync(join(server.directory, `name-${at}`), { throwIfNoEntry: false }) === undefined) missing++;
  }
  return missing;
}

describe.runIf(canMount || process.env.CI)('a FUSE channel', () => {
  test('receives, replies in one part and in two, and sees the end', async () => {
    const server = await serve(8);
    expect(statSync(server.directory).isDirectory()).toBe(true);
    expect(lookUp(server, 100)).toBe(100);
    native.umount(server.directory, 0);
    const { code, counters } = await server.ended;
    expect(code).toBe(0);
    expect(counters).toMatchObject({ errno: 0, thrown: 0 });
    expect(counters.requests).toBeGreaterThanOrEqual(101);
  });

  test('goes on after callbacks that throw', async () => {
    const server = await serve(8, 'throw');
    expect(lookUp(server, 20)).toBe(20);
    native.umount(server.directory, 0);
    expect(await server.ended).toMatchObject({ code: 0, counters: { errno: 0, thrown: 3 } });
  });

  test.each(['slow', 'hold'])('serves with a single slot and %s replies', async (mode) => {
    const server = await serve(1, mode);
    expect(lookUp(server, 50)).toBe(50);
    native.umount(server.directory, 0);
    expect(await server.ended).toMatchObject({ code: 0, counters: { errno: 0 } });
  });

  test('spins only while requests come', async () => {
    const server = await serve(8);
    lookUp(server, 500);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    native.umount(server.directory, 0);
    const { counters } = await server.ended;
    expect(counters.spinHits).toBeGreaterThan(0);
    expect(counters.spinMisses).toBeLessThan(500);
    expect(counters.cpuMicroseconds).toBeLessThan(800_000);
  });

  test('never spins when told not to', async () => {
    const server = await serve(8, '', 0);
    lookUp(server, 100);
    native.umount(server.directory, 0);
    expect((await server.ended).counters).toMatchObject({ spinHits: 0, spinMisses: 0 });
  });

  test('leaves no mount that answers when its process is killed', async () => {
    const server = await serve(8);
    server.process.kill('SIGKILL');
    expect((await server.ended).code).toBe(null);
    expect(() => statSync(join(server.directory, 'name'))).toThrow(/ENOTCONN/);
  });

  test('that is not a FUSE device tells its errno', async () => {
    const [here, there] = native.socketPair();
    const channel = new native.FuseChannel(here, 12288, 2);
    native.closeDevice(there);
    const errno = await new Promise((resolve) => channel.start(() => {}, resolve));
    expect(errno).toBe(0); // the end of the stream
    channel.close();
  });
});

describe('a FUSE channel refuses', () => {
  function channel() {
    const [here, there] = native.socketPair();
    native.closeDevice(there);
    return new native.FuseChannel(here, 12288, 2);
  }

  test('slots too small or of odd size', () => {
    const [here, there] = native.socketPair();
    expect(() => new native.FuseChannel(here, 8192, 2)).toThrow(RangeError);
    expect(() => new native.FuseChannel(here, 12289, 2)).toThrow(RangeError);
    expect(() => new native.FuseChannel(here, 12288, 0)).toThrow(RangeError);
    native.closeDevice(here);
    native.closeDevice(there);
  });

  test('lengths outside its memory', () => {
    const one = channel();
    const body = new native.AlignedMemory(4096);
    expect(() => one.reply(0, 24577)).toThrow(RangeError);
    expect(() => one.reply(-1, 16)).toThrow(RangeError);
    expect(() => one.reply(24576, 1)).toThrow(RangeError);
    expect(() => one.replyWithBody(0, 16, body, 0, 4097)).toThrow(RangeError);
    expect(() => one.replyWithBody(0, 16, body, 4096, 1)).toThrow(RangeError);
    expect(() => one.replyWithBody(0, 16, { bytes: new Uint8Array(16) }, 0, 16)).toThrow(TypeError);
    one.close();
  });

  test('the release of a slot that is free or does not exist', () => {
    const one = channel();
    expect(() => one.release(0)).toThrow(/not in use/);
    expect(() => one.release(2)).toThrow(RangeError);
    one.close();
  });

  test('to reply once closed, with EBADF', () => {
    const one = channel();
    one.close();
    expect(one.reply(0, 16)).toBe(9);
    expect(() =>
      one.start(
        () => {},
        () => {},
      ),
    ).toThrow(/closed/);
  });
});

test('the clock of files agrees with the fine one, also where it has nothing to stamp, and never goes back', () => {
  const clock = native.openFileClock();
  let before = 0;
  for (const descriptor of [clock, clock, 2 ** 31 - 1]) {
    const into = new Float64Array(2);
    native.readFileClock(descriptor, into);
    const [seconds = 0, nanoseconds = 0] = into;
    expect(Math.abs(Date.now() - (seconds * 1000 + nanoseconds / 1e6))).toBeLessThan(50);
    if (descriptor === clock) expect(seconds * 1e9 + nanoseconds).toBeGreaterThanOrEqual(before);
    before = seconds * 1e9 + nanoseconds;
  }
  expect(() => native.readFileClock(clock, new Float64Array(1))).toThrow(TypeError);
});

test('system calls fail with their errno and path', () => {
  expect(() => native.umount('/var/tmp/quarry-nowhere', 0)).toThrow(
    expect.objectContaining({
      code: 'ENOENT',
      errno: -2,
      syscall: 'umount2',
      path: '/var/tmp/quarry-nowhere',
    }),
  );
  expect(() => native.mountFuse('a', '/var/tmp/quarry-nowhere', 'fuse', 0, '')).toThrow(/mount/);
});

test('receiveDescriptor returns -1 when none comes', () => {
  const [here, there] = native.socketPair();
  native.closeDevice(there);
  expect(native.receiveDescriptor(here)).toBe(-1);
  native.closeDevice(here);
});
