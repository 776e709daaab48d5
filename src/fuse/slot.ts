/**
 * A slot of the channel's memory, in bytes: the head page, and the payload from a page boundary on.
 *
 * ```
 * 0                 NOTICE_AT                HEAD_BYTES − REQUEST_LEAD_BYTES      HEAD_BYTES
 * │ short answer …  │ a notice (slot 0) …    │ headers of the request             │ payload …
 * ```
 *
 * So a payload goes to the device from where it was received.
 */

import { PAGE_BYTES } from '../common/limits.ts';

/** Length of the head page; the payload follows. */
export const HEAD_BYTES = PAGE_BYTES;
/**
 * A request starts this much before the payload: fuse_in_header and fuse_write_in. The addon, which
 * receives it there, knows both numbers too (limits.ts).
 */
export const REQUEST_LEAD_BYTES = 80;
/**
 * Where in the head page a notice is built (notices.ts): behind the longest short answer, and well
 * before the request.
 */
export const NOTICE_AT = HEAD_BYTES / 2;
