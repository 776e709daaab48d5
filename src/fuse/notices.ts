/**
 * What the kernel is told without having asked: that something it has cached is not so any more.
 *
 * A notice is built in a corner of the first slot that neither a request nor a reply uses, and is
 * copied or written before the call returns. The kernel may make a notice wait for an inode or a
 * page that waits for an answer of ours, so they are written by a thread of their own, except where
 * the inode cannot go away and no page is touched (`forgetBlocksNow`), or where nobody waits for an
 * answer of ours (`forgetBlocks`).
 */
import { strict as assert } from 'node:assert';
import { Errno } from '../fs/base/errors.ts';
import {
  NotifyCode,
  NotifyInvalInode,
  NotifyPrune,
  NotifyStore,
  OutHeader,
  PrunedNode,
  STORE_COUNTS_ONLY_MINOR,
  type Wire,
} from './abi.ts';
import type { FuseChannel } from './channel.ts';
import { HEAD_BYTES, NOTICE_AT, REQUEST_LEAD_BYTES } from './slot.ts';

const INVAL_INODE_BYTES = OutHeader.sizeBytes + NotifyInvalInode.sizeBytes;
/** A negative offset: attributes only, no pages. */
const NO_PAGES = -1;
const STORE_BYTES = OutHeader.sizeBytes + NotifyStore.sizeBytes;
/** As many notices of changed block counts stand side by side. */
export const MOST_OUTDATED = Math.floor(
  (HEAD_BYTES - REQUEST_LEAD_BYTES - NOTICE_AT) / Math.max(STORE_BYTES, INVAL_INODE_BYTES),
);
/** Numbers of notices that are waited for: more than there can be at once. */
const TOKENS = 2 ** 31;
/** Beyond the end of every file, and where a file may end as far as the kernel is concerned. */
const BEYOND_EVERY_FILE = 2 ** 62;

/** A reply that can go out: `replyBytes` at `replyAt` of the wire. */
interface SealedReply {
  readonly replyAt: number;
  readonly replyBytes: number;
}

export class Notices {
  readonly #channel: FuseChannel;
  readonly #wire: Wire;
  readonly #minor: () => number;
  readonly #isIdle: () => boolean;
  /** Who waits for a notice to be done, by its token. */
  readonly #waiting = new Map<number, () => void>();
  #nextToken = 0;

  /**
   * @param minor of the protocol agreed on; 0 while there is none
   * @param isIdle whether every request that was received is answered
   */
  constructor(channel: FuseChannel, wire: Wire, minor: () => number, isIdle: () => boolean) {
    this.#isIdle = isIdle;
    this.#channel = channel;
    this.#wire = wire;
    this.#minor = minor;
  }

  /**
   * The attributes have to be asked for again. False if so much waits that this could not be said
   * now.
   */
  forgetAttributes(inode: number): boolean {
    this.#invalidate(inode, NO_PAGES, 0);
    return this.#channel.notify(NOTICE_AT, INVAL_INODE_BYTES) === 0;
  }

  /** The same, done when this returns: only while a request of the kernel holds the inode. */
  forgetAttributesNow(inode: number): void {
    this.#invalidate(inode, NO_PAGES, 0);
    this.#channel.reply(NOTICE_AT, INVAL_INODE_BYTES);
  }

