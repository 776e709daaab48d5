/**
 * What only a device on a kernel has: opening, refusing, files that shrink, and processes that
 * compete for one image.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type IoCompletion, PromisedCompletion } from '../../src/aio/device.ts';
import { type KernelDevice, openKernelDevice } from '../../src/aio/kernel-device.ts';
import { native, QueueOperation } from '../../src/native.ts';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const { EBADF, EINVAL, EIO } = constants.errno;
const ADDON = fileURLToPath(new URL('../../build/Release/quarry.node', import.meta.url));
const SIZE = 1024 * 1024;

removeTemporaryImagesAfterAll();

const MIB = 1024 * 1024;

describe('opening', () => {
  test('tells the geometry', async () => {
    const device = openKernelDevice(temporaryImage(SIZE + 100), { queueDepth: 8 });
    expect(device.sizeBytes).toBe(SIZE);
    expect([512, 4096]).toContain(device.sectorBytes);
    expect(device.isBlockDevice).toBe(false);
    expect(device.direct).toBe(true);
    expect(device.queueDepth).toBe(8);
    await device.close();
  });

  test('can use less than everything', async () => {
    const path = temporaryImage(SIZE);
    const device = openKernelDevice(path, { sizeBytes: 65536 });
    expect(device.sizeBytes).toBe(65536);
    await device.close();
    expect(() => openKernelDevice(path, { sizeBytes: SIZE * 2 })).toThrow(RangeError);
  });

  test.each([
    ['a missing file', '/var/tmp/quarry-no-such-file', 'ENOENT'],
    ['a directory', '/var/tmp', 'EISDIR'],
    ['a character device', '/dev/zero', 'ENOTBLK'],
  ])('refuses %s', (_, path, code) => {
    expect(() => openKernelDevice(path)).toThrow(expect.objectContaining({ code, path, syscall: 'open' }));
  });

  test('refuses a queue depth out of range, and leaves nothing open', () => {
    const path = temporaryImage(SIZE);
    expect(() => openKernelDevice(path, { queueDepth: 0 })).toThrow(RangeError);
    expect(() => openKernelDevice(path, { queueDepth: 1e9 })).toThrow(RangeError);
    native.closeDevice(native.openDevice(path, {}).descriptor); // no lock is left behind
  });

  test('says how to raise the limit when the system has no room for the context', () => {
    const path = temporaryImage(SIZE);
    const devices: KernelDevice[] = [];
    const open = () => {
      // Of 65,536, the usual limit, something is left for the tests that run beside this one.
      for (;;) devices.push(openKernelDevice(path, { exclusive: false, queueDepth: 12_000 }));
    };
    expect(open).toThrow(/fs\.aio-max-nr/);
    return Promise.all(devices.map((device) => device.close()));
  });
});

describe('exclusive opening of an image', () => {
  const openInChild = (path: string, readOnly: boolean) =>
    spawnSync(process.execPath, [
      '-e',
      `try { require(${JSON.stringify(ADDON)}).openDevice(${JSON.stringify(path)}, { readOnly: ${readOnly} }) }
       catch (error) { console.log(error.code); }`,
    ]).stdout.toString();

  test('keeps out another process', async () => {
    const path = temporaryImage(SIZE);
    const device = openKernelDevice(path);
    expect(openInChild(path, false)).toBe('EBUSY\n');
    expect(openInChild(path, true)).toBe('EBUSY\n');
    await device.close();
    expect(openInChild(path, false)).toBe('');
  });

  test('keeps out this process too', async () => {
    const path = temporaryImage(SIZE);
    const device = openKernelDevice(path);
    expect(() => openKernelDevice(path)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    await openKernelDevice(path, { exclusive: false }).close();
    expect(openInChild(path, false)).toBe('EBUSY\n');
    await device.close();
  });

  test('lets readers share', async () => {
    const path = temporaryImage(SIZE);
    const device = openKernelDevice(path, { readOnly: true });
    expect(openInChild(path, true)).toBe('');
    expect(openInChild(path, false)).toBe('EBUSY\n');
    await device.close();
  });
});

describe('a device that becomes longer', () => {
  const NO_LOOP_DEVICES = process.getuid?.() !== 0 && !process.env.CI;

  test('an image', async () => {
    const path = temporaryImage(MIB);
    const device = openKernelDevice(path);
    truncateSync(path, 3 * MIB + 700);
    expect(device.sizeBytes).toBe(MIB);
    device.remeasure();
    expect(device.sizeBytes).toBe(3 * MIB + 700 - (700 % device.sectorBytes));
    device.resizeFile(4 * MIB);
    expect([device.sizeBytes, statSync(path).size]).toEqual([4 * MIB, 4 * MIB]);
    device.resizeFile(MIB + 5);
    expect([device.sizeBytes, statSync(path).size]).toEqual([MIB, MIB + 5]);
    await device.close();
  });

  test.skipIf(NO_LOOP_DEVICES)('a loop device', async () => {
    const path = temporaryImage(MIB);
    const loop = execFileSync('losetup', ['--find', '--show', path], { encoding: 'utf8' }).trim();
    try {
      const device = openKernelDevice(loop);
      truncateSync(path, 3 * MIB);
      device.remeasure();
      expect(device.sizeBytes).toBe(MIB);
      execFileSync('losetup', ['-c', loop]);
      device.remeasure();
      expect(device.sizeBytes).toBe(3 * MIB);
      truncateSync(path, MIB);
      execFileSync('losetup', ['-c', loop]);
      device.remeasure();
      // What was promised is relied on.
      expect(device.sizeBytes).toBe(3 * MIB);
      expect(() => device.resizeFile(MIB)).toThrow(/EINVAL/);
      await device.close();
    } finally {
      execFileSync('losetup', ['-d', loop]);
    }
  });
});

describe('requests', () => {
  test('a file that became shorter gives EIO, not a hang', async () => {
    const path = temporaryImage(SIZE);
    const device = openKernelDevice(path);
    const memory = device.allocateMemory(65536);
    truncateSync(path, 8192 + 512);
    expect(await readOnce(device, memory, 65536, 0)).toBe(EIO);
    expect(await readOnce(device, memory, 4096, 65536)).toBe(EIO);
    truncateSync(path, 8192 + 100);
    expect(await readOnce(device, memory, 65536, 0)).toBe(EIO);
    expect(await readOnce(device, memory, 8192, 0)).toBe(0);
    await device.close();
  });

  test('memory of something else is a mistake of the caller', async () => {
    const device = openKernelDevice(temporaryImage(SIZE));
    const completion = new PromisedCompletion();
    expect(() => device.read({ bytes: new Uint8Array(512) }, 0, 512, 0, completion)).toThrow(TypeError);
    await device.close();
  });

  test('many go to the kernel in one call', async () => {
    const device = openKernelDevice(temporaryImage(SIZE));
    const memory = device.allocateMemory(64 * 512);
    const reads = Array.from({ length: 64 }, () => new PromisedCompletion());
    for (const [at, completion] of reads.entries()) device.read(memory, at * 512, 512, at * 512, completion);
    device.submit();
    await Promise.all(reads.map((completion) => completion.promise));
    expect(device.statistics()).toMatchObject({ submitted: 64, submitCalls: 1, completed: 64 });
    await device.close();
  });
});

const QUEUES = ['AioQueue', 'UringQueue', 'ThreadQueue'] as const;

describe.each(QUEUES)('the native %s', (kind) => {
  /** Runs raw entries on a small file; returns the results in the order of their tokens. */
  async function run(
    entries: (id: number, file: number) => number[][],
    segments: (id: number) => number[] = () => [],
  ): Promise<number[]> {
    const { descriptor } = native.openDevice(temporaryImage(65536), {});
    const memory = new native.AlignedMemory(8192);
    const list = entries(memory.id, descriptor);
    const results: number[] = [];
    await new Promise<void>((resolve) => {
      let left = list.length;
      const queue = new native[kind](32, (count) => {
        for (let at = 0; at < count * 2; at += 2)
          results[queue.completions[at] as number] = queue.completions[at + 1] as number;
        left -= count;
        if (left > 0) return;
        queue.close();
        resolve();
      });
      queue.segments.set(segments(memory.id));
      for (const [at, [operation, ...rest]] of list.entries()) {
        const [id = 0, offset = 0, length = 0, position = 0, count = 0, file = descriptor] = rest;
        queue.entries.set([operation ?? 0, file, id, offset, length, position, at, count], at * 8);
      }
      queue.submit(list.length);
    });
    native.closeDevice(descriptor);
    return results;
  }

  test('checks memory, numbers and operations itself; a bad entry does not harm its neighbours', async () => {
    const { read, write, sync, dataSync } = QueueOperation;
    const results = await run((id) => [
      [read, id, 0, 4096, 0],
      [read, id, 4096, 8192, 0],
      [read, id, 8192, 512, 0],
      [read, id + 1000, 0, 512, 0],
      [read, Number.NaN, 0, 512, 0],
      [read, -1, 0, 512, 0],
      [write, id, 2 ** 60, 512, 0],
      [write, id, 0, 512, -512],
      [write, id, 0.5, 512, 0],
      [8, id, 0, 512, 0],
      [7, id, 0, 512, 0],
      [-1, id, 0, 512, 0],
      [read, id, 4096, 512, 0, 1], // its segment is not in memory
      [read, id, 0, 512, 0, 1025],
      [read, id, 4096, 512, 0, -1],
      [write, id, 0, 512, 0],
      [sync, 0, 0, 0, 0],
      [dataSync, 0, 0, 0, 0],
    ]);
    const refused = new Array<number>(14).fill(-EINVAL);
    expect(results).toEqual([4096, ...refused, 512, 0, 0]);
  });

  test('knows what is no descriptor, and no mapped file', async () => {
    const { read } = QueueOperation;
    expect(
      await run((id) => [
        [read, id, 0, 512, 0, 0, 1000],
        [read, id, 0, 512, 0, 0, -1],
        [read, id, 0, 512, 0, 0, 0.5],
      ]),
    ).toEqual([-EBADF, -EBADF, -EBADF]);
  });

  test('gathers, and does not scatter instead', async () => {
    const { read, write } = QueueOperation;
    const segments = (id: number) => [id, 0, 512, id, 1024, 512, id, 4096, 512, id, 4608, 512];
    expect(
      await run(
        () => [
          [write, 0, 0, 1024, 0, 2],
          [read, 0, 2, 1024, 4096, 2],
          [write, 0, 0, 1023, 0, 2], // not what its segments add up to
        ],
        segments,
      ),
    ).toEqual([1024, 1024, -EINVAL]);
  });

  test('says that there is nothing to cancel', async () => {
    expect(await run(() => [[QueueOperation.cancel, 0, 0, 0, 77]])).toEqual([-constants.errno.ENOENT]);
  });

  test('refuses more entries than it has room for, and use after close', () => {
    const queue = new native[kind](4, () => {});
    expect(queue.entries).toHaveLength(32);
    expect(() => queue.submit(5)).toThrow(RangeError);
    queue.close();
    queue.close();
    expect(() => queue.submit(0)).toThrow(/closed/);
  });
});

