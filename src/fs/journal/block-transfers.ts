/**
 * Transfers of many metadata blocks between memory, where they stand one after the other, and their
 * places on the device: neighbours go in one request, all requests in one submission. For commits,
 * checkpoints, recovery and mkfs; the block cache reads for itself.
 */
import { strict as assert } from 'node:assert';
import { type Device, type Memory, PromisedCompletion } from '../../aio/device.ts';
import { fsErrorFromNumber } from '../base/errors.ts';
import { MAX_METADATA_TRANSFER_BYTES } from '../base/limits.ts';
import type { BlockView } from '../format/block-view.ts';

/** Blocks one behind the other; as a view, the first of them. */
export interface Staged extends BlockView {
  readonly memory: Memory;
}

/**
 * Memory that grows to what is asked of it and is used again and again. What it held is lost when
 * it grows.
 */
export class Staging {
  #memory: Memory | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #lengthBytes = 0;

  constructor(private readonly device: Device) {}

  reserve(lengthBytes: number): Staged {
    if (this.#memory === undefined || lengthBytes > this.#lengthBytes) {
      this.#lengthBytes = 2 ** Math.ceil(Math.log2(Math.max(lengthBytes, 4096)));
      this.#memory = this.device.allocateMemory(this.#lengthBytes);
      const { buffer, byteOffset, byteLength } = this.#memory.bytes;
      this.#view = new DataView(buffer, byteOffset, byteLength);
    }
    return { memory: this.#memory, bytes: this.#memory.bytes, view: this.#view, at: 0 };
  }
}

/**
 * Most writes that are queued at once: those of a large checkpoint would take the loop, and the
 * queue, for themselves.
 */
const MOST_TRANSFERS = 256;

/** Requests under way, told together. */
class Transfers {
  readonly #promises: Promise<number>[] = [];

  get count(): number {
    return this.#promises.length;
  }

  add(): PromisedCompletion {
    const completion = new PromisedCompletion();
    this.#promises.push(completion.promise);
    return completion;
  }

  /** @throws FsError of the first that failed; none is under way any more then */
  async done(device: Device): Promise<void> {
    device.submit();
    for (const errno of await Promise.all(this.#promises)) if (errno !== 0) throw fsErrorFromNumber(errno);
  }
}

/** Neighbours on the device: `count` blocks from `block` on, the first of them number `index`. */
interface Stretch {
  readonly block: number;
  readonly index: number;
  count: number;
}

/** The stretches of neighbours in `blocks`, each short enough for one transfer. */
function* stretches(blocks: readonly number[], blockBytes: number): Generator<Stretch> {
  const most = Math.max(1, MAX_METADATA_TRANSFER_BYTES / blockBytes);
  let last: Stretch | undefined;
  let index = 0;
  for (const block of blocks) {
    if (last !== undefined && block === last.block + last.count && last.count < most) last.count++;
    else {
      if (last !== undefined) yield last;
      last = { block, index, count: 1 };
    }
    index++;
  }
  if (last !== undefined) yield last;
}

/**
 * Writes `blocks`, which stand in memory from its start on in this order.
 * @throws FsError of the device
 */
export async function writeBlocks(
  device: Device,
  memory: Memory,
  blocks: readonly number[],
  blockBytes: number,
): Promise<void> {
  let transfers = new Transfers();
  for (const { block, index, count } of stretches(blocks, blockBytes)) {
    if (transfers.count === MOST_TRANSFERS) {
      await transfers.done(device);
      transfers = new Transfers();
    }
    device.write(memory, index * blockBytes, count * blockBytes, block * blockBytes, transfers.add());
  }
  await transfers.done(device);
}

/**
 * Writes the last of `blocks`, which stand in memory from its start on in this order; it survives
 * power loss when this resolves.
 * @throws FsError of the device
 */
export async function writeLastBlockThrough(
  device: Device,
  memory: Memory,
  blocks: readonly number[],
  blockBytes: number,
): Promise<void> {
  const last = blocks.length - 1;
  const block = blocks[last];
  assert(block !== undefined, 'there is a last block');
  const transfers = new Transfers();
  device.writeThrough(memory, last * blockBytes, blockBytes, block * blockBytes, transfers.add());
  await transfers.done(device);
}

/** Reads `blocks` to memory from its start on, in this order. @throws FsError of the device */
export async function readBlocks(
  device: Device,
  memory: Memory,
  blocks: readonly number[],
  blockBytes: number,
): Promise<void> {
  const transfers = new Transfers();
  for (const { block, index, count } of stretches(blocks, blockBytes)) {
    device.read(memory, index * blockBytes, count * blockBytes, block * blockBytes, transfers.add());
  }
  await transfers.done(device);
}

/** Everything written so far survives power loss when it resolves. @throws FsError of the device */
export async function flushDevice(device: Device): Promise<void> {
  const transfers = new Transfers();
  device.flush(transfers.add());
  await transfers.done(device);
}
