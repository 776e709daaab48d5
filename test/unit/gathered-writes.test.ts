/** Writes that wait for their neighbours: what becomes one request, when, and whose an error is. */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type IoCompletion, PromisedCompletion } from '../../src/aio/device.ts';
import { GatheredWrites } from '../../src/aio/gathered-writes.ts';
import { type KernelDevice, openKernelDevice } from '../../src/aio/kernel-device.ts';
import type { Lane } from '../../src/aio/lane.ts';
import type { MemoryPiece } from '../../src/aio/request-table.ts';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const { EIO, EROFS } = constants.errno;
const BLOCK = 4096;
const SIZE = 4 * 1024 * 1024;

removeTemporaryImagesAfterAll();

interface Handed {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly pieces: readonly MemoryPiece[] | undefined;
  readonly completion: IoCompletion;
}

/** A lane that keeps what it is given. */
class KeptLane {
  readonly handed: Handed[] = [];
  submitted = 0;
  readonly gathered = new GatheredWrites(this as unknown as Lane<IoCompletion>, () => {
    this.submitted++;
  });

  transfer(...[, , , lengthBytes, offset, completion]: Parameters<Lane<IoCompletion>['transfer']>): number {
    return this.handed.push({ offset, lengthBytes, pieces: undefined, completion });
  }

  transferPieces(
    ...[, pieces, lengthBytes, offset, completion]: Parameters<Lane<IoCompletion>['transferPieces']>
  ): number {
    return this.handed.push({ offset, lengthBytes, pieces, completion });
  }

  /** @returns what it ended with: undefined while it has not */
  hold(block: number, blocks = 1): { errno: number | undefined } {
    const end: { errno: number | undefined } = { errno: undefined };
    const ioDone = (errno: number) => {
      end.errno = errno;
    };
    this.gathered.hold({ bytes: new Uint8Array() }, 7, block * BLOCK, blocks * BLOCK, block * BLOCK, {
      ioDone,
    });
    return end;
  }
}

describe('what is handed over', () => {
  test('neighbours are one request, whatever order they came in', () => {
    const lane = new KeptLane();
    for (const block of [12, 5, 11, 10, 4]) lane.hold(block);
    expect(lane.handed).toEqual([]);
    lane.gathered.hurry();
    expect(lane.handed.map(({ offset, lengthBytes }) => [offset / BLOCK, lengthBytes / BLOCK])).toEqual([
      [4, 2],
      [10, 3],
    ]);
    expect(lane.handed[1]?.pieces?.map(({ memoryOffset }) => memoryOffset / BLOCK)).toEqual([10, 11, 12]);
    expect(lane.submitted).toBe(1);
  });

  test('after a moment, or when there are many', async () => {
    const lane = new KeptLane();
    lane.hold(1);
    await sleep(50);
    expect(lane.handed).toHaveLength(1);
    lane.handed[0]?.completion.ioDone(0);
    for (let block = 0; block < 64; block++) lane.hold(3 * block);
    expect(lane.handed).toHaveLength(65);
    for (const { completion } of lane.handed.slice(1)) completion.ioDone(0);
    for (let block = 0; block < 32; block++) lane.hold(8 * block, 8);
    expect(lane.handed.at(-1)).toMatchObject({ offset: 0, lengthBytes: 1024 * 1024 });
  });

  test('as long as the device has some, twice as many are held, and go when it has none', async () => {
    const lane = new KeptLane();
    lane.hold(1);
    lane.hold(3);
    await sleep(20);
    expect(lane.handed).toHaveLength(2);
    for (let block = 10; block < 90; block++) lane.hold(block);
    await sleep(20);
    expect(lane.handed).toHaveLength(2);
    lane.handed[0]?.completion.ioDone(0);
    expect(lane.handed).toHaveLength(2);
    lane.handed[1]?.completion.ioDone(0);
    expect(lane.handed.slice(2).map(({ lengthBytes }) => lengthBytes / BLOCK)).toEqual([80]);
    for (let block = 200; block < 327; block++) lane.hold(block);
    expect(lane.handed).toHaveLength(3);
    lane.hold(327);
    expect(lane.handed).toHaveLength(4);
    lane.hold(400);
    lane.gathered.hurry();
    expect(lane.handed).toHaveLength(5);
  });

  test('one that is ended at once by an error is not tried again', () => {
    const lane = new KeptLane();
    const end = lane.hold(1);
    lane.gathered.hurry();
    lane.handed[0]?.completion.ioDone(EIO);
    expect(end.errno).toBe(EIO);
    expect(lane.handed).toHaveLength(1);
  });

  test('who cuts it short is not made to wait at once again', () => {
    const lane = new KeptLane();
    expect(lane.gathered.takes(BLOCK)).toBe(true);
    lane.gathered.hurry();
    expect(lane.gathered.takes(BLOCK)).toBe(false);
    let prompt = 1;
    while (!lane.gathered.takes(BLOCK)) prompt++;
    expect(prompt).toBe(64);
    expect(lane.gathered.takes(64 * 1024)).toBe(false);
  });

  test('an error is that of the write that it belongs to', () => {
    const lane = new KeptLane();
    const ends = [lane.hold(1), lane.hold(2), lane.hold(3)];
    lane.gathered.hurry();
    const [run] = lane.handed.splice(0);
    run?.completion.ioDone(EIO);
    expect(ends.map(({ errno }) => errno)).toEqual([undefined, undefined, undefined]);
    expect(lane.handed.map(({ offset }) => offset / BLOCK)).toEqual([1, 2, 3]);
    lane.handed.forEach(({ completion }, at) => {
      completion.ioDone(at === 1 ? EIO : 0);
    });
    expect(ends.map(({ errno }) => errno)).toEqual([0, EIO, 0]);
  });
});