/**
 * Programs that end at every stage of a device's life: each must end with its own exit code, and no
 * crash.
 */
describe.each(QUEUES)('with an %s a process may end', (kind) => {
  const SETUP = `
    const native = require(${JSON.stringify(ADDON)});
    const { descriptor } = native.openDevice(process.argv[1], {});
    const memory = new native.AlignedMemory(1 << 20);
    const seen = [];
    const context = new native.${kind}(64, (count) => onCompletions(count));
    let onCompletions = (count) => seen.push(count);
    const start = (count) => {
      for (let at = 0; at < count; at++) context.entries.set([1, descriptor, memory.id, at * 4096, 4096, at * 4096, at, 0], at * 8);
      context.submit(count);
    };
  `;

  function runs(program: string, setup = SETUP) {
    const child = spawnSync(process.execPath, ['-e', setup + program, temporaryImage(SIZE)], {
      timeout: 60_000,
    });
    return {
      code: child.status,
      signal: child.signal,
      text: child.stdout.toString(),
      errors: child.stderr.toString(),
    };
  }

  test.each([
    ['with a device open and idle', ''],
    [
      'with requests in flight, which it finishes first',
      `start(64); process.on('exit', () => { if (seen.length === 0) process.exitCode = 9; });`,
    ],
    ['by exit() with requests in flight', 'start(64); process.exit(0)'],
    [
      'by exit() from inside a completion',
      'onCompletions = () => { start(1); process.exit(0); }; start(64);',
    ],
    ['after close', 'start(64); context.close();'],
    ['after close inside a completion', 'onCompletions = () => context.close(); start(64);'],
  ])('%s', (_, program) => {
    expect(runs(program)).toEqual({ code: 0, signal: null, text: '', errors: '' });
  });

  test('by a throw inside a completion, as an uncaught exception', () => {
    const result = runs(`onCompletions = () => { throw new Error('on purpose'); }; start(4);`);
    expect(result).toMatchObject({ code: 1, signal: null });
    expect(result.errors).toContain('on purpose');
  });

  test('or catch that throw, and go on', () => {
    const result = runs(`
      process.on('uncaughtException', (error) => console.log(error.message));
      let calls = 0;
      onCompletions = () => { if (++calls < 3) { setImmediate(() => start(1)); throw new Error('throw ' + calls); } };
      start(1);
    `);
    expect(result).toEqual({ code: 0, signal: null, text: 'throw 1\nthrow 2\n', errors: '' });
  });

  test('with its promises settled between completions', () => {
    const result = runs(`
      onCompletions = () => { process.nextTick(() => console.log('tick')); Promise.resolve().then(() => console.log('promise')); };
      start(1);
    `);
    expect(result.text).toBe('tick\npromise\n');
  });

  test.each([
    ['idle', ''],
    ['with requests in flight', 'start(64);'],
    ['in a loop of requests', 'onCompletions = () => start(1); start(1);'],
  ])('while a worker has a device %s', (_, program) => {
    const worker = `process.argv[1] = require('node:worker_threads').workerData;${SETUP}${program};
      require('node:worker_threads').parentPort.postMessage('ready'); setInterval(() => {}, 1000);`;
    const result = runs(
      `
      const { Worker } = require('node:worker_threads');
      require(${JSON.stringify(ADDON)});
      const worker = new Worker(${JSON.stringify(worker)}, { eval: true, workerData: process.argv[1] });
      worker.on('message', () => worker.terminate().then((code) => console.log('terminated', code)));
    `,
      '',
    );
    expect(result).toEqual({ code: 0, signal: null, text: 'terminated 1\n', errors: '' });
  });

  test('after collecting memory that the kernel was writing to', () => {
    const folder = mkdtempSync(join(tmpdir(), 'quarry-test-'));
    const program = join(folder, 'collect.cjs');
    writeFileSync(
      program,
      `${SETUP.replace('process.argv[1]', 'process.argv[2]').replace('const memory', 'let memory')}
      for (let round = 0; round < 50; round++) {
        memory = new native.AlignedMemory(1 << 20);
        start(1);
        memory = undefined;
        gc();
      }
      setTimeout(() => { gc(); console.log(seen.reduce((sum, count) => sum + count)); }, 200);
      `,
    );
    const child = spawnSync(process.execPath, ['--expose-gc', program, temporaryImage(SIZE)]);
    rmSync(folder, { recursive: true });
    expect(child.stderr.toString()).toBe('');
    expect(child.stdout.toString()).toBe('50\n');
  });
});

