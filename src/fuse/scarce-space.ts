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
 *   near      files with WRITEs are remembered
 *   scarce    their attributes are forgotten. Before a write(2): what they had dirty until then is
 *             written, once, and then there is room for this one, or not
 *
 * Above that nothing is asked. What is dirty when the limit is reached fits below it, since
 * dirty-limits.ts allows half of what is free. What is written through mappings, by io_uring, by
 * more requests of one io_submit(2) than are looked at, by someone whose calls we may not look at,
 * on a volume without unwritten extents, or to a file whose attributes the kernel has from the time
 * of plenty and which nobody has written to since, goes as before: the error comes with fsync and
 * close (write-failures.ts).
 */

import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { type ErrnoName, FsError } from '../fs/base/errors.ts';
import type { Claimant, FallocateRequest, FileSystem } from '../fs/base/filesystem.ts';
import type { Notices } from './notices.ts';
import type { WrittenRange } from './written-range.ts';

/** In bytes of free space. */
const NEAR_BELOW = 64 << 20;
const SCARCE_BELOW = 16 << 20;
const PLENTY_ABOVE = 24 << 20;
/** More files at once than anybody writes to. */
const MOST_INODES = 4096;
/** The kernel takes some hundred notices, and then needs a moment. */
const TELL_MILLISECONDS = 1;
const NO_ROOM: ReadonlySet<ErrnoName> = new Set(['ENOSPC', 'EDQUOT']);
/** Of a file that may have dirty pages from before. */
const UNKNOWN = -1;

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
  /** Files that are being written to: the byte up to which they were given room. */
  readonly #ends = new Map<number, number>();
  /** Those of which the kernel has not been told yet to forget their attributes. */
  readonly #untold = new Set<number>();
  #telling: NodeJS.Timeout | undefined;
  #isScarce = false;
  #writingOut: Promise<void> | undefined;

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
    if (!this.#isScarce && freeBytes < SCARCE_BELOW) {
      this.#isScarce = true;
      for (const inode of this.#ends.keys()) this.#untold.add(inode);
    } else if (this.#isScarce && freeBytes > PLENTY_ABOVE) {
      this.#isScarce = false;
      this.#ends.clear();
      this.#untold.clear();
    }
    if (this.#untold.size > 0) this.#tell();
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
    clearTimeout(this.#telling);
    this.#untold.clear();
  }

  /** A WRITE to the inode ended: of such a file the kernel may have attributes from before. */
  written(inode: number): void {
    this.look();
    if (this.#filesystem.freeBytes >= NEAR_BELOW || this.#ends.has(inode)) return;
    this.#note(inode, UNKNOWN);
    if (!this.#isScarce) return;
    this.#untold.add(inode);
    this.#tell();
  }

  /** Its end was moved by somebody else than a writer. */
  resized(inode: number): void {
    if (this.#ends.size > 0) this.#ends.delete(inode);
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    if (this.#ends.size > 0) this.#ends.delete(inode);
    if (this.#untold.size > 0) this.#untold.delete(inode);
  }

  /**
   * Gives a file room for what is about to be written to it.
   * @param writer who asks; nobody is not limited
   * @throws FsError ENOSPC, EDQUOT
   */
  async admit(inode: number, range: WrittenRange, writer?: Claimant): Promise<void> {
    if (!this.#ends.has(inode)) this.#note(inode, UNKNOWN);
    this.#writingOut ??= this.#writeOut();
    await this.#writingOut;
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
    for (const [inode, end] of this.#ends) {
      if (end !== UNKNOWN) continue;
      await this.#notices.writeOut(inode, 0, Number.POSITIVE_INFINITY);
      if (this.#ends.get(inode) === UNKNOWN) this.#ends.set(inode, 0);
    }
    this.#writingOut = undefined;
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
