/**
 * The free space in memory: the bitmap on disk, less what must not be handed out now.
 *
 * A block is in one of four states:
 *
 *            bit on disk   may be handed out
 *   free        clear          yes
 *   reserved    clear          no     handed out in memory; its data is being written, its bit is
 *                                     not set yet
 *   used        set            no
 *   quarantined clear          no     freed, but the freeing is not durable yet, or old I/O to it
 *                                     is in flight; or it is being discarded
 *
 *   free ──reserve──▶ reserved ──(owner sets the bit) commitReserved──▶ used
 *     ▲ ◀──unreserve──   ▲ └──────(owner clears it) uncommitReserved──────┘ │   (rolled back)
 *     │                                                                     │
 *     └──unquarantine(run, false)── quarantined ◀──(owner clears it) quarantine
 *   free ──withhold──▶ quarantined    └──(owner sets it) unquarantine(run, true)──▶ used
 *
 * The two that bring a bit back, `uncommitReserved` and `unquarantine(run, true)`, are for a
 * transaction that is rolled back.
 *
 * Rule for the owner: where an arrow says that a bit on disk changes, change the bitmap and all its
 * counts (group, summaries, total) and call the method in one synchronous step, in any order, with
 * no question to the free space in between. No method here changes the disk, and no arrow can fail
 * with a miss.
 *
 * Numbers: `source.freeBlocks` counts the clear bits on disk, so it holds free + reserved +
 * quarantined. It moves with the owner's bits only: −length at commitReserved, +length at
 * uncommitReserved, +length at quarantine, −length at unquarantine(run, true); reserve, unreserve,
 * withhold and unquarantine(run, false) leave it. Hence always
 *   S1  freeBlocks = source.freeBlocks − reservedBlocks − quarantinedBlocks, and the same for every
 *       group;
 *   S2  a loaded map has exactly the blocks set that are clear on disk and not held (reserved or
 *       quarantined);
 *   S3  a held block is clear on disk.
 *
 * Memory: a group's map is built from the bitmap when first needed and dropped, least recently used
 * first, when the maps exceed their budget; a group with held blocks keeps a bitmap of these until
 * they are settled.
 */
import type { AllocationRequest, FreeSpace, Run } from './allocator.ts';
import { BarrenStretches } from './barren-stretches.ts';
import { countRange, wordsFor } from './bit-words.ts';
import { GroupMap } from './group-map.ts';
import { HeldBlocks, type HeldState } from './held-blocks.ts';
import { previousGroup } from './previous-group.ts';
import { type RunSource, RunsBySize } from './runs-by-size.ts';

/**
 * The free space as the disk has it. A method that is said to miss may throw; the caller then asks
 * again from the top.
 */
export interface GroupSource {
  readonly blockCount: number;
  readonly groupBlocks: number;
  readonly groupCount: number;
  /** Clear bits in all bitmaps. */
  readonly freeBlocks: number;
  /** Clear bits in the group's bitmap, from the summaries; no bitmap needed. May miss. */
  freeInGroup(group: number): number;
  /**
   * First group ≥ `from` whose `freeInGroup` is ≥ `minimum`, or −1. May miss. Log-time over summary
   * levels.
   */
  nextGroup(from: number, minimum: number): number;
  /**
   * The group's bitmap, ceil(blocks / 8) bytes: bit i of byte i >> 3 is 1 << (i & 7), set = in use.
   * May miss. The view is valid only during the call.
   */
  readBitmap(group: number): Uint8Array;
  /** Blocks at the start of the group that are in use for ever, as its bitmap is. */
  metadataBlocks(group: number): number;
}

/** Bytes of maps kept in memory: enough for all groups of 2 TiB in blocks of 4 KiB. */
export const DEFAULT_MAP_BUDGET_BYTES = 64 * 1024 * 1024;

/**
 * A policy that cannot be made, or whose answer was wrong; the request fails, the volume is
 * untouched.
 */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

/**
 * The disk contradicts itself: a group's bitmap does not have the free blocks that the summaries
 * promise.
 */
export class SpaceMismatchError extends Error {
  override readonly name = 'SpaceMismatchError';
  readonly group: number;

  constructor(group: number, inBitmap: number, inSummary: number) {
    super(`group ${group} has ${inBitmap} free blocks in its bitmap, but ${inSummary} in the summary`);
    this.group = group;
  }
}

