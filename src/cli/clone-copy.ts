/**
 * What takes the blocks of a clone: a file or device, or a stream.
 *
 * A file or device is no volume until all of it is there: its superblocks, also those where backups
 * stand, are written last, after a flush, and what volume was there before is made to be none
 * before anything else is written.
 */
import { type Device, PromisedCompletion } from '../aio/device.ts';
import { crc32c } from '../crc32c.ts';
import { fsErrorFromNumber } from '../fs/base/errors.ts';
import { type ByteRange, eraseVolume, zeroRanges } from '../fs/erase.ts';
import { backupPlaces } from '../fs/format/backup-places.ts';
import { flushDevice } from '../fs/journal/block-transfers.ts';
import { readRuns } from './clone-source.ts';
import {
  type Chunk,
  type ClonedShape,
  encodeChunkHead,
  encodeEnd,
  encodeHead,
  MOST_CHUNK_BYTES,
} from './clone-stream.ts';
import { CommandError } from './failure.ts';

/** Told how many blocks have been copied; throws where the copy is to end. */
export type CloneProgress = (blocks: number) => void;

/** Copies what was checked: first block, length and CRC-32C of each chunk, one behind the other. */
export type ChunkSums = readonly number[];

/** A slot of writing: memory of the device, and the end of the write before. */
interface WriteSlot {
  readonly memory: ReturnType<Device['allocateMemory']>;
  done: Promise<number>;
}

const WRITES_AHEAD = 4;

async function settle({ done }: WriteSlot): Promise<void> {
  const errno = await done;
  if (errno !== 0) throw fsErrorFromNumber(errno);
}

/**
 * Writes a volume.
 * @param stale what else is to be zeros
 * @param accept judges the first block, before it is written
 * @returns sums of all chunks, for `checkCopy`
 * @throws FsError of the device; what the chunks throw
 */
export async function writeCopy(
  device: Device,
  { blockBytes, blockCount }: ClonedShape,
  chunks: AsyncIterable<Chunk>,
  options: {
    readonly stale: readonly ByteRange[];
    readonly accept: (first: Uint8Array) => void;
    readonly progress: CloneProgress;
  },
): Promise<ChunkSums> {
  await eraseVolume(device);
  if (options.stale.length > 0) await zeroRanges(device, options.stale);
  const slots: WriteSlot[] = Array.from({ length: WRITES_AHEAD }, () => ({
    memory: device.allocateMemory(MOST_CHUNK_BYTES),
    done: Promise.resolve(0),
  }));
  const sums: number[] = [];
  const places = backupPlaces(blockCount * blockBytes).filter((place) => place.blockBytes === blockBytes);
  const last = new Set([0, ...places.map(({ offsetBytes }) => offsetBytes / blockBytes)]);
  const kept = new Map<number, Uint8Array>();
  let blocks = 0;
  try {
    let turn = 0;
    for await (const { block, bytes } of chunks) {
      sums.push(block, bytes.length / blockBytes, crc32c(bytes, 0, bytes.length, 0));
      const slot = slots[turn++ % WRITES_AHEAD] as WriteSlot;
      await settle(slot);
      slot.memory.bytes.set(bytes);
      for (let at = 0; at < bytes.length; at += blockBytes) {
        const own = block + at / blockBytes;
        if (!last.has(own)) continue;
        kept.set(own, bytes.slice(at, at + blockBytes));
        slot.memory.bytes.fill(0, at, at + blockBytes);
      }
      const completion = new PromisedCompletion();
      device.write(slot.memory, 0, bytes.length, block * blockBytes, completion);
      device.submit();
      slot.done = completion.promise;
      blocks += bytes.length / blockBytes;
      options.progress(blocks);
    }
    for (const slot of slots) await settle(slot);
  } finally {
    await Promise.all(slots.map(({ done }) => done));
  }
  const first = kept.get(0);
  if (first === undefined) throw new CommandError('it has no superblock');
  options.accept(first);
  kept.delete(0);
  const [{ memory }] = slots as [WriteSlot];
  for (const some of [kept, new Map([[0, first]])]) {
    await flushDevice(device);
    for (const [block, bytes] of some) {
      memory.bytes.set(bytes);
      const completion = new PromisedCompletion();
      device.write(memory, 0, blockBytes, block * blockBytes, completion);
      device.submit();
      const errno = await completion.promise;
      if (errno !== 0) throw fsErrorFromNumber(errno);
    }
  }
  await flushDevice(device);
  return sums;
}

/**
 * Reads a copy again.
 * @throws CommandError where it is another than what was written; FsError of the device
 */
export async function checkCopy(
  device: Device,
  { blockBytes }: ClonedShape,
  sums: ChunkSums,
  progress: CloneProgress,
): Promise<void> {
  let at = 0;
  let blocks = 0;
  const runs = sums.filter((_, index) => index % 3 !== 2);
  for await (const { block, bytes } of readRuns(device, runs, blockBytes)) {
    if (sums[at] !== block || sums[at + 2] !== crc32c(bytes, 0, bytes.length, 0))
      throw new CommandError(`the copy is another from block ${block} on`);
    at += 3;
    blocks += bytes.length / blockBytes;
    progress(blocks);
  }
}

/**
 * Writes a stream.
 * @param write takes bytes, and says whether anybody reads them
 * @throws CommandError when nobody does; what the chunks throw
 */
export async function writeStream(
  write: (bytes: Uint8Array) => Promise<boolean>,
  shape: ClonedShape,
  chunks: AsyncIterable<Chunk>,
  progress: CloneProgress,
): Promise<void> {
  const put = async (bytes: Uint8Array) => {
    if (!(await write(bytes))) throw new CommandError('nobody reads the stream any more');
  };
  let blocks = 0;
  await put(encodeHead(shape));
  for await (const chunk of chunks) {
    await put(encodeChunkHead(chunk, shape.blockBytes));
    await put(chunk.bytes);
    blocks += chunk.bytes.length / shape.blockBytes;
    progress(blocks);
  }
  await put(encodeEnd(blocks));
}
