/**
 * The block cache: metadata blocks in memory, in frames of device memory.
 *
 *   clean ──▶ dirty ──▶ logged ──▶ writing ──▶ clean        as home; changed; in the journal only;
 *                                                           a copy on its way home
 *                change    commit     checkpoint    written
 *
 * A frame may be changed in any of these states, and is dirty besides then. Only frames that are
 * nothing but clean are reused, second chance first: what is home is older than the others. A frame
 * touched by the running transaction (`touchedBy`) stays where it is, so that bytes looked at
 * cannot change under the one who looks.
 *
 * The cache knows nothing of transactions beyond that number, and of blocks nothing but their
 * header; what comes from the device is checked, header and inside, before anyone sees it.
 */
import { strict as assert } from 'node:assert';
import type { Device, IoCompletion, Memory } from '../../aio/device.ts';
import { viewOf } from '../../common/bytes.ts';
import { CorruptionError, fsErrorFromNumber } from '../base/errors.ts';
import { CACHE_CHUNK_BYTES, FIRST_CACHE_CHUNK_BYTES } from '../base/limits.ts';

import type { BlockNumber } from '../base/numbers.ts';
import { contentFault, inodeFaults } from '../format/block-content.ts';
import { blockFault } from '../format/block-header.ts';
import type { BlockView } from '../format/block-view.ts';
import { BlockHeader, BlockKind } from '../format/format.ts';

/** Who has to copy a frame before it changes: see picture.ts. */
export interface FramePicture {
  take(frame: Frame): void;
}

export class Frame implements BlockView {
  /** Block in the frame, −1 if none. */
  block: BlockNumber = -1;
  kind = 0;
  /** In a block of inodes: those that were not sound on disk, by their offset. */
  inodeFaults: ReadonlyMap<number, string> | undefined;
  /**
   * In a tree node: owner and first key of its place in the tree, once that was found to be right
   * (tree.ts).
   */
  nodeOwner = -1;
  /** Of directories longer than V8's small integers, so a double from the start. */
  nodeLow = Number.NaN;
  dirty = false;
  /** What the last commit took of it is in the journal, not at home. */
  logged = false;
  /** A checkpoint's copy of it is on its way home. */
  writing = false;
  loading = false;
  /** Looked at since the clock hand last passed. */
  recent = false;
  /** The last transaction that read it, … */
  touchedBy = 0;
  /** … and the one that holds a pre-image of it. */
  modifiedBy = 0;
  /** The block was freed while its copy was being written: let go of it then. */
  doomed = false;
  /** The picture of a commit that has no copy of it yet, … */
  picture: FramePicture | undefined;
  /**
   * … and where that copy belongs: its number in the transaction that is logged, and among the
   * blocks that go home. −1 where in none.
   */
  logPlace = -1;
  homePlace = -1;
  readonly view: DataView;
  /** A frame's bytes are those of its block. */
  readonly at = 0;

  constructor(
    readonly memory: Memory,
    readonly memoryOffset: number,
    readonly bytes: Uint8Array,
  ) {
    this.view = viewOf(bytes);
  }
}

/** Waits for one load; told once. */
export interface LoadWaiter {
  /** @param thrown undefined when the block is in the cache, otherwise why not. */
  loaded(thrown: unknown): void;
}

/** One read from the device that fills consecutive blocks. */
class Load implements IoCompletion {
  /** Those who asked for the first block, … */
  readonly waiters: LoadWaiter[] = [];
  /** … and for one of the others: they look again, whatever came of the first. */
  readonly followers: LoadWaiter[] = [];

  constructor(
    readonly cache: BlockCache,
    readonly frames: Frame[],
  ) {}

  ioDone(errno: number): void {
    this.cache.loadDone(this, errno);
  }
}

export interface CacheStatistics {
  misses: number;
  blocksRead: number;
  frames: number;
  dirtyFrames: number;
  loggedFrames: number;
}

export class BlockCache {
  readonly budgetFrames: number;
  readonly #device: Device;
  readonly #frames: Frame[] = [];
  readonly #free: Frame[] = [];
  readonly #byBlock = new Map<number, Frame>();
  readonly #loads = new Map<number, Load>();
  readonly #dirty = new Set<Frame>();
  readonly #logged = new Set<Frame>();
  /** Blocks freed since the last commit. */
  #freed: number[] = [];
  #hand = 0;
  #blocksRead = 0;
  misses = 0;

