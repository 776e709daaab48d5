/**
 * While space is scarce, a write(2) that ends well has its room on the disk.
 *
 * With the writeback cache a write(2) ends when its pages are dirty, and that they find no room
 * shows when they are written back: too late for whoever writes, and what he was told is written is
 * lost. So below a limit the kernel may keep no attributes of regular files, and asks before each
 * write(2) for them. We look at the system call in which the thread waits (written-range.ts), and
 * give the file blocks for what it is about to write, as fallocate(2) does, or refuse it. A WRITE
 * into those finds its room however full the disk has become.
 *
 *   plenty    files that somebody writes to, or is about to, are remembered
 *   scarce    their attributes are forgotten. Before a write(2): what they had dirty until then is
 *             written, once, and then there is room for this one, or not
 *
 * Above that nothing is asked. What is dirty when the limit is reached fits below it, since
 * dirty-limits.ts allows half of what is free. So that nobody takes it away from there, what takes
 * space past the cache and would leave less than that limit, or than what may be dirty, as
 * fallocate(2) may at once, waits until the files that are remembered are written. What is written
 * through mappings, by io_uring, by more requests of one io_submit(2) than are looked at, by
 * someone whose calls we may not look at, on a volume without unwritten extents, or to a file that
 * is remembered no more, goes as before: the error comes with fsync and close (write-failures.ts).
 */

import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { type ErrnoName, FsError, fsError } from '../fs/base/errors.ts';
import type { Claimant, FallocateRequest, FileSystem } from '../fs/base/filesystem.ts';
import { dirtyThresholdBytes } from './dirty-limits.ts';
import { MAX_BACKGROUND } from './limits.ts';
import type { Notices } from './notices.ts';
import type { WrittenRange } from './written-range.ts';

/** In bytes of free space. */
const SCARCE_BELOW = 16 << 20;
const PLENTY_ABOVE = 24 << 20;
/** More files at once than anybody writes to. */
const MOST_INODES = 4096;
/**
 * WRITEs past the cache that wait at once. Those of libaio are in the kernel's background, and what
 * they wait for comes through it.
 */
const MOST_WAITING_WRITES = MAX_BACKGROUND / 4;
/** The kernel takes some hundred notices, and then needs a moment. */
const TELL_MILLISECONDS = 1;
const NO_ROOM: ReadonlySet<ErrnoName> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Half of what is free, and no more than the kernel lets be dirty, which is looked up if it counts.
 */
function mayBeDirty(freeBytes: number, left: number): number {
  const half = freeBytes / 2;
  if (left >= half) return half;
  try {
    return Math.min(half, dirtyThresholdBytes());
  } catch {
    return half;
  }
}

/** Room for a range; limits of quotas hold as for whoever writes. */
class Room implements FallocateRequest {
  readonly action = 'allocate';
  readonly keepSize = true;
  readonly updateTimes = false;
  readonly killPrivileges = false;
  readonly #writer: Claimant | undefined;

  constructor(
    readonly inode: number,
    readonly offsetBytes: number,
    readonly lengthBytes: number,
    writer: Claimant | undefined,
  ) {
    this.#writer = writer;
  }

  get isLimited(): boolean {
    return this.#writer?.isLimited === true;
  }
}

export class ScarceSpace {
  readonly #filesystem: FileSystem;
  readonly #notices: Notices;
  /** Files that may have dirty pages, oldest first. */
  readonly #remembered = new Set<number>();
  /** Those that may have them from before they were asked about. */
  readonly #unsure = new Set<number>();
  /** The others that are being written to: the byte up to which they were given room. */
  readonly #ends = new Map<number, number>();
  /** Those of which the kernel has not been told yet to forget their attributes. */
  readonly #untold = new Set<number>();
  #telling: NodeJS.Timeout | undefined;
  #isScarce = false;
  #writingOut: Promise<void> | undefined;
  /** What requests under way may take, in bytes. */
  #takenBytes = 0;
  #isClosed = false;
  #waitingWrites = 0;