/** What the index costs. */
export interface SpaceIndexCounters {
  /** Memory of maps, held blocks and runs by size, by the length of their arrays. */
  readonly spaceIndexBytes: number;
  /** Looks into a group's map, for questions and for changes. */
  readonly spaceMapLooks: number;
  /** Runs taken out of the free space. */
  readonly runsReserved: number;
}

export class SpaceIndex implements FreeSpace {
  readonly groupBlocks: number;
  readonly #source: GroupSource;
  #barren: BarrenStretches;
  /** Made at the first question by length. */
  #bySize: RunsBySize | undefined;
  /** In the order of last use. */
  readonly #maps = new Map<number, GroupMap>();
  readonly #mostMaps: number;
  readonly #mostRuns: number | undefined;
  #lastGroup = -1;
  #lastMap: GroupMap | undefined;
  readonly #held: HeldBlocks;
  #mapLooks = 0;
  #runsReserved = 0;

  /**
   * @param mapBudgetBytes memory for group maps; two are always kept
   * @param mostRuns runs that are kept in the order of their length, if anybody asks by length
   */
  constructor(source: GroupSource, mapBudgetBytes: number = DEFAULT_MAP_BUDGET_BYTES, mostRuns?: number) {
    this.#source = source;
    this.#mostRuns = mostRuns;
    this.groupBlocks = source.groupBlocks;
    this.#barren = new BarrenStretches(source.groupBlocks);
    this.#held = new HeldBlocks(source.groupBlocks);
    this.#mostMaps = Math.max(2, Math.floor(mapBudgetBytes / (wordsFor(source.groupBlocks) * 4)));
  }

  get blockCount(): number {
    return this.#source.blockCount;
  }

  get groupCount(): number {
    return this.#source.groupCount;
  }

  /** Blocks that may be handed out now. */
  get freeBlocks(): number {
    return this.#source.freeBlocks - this.#held.reserved - this.#held.quarantined;
  }

  get reservedBlocks(): number {
    return this.#held.reserved;
  }

  get quarantinedBlocks(): number {
    return this.#held.quarantined;
  }

  /** Group maps in memory. */
  get loadedGroups(): number {
    return this.#maps.size;
  }

