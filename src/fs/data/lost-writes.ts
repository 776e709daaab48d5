/**
 * What was accepted and could not be written: whose it is, which bytes, and why.
 *
 * Data from the caller's cache was promised nothing until fsync, but it must not be forgotten that
 * it was lost: who wrote it is not there when the write fails. So the loss belongs to the inode, as
 * a list of byte ranges (lost-ranges.ts), and every sync of that inode fails until each byte of
 * them was
 *
 *   written again     by any later write that succeeds          `written`
 *   cut off           by a truncation                           `truncated`
 *   removed           with the inode                            `freed`
 *
 * A sync of another inode never hears of it; one of the whole volume, and the unmount, speak for
 * all.
 *
 * What may pass by itself (a full host below a thin image) is tried again at the next sync of the
 * file (write-retry.ts); not what the volume itself has no room for: its writer is told, and would
 * see a size that the file never had. For that the data is copied into the memory of
 * early-writes.ts, which asks the oldest copies back when it has nothing else. A file with copies
 * shows them: they are laid over what the device has, and count in the size, so that it reads the
 * same whether the caller's cache still has it or not. What is lost for good reads as what the
 * device has.
 *
 * Whatever makes or ends a loss still holds the lock of its range (range-locks.ts), so that what
 * was written last is what counts.
 */

import { type ErrnoName, errnoOf, FsError, fsErrorFromNumber, LostDataError } from '../base/errors.ts';
import type { ReadRequest } from '../base/filesystem.ts';
import { MOST_EARLY_BYTES } from '../base/limits.ts';
import type { EarlyWrites } from './early-writes.ts';
import {
  type Copy,
  type LostRange,
  simplified,
  withoutBytes,
  withoutCopy,
  withRange,
} from './lost-ranges.ts';

/**
 * Errors that say nothing of the device's health and may pass. After any other, what the device
 * does with a second try is not to be trusted.
 */
const PASSING: ReadonlySet<ErrnoName> = new Set(['ENOSPC', 'EDQUOT', 'EAGAIN', 'ENOMEM']);

export function mayPass(thrown: unknown): boolean {
  return thrown instanceof FsError && PASSING.has(thrown.code);
}

/** Ranges without a copy that a file may have, … */
const MOST_RANGES = 32;
/** … and where so many files have some, each has one. */
const MANY_FILES = 4096;

/** What `quarry stat` shows of it. */
export interface LossCounters {
  /**
   * Files that lack data now which was accepted and could not be written, in how many ranges and
   * bytes, …
   */
  readonly filesWithLostData: number;
  readonly lostRanges: number;
  readonly lostBytes: number;
  /** … and how many of these are in memory, to be tried again. */
  readonly lostBytesKept: number;
  /** How often data was lost since the mount. */
  readonly cachedWritesFailed: number;
}

/** A write, or the rest of one, that failed. */
export interface Loss {
  readonly inode: number;
  readonly from: number;
  readonly to: number;
  readonly thrown: unknown;
  readonly noRoom: boolean;
  /** Bytes [from, to) of the file as they were given. */
  readonly data: Uint8Array;
}

/** What is told of a loss. */
export interface LostBytes {
  readonly inode: number;
  /** Bytes [from, to) of the file. */
  readonly from: number;
  readonly to: number;
  readonly error: FsError;
  /** They are still in memory. */
  readonly kept: boolean;
}

/** Told of each loss. */
export type LossListener = (lost: LostBytes) => void;

const NONE: readonly LostRange[] = [];

export class LostWrites {
  readonly #early: EarlyWrites;
  readonly #told: LossListener;
  readonly #files = new Map<number, readonly LostRange[]>();
  /** The oldest first. */
  readonly #copies = new Set<Copy>();
  #failures = 0;

  constructor(early: EarlyWrites, told: LossListener) {
    this.#early = early;
    this.#told = told;
    early.reclaim = () => this.#giveUpOldest();
  }

  // ---- what happens to files ----

  /** Bytes [from, to) were written. */
  written(inode: number, from: number, to: number): void {
    if (this.#files.size > 0 && to > from) this.#cut(inode, from, to);
  }

  truncated(inode: number, sizeBytes: number): void {
    if (this.#files.size > 0) this.#cut(inode, sizeBytes, Number.POSITIVE_INFINITY);
  }

  freed(inode: number): void {
    this.#replace(inode, NONE);
  }

  #cut(inode: number, from: number, to: number): void {
    const ranges = this.#files.get(inode);
    if (ranges !== undefined) this.#replace(inode, withoutBytes(ranges, from, to));
  }

  /** Data from the caller's cache could not be written. Copies it if trying again may help. */
  failed({ inode, from, to, thrown, noRoom, data }: Loss): void {
    const error = fsErrorFromNumber(errnoOf(thrown));
    // Such an inode is gone, with all that was lost of it.
    if (error.code === 'ESTALE') return;
    this.#failures++;
    const kept = mayPass(error) && !noRoom;
    for (let at = from; at < to; at += MOST_EARLY_BYTES) {
      const end = Math.min(at + MOST_EARLY_BYTES, to);
      const copy = kept ? this.#copyOf(inode, data.subarray(at - from, end - from)) : undefined;
      this.#add(inode, { from: at, to: kept ? end : to, error, noRoom, copy, at: 0 });
      if (!kept) break;
    }
    this.#told({ inode, from, to, error, kept });
  }

  #copyOf(inode: number, data: Uint8Array): Copy | undefined {
    const memory = this.#early.takeBuffer();
    if (memory === undefined) return undefined;
    memory.bytes.set(data);
    const copy = { inode, memory };
    this.#copies.add(copy);
    return copy;
  }