  constructor(filesystem: FileSystem, notices: Notices) {
    this.#filesystem = filesystem;
    this.#notices = notices;
  }

  /** The kernel is to ask before each write(2). */
  get isScarce(): boolean {
    return this.#isScarce;
  }

  /** After whatever took space. */
  look(): void {
    const { freeBytes } = this.#filesystem;
    if (freeBytes < SCARCE_BELOW) this.#begin();
    else if (this.#isScarce && freeBytes > PLENTY_ABOVE && this.#takenBytes === 0) {
      this.#isScarce = false;
      this.#ends.clear();
      this.#unsure.clear();
      this.#untold.clear();
    }
    if (this.#untold.size > 0) this.#tell();
  }

  #begin(): void {
    if (this.#isScarce) return;
    this.#isScarce = true;
    for (const inode of this.#remembered) this.#doubt(inode);
  }

  /** The kernel may have dirty pages of it, and attributes from before. */
  #doubt(inode: number): void {
    this.#unsure.add(inode);
    this.#untold.add(inode);
  }

  /** As many as the kernel takes at once; the others soon. */
  #tell(): void {
    for (const inode of this.#untold) {
      if (!this.#notices.forgetAttributes(inode)) break;
      this.#untold.delete(inode);
    }
    clearTimeout(this.#telling);
    if (this.#untold.size > 0) this.#telling = setTimeout(() => this.#tell(), TELL_MILLISECONDS).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#telling);
    this.#untold.clear();
  }

  /** Somebody is about to write to the inode, or to ask for the attributes that let him. */
  mayBecomeDirty(inode: number): void {
    const { size } = this.#remembered;
    // In the order in which they were written to last: of some it matters who is forgotten.
    if (this.#remembered.has(inode) && (size < MOST_INODES / 2 || !this.#remembered.delete(inode))) return;
    if (this.#remembered.size >= MOST_INODES) {
      const [oldest = inode] = this.#remembered;
      this.#remembered.delete(oldest);
    }
    this.#remembered.add(inode);
  }

  /** A WRITE to the inode ended: of such a file the kernel may have attributes from before. */
  written(inode: number): void {
    this.look();
    this.mayBecomeDirty(inode);
    if (!this.#isScarce || this.#ends.has(inode) || this.#unsure.has(inode)) return;
    this.#doubt(inode);
    this.#tell();
  }

  /** Its end was moved by somebody else than a writer. */
  resized(inode: number): void {
    if (this.#ends.size > 0) this.#ends.delete(inode);
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    if (this.#remembered.size > 0) this.#remembered.delete(inode);
    if (this.#ends.size > 0) this.#ends.delete(inode);
    if (this.#unsure.size > 0) this.#unsure.delete(inode);
    if (this.#untold.size > 0) this.#untold.delete(inode);
  }

  /**
   * Performs what may take so many bytes past the cache, after what is dirty, if that needs the
   * room.
   *
   * @throws what `take` does
   */
  async whileTaking<Result>(lengthBytes: number, take: () => Promise<Result>): Promise<Result> {
    const waits = this.#needsRoom(lengthBytes);
    this.#takenBytes += lengthBytes;
    try {
      if (waits) await this.#settle();
      return await take();
    } finally {
      this.#takenBytes -= lengthBytes;
    }
  }

  /**
   * Whether a WRITE past the cache of so many bytes has to wait for what is dirty.
   * @returns when that is over; undefined for at once
   */
  beforeWrite(lengthBytes: number): Promise<void> | undefined {
    if (!this.#needsRoom(lengthBytes) || this.#waitingWrites >= MOST_WAITING_WRITES) return undefined;
    this.#waitingWrites++;
    this.#takenBytes += lengthBytes;
    return this.#settle().finally(() => {
      this.#waitingWrites--;
      this.#takenBytes -= lengthBytes;
    });
  }

  /**
   * Whether it would leave less than what may be dirty. What is more than there is fails, or takes
   * little of it.
   */
  #needsRoom(lengthBytes: number): boolean {
    const { freeBytes } = this.#filesystem;
    const left = freeBytes - this.#takenBytes - lengthBytes;
    if (lengthBytes > freeBytes || (left >= SCARCE_BELOW && left >= mayBeDirty(freeBytes, left)))
      return false;
    this.#begin();
    if (this.#untold.size > 0) this.#tell();
    return this.#unsure.size > 0;
  }

  /** @throws FsError EIO when the mount ended meanwhile */
  async #settle(): Promise<void> {
    this.#writingOut ??= this.#writeOut().finally(() => {
      this.#writingOut = undefined;
    });
    await this.#writingOut;
    if (this.#isClosed) throw fsError('EIO');
  }

  /**
   * Gives a file room for what is about to be written to it.
   * @param writer who asks; nobody is not limited
   * @throws FsError ENOSPC, EDQUOT
   */
  async admit(inode: number, range: WrittenRange, writer?: Claimant): Promise<void> {
    this.mayBecomeDirty(inode);
    if (!this.#ends.has(inode)) this.#unsure.add(inode);
    await this.#settle();
    const { offsetBytes, lengthBytes } = await this.#placeOf(inode, range);
    await this.#reserve(new Room(inode, offsetBytes, lengthBytes, writer));
    this.#note(inode, Math.max(this.#ends.get(inode) ?? 0, offsetBytes + lengthBytes));
    this.look();
  }

  /** A call in pieces that stays within the file fills holes of it, if anything. */
  async #placeOf(inode: number, { place, lengthBytes, whole }: WrittenRange) {
    if (typeof place === 'number') return { offsetBytes: place, lengthBytes };
    const size = await this.#sizeOf(inode);
    if (whole !== undefined && whole.startBytes + whole.lengthBytes <= size)
      return { offsetBytes: whole.startBytes, lengthBytes: whole.lengthBytes };
    return { offsetBytes: Math.max(size, this.#ends.get(inode) ?? 0), lengthBytes };
  }

  /** What the files may have had dirty before they were asked about. */
  async #writeOut(): Promise<void> {
    // Files that join meanwhile have the next round.
    for (const inode of [...this.#unsure]) {
      await this.#notices.writeOut(inode, 0, Number.POSITIVE_INFINITY);
      if (this.#unsure.delete(inode)) this.#note(inode, this.#ends.get(inode) ?? 0);
    }
  }

  #sizeOf(inode: number): Promise<number> {
    const attributes = emptyAttributes();
    return new Promise((resolve) => {
      this.#filesystem.execute({
        perform: (tx) => this.#filesystem.readAttributes(tx, inode, attributes),
        // Who asks has the file open: if there is none, the write itself will tell.
        finished: () => resolve(attributes.sizeBytes),
      });
      this.#filesystem.submit();
    });
  }

  /** @throws FsError ENOSPC, EDQUOT: what else is wrong the write itself will tell */
  async #reserve(room: Room): Promise<void> {
    const error = await this.#allocate(room);
    if (error === undefined) return;
    if (this.#filesystem.freeBytes < room.lengthBytes) throw error;
    // What writes under way hold for their own needs is given back when they are done.
    await this.#filesystem.sync(room.inode).catch(() => {});
    const again = await this.#allocate(room);
    if (again !== undefined) throw again;
  }

  async #allocate(room: Room): Promise<FsError | undefined> {
    try {
      await this.#filesystem.fallocate(room);
    } catch (thrown) {
      if (thrown instanceof FsError && NO_ROOM.has(thrown.code)) return thrown;
    }
    return undefined;
  }

  #note(inode: number, end: number): void {
    if (this.#ends.size >= MOST_INODES && !this.#ends.has(inode)) this.#ends.clear();
    this.#ends.set(inode, end);
  }
}
