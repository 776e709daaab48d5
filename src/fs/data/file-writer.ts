/**
 * Writing: reserve, write the data, then record it.
 *
 *   lock the range ──▶ plan ──▶ fill the edges ──▶ device writes ──▶ record ──▶ unlock
 *                      blocks looked up,           bits set, extents inserted,
 *                      new ones reserved           size moved: one transaction
 *                      write-plan.ts  write-edges.ts  here
 *
 * A crash before the record leaks nothing and shows nothing: reserved blocks are free on disk. A
 * write in very many pieces is recorded in several transactions, from the front, the size with
 * them. Data that fits into the inode's body goes there in the plan's transaction, and that is all.
 * A small write from a cache is answered after the plan (early-writes.ts): its space is sure then.
 * What a write from a cache loses is kept with the inode, and what any write brings to its place
 * makes good what was lost there before (lost-writes.ts).
 *
 * What lies in a block behind the end of the file is undefined on disk. Whoever moves the end
 * outwards makes zeros of it: the part in the blocks written here is zeroed on the way, an old last
 * block before them (`old tail`) on its own. For that, and for a body to be moved out to block 0
 * when the write begins elsewhere, the lock is widened to the whole file and the plan made again.
 *
 * Space that was preallocated is sure: before a write into an unwritten extent is answered, the
 * blocks that its parting may take for nodes of the tree are held. Where there are none, the whole
 * extent becomes data first (zero-out.ts), which takes none.
 */
import type { IoCompletion, Memory } from '../../aio/device.ts';
import { type ErrnoName, FsError, fsError, fsErrorFromNumber } from '../base/errors.ts';
import { FileFlag, type Operation, type WriteRequest } from '../base/filesystem.ts';
import { MOST_EARLY_BYTES } from '../base/limits.ts';
import { Inode, MAX_FILE_BYTES, TreeKind } from '../format/format.ts';
import type { HeldUsage } from '../inodes/quotas.ts';
import type { Transaction } from '../transaction/transaction.ts';
import {
  blocksOf,
  dropPrivileges,
  fileFlagsOf,
  hasPrivileges,
  type InodeRef,
  inlineBytes,
  isInline,
  setInline,
  setSizeOf,
  sizeOf,
  touchModified,
} from '../tree/inode.ts';
import { initialiseTree } from '../tree/tree.ts';
import { isBlank, type Segment } from './data-map.ts';
import { type LockHolder, WHOLE_FILE } from './range-locks.ts';
import { fillEdges, mergeEdges, type WriteImage } from './write-edges.ts';
import { type PlanOutcome, type WriteContext, WritePlan } from './write-plan.ts';
import { zeroOut } from './zero-out.ts';

/** An unwritten extent may become three. */
const RECORDS_PER_CONVERSION = 3;

const NO_ROOM: ReadonlySet<ErrnoName> = new Set(['ENOSPC', 'EDQUOT']);

type Phase = 'plan' | 'fill' | 'transfer' | 'record';

class WriteTask implements Operation<Transaction>, IoCompletion, LockHolder, WriteImage {
  memory: Memory;
  memoryOffset: number;
  #phase: Phase = 'plan';
  #outcome: PlanOutcome = 'transfer';
  readonly #plan: WritePlan;
  /** The whole file is locked. */
  #wide = false;
  /** Unwritten extents in the range became data first. */
  #zeroedOut = false;
  /** The data stands where it belongs in its first block. */
  #moved = false;
  /** Segments that are in the extent map, … */
  #recorded = 0;
  /** … and how many will be when the running record succeeds. */
  #recording = 0;
  #scratch: Memory | undefined;
  #epoch = -1;
  /** Device requests not done yet, and one while they are being queued. */
  #left = 0;
  #errno = 0;
  /** Undefined once the write was answered; the caller's memory is not ours any more then. */
  #request: WriteRequest | undefined;
  readonly #inode: number;
  readonly #lengthBytes: number;
  #updateTimes: boolean;
  #killPrivileges: boolean;
  readonly #fromCache: boolean;
  readonly #mayDropCapability: boolean;
  #dropsCapability = false;
  /** What a cache writes was written by somebody unknown: the owner of the file counts for him. */
  usesReserve = false;
  /** Times and what a write takes away are done, before it was answered. */
  #stamped = false;
  /** By the flags of the inode. */
  #mustBeDurable = false;
  #ticket = -1;
  #underWay = false;
  /** Blocks that are counted as the file's before they are recorded. */
  #announced = 0;
  /** Blocks that are held for nodes of the tree. */
  #heldNodes = 0;
  /** Blocks that limits were asked for, for whom, … */
  #quota: HeldUsage | undefined;
  /** … and whether they count as used by now. */
  #isHeld = false;
  /** Blocks that the running record adds, those of the tree as well. */
  #grown = 0;

