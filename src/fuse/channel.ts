/**
 * The channel to the kernel, as the session sees it, and how one is made on an open /dev/fuse.
 *
 * The interface is that of the native handle, so that tests put their own in its place.
 */
import { type FuseChannelHandle, native } from '../native.ts';
import { SLOT_COUNT, slotBytesFor } from './limits.ts';

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
  | 'notifyThen'
  | 'statistics'
  | 'close'
>;

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
