/**
 * Data of blocks, copied to other blocks by way of memory: past all caches, as every byte goes.
 *
 * All of a batch is read, then all of it is written; what lies together is one request. Whoever
 * copies sees to it that nobody writes to either side meanwhile. The copy is in the device's cache
 * when `copy` resolves, and `dataWritten` was told: a commit from then on flushes it before it
 * counts.
 */
import { type Device, type Memory, PromisedCompletion } from '../../aio/device.ts';
import { fsErrorFromNumber } from '../base/errors.ts';
import type { BlockNumber } from '../base/numbers.ts';

/** The most that is copied at once, in bytes: others' requests come in between. */
const MOST_COPY_BYTES = 1024 * 1024;

/** Requests of a batch that wait at the device at once: others' come in between here too. */
const MOST_REQUESTS = 32;

/** Blocks that lie together on both sides. */
export interface BlockCopy {
  readonly from: BlockNumber;
  readonly to: BlockNumber;
  readonly length: number;
}

/** What copying takes of a volume. */
export interface CopyContext {
  readonly device: Device;
  readonly blockBytes: number;
  dataWritten(): void;
}

/** One request: blocks on the device, and where in the memory. */
interface Transfer {
  readonly block: BlockNumber;
  readonly at: number;
  length: number;
}

export class BlockCopier {
  readonly #context: CopyContext;
  #memory: Memory | undefined;

  constructor(context: CopyContext) {
    this.#context = context;
  }

  /** Blocks that one batch may have. */
  get mostBlocks(): number {
    return Math.max(1, MOST_COPY_BYTES / this.#context.blockBytes);
  }

  /** One batch at a time. @throws FsError of the device */
  async copy(batch: readonly BlockCopy[]): Promise<void> {
    if (batch.length === 0) return;
    await this.#transfer('read', transfersOf(batch, 'from'));
    await this.#transfer('write', transfersOf(batch, 'to'));
    this.#context.dataWritten();
  }

  async #transfer(operation: 'read' | 'write', transfers: readonly Transfer[]): Promise<void> {
    const { device, blockBytes } = this.#context;
    this.#memory ??= device.allocateMemory(this.mostBlocks * blockBytes);
    const memory = this.#memory;
    for (let done = 0; done < transfers.length; done += MOST_REQUESTS) {
      const ended = transfers.slice(done, done + MOST_REQUESTS).map(({ block, at, length }) => {
        const completion = new PromisedCompletion();
        device[operation](memory, at * blockBytes, length * blockBytes, block * blockBytes, completion);
        return completion.promise;
      });
      device.submit();
      const failed = (await Promise.all(ended)).find((errno) => errno !== 0);
      if (failed !== undefined) throw fsErrorFromNumber(failed);
    }
  }
}

function transfersOf(batch: readonly BlockCopy[], side: 'from' | 'to'): Transfer[] {
  const transfers: Transfer[] = [];
  let at = 0;
  for (const copy of batch) {
    const block = copy[side];
    const last = transfers.at(-1);
    if (last !== undefined && last.block + last.length === block) last.length += copy.length;
    else transfers.push({ block, at, length: copy.length });
    at += copy.length;
  }
  return transfers;
}