  /** @param uuid of the volume: 16 bytes */
  constructor(
    device: Device,
    readonly blockBytes: number,
    readonly uuid: Uint8Array,
    budgetBytes: number,
  ) {
    this.#device = device;
    this.budgetFrames = Math.max(64, Math.floor(budgetBytes / blockBytes));
  }

  /** The frame of `block` if it is in memory and loaded. */
  get(block: BlockNumber): Frame | undefined {
    const frame = this.#byBlock.get(block);
    return frame !== undefined && !frame.loading ? frame : undefined;
  }

  get dirtyFrames(): number {
    return this.#dirty.size;
  }

  /** The dirty frames themselves, for the commit. */
  dirtySet(): ReadonlySet<Frame> {
    return this.#dirty;
  }

  markDirty(frame: Frame): void {
    if (frame.dirty) return;
    frame.dirty = true;
    this.#dirty.add(frame);
  }

  markClean(frame: Frame): void {
    if (!frame.dirty) return;
    frame.dirty = false;
    this.#dirty.delete(frame);
  }

  get loggedFrames(): number {
    return this.#logged.size;
  }

  loggedSet(): ReadonlySet<Frame> {
    return this.#logged;
  }

  /** A commit took its copy. */
  markLogged(frame: Frame): void {
    this.markClean(frame);
    if (frame.logged) return;
    frame.logged = true;
    this.#logged.add(frame);
  }

  /** A checkpoint took its copy. */
  markGoingHome(frame: Frame): void {
    this.#forgetLogged(frame);
    frame.writing = true;
  }

  /** The checkpoint's copy of the frame is at home. */
  markHome(frame: Frame): void {
    assert(frame.writing, 'what comes home was on its way');
    frame.writing = false;
    if (frame.doomed) this.#vacate(frame);
  }

