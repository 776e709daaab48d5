/**
 * Truncating, extending, and freeing whole files.
 *
 * Giving back blocks has no bound, so it is a chain of bounded transactions. The first one moves
 * the size (or drops the last name) and puts the inode on the orphan list if work is left; the last
 * one takes it off. After a crash the mount finds the inode there and goes on. The steps get in the
 * runner's line, so that others come in between.
 */
import { PromisedCompletion } from '../../aio/device.ts';
import { CorruptionError, fsError, fsErrorFromNumber } from '../base/errors.ts';
import type { Claimant, Operation } from '../base/filesystem.ts';
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import { FILE_TYPE_MASK, FileType, MAX_FILE_BYTES, ROOT_INODE, TreeKind } from '../format/format.ts';
import { requireChangeable } from '../inodes/file-flags.ts';
import { addOrphan, firstOrphan, removeOrphan } from '../inodes/orphans.ts';
import { PromisedOperation } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { hasAttributes } from '../tree/extended-attributes.ts';
import {
  dropPrivileges,
  type InodeRef,
  inlineBytes,
  inlineCapacity,
  isDirectory,
  isInline,
  isRegular,
  linkCountOf,
  modeOf,
  requireRegular,
  setInline,
  setSizeOf,
  sizeOf,
  touchModified,
} from '../tree/inode.ts';
import { initialiseTree, treeIsEmpty } from '../tree/tree.ts';
import { type LockHolder, WHOLE_FILE } from './range-locks.ts';
import type { WriteContext } from './write-plan.ts';

/** Frees one inode that has no name and no holder, or ends a truncation that a crash cut short. */
class ReapTask implements Operation<Transaction>, LockHolder {
  readonly givesBack = true;
  #complete = false;
  #freed = false;

  constructor(
    readonly context: WriteContext,
    readonly inode: number,
    readonly done: (thrown: unknown) => void,
  ) {}

  granted(): void {
    this.context.freeing.begin();
    this.context.runner.executeInLine(this);
  }

  perform(tx: Transaction): void {
    const inode = this.context.table.get(tx, this.inode);
    const named = linkCountOf(inode) > 0;
    this.#complete = named ? finishTruncation(this.context, tx, inode) : release(this.context, tx, inode);
    this.#freed = this.#complete && !named;
  }

  finished(thrown: unknown): void {
    const { runner, freeing, locks } = this.context;
    if (thrown === undefined && !this.#complete) {
      runner.executeInLine(this);
      freeing.stepped();
      return;
    }
    freeing.end();
    if (thrown === undefined && this.#freed) this.context.lost.freed(this.inode);
    locks.release(this.inode, this);
    this.done(thrown);
  }
}

/** What is left of a truncation after its first step, under the lock of the whole file. */
class TruncationRest implements Operation<Transaction> {
  readonly givesBack = true;
  #complete = false;

  constructor(
    readonly context: WriteContext,
    readonly inode: number,
    readonly done: (thrown: unknown) => void,
  ) {
    context.freeing.begin();
  }

  perform(tx: Transaction): void {
    this.#complete = finishTruncation(this.context, tx, this.context.table.get(tx, this.inode));
  }

  finished(thrown: unknown): void {
    const { runner, freeing } = this.context;
    if (thrown === undefined && !this.#complete) {
      runner.executeInLine(this);
      freeing.stepped();
      return;
    }
    freeing.end();
    this.done(thrown);
  }
}

function hasExtents(inode: InodeRef): boolean {
  const type = modeOf(inode) & FILE_TYPE_MASK;
  return (type === FileType.regular || type === FileType.symlink) && !isInline(inode);
}

/**
 * One step of freeing an inode; true when it is gone.
 * @throws CorruptionError if it is a directory that others depend on
 */
function release(context: WriteContext, tx: Transaction, inode: InodeRef): boolean {
  if (isDirectory(inode) && (inode.number === ROOT_INODE || !treeIsEmpty(inode))) {
    throw new CorruptionError(inode.frame.block, `directory ${inode.number} has no name, and is not empty`);
  }
  if (hasExtents(inode)) {
    if (!context.extents.cutOff(tx, inode, 0, context.extentsPerStep)) return false;
  }
  if (hasAttributes(inode)) {
    context.attributes.drop(tx, inode, context.extentsPerStep);
    return false;
  }
  removeOrphan(tx, context.table, inode);
  context.table.free(tx, inode);
  return true;
}

/** One step of giving back the blocks behind the end; true when there are none. */
function finishTruncation(context: WriteContext, tx: Transaction, inode: InodeRef): boolean {
  if (hasExtents(inode)) {
    const keep = Math.ceil(sizeOf(inode) / context.blockBytes);
    if (!context.extents.cutOff(tx, inode, keep, context.extentsPerStep)) return false;
    becomeInlineIfEmpty(tx, inode);
  }
  // Without a name it is on the list for another reason, which holds on.
  if (linkCountOf(inode) > 0) removeOrphan(tx, context.table, inode);
  return true;
}

/** A file without data starts over with its data inline. */
function becomeInlineIfEmpty(tx: Transaction, inode: InodeRef): void {
  if (sizeOf(inode) > 0 || !isRegular(inode) || !treeIsEmpty(inode)) return;
  tx.modify(inode.frame);
  inlineBytes(inode).fill(0);
  setInline(inode, true);
}

/** Frees the inode; `done` is told when that is over. */
export function reapInode(context: WriteContext, inode: number, done: (thrown: unknown) => void): void {
  context.locks.acquire(inode, 0, WHOLE_FILE, new ReapTask(context, inode, done));
}

/** What the first transaction of a resize found to do before or after it. */
type Next =
  | { kind: 'done' }
  /** Blocks are left behind the end. */
  | { kind: 'punch' }
  /** The body must move to block 0 first. */
  | { kind: 'moveBody'; body: Uint8Array; block: BlockNumber }
  /** The old last block must be zeroed from `from` first. */
  | { kind: 'zeroTail'; block: BlockNumber; from: number };

/** A new size of a file, in bytes. */
interface SizeChange {
  readonly inode: number;
  readonly size: number;
  readonly killPrivileges?: boolean;
  /** Whose the block is that data may need which leaves the inode. */
  readonly asker?: Claimant | undefined;
}

class Resize {
  readonly inode: number;
  readonly size: number;

