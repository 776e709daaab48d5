/** The watcher of the addon: it ends what never returns, and never anything else. */
import { afterEach, expect, test } from 'vitest';
import type { AllocatorDefinition } from '../../src/alloc/allocator.ts';
import { HookOverrun, type WatchHook } from '../../src/alloc/fenced-policy.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { type HookWatchHandle, native } from '../../src/native.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const NEVER = 1 << 20;
const overrun = new HookOverrun('did not return');
let watch: HookWatchHandle;

function watching(tickMilliseconds: number, endTicks: number): HookWatchHandle {
  watch = new native.HookWatch('it', '', overrun, tickMilliseconds, NEVER, endTicks);
  return watch;
}

afterEach(() => watch.close());

function spin(milliseconds: number): number {
  const end = performance.now() + milliseconds;
  let turns = 0;
  while (performance.now() < end) turns++;
  return turns;
}

test('passes arguments, receiver, results and exceptions on', () => {
  const receiver = { name: 'r' };
  const { guard } = watching(50, 10);
  const echo = Reflect.apply(guard, watch, [
    'echo',
    function (this: unknown, a: unknown, b: unknown) {
      return [this, a, b];
    },
    receiver,
  ]);
  expect(echo(1, 'x')).toEqual([receiver, 1, 'x']);
  expect(Reflect.apply(echo, undefined, [])).toEqual([receiver, undefined, undefined]);
  for (const thrown of ['text', undefined, null, new Error('e'), Symbol('s')]) {
    const raise = watch.guard(
      'raise',
      () => {
        throw thrown;
      },
      receiver,
    );
    let caught: unknown = 'nothing';
    try {
      raise();
    } catch (value) {
      caught = value;
    }
    expect(caught).toBe(thrown);
  }
});

test('ends what never returns, past every catch and finally, and what comes after runs as ever', async () => {
  watching(10, 5);
  let noticed = 0;
  const endless = watch.guard(
    'endless',
    () => {
      for (;;) {
        try {
          spin(1e9);
        } catch {
          noticed++;
        } finally {
          noticed++;
        }
      }
    },
    {},
  );
  for (let round = 0; round < 5; round++) {
    expect(endless).toThrow(overrun);
    expect(spin(1)).toBeGreaterThan(0);
    expect(await Promise.resolve(round)).toBe(round);
  }
  const backtracking = watch.guard('regexp', () => /^(a+)+$/.test(`${'a'.repeat(60)}b`), {});
  expect(backtracking).toThrow(overrun);
  expect(noticed).toBe(0);
});

test('never hits what runs between the calls, however close to its end a call is ended', () => {
  watching(1, 3);
  const ends = { ended: 0, returned: 0 };
  for (let round = 0; round < 250; round++) {
    const milliseconds = 2 + (round % 25) / 10;
    const call = watch.guard('spin', () => spin(milliseconds), {});
    try {
      call();
      ends.returned++;
    } catch (thrown) {
      expect(thrown).toBe(overrun);
      ends.ended++;
    }
    expect(spin(0.2)).toBeGreaterThan(0);
  }
  expect(ends.ended + ends.returned).toBe(250);
});

test('does not end a call that only waits', () => {
  watching(10, 5);
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const wait = watch.guard('wait', () => Atomics.wait(cell, 0, 0, 200), {});
  expect(wait()).toBe('timed-out');
});

test('a policy cut off in the midst of its questions leaves the space as it was', async () => {
  watching(10, 3);
  const watchHook: WatchHook = (name, hook, receiver) => watch.guard(name, hook, receiver);
  const log: string[] = [];
  const device = new MemoryDevice(8 << 20);
  await formatted(device, 1024);
  for (let round = 0; round < 6; round++) {
    let calls = 0;
    const allocator: AllocatorDefinition = {
      name: 'mine',
      create: (space) => ({
        allocate: (want) => {
          const asksOn = ++calls > 2 + round;
          for (let length = want.length; asksOn; length = 1 + ((length * 7) % 300)) {
            space.findRun(length, space.blockCount, length, length);
            space.isFree((length * 13) % space.blockCount);
          }
          return space.findRun(0, space.blockCount, want.minimum, want.length);
        },
      }),
    };
    const volume = await TestVolume.open(device.reopen(), {
      allocator,
      watchHook,
      log: (line) => log.push(line),
    });
    for (let file = 0; file < 6; file++) {
      const inode = await volume.create(`/${round}-${file}`);
      await volume.write(inode, 0, new Uint8Array(30_000).fill(file + 1));
    }
    if (round > 0) await volume.unlink(`/${round - 1}-3`);
    await volume.volume.unmount();
    expect(await checkVolume(device.reopen())).toMatchObject({ clean: true });
  }
  expect(log.filter((line) => line.includes('allocate() did not return;'))).toHaveLength(6);
});
