/**
 * Limits of asynchronous I/O, and what must hold between them.
 *
 * What the addon states as well is compared with its own numbers.
 */
import { LONGEST_SPIN_NANOSECONDS, PAGE_BYTES } from '../common/limits.ts';
import { isPowerOfTwo, type Relations, requireRelations } from '../common/relations.ts';
import {
  addon,
  QUEUE_ENTRY_NUMBERS,
  QUEUE_SEGMENT_NUMBERS,
  QUEUE_SEGMENTS_PER_ENTRY,
  type SharedNumbers,
} from '../native.ts';

/**
 * Requests of a device with the kernel at once. What the system grants (fs.aio-max-nr) is shared by
 * all; more than this gains nothing on any device we know.
 */
export const DEFAULT_DEVICE_DEPTH = 256;
/**
 * Of the queue that files share: deep enough that no device is idle, and small in fs.aio-max-nr
 * (65536 by default).
 */
export const SHARED_QUEUE_DEPTH = 256;
/** Of one file. */
export const DEFAULT_FILE_DEPTH = 128;
/** Of one file, in a queue of its own: a sixteenth of fs.aio-max-nr. */
export const MOST_FILE_DEPTH = 4096;
/** Threads of libuv: its own default, and the most that UV_THREADPOOL_SIZE may ask for. */
export const DEFAULT_THREADS = 4;
export const MOST_THREADS = 1024;
/**
 * Longest entry of a queue, in bytes: below what the kernel moves in one call (2 GiB less a page),
 * and whole sectors.
 */
export const LONGEST_ENTRY_BYTES = 1 << 30;
/**
 * Writes that wait for neighbours: how many at most, how much of them, and of what length a write
 * gains nothing by it.
 */
export const MOST_GATHERED = 64;
export const MOST_GATHERED_BYTES = 1 << 20;
export const LONGEST_GATHERED_BYTES = 32 * 1024;
/** So much more of both may wait while the device is busy with earlier ones. */
export const BUSY_FACTOR = 2;
/** Smaller memory of a device is not worth one of the few places in a ring. */
export const LEAST_PINNED_BYTES = 256 * 1024;

/** Scratch memory comes in pieces from this size, … */
export const LEAST_SCRATCH_BYTES = PAGE_BYTES;
/** … which are kept up to this size, … */
export const LARGEST_KEPT_SCRATCH_BYTES = 1 << 20;
/** … and so much of them in all, by one owner. */
export const MOST_KEPT_SCRATCH_BYTES = 16 << 20;

/** Length of a chunk of a file and of a pool's buffer. */
export const DEFAULT_CHUNK_BYTES = 65536;
/** Chunks read ahead, or writes of a stream under way. */
export const DEFAULT_CHUNKS = 4;
export const MOST_CHUNKS = 64;
/** Memory for chunks is mapped for so many bytes at once, at most. */
export const SLAB_BYTES = 1 << 20;

export const LIMITS = {
  LONGEST_SPIN_NANOSECONDS,
  PAGE_BYTES,
  QUEUE_ENTRY_NUMBERS,
  QUEUE_SEGMENT_NUMBERS,
  QUEUE_SEGMENTS_PER_ENTRY,
  DEFAULT_DEVICE_DEPTH,
  SHARED_QUEUE_DEPTH,
  DEFAULT_FILE_DEPTH,
  MOST_FILE_DEPTH,
  DEFAULT_THREADS,
  MOST_THREADS,
  LONGEST_ENTRY_BYTES,
  MOST_GATHERED,
  MOST_GATHERED_BYTES,
  LONGEST_GATHERED_BYTES,
  BUSY_FACTOR,
  LEAST_SCRATCH_BYTES,
  LARGEST_KEPT_SCRATCH_BYTES,
  MOST_KEPT_SCRATCH_BYTES,
  DEFAULT_CHUNK_BYTES,
  DEFAULT_CHUNKS,
  MOST_CHUNKS,
  SLAB_BYTES,
} as const;

/** What the addon states as well. */
function relationsTo(numbers: SharedNumbers): Relations<typeof LIMITS> {
  return {
    'the longest spin is that of the addon': (l) =>
      l.LONGEST_SPIN_NANOSECONDS === numbers.longestSpinNanoseconds,
    'entries and segments are what the addon reads': (l) =>
      l.QUEUE_ENTRY_NUMBERS === numbers.queueEntryNumbers &&
      l.QUEUE_SEGMENT_NUMBERS === numbers.queueSegmentNumbers &&
      l.QUEUE_SEGMENTS_PER_ENTRY === numbers.queueSegmentsPerEntry,
    'the addon opens a queue of any depth': (l) =>
      Math.max(l.DEFAULT_DEVICE_DEPTH, l.SHARED_QUEUE_DEPTH, l.MOST_FILE_DEPTH, l.MOST_THREADS) <=
      numbers.deepestQueue,
    'the kernel moves the longest entry in one call': (l) =>
      l.LONGEST_ENTRY_BYTES <= numbers.longestTransferBytes,
  };
}

export const RELATIONS: Relations<typeof LIMITS> = {
  // Where it is not there, a program may still load what needs it.
  ...(addon === undefined ? {} : relationsTo(addon.numbers)),
  'a file of the usual depth fits into the shared queue, and one of the most does not': (l) =>
    l.DEFAULT_FILE_DEPTH <= l.SHARED_QUEUE_DEPTH && l.SHARED_QUEUE_DEPTH < l.MOST_FILE_DEPTH,
  'libuv has the usual threads': (l) => l.DEFAULT_THREADS <= l.MOST_THREADS,
  'the longest entry is whole pages': (l) => l.LONGEST_ENTRY_BYTES % l.PAGE_BYTES === 0,
  'scratch memory is doubled from the least piece to the largest': (l) =>
    isPowerOfTwo(l.LARGEST_KEPT_SCRATCH_BYTES / l.LEAST_SCRATCH_BYTES) &&
    l.LEAST_SCRATCH_BYTES <= l.LARGEST_KEPT_SCRATCH_BYTES,
  'the least piece of scratch memory is whole pages': (l) => l.LEAST_SCRATCH_BYTES % l.PAGE_BYTES === 0,
  'the largest piece of scratch memory can be kept': (l) =>
    l.LARGEST_KEPT_SCRATCH_BYTES <= l.MOST_KEPT_SCRATCH_BYTES,
  'writes that wait for neighbours fit into an entry, whatever their length': (l) =>
    l.MOST_GATHERED > 0 &&
    l.BUSY_FACTOR >= 1 &&
    l.MOST_GATHERED * l.BUSY_FACTOR <= l.QUEUE_SEGMENTS_PER_ENTRY,
  'they are bounded by their bytes before they are as many as there may be, where they are long': (l) =>
    l.LONGEST_GATHERED_BYTES < l.MOST_GATHERED_BYTES &&
    l.MOST_GATHERED_BYTES < l.MOST_GATHERED * l.LONGEST_GATHERED_BYTES,
  'a slab holds whole chunks of the usual length': (l) => l.SLAB_BYTES % l.DEFAULT_CHUNK_BYTES === 0,
  'the usual chunk is whole pages': (l) => l.DEFAULT_CHUNK_BYTES % l.PAGE_BYTES === 0,
  'a file may have the most chunks under way': (l) =>
    l.DEFAULT_CHUNKS <= l.MOST_CHUNKS && l.MOST_CHUNKS <= l.DEFAULT_FILE_DEPTH,
};
requireRelations(LIMITS, RELATIONS);