  /**
   * Who wants to know how much space the files take has to ask again.
   *
   * FUSE_NOTIFY_INVAL_INODE would have all attributes asked for again, the mode among them, which
   * the kernel looks at for every write(2): a file's writer would wait behind his own data.
   * @param inodes at most `MOST_OUTDATED`
   * @returns false if nothing was said, since the kernel waits for an answer of ours
   */
  forgetBlocks(inodes: readonly number[]): boolean {
    assert(inodes.length > 0 && inodes.length <= MOST_OUTDATED, 'as many as there is room for');
    if (!this.#isIdle()) return false;
    let end = NOTICE_AT;
    for (const inode of inodes) end += this.#outdate(inode, end);
    const bytes = end - NOTICE_AT;
    return this.#channel.notifyIdle(NOTICE_AT, bytes, inodes.length) !== Errno.EAGAIN;
  }

  /**
   * The same for one file, by a thread, which costs a waking, and a processor that somebody else
   * may need. False if so much waits that this could not be said now.
   */
  forgetBlocksLater(inode: number): boolean {
    return this.#channel.keepNotice(NOTICE_AT, this.#outdate(inode, NOTICE_AT)) === 0;
  }

  /** The end of many `forgetBlocksLater`: without it they may wait. */
  deliver(): void {
    this.#channel.deliverNotices();
  }

  /**
   * The same, done when this returns: only while a request of the kernel on an open file holds the
   * inode.
   */
  forgetBlocksNow(inode: number): void {
    this.#channel.reply(NOTICE_AT, this.#outdate(inode, NOTICE_AT));
  }

  /** What the kernel keeps of a directory's listing goes. */
  forgetListing(inode: number): void {
    this.#invalidate(inode, 0, 0);
    this.#channel.notify(NOTICE_AT, INVAL_INODE_BYTES);
  }

  /**
   * The cached pages of the range (length 0: to the end) go, then the reply goes out.
   * @returns 0, or the errno with which neither will
   */
  forgetPagesBefore(inode: number, offsetBytes: number, lengthBytes: number, reply: SealedReply): number {
    this.#invalidate(inode, offsetBytes, lengthBytes);
    return this.#channel.notifyBefore(NOTICE_AT, INVAL_INODE_BYTES, reply.replyAt, reply.replyBytes);
  }

  /**
   * The kernel writes what it has cached of the bytes [from, to) and is not written, and drops all
   * that it has cached there.
   * @returns resolves when that is done, or cannot be
   */
  writeOut(inode: number, from: number, to: number): Promise<void> {
    const lengthBytes = Number.isFinite(to) ? to - from : 0;
    this.#invalidate(inode, from, lengthBytes);
    const token = this.#nextToken;
    this.#nextToken = (token + 1) % TOKENS;
    if (this.#channel.notifyThen(NOTICE_AT, INVAL_INODE_BYTES, token) !== 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(token, resolve));
  }

  /** The notice with this token is done. */
  noticed(token: number): void {
    const done = this.#waiting.get(token);
    this.#waiting.delete(token);
    done?.();
  }

  /** Builds the notice at `at` of the wire. Returns its length. */
  #outdate(inode: number, at: number): number {
    if (this.#minor() < STORE_COUNTS_ONLY_MINOR) {
      this.#invalidate(inode, NO_PAGES, 0, at);
      return INVAL_INODE_BYTES;
    }
    const wire = this.#wire;
    const body = at + OutHeader.sizeBytes;
    this.#head(STORE_BYTES, NotifyCode.store, at);
    wire.clear(body, NotifyStore.sizeBytes);
    NotifyStore.nodeid.set(wire.view, body, inode);
    NotifyStore.offset.set(wire.view, body, BEYOND_EVERY_FILE);
    return STORE_BYTES;
  }

  /** The inode goes out of memory, if no file of it is open. Kernels from 7.45 on. */
  letGo(inode: number): boolean {
    const wire = this.#wire;
    const bytes = OutHeader.sizeBytes + NotifyPrune.sizeBytes + PrunedNode.sizeBytes;
    const body = NOTICE_AT + OutHeader.sizeBytes;
    this.#head(bytes, NotifyCode.prune);
    wire.clear(body, NotifyPrune.sizeBytes);
    NotifyPrune.count.set(wire.view, body, 1);
    PrunedNode.nodeid.set(wire.view, body + NotifyPrune.sizeBytes, inode);
    return this.#channel.notify(NOTICE_AT, bytes) === 0;
  }

  #head(lengthBytes: number, code: number, at = NOTICE_AT): void {
    const wire = this.#wire;
    OutHeader.len.set(wire.view, at, lengthBytes);
    OutHeader.error.set(wire.view, at, code);
    OutHeader.unique_low.set(wire.view, at, 0);
    OutHeader.unique_high.set(wire.view, at, 0);
  }

  #invalidate(inode: number, offsetBytes: number, lengthBytes: number, at = NOTICE_AT): void {
    const wire = this.#wire;
    const body = at + OutHeader.sizeBytes;
    this.#head(INVAL_INODE_BYTES, NotifyCode.invalInode, at);
    NotifyInvalInode.ino.set(wire.view, body, inode);
    NotifyInvalInode.off.set(wire.view, body, offsetBytes);
    NotifyInvalInode.len.set(wire.view, body, lengthBytes);
  }
}
