/**
 * Bounds on everything that could grow, in one place, with the reason.
 */

/** Default budget of the metadata cache: enough for the working set of some 100,000 files. */
export const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;
/** Below this the blocks of one large transaction would not fit beside what is being written. */
export const MIN_CACHE_BYTES = 4 * 1024 * 1024;
/** The cache takes memory in pieces of this size, as it is needed. */
export const CACHE_CHUNK_BYTES = 4 * 1024 * 1024;

/** A commit starts by itself when this share of the cache is dirty, … */
export const COMMIT_SHARE = 0.25;
/** … and operations wait for it when this share is. The rest is for blocks being read. */
export const DIRTY_SHARE = 0.5;
/** Seconds between commits when something changed: what a crash may cost those who do not fsync (as ext4's commit=5). */
export const DEFAULT_COMMIT_SECONDS = 5;

/** Extents given back in one transaction: keeps it at some hundred blocks in the worst case, one bitmap each. */
export const EXTENTS_PER_STEP = 128;
/** Longest transfer of metadata in one request: long enough to stream, short enough to share the queue. */
export const MAX_METADATA_TRANSFER_BYTES = 1024 * 1024;
/** A transaction that misses this often is going in circles. */
export const MAX_MISSES = 100_000;