  #forgetLogged(frame: Frame): void {
    if (!frame.logged) return;
    frame.logged = false;
    this.#logged.delete(frame);
  }

  /**
   * The metadata block is free: its frame goes, and the next commit revokes what the journal holds
   * of it.
   */
  free(block: BlockNumber): void {
    this.#freed.push(block);
    const frame = this.get(block);
    if (frame) this.drop(frame);
  }

  get freedBlocks(): number {
    return this.#freed.length;
  }

  /** The blocks freed since the last call. */
  takeFreed(): number[] {
    const blocks = this.#freed;
    this.#freed = [];
    return blocks;
  }

  /**
   * A zeroed frame for a block that is about to be written for the first time. A frame of a former
   * life of the block goes.
   * @throws CorruptionError if the block is in use: who asked was told wrong
   */
  claim(block: BlockNumber, running: number): Frame {
    const former = this.#byBlock.get(block);
    if (former) {
      const isInUse = former.dirty || former.logged || (running !== 0 && former.touchedBy === running);
      if (isInUse) throw new CorruptionError(block, 'is free in its bitmap, yet holds metadata in use');
      this.drop(former);
    }
    const frame = this.#vacant(running);
    frame.block = block;
    frame.inodeFaults = undefined;
    frame.nodeOwner = -1;
    frame.bytes.fill(0);
    this.#byBlock.set(block, frame);
    return frame;
  }

  /** Lets go of a frame: its block is free now, or was never made. */
  drop(frame: Frame): void {
    frame.picture?.take(frame);
    this.markClean(frame);
    this.#forgetLogged(frame);
    if (this.#byBlock.get(frame.block) === frame) this.#byBlock.delete(frame.block);
    if (frame.writing) {
      frame.doomed = true;
      return;
    }
    this.#vacate(frame);
  }

  /**
   * Reads `count` blocks from `block` on, if they are not there, and tells the waiter when the
   * first is. Needs `device.submit`.
   */
  load(block: BlockNumber, count: number, waiter: LoadWaiter): void {
    if ((block + 1) * this.blockBytes > this.#device.sizeBytes) {
      waiter.loaded(new CorruptionError(block, 'is outside of the volume'));
      return;
    }
    const under = this.#loads.get(block);
    if (under) {
      (under.frames[0]?.block === block ? under.waiters : under.followers).push(waiter);
      return;
    }
    let length = 1;
    while (length < count && !this.#byBlock.has(block + length)) length++;
    this.#startLoad(block, this.#adjacent(length), waiter);
  }

  #startLoad(block: BlockNumber, frames: Frame[], waiter: LoadWaiter): void {
    const load = new Load(this, frames);
    load.waiters.push(waiter);
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i] as Frame;
      frame.block = block + i;
      frame.loading = true;
      this.#byBlock.set(block + i, frame);
      this.#loads.set(block + i, load);
    }
    this.#blocksRead += frames.length;
    const pending = new FrameReads(load, frames.length);
    for (const frame of frames) {
      this.#device.read(
        frame.memory,
        frame.memoryOffset,
        this.blockBytes,
        frame.block * this.blockBytes,
        pending,
      );
    }
  }

  /** Called once when all reads of a load are done. */
  loadDone(load: Load, errno: number): void {
    let outcome: unknown;
    for (let i = load.frames.length - 1; i >= 0; i--) {
      const frame = load.frames[i] as Frame;
      outcome = errno === 0 ? this.#fault(frame) : fsErrorFromNumber(errno);
      this.#loads.delete(frame.block);
      frame.loading = false;
      frame.recent = true;
      if (outcome !== undefined) this.drop(frame);
    }
    for (const waiter of load.waiters) waiter.loaded(outcome);
    for (const waiter of load.followers) waiter.loaded(undefined);
  }

  #fault(frame: Frame): CorruptionError | undefined {
    const fault = blockFault(frame, this.blockBytes, frame.block, this.uuid);
    if (fault !== undefined) return new CorruptionError(frame.block, fault);
    frame.kind = BlockHeader.kind.get(frame.view, 0);
    frame.nodeOwner = -1;
    const flaw = contentFault(frame, frame.kind);
    if (flaw !== undefined) return new CorruptionError(frame.block, flaw);
    frame.inodeFaults = frame.kind === BlockKind.inodes ? inodeFaults(frame) : undefined;
    return undefined;
  }

  #adjacent(count: number): Frame[] {
    const frames: Frame[] = [];
    for (let i = 0; i < count; i++) {
      const frame = this.#vacant(0);
      // Taken out of reach of the next round until it has its block.
      frame.loading = true;
      frames.push(frame);
    }
    return frames;
  }

  #vacate(frame: Frame): void {
    frame.block = -1;
    frame.kind = 0;
    frame.doomed = false;
    frame.recent = false;
    frame.modifiedBy = 0;
    this.#free.push(frame);
  }

  /**
   * An empty frame: unused, newly made while the budget lasts, or taken from a clean block; past
   * the budget if all are needed.
   */
  #vacant(running: number): Frame {
    const free = this.#free.pop();
    if (free) return free;
    if (this.#frames.length < this.budgetFrames) return this.#grow();
    return this.#evict(running) ?? this.#grow();
  }

  #evict(running: number): Frame | undefined {
    const count = this.#frames.length;
    for (let tries = 2 * count; tries > 0; tries--) {
      const frame = this.#frames[this.#hand] as Frame;
      this.#hand = this.#hand + 1 === count ? 0 : this.#hand + 1;
      if (frame.block < 0 || frame.dirty || frame.logged || frame.writing || frame.loading) continue;
      if (running !== 0 && frame.touchedBy === running) continue;
      if (frame.recent) {
        frame.recent = false;
        continue;
      }
      this.#byBlock.delete(frame.block);
      frame.block = -1;
      frame.modifiedBy = 0;
      return frame;
    }
    return undefined;
  }

  #grow(): Frame {
    const chunkBytes = Math.min(
      CACHE_CHUNK_BYTES,
      Math.max(FIRST_CACHE_CHUNK_BYTES, this.#frames.length * this.blockBytes),
    );
    const perChunk = Math.max(1, chunkBytes / this.blockBytes);
    const memory = this.#device.allocateMemory(perChunk * this.blockBytes);
    for (let i = perChunk - 1; i >= 0; i--) {
      const at = i * this.blockBytes;
      const frame = new Frame(memory, at, memory.bytes.subarray(at, at + this.blockBytes));
      this.#frames.push(frame);
      this.#free.push(frame);
    }
    return this.#free.pop() as Frame;
  }

  statistics(): CacheStatistics {
    return {
      misses: this.misses,
      blocksRead: this.#blocksRead,
      frames: this.#frames.length,
      dirtyFrames: this.#dirty.size,
      loggedFrames: this.#logged.size,
    };
  }
}

/** Counts the frame reads of one load down to its end; the first error counts. */
class FrameReads implements IoCompletion {
  #errno = 0;

  constructor(
    readonly load: Load,
    private left: number,
  ) {}

  ioDone(errno: number): void {
    if (errno !== 0 && this.#errno === 0) this.#errno = errno;
    if (--this.left === 0) this.load.ioDone(this.#errno);
  }
}