  counters(): SpaceIndexCounters {
    let bytes = this.#barren.memoryBytes + this.#held.memoryBytes + (this.#sizes?.memoryBytes ?? 0);
    for (const map of this.#maps.values()) bytes += map.memoryBytes;
    return { spaceIndexBytes: bytes, spaceMapLooks: this.#mapLooks, runsReserved: this.#runsReserved };
  }

  // ---- questions of a policy (FreeSpace) ----

  freeInGroup(group: number): number {
    return this.#source.freeInGroup(group) - this.#held.inGroup(group);
  }

  nextGroup(from: number, minimum: number): number {
    if (from >= this.groupCount) return -1;
    let group = this.#source.nextGroup(Math.max(0, from), minimum);
    // Only groups with held blocks can disappoint.
    while (group >= 0 && this.#held.inGroup(group) > 0 && this.freeInGroup(group) < minimum) {
      group = group + 1 < this.groupCount ? this.#source.nextGroup(group + 1, minimum) : -1;
    }
    return group;
  }

  isFree(block: number): boolean {
    if (block < 0 || block >= this.blockCount) return false;
    const group = this.#groupOf(block);
    return this.#map(group).isFree(block - group * this.groupBlocks);
  }

  nextFree(from: number, limit: number): number {
    return this.findRun(from, limit, 1, 1)?.start ?? -1;
  }

  freeRunLength(block: number, most: number): number {
    if (block < 0 || block >= this.blockCount) return 0;
    const group = this.#groupOf(block);
    return this.#map(group).freeRunLength(block - group * this.groupBlocks, most);
  }

  // biome-ignore lint/complexity/useMaxParams: what policies call, in their innermost loops.
  findRun(
    from: number,
    limit: number,
    minimum: number,
    length: number,
    patience = Number.POSITIVE_INFINITY,
  ): Run | undefined {
    const origin = Math.max(0, from);
    const end = Math.min(limit, this.blockCount);
    let groupsLeft = patience;
    let at = this.#skip(origin, minimum);
    while (at < end && groupsLeft > 0) {
      const group = this.nextGroup(this.#groupOf(at), minimum);
      const base = group < 0 ? this.blockCount : group * this.groupBlocks;
      if (base > at) {
        // Too few free blocks in all groups before this one.
        this.#noteBarren(origin, base, minimum);
        at = this.#skip(base, minimum);
        continue;
      }
      groupsLeft--;
      const map = this.#map(group);
      const last = Math.min(end - base, map.blockCount);
      const start = map.findRun(at - base, last, minimum);
      if (start >= 0) {
        this.#noteBarren(origin, base + start, minimum);
        return { start: base + start, length: map.freeRunLength(start, length) };
      }
      this.#noteBarren(origin, base + last, minimum);
      at = this.#skip(base + last, minimum);
    }
    return undefined;
  }

  runAround(block: number): Run | undefined {
    if (block < 0 || block >= this.blockCount) return undefined;
    const group = this.#groupOf(block);
    const base = group * this.groupBlocks;
    const map = this.#map(group);
    return map.isFree(block - base) ? wholeRun(map, base, block) : undefined;
  }

  runBefore(block: number): Run | undefined {
    if (block <= 0) return undefined;
    const within = Math.min(block, this.blockCount);
    const last = this.#groupOf(within - 1);
    for (let group = last; group >= 0; group = previousGroup(this, group)) {
      const base = group * this.groupBlocks;
      const map = this.#map(group);
      const end = group === last ? within - base : map.blockCount;
      // A run that goes on beyond the end does not end before it.
      const cut = end < map.blockCount && map.isFree(end) ? map.freeRunStart(end) : end;
      const free = map.previousFree(cut - 1);
      if (free >= 0) return wholeRun(map, base, base + free);
    }
    return undefined;
  }

  runAfter(block: number): Run | undefined {
    const at = Math.max(0, block);
    const inside = at < this.blockCount && at % this.groupBlocks > 0 && this.isFree(at - 1);
    const from = inside ? at + this.freeRunLength(at, this.groupBlocks) : at;
    return this.findRun(from, this.blockCount, 1, this.groupBlocks);
  }

  smallestRun(minimum: number, near = 0, patience = Number.POSITIVE_INFINITY): Run | undefined {
    return this.#runsBySize().smallest(Math.max(1, minimum), this.#placeAt(near), patience);
  }

  longestRun(near = 0, patience = Number.POSITIVE_INFINITY): Run | undefined {
    return this.#runsBySize().longest(this.#placeAt(near), patience);
  }

  // ---- what the owner does ----

  /**
   * Is this an answer to `want`?
   * @param policy the policy's name, for the message
   * @throws PolicyError that says what is wrong. May miss.
   */
  checkAnswer(policy: string, run: Run, want: AllocationRequest): void {
    const wrong = this.answerFault(run, want);
    if (wrong === undefined) return;
    throw new PolicyError(
      `allocator '${policy}' answered ${describe(run)} to a request for ${want.minimum} to ${want.length} blocks: ${wrong}`,
    );
  }

  /**
   * What is wrong with this answer, as the end of a sentence; undefined if nothing is. May miss.
   */
  answerFault(run: Run, want: AllocationRequest): string | undefined {
    if (typeof run !== 'object' || run === null) return 'it is not a run';
    const shape = this.#shapeFault(run);
    if (shape !== undefined) return `it ${shape}`;
    if (run.length < want.minimum) return 'it is too short';
    if (run.length > want.length) return 'it is too long';
    const free = this.freeRunLength(run.start, run.length);
    return free < run.length ? `block ${run.start + free} is not free` : undefined;
  }

  /**
   * Forgets what is only remembered, so that it is built anew from the bitmaps: after a question
   * that may have been cut off anywhere. Questions change nothing else.
   */
  forgetMaps(): void {
    this.#maps.clear();
    this.#bySize = undefined;
    this.#lastGroup = -1;
    this.#lastMap = undefined;
    this.#barren = new BarrenStretches(this.groupBlocks);
  }

  /**
   * The source has become longer or shorter, and a group at one of its ends with it, perhaps. What
   * is held is inside of both.
   */
  resized(): void {
    this.forgetMaps();
    this.#held.resize((group) => this.#groupLength(group));
  }

  /** free → reserved. The run must be free and its group loaded, as after `checkAnswer`. */
  reserve(run: Run): void {
    this.#take(run, 'reserved');
    this.#runsReserved++;
  }

  /** free → quarantined, under the same conditions. */
  withhold(run: Run): void {
    this.#take(run, 'quarantined');
  }

  #take(run: Run, as: HeldState): void {
    const group = this.#groupOfRun(run);
    const map = this.#map(group);
    const base = group * this.groupBlocks;
    const sizes = this.#sizes;
    const whole = sizes && map.isFree(run.start - base) ? wholeRun(map, base, run.start) : run;
    map.take(run.start - base, run.length);
    sizes?.taken(group, whole, run);
    this.#held.hold(run, as, this.#groupLength(group));
  }

  /** reserved → used: the bits are set on disk. */
  commitReserved(run: Run): void {
    this.#settle(run, 'reserved');
  }

  /** used → reserved: the transaction that set the bits was rolled back. */
  uncommitReserved(run: Run): void {
    const group = this.#groupOfRun(run);
    this.#expectNotFree(group, run);
    this.#held.hold(run, 'reserved', this.#groupLength(group));
  }

  /** reserved → free: handed back, never used. */
  unreserve(run: Run): void {
    this.#settle(run, 'reserved');
    this.#giveBack(run);
  }

  /**
   * used → quarantined: the bits are clear on disk, but the blocks are not to be handed out yet.
   */
  quarantine(run: Run): void {
    const group = this.#groupOfRun(run);
    this.#expectNotFree(group, run);
    this.#held.hold(run, 'quarantined', this.#groupLength(group));
  }

  /**
   * quarantined → free; or, if the freeing transaction was rolled back and the bits are set again,
   * → used.
   */
  unquarantine(run: Run, backToUsed: boolean): void {
    this.#settle(run, 'quarantined');
    if (!backToUsed) this.#giveBack(run);
  }

  /**
   * Compares everything in memory with the disk; costs a look at every group. For tests.
   * @throws Error
   */
  checkInvariants(): void {
    let free = 0;
    for (let group = 0; group < this.groupCount; group++) free += this.#checkGroup(group);
    this.#held.checkInvariants();
    this.#sizes?.checkInvariants();
    expect(free === this.freeBlocks, `S1: ${free} free, ${this.freeBlocks} counted`);
  }

  // ---- inside ----

  #groupOf(block: number): number {
    return Math.floor(block / this.groupBlocks);
  }

  #groupLength(group: number): number {
    return Math.min(this.groupBlocks, this.blockCount - group * this.groupBlocks);
  }

