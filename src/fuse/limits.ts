/**
 * Limits of what is spoken with the kernel, and what must hold between them.
 *
 * Where a request lies in its slot is told by slot.ts. What the addon states as well is compared
 * with its own numbers.
 */
import { PAGE_BYTES } from '../common/limits.ts';
import { type Relations, requireRelations } from '../common/relations.ts';
import { MOST_BLOCK_BYTES } from '../fs/base/limits.ts';
import { addon, type SharedNumbers } from '../native.ts';
import {
  InHeader,
  InitOut,
  NotifyInvalInode,
  NotifyPrune,
  NotifyStore,
  OutHeader,
  PrunedNode,
  WriteIn,
} from './abi.ts';
import { HEAD_BYTES, NOTICE_AT, REQUEST_LEAD_BYTES } from './slot.ts';

/** Longest WRITE and READ: 256 pages is the kernel's own limit (fs.fuse.max_pages_limit). */
export const MAX_TRANSFER_BYTES = 1 << 20;
/** Shortest READ that a mount may ask for. */
export const LEAST_READ_BYTES = PAGE_BYTES;
/** What the kernel reads ahead: raised by INIT, and after mounting in the backing device. */
export const MAX_READAHEAD_BYTES = 4 << 20;
/**
 * Requests for read-ahead and writeback in flight at once; the kernel's default of 12 starves a
 * disk of depth 32.
 */
export const MAX_BACKGROUND = 64;
/** From so many on the kernel takes the mount for congested: three quarters, as by default. */
export const CONGESTION_THRESHOLD = (MAX_BACKGROUND * 3) / 4;
/**
 * A slot for every request of the background (read-ahead, writeback, direct I/O at depth) and half
 * as many again for callers that wait. Memory is touched as it is needed.
 */
export const SLOT_COUNT = MAX_BACKGROUND + MAX_BACKGROUND / 2;
/** Longest answer in the head page, before a notice. */
export const HEAD_ANSWER_BYTES = NOTICE_AT - OutHeader.sizeBytes;
/** Longest notice: one that speaks of an inode, by its number, with what is to be known of it. */
const LONGEST_NOTICE_BYTES =
  OutHeader.sizeBytes +
  Math.max(NotifyInvalInode.sizeBytes, NotifyStore.sizeBytes, NotifyPrune.sizeBytes + PrunedNode.sizeBytes);
/**
 * Longest answer of a listing, some 2000 names: whoever asks for more asks again, and others come
 * in between.
 */
export const LONGEST_LISTING_BYTES = 64 * 1024;
/**
 * Kernels up to 6.17 keep no partial page where st_blksize is less than a page, and lose bytes with
 * the writeback cache. So it is no less, nor is the block size of a fuseblk mount.
 */
export const LEAST_PREFERRED_BYTES = PAGE_BYTES;

/** A question to a mount, or an answer, as the ioctl carries it: its number says the length. */
export const MESSAGE_BYTES = 16376;
/** No answer is longer in all its parts, and no server is believed that says so. */
export const MOST_ANSWER_BYTES = 1 << 20;
/** Of what went wrong with a question, in one sentence. */
export const LONGEST_SENTENCE_CHARACTERS = 500;

/**
 * Length of a slot for a filesystem of this block size: head page, the longest transfer, room for
 * two blocks.
 */