/**
 * A completion that comes between the last look at the ring and the reset of the eventfd, at the
 * end of a stay in the spin, must still wake the loop. A chain of reads about as long as the spin
 * meets that moment within a second.
 */
test.each([20_000, 200_000])(
  'no completion is lost at the end of a spin of %d ns',
  async (spin) => {
    const path = temporaryImage(SIZE);
    writeFileSync(path, new Uint8Array(SIZE), { flush: true }); // a hole would be read without waiting
    const device = openKernelDevice(path, { spinNanoseconds: spin });
    const memory = device.allocateMemory(4096);
    const end = performance.now() + 2000;
    await new Promise<void>((resolve) => {
      const next: IoCompletion = {
        ioDone() {
          if (performance.now() > end) resolve();
          else device.read(memory, 0, 4096, Math.floor(Math.random() * 256) * 4096, next);
          device.submit();
        },
      };
      next.ioDone(0);
    });
    await device.close();
  },
  10_000,
);

test('an idle device costs no processor time', async () => {
  const device = openKernelDevice(temporaryImage(SIZE), { spinNanoseconds: 50_000 });
  const memory = device.allocateMemory(4096);
  for (let round = 0; round < 100; round++) expect(await readOnce(device, memory, 4096, 0)).toBe(0);
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const used = process.cpuUsage(before);
  expect(used.user + used.system).toBeLessThan(100_000);
  await device.close();
});

function readOnce(
  device: KernelDevice,
  memory: ReturnType<KernelDevice['allocateMemory']>,
  length: number,
  offset: number,
) {
  const completion = new PromisedCompletion();
  device.read(memory, 0, length, offset, completion);
  device.submit();
  return completion.promise;
}
