/**
 * The blocks of a volume that are in use, read in the order of their numbers: those that are not
 * free by the bitmaps, as a mount would see them.
 */
import { type Device, type Memory, PromisedCompletion } from '../aio/device.ts';
import { fsErrorFromNumber } from '../fs/base/errors.ts';
import { FaultList } from '../inspect/fault-list.ts';
import { visitFreeRuns } from '../inspect/free-runs.ts';
import type { VolumeSource } from '../inspect/volume-source.ts';
import { type Chunk, MOST_CHUNK_BYTES } from './clone-stream.ts';

/** Reads under way while the first of them is handed on. */
const READS_AHEAD = 4;

export interface UsedBlocks {
  /** First block and length of each run, one behind the other. */
  readonly runs: readonly number[];
  readonly blocks: number;
  /** Bitmaps that could not be read: what they speak of counts as used. */
  readonly faults: FaultList;
}

/** Of a group whose bitmap is damaged, all. */
export async function usedBlocks(
  source: VolumeSource,
  progress?: (done: number, total: number) => void,
): Promise<UsedBlocks> {
  const faults = new FaultList();
  const runs: number[] = [];
  let next = 0;
  let blocks = 0;
  const used = (until: number) => {
    if (until > next) {
      runs.push(next, until - next);
      blocks += until - next;
    }
  };
  await visitFreeRuns(source, faults, {
    free: (block, length) => {
      used(block);
      next = block + length;
    },
    unknown: () => {},
    ...(progress && { progress }),
  });
  used(source.layout.blockCount);
  return { runs, blocks, faults };
}

interface Reading {
  readonly block: number;
  readonly lengthBytes: number;
  readonly memory: Memory;
  readonly done: Promise<number>;
}

/** @throws FsError of the device */
export async function* readRuns(
  device: Device,
  runs: readonly number[],
  blockBytes: number,
): AsyncGenerator<Chunk> {
  const spare: Memory[] = [];
  const waiting: Reading[] = [];
  const pieces = piecesOf(runs, MOST_CHUNK_BYTES / blockBytes);
  const readNext = () => {
    const piece = pieces.next();
    if (piece.done) return;
    const [block, count] = piece.value;
    const memory = spare.pop() ?? device.allocateMemory(MOST_CHUNK_BYTES);
    const completion = new PromisedCompletion();
    device.read(memory, 0, count * blockBytes, block * blockBytes, completion);
    waiting.push({ block, lengthBytes: count * blockBytes, memory, done: completion.promise });
  };
  try {
    for (let i = 0; i < READS_AHEAD; i++) readNext();
    device.submit();
    for (let first = waiting.shift(); first !== undefined; first = waiting.shift()) {
      const errno = await first.done;
      if (errno !== 0) throw fsErrorFromNumber(errno);
      yield { block: first.block, bytes: first.memory.bytes.subarray(0, first.lengthBytes) };
      spare.push(first.memory);
      readNext();
      device.submit();
    }
  } finally {
    await Promise.all(waiting.map(({ done }) => done));
  }
}

/** Runs, in pieces of so many blocks at most. */
function* piecesOf(runs: readonly number[], mostBlocks: number): Generator<[block: number, count: number]> {
  for (let i = 0; i + 1 < runs.length; i += 2) {
    const [first = 0, length = 0] = runs.slice(i, i + 2);
    for (let done = 0; done < length; done += mostBlocks)
      yield [first + done, Math.min(mostBlocks, length - done)];
  }
}
