/**
 * Bounds on everything that could grow, in one place, with the reason, and what must hold between
 * them. Those that depend on the format are in `format/limits.ts`.
 */
import { type Relations, requireRelations } from '../../common/relations.ts';

/** The largest block of a filesystem: whoever reads and writes it has room for two. */
export const MOST_BLOCK_BYTES = 65536;

/** Default budget of the metadata cache: enough for the working set of some 100,000 files. */
export const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;
/** Below this the blocks of one large transaction would not fit beside what is being written. */
export const MIN_CACHE_BYTES = 4 * 1024 * 1024;
/** Above this a budget is a slip of the pen: it is more than the metadata of any volume. */
export const MAX_CACHE_BYTES = 1024 * 1024 * 1024 * 1024;
/**
 * The cache takes memory in pieces, as it is needed: the first of this size, with room for a block,
 * …
 */
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

/** Longest write that is copied: beyond it, waiting for the device costs less than it seems. */
export const MOST_EARLY_BYTES = 128 * 1024;
/** Memory for copies of such writes, per volume. */
export const EARLY_POOL_BYTES = 32 * 1024 * 1024;

/** Bytes that a copy from file to file reads and writes at once, … */
export const COPY_STEP_BYTES = 1024 * 1024;
/** … bytes of data that one call of it moves: whoever wants more asks again, … */
export const MOST_COPIED_BYTES = 16 * 1024 * 1024;
/** … and how many calls have memory at once, two steps each. */
export const MOST_COPIES = 4;

export const LIMITS = {
  MOST_BLOCK_BYTES,
  DEFAULT_CACHE_BYTES,
  MIN_CACHE_BYTES,
  MAX_CACHE_BYTES,
  FIRST_CACHE_CHUNK_BYTES,
  CACHE_CHUNK_BYTES,
  COMMIT_SHARE,
  DIRTY_SHARE,
  COMMIT_LOG_SHARE,
  CHECKPOINT_LOG_SHARE,
  DEFAULT_COMMIT_SECONDS,
  MAX_COMMIT_SECONDS,
  MOST_MOMENTS,
  MOMENT_MILLISECONDS,
  FORGET_MILLISECONDS,
  MAX_METADATA_TRANSFER_BYTES,
  MOST_EARLY_BYTES,
  EARLY_POOL_BYTES,
  COPY_STEP_BYTES,
  MOST_COPIED_BYTES,
} as const;

export const RELATIONS: Relations<typeof LIMITS> = {
  'the usual cache is within its bounds': (l) =>
    l.MIN_CACHE_BYTES <= l.DEFAULT_CACHE_BYTES && l.DEFAULT_CACHE_BYTES <= l.MAX_CACHE_BYTES,
  'the first chunk of the cache holds a block, and the largest is no more than the least cache': (l) =>
    l.MOST_BLOCK_BYTES <= l.FIRST_CACHE_CHUNK_BYTES &&
    l.FIRST_CACHE_CHUNK_BYTES <= l.CACHE_CHUNK_BYTES &&
    l.CACHE_CHUNK_BYTES <= l.MIN_CACHE_BYTES,
  'chunks of the cache are whole blocks': (l) =>
    l.FIRST_CACHE_CHUNK_BYTES % l.MOST_BLOCK_BYTES === 0 && l.CACHE_CHUNK_BYTES % l.MOST_BLOCK_BYTES === 0,
  'a commit starts before operations have to wait for it': (l) =>
    0 < l.COMMIT_SHARE && l.COMMIT_SHARE < l.DIRTY_SHARE,
  'the cache keeps room for blocks being read': (l) => l.DIRTY_SHARE < 1,
  'a commit beside one that is being written leaves the log room to go on': (l) =>
    0 < l.COMMIT_LOG_SHARE &&
    l.COMMIT_LOG_SHARE <= l.CHECKPOINT_LOG_SHARE &&
    l.COMMIT_LOG_SHARE + l.CHECKPOINT_LOG_SHARE < 1,
  'the usual interval of commits is within its bounds': (l) =>
    0 < l.DEFAULT_COMMIT_SECONDS && l.DEFAULT_COMMIT_SECONDS <= l.MAX_COMMIT_SECONDS,
  'an operation waits for space no longer than a removed file counts as about to go': (l) =>
    l.MOST_MOMENTS * l.MOMENT_MILLISECONDS <= l.FORGET_MILLISECONDS,
  'a transfer of metadata is whole blocks': (l) =>
    l.MAX_METADATA_TRANSFER_BYTES >= l.MOST_BLOCK_BYTES &&
    l.MAX_METADATA_TRANSFER_BYTES % l.MOST_BLOCK_BYTES === 0,
  'a step of a copy is whole blocks, and a call some steps': (l) =>
    l.COPY_STEP_BYTES % l.MOST_BLOCK_BYTES === 0 && 4 * l.COPY_STEP_BYTES <= l.MOST_COPIED_BYTES,
  'some of the longest early writes find room at once': (l) =>
    8 * (l.MOST_EARLY_BYTES + 2 * l.MOST_BLOCK_BYTES) <= l.EARLY_POOL_BYTES,
};
requireRelations(LIMITS, RELATIONS);