  constructor(
    readonly context: WriteContext,
    readonly change: SizeChange,
    /**
     * What lies behind the new end is cut off, also of what was lost; the end moves for another
     * reason; or what the inode holds itself moves out, where it need not.
     */
    readonly manner: 'truncate' | 'move' | 'leaveBody',
  ) {
    this.inode = change.inode;
    this.size = change.size;
  }

  async run(): Promise<void> {
    let next = await this.#step((tx, inode) => this.#begin(tx, inode));
    if (next.kind === 'moveBody') next = await this.#moveBody(next.body, next.block);
    if (next.kind === 'zeroTail') next = await this.#zeroTail(next.block, next.from);
    if (this.manner === 'truncate') this.context.lost.truncated(this.inode, this.size);
    if (next.kind === 'punch') await this.#punchRest();
  }

  #punchRest(): Promise<void> {
    const { context, inode } = this;
    return new Promise((resolve, reject) => {
      const done = (thrown: unknown) => (thrown === undefined ? resolve() : reject(thrown));
      context.runner.executeInLine(new TruncationRest(context, inode, done));
      context.device.submit();
    });
  }

  #step<T>(body: (tx: Transaction, inode: InodeRef) => T): Promise<T> {
    const operation = new PromisedOperation(
      (tx) => body(tx, this.context.table.get(tx, this.inode)),
      this.change.asker,
    );
    this.context.runner.execute(operation);
    this.context.device.submit();
    return operation.promise;
  }

  #begin(tx: Transaction, inode: InodeRef): Next {
    if (isDirectory(inode)) throw fsError('EISDIR');
    requireRegular(inode);
    if (this.manner === 'truncate') requireChangeable(inode);
    const old = sizeOf(inode);
    if (isInline(inode)) return this.#resizeBody(tx, inode, old);
    // Space that was kept behind an end that does not move goes as well.
    if (this.size <= old) return this.#shrink(tx, inode);
    const { blockBytes, extents } = this.context;
    const inTail = old % blockBytes;
    if (inTail > 0) {
      const { block, unwritten } = extents.find(tx, inode, Math.floor(old / blockBytes));
      if (block !== 0 && !unwritten) return { kind: 'zeroTail', block, from: inTail };
    }
    return this.#setSize(tx, inode);
  }

  /**
   * Times move with the size only: the kernel, which keeps them for files, says so itself where
   * they move without.
   */
  #setSize(tx: Transaction, inode: InodeRef): Next {
    tx.modify(inode.frame);
    if (this.size !== sizeOf(inode)) touchModified(inode, tx.clock);
    setSizeOf(inode, this.size);
    if (this.change.killPrivileges) dropPrivileges(inode);
    this.context.attributes.dropCapability(tx, inode);
    return { kind: 'done' };
  }

  #resizeBody(tx: Transaction, inode: InodeRef, old: number): Next {
    tx.modify(inode.frame);
    if (this.size <= inlineCapacity(inode) && this.manner !== 'leaveBody') {
      if (this.size < old) inlineBytes(inode).fill(0, this.size);
      return this.#setSize(tx, inode);
    }
    if (old === 0) {
      setInline(inode, false);
      initialiseTree(inode, TreeKind.extents);
      return this.#setSize(tx, inode);
    }
    const run = this.context.space.reserve(tx, {
      goal: -1,
      length: 1,
      minimum: 1,
      inode: inode.number,
      kind: 'data',
      stream: false,
    });
    return { kind: 'moveBody', body: inlineBytes(inode).slice(0, old), block: run.start };
  }

  #shrink(tx: Transaction, inode: InodeRef): Next {
    this.#setSize(tx, inode);
    if (finishTruncation(this.context, tx, inode)) return { kind: 'done' };
    addOrphan(tx, this.context.table, inode);
    return { kind: 'punch' };
  }

  async #moveBody(body: Uint8Array, block: BlockNumber): Promise<Next> {
    const { context } = this;
    try {
      await this.#transferBlock(block, 0, (bytes) => {
        bytes.fill(0, 0, context.blockBytes);
        bytes.set(body);
      });
      return await this.#step((tx, inode) => {
        tx.modify(inode.frame);
        setInline(inode, false);
        initialiseTree(inode, TreeKind.extents);
        context.space.claim(tx, block, 1);
        context.extents.insert(tx, inode, { fileBlock: 0, block, length: 1, unwritten: false });
        return this.#setSize(tx, inode);
      });
    } catch (thrown) {
      context.space.unreserve(block, 1);
      throw thrown;
    }
  }

  async #zeroTail(block: BlockNumber, from: number): Promise<Next> {
    const { blockBytes, device } = this.context;
    const sectorStart = Math.floor(from / device.sectorBytes) * device.sectorBytes;
    await this.#transferBlock(
      block,
      sectorStart,
      (bytes) => bytes.fill(0, from, blockBytes),
      sectorStart !== from,
    );
    return this.#step((tx, inode) => this.#setSize(tx, inode));
  }

  /**
   * Writes the block from `from` on out of scratch memory, which `change` fills; reads the first
   * sector before if it is to be kept in part.
   */
  async #transferBlock(
    block: BlockNumber,
    from: number,
    change: (bytes: Uint8Array) => void,
    readFirst = false,
  ): Promise<void> {
    const { device, blockBytes, scratch, epochs } = this.context;
    const memory = scratch.take();
    const epoch = epochs.enter();
    try {
      if (readFirst) {
        const read = new PromisedCompletion();
        device.read(memory, from, device.sectorBytes, block * blockBytes + from, read);
        await this.#settled(read);
      }
      change(memory.bytes);
      const write = new PromisedCompletion();
      device.write(memory, from, blockBytes - from, block * blockBytes + from, write);
      await this.#settled(write);
      this.context.dataWritten();
    } finally {
      epochs.leave(epoch);
      scratch.give(memory);
    }
  }

  async #settled(completion: PromisedCompletion): Promise<void> {
    this.context.device.submit();
    const errno = await completion.promise;
    if (errno !== 0) throw fsErrorFromNumber(errno);
  }
}

