/**
 * Commits: how dirty metadata reaches the disk.
 *
 *   1 copy    the dirty frames, sealed, into staging memory, in one synchronous step: the commit is a snapshot
 *             between two transactions, and operations go on while it is written
 *   2 flush   the data that the snapshot speaks of is on the disk
 *   3 write   the copies go home, in order of blocks, neighbours in one transfer
 *   4 flush   the commit point: everything up to the snapshot survives
 *   5 release the runs freed before the snapshot may be handed out again, when no older I/O can reach them
 *
 * A journal goes between 2 and 3 and makes the step from one snapshot to the next atomic; without it a crash during 3 leaves a mixture, and the
 * volume is not marked clean. One commit runs at a time; whoever asks meanwhile shares the next one.
 */

import { type Device, type Memory, PromisedCompletion } from '../aio/device.ts';
import type { Run } from '../alloc/allocator.ts';
import type { BlockCache, Frame } from './block-cache.ts';
import { sealBlock } from './block-header.ts';
import { fsErrorFromNumber } from './errors.ts';
import type { IoEpochs } from './io-epochs.ts';
import { MAX_METADATA_TRANSFER_BYTES } from './limits.ts';
import type { SpaceMap } from './space-map.ts';

export class Committer {
  readonly #device: Device;
  readonly #cache: BlockCache;
  readonly #space: SpaceMap;
  readonly #epochs: IoEpochs;
  readonly #blockBytes: number;
  #staging: Memory | undefined;
  #stagingView: DataView = new DataView(new ArrayBuffer(0));
  #stagingBytes = 0;
  #sequence: number;
  /** Data was written since the last flush. */
  #dataUnflushed = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** Set by the first failed commit: what is on disk is doubtful, so nothing more is written. */
  #failure: Error | undefined;
  commits = 0;
  flushes = 0;
  blocksWritten = 0;

  constructor(
    device: Device,
    cache: BlockCache,
    space: SpaceMap,
    epochs: IoEpochs,
    blockBytes: number,
    sequence: number,
  ) {
    this.#device = device;
    this.#cache = cache;
    this.#space = space;
    this.#epochs = epochs;
    this.#blockBytes = blockBytes;
    this.#sequence = sequence;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  dataWritten(): void {
    this.#dataUnflushed = true;
  }

  /** Is there anything that a commit would do? */
  get needed(): boolean {
    return this.#dataUnflushed || this.#cache.dirtyFrames > 0;
  }

  /** Everything done before the call is on disk when it resolves. @throws the error of the device; then the volume is poisoned */
  commit(): Promise<void> {
    if (this.#running === undefined) {
      if (!this.needed) return this.#failure ? Promise.reject(this.#failure) : Promise.resolve();
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.commit();
      });
    return this.#next;
  }

  async #run(): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.commits++;
    const frames = [...this.#cache.dirtySet()].sort((a, b) => a.block - b.block);
    const freed = this.#space.takeFreed();
    const blocks = this.#copy(frames);
    try {
      if (this.#dataUnflushed) await this.#flush();
      if (blocks.length > 0) {
        await this.#writeHome(blocks);
        await this.#flush();
      }
    } catch (thrown) {
      this.#failure = thrown as Error;
      throw thrown;
    } finally {
      for (const frame of frames) this.#cache.written(frame);
    }
    this.#release(freed);
  }

  #release(freed: readonly Run[]): void {
    if (freed.length === 0) return;
    this.#epochs.afterAllSoFar(() => this.#space.release(freed));
  }

  /** Step 1. Returns the block numbers in staging order. */
  #copy(frames: readonly Frame[]): number[] {
    const blockBytes = this.#blockBytes;
    this.#reserveStaging(frames.length * blockBytes);
    const bytes = this.#staging?.bytes ?? new Uint8Array(0);
    const sequence = this.#sequence++;
    const blocks: number[] = [];
    let at = 0;
    for (const frame of frames) {
      this.#cache.markClean(frame);
      frame.writing = true;
      bytes.set(frame.bytes, at);
      sealBlock(this.#stagingView, bytes, at, blockBytes, sequence);
      blocks.push(frame.block);
      at += blockBytes;
    }
    return blocks;
  }

  #reserveStaging(lengthBytes: number): void {
    if (lengthBytes <= this.#stagingBytes) return;
    const rounded = 2 ** Math.ceil(Math.log2(lengthBytes));
    this.#staging = this.#device.allocateMemory(rounded);
    this.#stagingBytes = rounded;
    const { buffer, byteOffset } = this.#staging.bytes;
    this.#stagingView = new DataView(buffer, byteOffset, rounded);
  }

  /** Step 3. */
  async #writeHome(blocks: readonly number[]): Promise<void> {
    const most = Math.max(1, MAX_METADATA_TRANSFER_BYTES / this.#blockBytes);
    const transfers: Promise<number>[] = [];
    let first = 0;
    for (let i = 1; i <= blocks.length; i++) {
      const continues = i < blocks.length && blocks[i] === (blocks[i - 1] as number) + 1 && i - first < most;
      if (continues) continue;
      transfers.push(this.#write(blocks[first] as number, first, i - first));
      first = i;
    }
    this.blocksWritten += blocks.length;
    this.#device.submit();
    for (const errno of await Promise.all(transfers)) if (errno !== 0) throw fsErrorFromNumber(errno);
  }

  #write(block: number, index: number, count: number): Promise<number> {
    const completion = new PromisedCompletion();
    const blockBytes = this.#blockBytes;
    this.#device.write(
      this.#staging as Memory,
      index * blockBytes,
      count * blockBytes,
      block * blockBytes,
      completion,
    );
    return completion.promise;
  }

  /** Steps 2 and 4. */
  async #flush(): Promise<void> {
    this.#dataUnflushed = false;
    this.flushes++;
    const completion = new PromisedCompletion();
    this.#device.flush(completion);
    this.#device.submit();
    const errno = await completion.promise;
    if (errno !== 0) throw fsErrorFromNumber(errno);
  }
}