  #add(inode: number, range: LostRange): void {
    this.#replace(inode, withRange(this.#files.get(inode) ?? NONE, range));
  }

  #replace(inode: number, ranges: readonly LostRange[]): void {
    const before = this.#files.get(inode) ?? NONE;
    if (ranges.length === 0) this.#files.delete(inode);
    else this.#files.set(inode, simplified(ranges, this.#files.size < MANY_FILES ? MOST_RANGES : 1));
    this.#giveBackUnused(before, ranges);
  }

  #giveBackUnused(before: readonly LostRange[], after: readonly LostRange[]): void {
    if (this.#copies.size === 0) return;
    const used = new Set(after.map((range) => range.copy));
    for (const { copy } of before) {
      if (copy !== undefined && !used.has(copy) && this.#copies.delete(copy)) {
        this.#early.giveBuffer(copy.memory);
      }
    }
  }

  // ---- whose error it is ----

  /** Why the inode's data, or any if none is named, was lost first; undefined if nothing is. */
  errorOf(inode?: number): FsError | undefined {
    if (this.#files.size === 0) return undefined;
    for (const ranges of inode === undefined ? this.#files.values() : [this.#files.get(inode) ?? NONE]) {
      const first = ranges[0];
      if (first !== undefined) return first.error;
    }
    return undefined;
  }

  /**
   * What a mount must say at its end: undefined if no file lacks data but for want of room, which
   * its writer was told.
   */
  get verdict(): LostDataError | undefined {
    const files = [...this.#files.values()].filter((ranges) => !ranges.every((range) => range.noRoom));
    const first = files[0]?.find((range) => !range.noRoom);
    if (first === undefined) return undefined;
    const has = files.length === 1 ? '1 file has' : `${files.length} files have`;
    return new LostDataError(
      first.error.code,
      `${has} lost data that could not be written (${first.error.code})`,
    );
  }

  counters(): LossCounters {
    const all = [...this.#files.values()].flat();
    const bytesOf = (ranges: readonly LostRange[]) =>
      ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    return {
      filesWithLostData: this.#files.size,
      lostRanges: all.length,
      lostBytes: bytesOf(all),
      lostBytesKept: bytesOf(all.filter((range) => range.copy !== undefined)),
      cachedWritesFailed: this.#failures,
    };
  }

  // ---- copies ----

  /** Has any file data that is only in memory? */
  get keepsAny(): boolean {
    return this.#copies.size > 0;
  }

  /** Has this file? */
  keeps(inode: number): boolean {
    if (this.#copies.size === 0) return false;
    return (this.#files.get(inode) ?? NONE).some((range) => range.copy !== undefined);
  }

  /** Where the last copy of the file ends, in bytes; 0 if there is none. */
  sizeOf(inode: number): number {
    const last = (this.#files.get(inode) ?? NONE).findLast((range) => range.copy !== undefined);
    return last?.to ?? 0;
  }

  /** The first range of the file with a copy that has a part of the bytes [from, to). */
  keptIn(inode: number, from: number, to: number): LostRange | undefined {
    if (this.#copies.size === 0) return undefined;
    const ranges = this.#files.get(inode) ?? NONE;
    return ranges.find((range) => range.copy !== undefined && range.from < to && from < range.to);
  }

  /** Ranges with a copy, by inode: of one, or of all. */
  kept(inode?: number): ReadonlyMap<number, readonly LostRange[]> {
    const kept = new Map<number, LostRange[]>();
    for (const copy of this.#copies) {
      if (kept.has(copy.inode) || (inode !== undefined && inode !== copy.inode)) continue;
      const ranges = this.#files.get(copy.inode) ?? NONE;
      kept.set(
        copy.inode,
        ranges.filter((range) => range.copy !== undefined),
      );
    }
    return kept;
  }

  /** Is the range, as it was when it was asked for, still lost and in memory? */
  has(inode: number, range: LostRange): boolean {
    return this.#files.get(inode)?.includes(range) ?? false;
  }

  /** Lays what the file has in memory over what was read from the device. */
  overlay(request: ReadRequest): void {
    if (!this.keeps(request.inode)) return;
    const { offsetBytes, lengthBytes, memory } = request;
    const end = Math.min(this.sizeOf(request.inode), offsetBytes + lengthBytes);
    const place = request.resultOffset - offsetBytes;
    if (end - offsetBytes > request.resultBytes) {
      memory.bytes.fill(0, request.resultOffset + request.resultBytes, place + end);
      request.resultBytes = end - offsetBytes;
    }
    for (const range of this.#files.get(request.inode) ?? NONE) {
      const from = Math.max(range.from, offsetBytes);
      const to = Math.min(range.to, end);
      if (range.copy === undefined || to <= from) continue;
      const at = range.at + from - range.from;
      memory.bytes.set(range.copy.memory.bytes.subarray(at, at + to - from), place + from);
    }
  }

  /** What the copy holds is lost for good. */
  giveUp(copy: Copy): void {
    this.#replace(copy.inode, withoutCopy(this.#files.get(copy.inode) ?? NONE, copy));
  }

  #giveUpOldest(): Copy['memory'] | undefined {
    for (const copy of this.#copies) {
      this.#copies.delete(copy);
      this.giveUp(copy);
      return copy.memory;
    }
    return undefined;
  }
}