  constructor(
    readonly context: WriteContext,
    request: WriteRequest,
  ) {
    this.#request = request;
    this.#plan = new WritePlan(context, request);
    this.#inode = request.inode;
    this.#lengthBytes = request.lengthBytes;
    this.#updateTimes = request.updateTimes;
    this.#killPrivileges = request.killPrivileges;
    this.#fromCache = request.fromCache ?? request.mayEndEarly;
    this.#mayDropCapability = request.dropsCapability ?? !this.#fromCache;
    this.memory = request.memory;
    this.memoryOffset = request.memoryOffset;
  }

  start(): void {
    const { endByte, first, end } = this.#plan;
    if (this.#lengthBytes === 0) this.#answer(undefined);
    else if (endByte > MAX_FILE_BYTES) this.#refuse(fsError('EFBIG'));
    else this.context.locks.acquire(this.#inode, first, end, this);
  }

  /** Before it has begun. */
  #refuse(error: FsError): void {
    if (this.#fromCache) this.#lose(error, this.#plan.offsetBytes);
    this.#answer(error);
  }

  granted(): void {
    if (this.#request?.stillWanted?.() === false) {
      this.context.locks.release(this.#inode, this);
      this.#answer(undefined);
      return;
    }
    this.#phase = 'plan';
    this.context.runner.execute(this);
  }

  perform(tx: Transaction): void {
    const inode = this.context.table.get(tx, this.#inode);
    if (this.#phase === 'record') this.#record(tx, inode);
    else {
      this.#dropsCapability = this.#mayDropCapability && this.context.attributes.hasCapability(tx, inode);
      this.usesReserve = this.#fromCache
        ? Inode.uid.get(inode.frame.view, inode.at) === 0
        : this.#request?.isLimited !== true;
      this.#outcome = this.#plan.make(tx, inode, this.#wide, this.#zeroedOut);
      this.#quota = this.#outcome === 'transfer' ? this.#planQuota(tx, inode) : undefined;
      this.#mustBeDurable = (fileFlagsOf(inode) & FileFlag.synchronous) !== 0;
      if (this.#outcome === 'body') this.#writeBody(tx, inode);
      else if (this.#stampsInode && this.#mayAnswerEarly) this.#stampNow(tx, inode);
    }
  }

  /** The owner may have set other times, modes and capabilities when the data is there. */
  get #stampsInode(): boolean {
    return this.#updateTimes || this.#killPrivileges || this.#dropsCapability;
  }

  #stampsOnlyTimes(inode: InodeRef): boolean {
    return !(this.#killPrivileges && hasPrivileges(inode)) && !this.#dropsCapability;
  }

  /** @throws EDQUOT */
  #planQuota(tx: Transaction, inode: InodeRef): HeldUsage | undefined {
    const { quotas } = this.context;
    if (quotas === undefined || this.#plan.freshBlocks === 0) return undefined;
    quotas.askedBy(this.#request);
    return quotas.planned(tx, inode, this.#plan.freshBlocks);
  }

  /**
   * Whoever is answered early may set times, modes and attributes next, and look at them: none of
   * that is to change behind his back when the data has come to its place.
   */
  #stampNow(tx: Transaction, inode: InodeRef): void {
    if (this.#stampsOnlyTimes(inode)) tx.modifyTimes(inode.frame);
    else tx.modify(inode.frame);
    this.#stamp(tx, inode);
    this.#stamped = true;
  }

  finished(thrown: unknown): void {
    if (this.#phase === 'record') this.#recordEnded(thrown);
    else if (thrown !== undefined || this.#outcome === 'body') this.#close(thrown);
    else if (this.#outcome === 'widen') this.#widen();
    else if (this.#outcome === 'zeroOut') this.#zeroOut();
    else {
      if (this.#plan.nodes > 0) this.#hold(this.#plan.nodes);
      if (this.#quota !== undefined) this.context.quotas?.hold(this.#quota);
      this.#isHeld = this.#quota !== undefined;
      if (this.#stamped) this.#leaveStamps();
      this.#fill();
    }
  }

  #leaveStamps(): void {
    this.#updateTimes = false;
    this.#killPrivileges = false;
    this.#dropsCapability = false;
  }

  /** Before anything else can happen: the plan has found them free. */
  #hold(nodes: number): void {
    this.#heldNodes += nodes;
    this.context.space.holdNodes(nodes);
  }

  /** Under the lock of the whole file. */
  #zeroOut(): void {
    const { first, end } = this.#plan;
    this.#zeroedOut = true;
    const { runner, device } = this.context;
    zeroOut(this.context, this.#inode, first, end)
      .then(
        () => runner.execute(this),
        (thrown: unknown) => this.#close(thrown),
      )
      .finally(() => device.submit());
  }

  #widen(): void {
    const { locks } = this.context;
    locks.release(this.#inode, this);
    this.#wide = true;
    locks.acquire(this.#inode, 0, WHOLE_FILE, this);
  }

  #releaseQuota(blocks: number): void {
    if (this.#quota !== undefined) this.context.quotas?.release(this.#quota, blocks);
  }

  #close(thrown: unknown): void {
    this.#announce(-this.#announced);
    if (this.#underWay) this.context.underWay.end(this.#inode, this.#plan);
    if (this.#heldNodes > 0) this.#hold(-this.#heldNodes);
    if (this.#isHeld) this.#releaseQuota(Number.POSITIVE_INFINITY);
    if (this.#scratch) this.context.scratch.give(this.#scratch);
    this.#account(thrown);
    this.context.locks.release(this.#inode, this);
    if (this.#ticket >= 0) {
      this.context.early.giveBuffer(this.memory);
      this.context.early.end(this.#inode, this.#ticket);
    } else this.#answer(thrown);
  }

  /**
   * What came to its place, and what did not. Before the lock is given up: whoever has it next may
   * write the same bytes.
   */
  #account(thrown: unknown): void {
    const { offsetBytes, endByte } = this.#plan;
    const writtenTo = thrown === undefined ? endByte : this.#recordedTo();
    this.context.lost.written(this.#inode, offsetBytes, writtenTo);
    if (thrown !== undefined && (this.#fromCache || this.#ticket >= 0)) this.#lose(thrown, writtenTo);
  }

  /** Where what was recorded before a failure ends. */
  #recordedTo(): number {
    const { offsetBytes, segments } = this.#plan;
    const next = segments[this.#recorded];
    if (this.#recorded === 0 || next === undefined) return offsetBytes;
    return Math.max(offsetBytes, next.fileBlock * this.context.blockBytes);
  }

  #lose(thrown: unknown, from: number): void {
    const { offsetBytes, endByte: to, skew } = this.#plan;
    const noRoom = this.#phase === 'plan' && thrown instanceof FsError && NO_ROOM.has(thrown.code);
    const at = this.memoryOffset + (this.#moved ? skew : 0) - offsetBytes;
    const data = this.memory.bytes.subarray(at + from, at + to);
    this.context.lost.failed({ inode: this.#inode, from, to, thrown, noRoom, data });
  }

  #answer(thrown: unknown): void {
    const request = this.#request;
    this.#request = undefined;
    if (this.#mustBeDurable && request !== undefined) request.mustBeDurable = true;
    request?.finished(thrown);
  }

  get #mayAnswerEarly(): boolean {
    if (this.#mustBeDurable || this.#lengthBytes > MOST_EARLY_BYTES) return false;
    return this.#request?.mayEndEarly === true;
  }

  /** Answers now if the caller lets us and there is memory for a copy. */
  #answerEarly(): void {
    const { early } = this.context;
    if (!this.#mayAnswerEarly) return;
    const copy = early.takeBuffer();
    if (copy === undefined) return;
    const data = this.memory.bytes.subarray(this.memoryOffset, this.memoryOffset + this.#lengthBytes);
    copy.bytes.set(data, this.#plan.skew);
    this.#moved = true;
    this.memory = copy;
    this.memoryOffset = 0;
    this.#ticket = early.begin(this.#inode, this.#plan.endByte);
    this.#announce(this.#plan.freshBlocks);
    this.#answer(undefined);
  }

  #announce(blocks: number): void {
    if (blocks === 0) return;
    this.#announced += blocks;
    this.context.pending.add(this.#inode, blocks);
    this.context.spaceChanged(this.#inode);
  }

  /** What was announced is the file's own now; what was not is news. */
  #spaceRecorded(): void {
    const known = Math.min(this.#announced, this.#grown);
    this.#announced -= known;
    this.context.pending.add(this.#inode, -known);
    if (this.#grown !== known) this.context.spaceChanged(this.#inode);
  }

  // ---- WriteImage ----

  get blockBytes(): number {
    return this.context.blockBytes;
  }

  get sectorBytes(): number {
    return this.context.device.sectorBytes;
  }

  scratch(): Memory {
    this.#scratch ??= this.context.scratch.take();
    return this.#scratch;
  }

  readSector(scratchOffset: number, deviceOffset: number): void {
    const { device } = this.context;
    this.#left++;
    device.read(this.scratch(), scratchOffset, device.sectorBytes, deviceOffset, this);
  }

  // ---- fill and transfer ----

  #fill(): void {
    this.#phase = 'fill';
    this.#epoch = this.context.epochs.enter();
    this.#left = 1;
    this.#underWay = this.#plan.freshBlocks > 0;
    if (this.#underWay) this.context.underWay.begin(this.#inode, this.#plan);
    this.#answerEarly();
    this.#moveUp();
    fillEdges(this, this.#plan);
    this.ioDone(0);
  }

  #moveUp(): void {
    const { skew } = this.#plan;
    if (skew === 0 || this.#moved) return;
    const from = this.memoryOffset;
    this.memory.bytes.copyWithin(from + skew, from, from + this.#lengthBytes);
    this.#moved = true;
  }

  #transfer(): void {
    this.#phase = 'transfer';
    this.#left = 1;
    const { device, blockBytes } = this.context;
    const { segments, first, writeFrom, writeTo, extra } = this.#plan;
    for (const segment of segments) {
      const base = (segment.fileBlock - first) * blockBytes;
      const from = Math.max(base, writeFrom);
      const to = Math.min(base + segment.length * blockBytes, writeTo);
      const place = segment.block * blockBytes + from - base;
      this.#left++;
      if (this.#ticket >= 0 && device.writeLater)
        device.writeLater(this.memory, this.memoryOffset + from, to - from, place, this);
      else device.write(this.memory, this.memoryOffset + from, to - from, place, this);
    }
    if (extra) this.#transferExtra(extra);
    this.ioDone(0);
  }

  #transferExtra({ block }: Segment): void {
    const { device, blockBytes } = this.context;
    const from = Math.floor(this.#plan.extraFrom / device.sectorBytes) * device.sectorBytes;
    this.#left++;
    device.write(this.scratch(), from, blockBytes - from, block * blockBytes + from, this);
  }

  ioDone(errno: number): void {
    if (errno !== 0) this.#errno = errno;
    if (--this.#left > 0) return;
    if (this.#errno !== 0) this.#deviceFailed(this.#errno);
    else if (this.#phase === 'fill') {
      mergeEdges(this, this.#plan);
      this.#transfer();
    } else this.#transferred();
  }

  #deviceFailed(errno: number): void {
    this.context.epochs.leave(this.#epoch);
    this.#plan.giveBack(0);
    this.#close(fsErrorFromNumber(errno));
  }

  #transferred(): void {
    this.context.epochs.leave(this.#epoch);
    this.context.dataWritten();
    this.#phase = 'record';
    if (this.#needsRecord()) this.context.runner.execute(this);
    else this.#close(undefined);
  }

  // ---- record ----

  #needsRecord(): boolean {
    return this.#stampsInode || this.#movesFile;
  }

  /** Whether the file becomes longer, or lies in other blocks. */
  get #movesFile(): boolean {
    const { endByte, size, extra, segments } = this.#plan;
    return endByte > size || extra !== undefined || segments.some(isBlank);
  }

  /** Data that the inode holds itself. */
  #writeBody(tx: Transaction, inode: InodeRef): void {
    const { offsetBytes, endByte } = this.#plan;
    const from = this.memoryOffset;
    tx.modify(inode.frame);
    inlineBytes(inode).set(this.memory.bytes.subarray(from, from + this.#lengthBytes), offsetBytes);
    this.#touch(tx, inode, endByte);
  }

  /** As many segments as one transaction may enter; mostly all. */
  #record(tx: Transaction, inode: InodeRef): void {
    const { segments, extra, endByte } = this.#plan;
    const before = blocksOf(inode);
    if (!this.#movesFile && this.#stampsOnlyTimes(inode)) tx.modifyTimes(inode.frame);
    else tx.modify(inode.frame);
    if (isInline(inode)) {
      setInline(inode, false);
      initialiseTree(inode, TreeKind.extents);
    }
    if (this.#recorded === 0 && extra?.fresh) this.#enter(tx, inode, extra);
    let at = this.#recorded;
    for (let left = this.context.extentsPerStep; at < segments.length && left > 0; at++) {
      const segment = segments[at] as Segment;
      if (!isBlank(segment)) continue;
      if (segment.unwritten) this.context.extents.written(tx, inode, segment.fileBlock, segment.length);
      else this.#enter(tx, inode, segment);
      left -= segment.unwritten ? RECORDS_PER_CONVERSION : 1;
    }
    this.#recording = at;
    const last = segments[at - 1] as Segment;
    this.#touch(tx, inode, Math.min(endByte, (last.fileBlock + last.length) * this.context.blockBytes));
    this.#grown = blocksOf(inode) - before;
  }

  #recordEnded(thrown: unknown): void {
    if (thrown !== undefined) {
      this.#plan.giveBack(this.#recorded);
      this.#close(thrown);
      return;
    }
    this.#spaceRecorded();
    if (this.#isHeld) this.#releaseQuota(this.#grown);
    this.#recorded = this.#recording;
    if (this.#recorded < this.#plan.segments.length) this.context.runner.execute(this);
    else this.#close(undefined);
  }

  #enter(tx: Transaction, inode: InodeRef, segment: Segment): void {
    this.context.space.claim(tx, segment.block, segment.length);
    this.context.extents.insert(tx, inode, segment);
  }

  #touch(tx: Transaction, inode: InodeRef, endByte: number): void {
    if (endByte > sizeOf(inode)) {
      tx.modify(inode.frame);
      setSizeOf(inode, endByte);
    }
    this.#stamp(tx, inode);
  }

  #stamp(tx: Transaction, inode: InodeRef): void {
    if (this.#updateTimes) touchModified(inode, tx.clock);
    if (this.#killPrivileges) dropPrivileges(inode);
    if (this.#dropsCapability) this.context.attributes.dropCapability(tx, inode);
  }
}

export function writeFile(context: WriteContext, request: WriteRequest): void {
  new WriteTask(context, request).start();
}
