/**
 * The allocator interface: which free blocks to hand out.
 *
 * The disk carries only a bitmap; it is the one truth about free space. An allocator is a *policy*:
 * it looks at the free space through `FreeSpace` and answers each request with a run of blocks. It
 * takes and gives back nothing by itself: the caller checks the answer, takes the blocks out of the
 * free space, and tells the policy of every run that becomes free again. So a wrong policy costs
 * speed or space, never data, and any policy can mount any volume. Whoever's module answers
 * wrongly, or throws, is replaced by the built-in policy (fenced-policy.ts).
 *
 * Writing one: `export default defineAllocator({ name: 'mine', create(space, options) { … } })`,
 * then `quarry mount --allocator ./mine.js`.
 *
 * Block numbers here are *space* numbers: 0 to `space.blockCount − 1`, the managed part of the
 * volume.
 */

/**
 * A number of a block in the space. A plain number will do; only those that count from elsewhere,
 * and say so, will not.
 */
export type SpaceNumber = number & { readonly countedFrom?: 'space' };

/** A contiguous stretch of blocks, `start` to `start + length − 1`. */
export interface Run {
  readonly start: SpaceNumber;
  readonly length: number;
}

/** What the blocks will hold. */
export type AllocationKind = 'data' | 'directory' | 'tree' | 'inode' | 'attribute';

export interface AllocationRequest {
  /**
   * Where the run would best start, or −1 for no wish: the block after the last one of the same
   * file.
   */
  goal: SpaceNumber;
  /** Blocks wanted, ≥ 1. */
  length: number;
  /** The shortest acceptable run, 1 ≤ minimum ≤ length. */
  minimum: number;
  /** The inode the blocks are for: a stable key for per-file state. */
  inode: number;
  kind: AllocationKind;
  /** True while the file is being appended to in order, so that more will follow. */
  stream: boolean;
}

/**
 * The free space as a policy sees it: blocks that may be handed out now. Reserved blocks, and freed
 * ones that are not yet safe to reuse, are not free here.
 *
 * All searches are over 32-bit words with summary levels; none costs more than the log of the
 * volume. Any method may throw because a part of the bitmap is not in memory yet: let it pass. The
 * caller loads that part and asks again, so keep no state change before the last question to the
 * space.
 */
export interface FreeSpace {
  /** Blocks managed, free or not. A volume that grows while it is mounted has more. */
  readonly blockCount: number;
  /** Blocks free now. */
  readonly freeBlocks: number;
  /** Blocks per group; a run never crosses from one group to the next. */
  readonly groupBlocks: number;
  /** As `blockCount`, it may become more. */
  readonly groupCount: number;

  /** Free blocks in group `group`. Costs no I/O beyond the group summaries. */
  freeInGroup(group: number): number;
  /**
   * The first group ≥ `from` with at least `minimum` free blocks, or −1. Costs no I/O beyond the
   * summaries.
   */
  nextGroup(from: number, minimum: number): number;
  isFree(block: SpaceNumber): boolean;
  /** The first free block in [from, limit), or −1. */
  nextFree(from: SpaceNumber, limit: SpaceNumber): SpaceNumber;
  /** Length of the free run that starts at `block`, at most `most`; 0 if `block` is in use. */
  freeRunLength(block: SpaceNumber, most: number): number;
  /**
   * The first free run of at least `minimum` blocks that starts in [from, limit), cut to `length`;
   * undefined if none.
   *
   * On a fragmented volume a long run may have to be looked for in every group. With `patience` the
   * search gives up after it has looked into that many groups; what it learnt is kept, and the next
   * one goes on from there.
   */
  findRun(
    from: SpaceNumber,
    limit: SpaceNumber,
    minimum: number,
    length: number,
    patience?: number,
  ): Run | undefined;

  /**
   * The whole free run that `block` is in, as far as its group goes; undefined if it is in use.
   */
  runAround(block: SpaceNumber): Run | undefined;
  /** The last free run that ends at `block` or before it, whole. */
  runBefore(block: SpaceNumber): Run | undefined;
  /**
   * The first free run that starts at `block` or behind it, whole. From 0, and each time from the
   * end of the last one, these are all runs in order.
   */
  runAfter(block: SpaceNumber): Run | undefined;
  /**
   * The shortest of all free runs of at least `minimum` blocks, whole; of equally short ones the
   * one that starts nearest to `near`, or the lowest.
   *
   * The runs of a group are put in order when they may be the answer for the first time, and its
   * bitmap is needed for that. With `patience` a question does so for that many groups at most, and
   * answers the best of what is known; the next one goes on from there. Without, all groups may
   * have to be looked into: not on a volume that is larger than memory.
   */
  smallestRun(minimum: number, near?: SpaceNumber, patience?: number): Run | undefined;
  /** The longest of all free runs, whole. `near` and `patience` as for `smallestRun`. */
  longestRun(near?: SpaceNumber, patience?: number): Run | undefined;
}

export interface Allocator {
  /**
   * A free run of `minimum` to `length` blocks, or undefined if the space has none. Changes nothing
   * in the space.
   */
  allocate(want: AllocationRequest): Run | undefined;
  /** The run was taken out of the free space: after each successful `allocate`. */
  taken?(run: Run, want: AllocationRequest): void;
  /** The run is free again. */
  release?(run: Run): void;
  /** The inode is gone, or no longer written: forget what was kept for it. */
  forgetInode?(inode: number): void;
  /** Figures for the laboratory and `quarry stat`. */
  stats?(): Record<string, number>;
  /**
   * Throws an Error if the policy's own index disagrees with the space. For tests and the
   * laboratory.
   */
  checkInvariants?(): void;
}

/**
 * Options given as `--allocator-options key=value,…` or `-o alloc.key=value`; values stay strings.
 */
export type AllocatorOptions = Readonly<Record<string, string>>;

export interface AllocatorDefinition {
  readonly name: string;
  /**
   * The options that `create` knows, each with what it means; any other is then refused. Without it
   * all are passed on.
   */
  readonly options?: Readonly<Record<string, string>> | undefined;
  create(space: FreeSpace, options: AllocatorOptions): Allocator;
}

/** Marks and checks a definition; a user's module default-exports its result. */
export function defineAllocator(definition: AllocatorDefinition): AllocatorDefinition {
  if (typeof definition.name !== 'string' || definition.name === '') {
    throw new TypeError('an allocator needs a name');
  }
  if (typeof definition.create !== 'function') {
    throw new TypeError(`allocator '${definition.name}' needs a create(space, options) function`);
  }
  return definition;
}