describe.each(['aio', 'uring'] as const)('on a device by %s', (engine) => {
  function writeBlocks(device: KernelDevice, blocks: readonly number[]): Promise<number[]> {
    const memory = device.allocateMemory(blocks.length * BLOCK);
    const ends = blocks.map((block, at) => {
      memory.bytes.fill(block, at * BLOCK, (at + 1) * BLOCK);
      const end = new PromisedCompletion();
      device.writeLater(memory, at * BLOCK, BLOCK, block * BLOCK, end);
      return end.promise;
    });
    return Promise.all(ends);
  }

  async function firstBytes(device: KernelDevice, blocks: readonly number[]): Promise<number[]> {
    const memory = device.allocateMemory(SIZE);
    const end = new PromisedCompletion();
    device.read(memory, 0, SIZE, 0, end);
    device.submit();
    expect(await end.promise).toBe(0);
    return blocks.flatMap((block) => [
      memory.bytes[block * BLOCK] ?? -1,
      memory.bytes[(block + 1) * BLOCK - 1] ?? -1,
    ]);
  }

  test('all comes to its place, in fewer requests', async () => {
    const device = openKernelDevice(temporaryImage(SIZE), { engine });
    const blocks = [9, 3, 4, 200, 5, 8, 7, 100];
    const written = writeBlocks(device, blocks);
    device.submit();
    expect(device.statistics().submitted).toBe(0);
    expect(await written).toEqual(blocks.map(() => 0));
    expect(device.statistics().submitted).toBe(4);
    expect(await firstBytes(device, blocks)).toEqual(blocks.flatMap((block) => [block, block]));
    await device.close();
  });

  test('close waits for what is held', async () => {
    const path = temporaryImage(SIZE);
    const device = openKernelDevice(path, { engine });
    const written = writeBlocks(device, [1, 2]);
    await device.close();
    expect(await written).toEqual([0, 0]);
    const again = openKernelDevice(path, { engine, readOnly: true });
    expect(await firstBytes(again, [1, 2])).toEqual([1, 1, 2, 2]);
    expect(await writeBlocks(again, [3])).toEqual([EROFS]);
    await again.close();
  });
});