  #groupOfRun(run: Run): number {
    const fault = this.#shapeFault(run);
    if (fault !== undefined) throw new Error(`run ${describe(run)} ${fault}`);
    return this.#groupOf(run.start);
  }

  #shapeFault(run: Run): string | undefined {
    const { start, length } = run;
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(length)) return 'is not made of whole numbers';
    if (length < 1) return 'is empty';
    if (start < 0 || start + length > this.blockCount) return 'leaves the space';
    if (this.#groupOf(start) !== this.#groupOf(start + length - 1))
      return 'crosses from one group to the next';
    return undefined;
  }

  /** The group's map, loaded if it is not there. May miss; then nothing has changed. */
  #map(group: number): GroupMap {
    this.#mapLooks++;
    if (group === this.#lastGroup && this.#lastMap !== undefined) return this.#lastMap;
    const map = this.#maps.get(group) ?? this.#load(group);
    this.#maps.delete(group);
    this.#maps.set(group, map);
    this.#evict();
    this.#lastGroup = group;
    this.#lastMap = map;
    return map;
  }

  #load(group: number): GroupMap {
    const expected = this.#source.freeInGroup(group);
    const bitmap = this.#source.readBitmap(group);
    const map = new GroupMap(this.#groupLength(group), bitmap, this.#held.wordsOf(group));
    const inBitmap = map.freeCount + this.#held.inGroup(group);
    if (inBitmap !== expected) throw new SpaceMismatchError(group, inBitmap, expected);
    return map;
  }

  /** What there is of it. */
  get #sizes(): RunsBySize | undefined {
    if (this.#bySize?.isTorn) this.#bySize = undefined;
    return this.#bySize;
  }

  #placeAt(block: number): number {
    return Math.max(0, Math.min(block, this.blockCount));
  }

  #runsBySize(): RunsBySize {
    this.#bySize = this.#sizes ?? new RunsBySize(this.#runSource(), this.#mostRuns);
    return this.#bySize;
  }

  #runSource(): RunSource {
    return {
      blockCount: this.blockCount,
      groupBlocks: this.groupBlocks,
      groupCount: this.groupCount,
      freeInGroup: (group) => this.freeInGroup(group),
      nextGroup: (from, minimum) => this.nextGroup(from, minimum),
      isPristine: (group) => this.freeInGroup(group) === this.#pristineRun(group).length,
      pristineRun: (group) => this.#pristineRun(group),
      loadMap: (group) => this.#map(group),
      loadedMap: (group) => this.#maps.get(group),
    };
  }

  #pristineRun(group: number): Run {
    const metadata = this.#source.metadataBlocks(group);
    return { start: group * this.groupBlocks + metadata, length: this.#groupLength(group) - metadata };
  }

  #evict(): void {
    for (const group of this.#maps.keys()) {
      if (this.#maps.size <= this.#mostMaps) return;
      this.#sizes?.forget(group);
      this.#maps.delete(group);
    }
  }

  /** Runs of one block need no notes: the summaries find them. */
  #skip(at: number, minimum: number): number {
    return minimum === 1 ? at : this.#barren.skip(at, minimum);
  }

  #noteBarren(low: number, high: number, minimum: number): void {
    if (minimum > 1) this.#barren.note(low, high, minimum);
  }

  #settle(run: Run, as: HeldState): void {
    this.#groupOfRun(run);
    this.#held.settle(run, as);
  }

  #giveBack(run: Run): void {
    const group = this.#groupOf(run.start);
    const base = group * this.groupBlocks;
    const map = this.#maps.get(group);
    if (map === undefined) {
      // How far the free run around it reaches is not known: anything in the group may start a long
      // one now.
      this.#barren.freed(base, base + this.#groupLength(group));
      this.#sizes?.givenUnseen(group, run.length);
      return;
    }
    map.give(run.start - base, run.length);
    const whole = wholeRun(map, base, run.start);
    this.#barren.freed(whole.start, whole.start + whole.length);
    this.#sizes?.given(group, whole, run);
  }

  #expectNotFree(group: number, run: Run): void {
    const map = this.#maps.get(group);
    if (map === undefined) return;
    const first = run.start - group * this.groupBlocks;
    expect(map.nextFree(first, first + run.length) < 0, `run ${describe(run)} has free blocks`);
  }

  /** @returns blocks of the group that may be handed out */
  #checkGroup(group: number): number {
    const length = this.#groupLength(group);
    const words = this.#held.wordsOf(group);
    const onDisk = new GroupMap(length, this.#source.readBitmap(group));
    const fresh = new GroupMap(length, this.#source.readBitmap(group), words);
    const heldBits = words === undefined ? 0 : countRange(words, 0, length);
    expect(
      onDisk.freeCount - heldBits === fresh.freeCount,
      `S3: a held block of group ${group} is set on disk`,
    );
    expect(fresh.freeCount === this.freeInGroup(group), `S1: group ${group} has ${fresh.freeCount} free`);
    this.#sizes?.checkGroup(group, fresh);
    const map = this.#maps.get(group);
    if (map === undefined) return fresh.freeCount;
    map.checkInvariants();
    for (let at = fresh.nextFree(0, length); at >= 0; ) {
      const end = fresh.nextUsed(at, length);
      expect(map.nextUsed(at, length) === end, `S2: free run of group ${group} at ${at}`);
      at = fresh.nextFree(end, length);
    }
    expect(map.freeCount === fresh.freeCount, `S2: group ${group} has ${map.freeCount} free in memory`);
    return fresh.freeCount;
  }
}

/** The free run around a free block, both counted from the start of the space. */
function wholeRun(map: GroupMap, base: number, block: number): Run {
  const start = map.freeRunStart(block - base);
  return { start: base + start, length: map.freeRunLength(start, map.blockCount) };
}

function describe(run: Run): string {
  return typeof run === 'object' && run !== null ? `${run.start}+${run.length}` : String(run);
}

function expect(truth: boolean, message: string): void {
  if (!truth) throw new Error(message);
}