export function slotBytesFor(blockBytes: number): number {
  const bytes = HEAD_BYTES + MAX_TRANSFER_BYTES + 2 * blockBytes;
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/**
 * Files up to so long are copied sooner by the kernel: it has the one in its cache, or reads it
 * ahead, and need not wait for the other. cp(1) of 3,000 files of 4 KiB took 1.2 s so, and 1.5 and
 * more by COPY_FILE_RANGE; of 64 KiB it is the other way round.
 */
export const LEFT_COPY_BYTES = 16 * 1024;

export const LIMITS = {
  PAGE_BYTES,
  MOST_BLOCK_BYTES,
  HEAD_BYTES,
  REQUEST_LEAD_BYTES,
  NOTICE_AT,
  IN_HEADER_BYTES: InHeader.sizeBytes,
  WRITE_IN_BYTES: WriteIn.sizeBytes,
  INIT_OUT_BYTES: InitOut.sizeBytes,
  MAX_TRANSFER_BYTES,
  LEAST_READ_BYTES,
  MAX_READAHEAD_BYTES,
  MAX_BACKGROUND,
  CONGESTION_THRESHOLD,
  SLOT_COUNT,
  HEAD_ANSWER_BYTES,
  LONGEST_NOTICE_BYTES,
  LONGEST_LISTING_BYTES,
  LEAST_PREFERRED_BYTES,
  MESSAGE_BYTES,
  MOST_ANSWER_BYTES,
  LONGEST_SENTENCE_CHARACTERS,
} as const;

const KERNEL_MOST_PAGES = 256;
const MOST_16_BITS = 0xffff;

/** What the addon states as well. */
function relationsTo(numbers: SharedNumbers): Relations<typeof LIMITS> {
  return {
    'the head page is that of the addon, which receives requests at its end': (l) =>
      l.HEAD_BYTES === numbers.fuseHeadBytes && l.REQUEST_LEAD_BYTES === numbers.fuseRequestLeadBytes,
    'the addon takes all slots': (l) => l.SLOT_COUNT <= numbers.mostFuseSlots,
    'the addon takes a slot of the largest block size': (l) =>
      l.HEAD_BYTES + l.MAX_TRANSFER_BYTES + 2 * l.MOST_BLOCK_BYTES <= numbers.mostFuseSlotBytes &&
      l.HEAD_BYTES + l.MAX_TRANSFER_BYTES >= numbers.leastFuseSlotBytes,
    'a message is no longer than an answer that the addon takes': (l) =>
      l.MESSAGE_BYTES <= numbers.mostAnswerBytes,
  };
}

export const RELATIONS: Relations<typeof LIMITS> = {
  // Where it is not there, a program may still load what needs it.
  ...(addon === undefined ? {} : relationsTo(addon.numbers)),
  'the payload of a WRITE begins where the head page ends': (l) =>
    l.REQUEST_LEAD_BYTES === l.IN_HEADER_BYTES + l.WRITE_IN_BYTES && l.HEAD_BYTES % l.PAGE_BYTES === 0,
  'a notice is built between the longest short answer and the request': (l) =>
    l.INIT_OUT_BYTES <= l.HEAD_ANSWER_BYTES &&
    l.HEAD_ANSWER_BYTES < l.NOTICE_AT &&
    l.NOTICE_AT + l.LONGEST_NOTICE_BYTES <= l.HEAD_BYTES - l.REQUEST_LEAD_BYTES,
  'transfers are whole pages, no more than the kernel has in one': (l) =>
    l.MAX_TRANSFER_BYTES % l.PAGE_BYTES === 0 && l.MAX_TRANSFER_BYTES <= KERNEL_MOST_PAGES * l.PAGE_BYTES,
  'READs are between a page and the longest transfer': (l) =>
    l.PAGE_BYTES <= l.LEAST_READ_BYTES && l.LEAST_READ_BYTES <= l.MAX_TRANSFER_BYTES,
  'what is read ahead is some transfers, and whole KiB': (l) =>
    l.MAX_READAHEAD_BYTES >= l.MAX_TRANSFER_BYTES && l.MAX_READAHEAD_BYTES % 1024 === 0,
  'the background is congested before it is full, and fits the field': (l) =>
    l.CONGESTION_THRESHOLD < l.MAX_BACKGROUND &&
    l.MAX_BACKGROUND <= MOST_16_BITS &&
    Number.isInteger(l.CONGESTION_THRESHOLD),
  'a full background leaves slots for callers that wait': (l) =>
    l.SLOT_COUNT > l.MAX_BACKGROUND && Number.isInteger(l.SLOT_COUNT),
  'a listing fits into a transfer': (l) => l.LONGEST_LISTING_BYTES <= l.MAX_TRANSFER_BYTES,
  'a preferred block is whole pages': (l) => l.LEAST_PREFERRED_BYTES % l.PAGE_BYTES === 0,
  'the number of an ioctl can say the length of a message': (l) => l.MESSAGE_BYTES % 8 === 0,
  'an answer is no longer than some messages, a sentence shorter than one': (l) =>
    l.MOST_ANSWER_BYTES >= l.MESSAGE_BYTES && l.LONGEST_SENTENCE_CHARACTERS * 4 <= l.MESSAGE_BYTES,
};
requireRelations(LIMITS, RELATIONS);
