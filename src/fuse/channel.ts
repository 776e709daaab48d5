/**
 * The channel to the kernel, as the session sees it, and how one is made on an open /dev/fuse.
 *
 * The interface is that of the native handle, so that tests put their own in its place.
 */
import { type FuseChannelHandle, native } from '../native.ts';
import { MAX_BACKGROUND, MAX_TRANSFER_BYTES, PAGE_BYTES } from './negotiation.ts';
import { HEAD_BYTES } from './slot.ts';

export type FuseChannel = Pick<
  FuseChannelHandle,
  | 'memory'
  | 'slotBytes'
  | 'slotCount'
  | 'ready'
  | 'start'
  | 'release'
  | 'reply'
  | 'notify'
  | 'notifyIdle'
  | 'keepNotice'
  | 'deliverNotices'
  | 'notifyBefore'
  | 'statistics'
  | 'close'
>;

/**
 * A slot for every request of the background (read-ahead, writeback, direct I/O at depth) and half
 * as many again for callers that wait. Memory is touched as it is needed.
 */
const SLOT_COUNT = MAX_BACKGROUND + MAX_BACKGROUND / 2;

/**
 * Length of a slot for a filesystem of this block size: head page, the longest transfer, room for
 * two blocks.
 */
export function slotBytesFor(blockBytes: number): number {
  const bytes = HEAD_BYTES + MAX_TRANSFER_BYTES + 2 * blockBytes;
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/**
 * @param descriptor an open /dev/fuse that is mounted or about to be; the channel owns it from
 * here.
 * @param spinNanoseconds longest spin before sleeping; 0 = never.
 */
export function openChannel(
  descriptor: number,
  blockBytes: number,
  spinNanoseconds: number,
): FuseChannelHandle {
  const channel = new native.FuseChannel(descriptor, slotBytesFor(blockBytes), SLOT_COUNT);
  channel.setSpin(spinNanoseconds);
  return channel;
}
