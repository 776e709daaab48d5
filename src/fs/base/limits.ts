/**
 * Bounds on everything that could grow, in one place, with the reason.
 */

/** Default budget of the metadata cache: enough for the working set of some 100,000 files. */
export const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;
/** Below this the blocks of one large transaction would not fit beside what is being written. */
export const MIN_CACHE_BYTES = 4 * 1024 * 1024;
/** Above this a budget is a slip of the pen: it is more than the metadata of any volume. */
export const MAX_CACHE_BYTES = 1024 * 1024 * 1024 * 1024;
/** The cache takes memory in pieces, as it is needed: the first of this size, … */
export const FIRST_CACHE_CHUNK_BYTES = 64 * 1024;
/** … each as large as all before it, at most this. */
export const CACHE_CHUNK_BYTES = 4 * 1024 * 1024;

/** A commit starts by itself when this share of the cache is dirty, … */
export const COMMIT_SHARE = 0.25;
/** … and operations wait for it when this share is. The rest is for blocks being read. */
export const DIRTY_SHARE = 0.5;
/** … or when what is dirty would take this share of the journal. */
export const COMMIT_LOG_SHARE = 0.25;
/**
 * A commit that leaves more than this share of the journal in use takes a checkpoint with it, so
 * that the next ones find room.
 */
export const CHECKPOINT_LOG_SHARE = 0.5;
/**
 * Seconds between commits when something changed: what a crash may cost those who do not fsync (as
 * ext4's commit=5).
 */
export const DEFAULT_COMMIT_SECONDS = 5;
/** Whoever waits longer than an hour for the disk is better served by no interval at all. */
export const MAX_COMMIT_SECONDS = 3600;

/**
 * Extents entered or given back in one transaction, where the journal is large enough: some hundred
 * blocks in the worst case.
 */
export const EXTENTS_PER_STEP = 128;
/** Blocks that one extent may change in the worst case: a bitmap, a summary, a tree node. */
const BLOCKS_PER_EXTENT = 3;
/**
 * Blocks that any other operation changes at most, and every operation beside its extents: a new
 * cluster of inodes, the volume root, paths through trees that split.
 */
const BLOCKS_PER_OPERATION = 40;

/**
 * Extents that one transaction may enter or give back so that it fits into a log of this length
 * (J8).
 */
export function extentsPerStep(logBlocks: number): number {
  const room = Math.floor((logBlocks - BLOCKS_PER_OPERATION) / BLOCKS_PER_EXTENT);
  return Math.max(1, Math.min(room, EXTENTS_PER_STEP));
}

/**
 * Inodes whose access times are kept in memory at most; half as many are written before their time.
 * Some 100 bytes each.
 */
export const MOST_ACCESS_TIMES = 16 * 1024;
/**
 * An operation that finds no space while inodes without a name are about to be freed tries so often
 * again, …
 *
 * The kernel forgets a removed file after its removal was answered, perhaps behind the next
 * request. Bounded, since a file that is open is not forgotten, and since who holds a lock that the
 * freeing needs may be the one who waits.
 */
export const MOST_MOMENTS = 10;
/** … with so long a pause. */
export const MOMENT_MILLISECONDS = 5;
/** An inode that lost its name longer ago, and was not forgotten, is in use by somebody. */
export const FORGET_MILLISECONDS = 100;
/**
 * Longest transfer of metadata in one request: long enough to stream, short enough to share the
 * queue.
 */
export const MAX_METADATA_TRANSFER_BYTES = 1024 * 1024;
/** A transaction that misses this often is going in circles. */
export const MAX_MISSES = 100_000;
/**
 * How long one turn of the event loop goes on with work that is done in steps: what a request may
 * have to wait for it. A turn of the loop costs some 20 µs.
 */
export const TURN_BUDGET_MILLISECONDS = 1;