/** What the inode holds itself moves to block 0. For a caller who has the whole file. */
export function leaveBody(
  context: WriteContext,
  inode: number,
  size: number,
  asker?: Claimant,
): Promise<void> {
  return new Resize(context, { inode, size, asker }, 'leaveBody').run();
}

/** Does what needs the whole file, when nobody else has a part of it. */
export function withWholeFile(
  context: WriteContext,
  inode: number,
  body: () => Promise<void>,
): Promise<void> {
  return withRange(context, { inode, first: 0, end: WHOLE_FILE }, body);
}

/** The same for blocks of a file. */
export async function withRange(
  { locks, device }: WriteContext,
  { inode, first, end }: { readonly inode: number; readonly first: FileBlock; readonly end: FileBlock },
  body: () => Promise<void>,
): Promise<void> {
  const holder: LockHolder = { granted: () => {} };
  const locked = new Promise<void>((resolve) => {
    holder.granted = resolve;
  });
  locks.acquire(inode, first, end, holder);
  await locked;
  try {
    await body();
  } finally {
    locks.release(inode, holder);
    device.submit();
  }
}

/**
 * truncate(2).
 * @throws EFBIG, EISDIR, EINVAL, ENOSPC, EDQUOT, EIO; EPERM by the flags of the inode
 */
export async function resizeFile(context: WriteContext, change: SizeChange): Promise<void> {
  const { inode, size } = change;
  if (!(size >= 0 && size <= MAX_FILE_BYTES)) throw fsError(size < 0 ? 'EINVAL' : 'EFBIG');
  await withWholeFile(context, inode, () => new Resize(context, change, 'truncate').run());
}

/**
 * The same for a caller who has the whole file, and a size that there may be. What was lost stays
 * so.
 */
export function resizeLocked(context: WriteContext, inode: number, size: number): Promise<void> {
  return new Resize(context, { inode, size }, 'move').run();
}

/**
 * Frees every inode on the orphan list, and ends truncations that a crash cut short. Returns how
 * many there were.
 */
export async function reapAll(context: WriteContext): Promise<number> {
  for (let count = 0; ; count++) {
    const next = new PromisedOperation((tx) => firstOrphan(tx, context.table));
    context.runner.execute(next);
    context.device.submit();
    const inode = await next.promise;
    if (inode === 0) return count;
    await new Promise<void>((resolve, reject) => {
      reapInode(context, inode, (thrown) => (thrown === undefined ? resolve() : reject(thrown)));
      context.device.submit();
    });
  }
}
