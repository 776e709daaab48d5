/**
 * Writes that are answered before their data is on the device.
 *
 * The caller's page cache promises nothing until fsync, so a small write may be answered when its
 * space is reserved and its data copied; the device write and the record follow behind its back,
 * under the range lock that the write holds all along. Whoever must not overtake it waits: `sync`
 * for all that began before it, a read or truncation of the same file for all that are on their way
 * to it. So does a new name for the file: who writes a file, closes it and renames it over another
 * does not find an empty one after a crash, though he never called fsync. Until the size is
 * recorded, `sizeOf` tells what it will be. Memory is bounded; when it is used up, writes are
 * answered when they are done, as large ones always are.
 *
 * What such a write loses is kept with its inode (lost-writes.ts), which may hold on to copies of
 * it: memory that nobody else has is asked back from there.
 */

import type { Device, Memory } from '../../aio/device.ts';
import { MAX_SECTOR_BYTES } from '../../common/limits.ts';
import { EARLY_POOL_BYTES, MOST_EARLY_BYTES } from '../base/limits.ts';
import { IoEpochs } from './io-epochs.ts';

/**
 * Bytes of memory for the copy of an early write: with room for two blocks, or sectors where those
 * are larger.
 */
export function earlyBufferBytes(blockBytes: number): number {
  return MOST_EARLY_BYTES + 2 * Math.max(blockBytes, MAX_SECTOR_BYTES);
}

interface PendingFile {
  writes: number;
  sizeBytes: number;
}

export class EarlyWrites {
  readonly #device: Device;
  readonly #bufferBytes: number;
  readonly #free: Memory[] = [];
  #made = 0;
  readonly #files = new Map<number, PendingFile>();
  readonly #order = new IoEpochs();
  /** Gives back memory that can be spared. */
  reclaim: () => Memory | undefined = () => undefined;

  constructor(device: Device, blockBytes: number) {
    this.#device = device;
    this.#bufferBytes = earlyBufferBytes(blockBytes);
  }

  /** Memory for a copy with room for two blocks, or undefined when there is none. */
  takeBuffer(): Memory | undefined {
    const memory = this.#free.pop();
    if (memory) return memory;
    if ((this.#made + 1) * this.#bufferBytes > EARLY_POOL_BYTES) {
      this.hurry();
      return this.reclaim();
    }
    this.#made++;
    return this.#device.allocateMemory(this.#bufferBytes);
  }

  giveBuffer(memory: Memory): void {
    this.#free.push(memory);
  }

  /** A write was answered. Returns its ticket for `end`. */
  begin(inode: number, endByte: number): number {
    const file = this.#files.get(inode);
    if (file === undefined) this.#files.set(inode, { writes: 1, sizeBytes: endByte });
    else {
      file.writes++;
      file.sizeBytes = Math.max(file.sizeBytes, endByte);
    }
    return this.#order.enter();
  }

  /** It is done, well or not. */
  end(inode: number, ticket: number): void {
    const file = this.#files.get(inode);
    if (file && --file.writes === 0) this.#files.delete(inode);
    this.#order.leave(ticket);
  }

  /** Is anything on its way? */
  get underWay(): boolean {
    return this.#files.size > 0;
  }

  /** Is data of this file on its way? */
  pending(inode: number): boolean {
    return this.#files.size > 0 && this.#files.has(inode);
  }

  /** The size that the file will have at least, in bytes; 0 if nothing is on its way. */
  sizeOf(inode: number): number {
    return this.#files.size === 0 ? 0 : (this.#files.get(inode)?.sizeBytes ?? 0);
  }

  /** Somebody waits for what is on its way, of that file or of any. */
  hurry(inode?: number): void {
    if (inode === undefined ? this.busy : this.pending(inode)) this.#device.hurry?.();
  }

  /** Calls back when every write answered so far is done, well or not. */
  afterAllSoFar(done: () => void): void {
    this.hurry();
    this.#order.afterAllSoFar(done);
  }

  /** Is any write on its way? */
  get busy(): boolean {
    return this.#files.size > 0;
  }

  /** Resolves when every write answered so far is done, well or not. */
  async settled(): Promise<void> {
    if (this.#files.size > 0) await new Promise<void>((resolve) => this.afterAllSoFar(resolve));
  }
}
