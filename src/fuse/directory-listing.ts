/**
 * The answer to READDIR and READDIRPLUS, filled entry by entry as the filesystem visits a
 * directory.
 *
 * `begin` says where and how much, `visit` is passed to `readDirectory`, `bytes` is what came of
 * it. A run that misses a block is begun again and overwrites what the first left.
 *
 * What offset an entry has shows when the next one is visited, also one that finds no room; see
 * directory-cookies.ts.
 *
 * In READDIRPLUS each entry but '.' and '..' hands the kernel a reference to its inode. An inode
 * that cannot be read is listed without attributes, as the kernel allows, so that one damaged file
 * does not hide its directory; looking it up tells the error.
 */

import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { CorruptionError, FsError, fsError } from '../fs/base/errors.ts';
import type { Attributes, EntryVisitor, FileSystem, TransactionHandle } from '../fs/base/filesystem.ts';
import { Dirent, Direntplus, EntryOut, type Wire } from './abi.ts';
import type { AttributeReplies } from './attribute-replies.ts';
import type { BlockCounts } from './block-counts.ts';
import type { DirectoryCookies } from './directory-cookies.ts';
import {
  directoryRecordBytes,
  direntplusBytes,
  direntplusInode,
  encodeDirent,
  encodeDirentOffset,
  isDirectoryMode,
  isRegularMode,
} from './encoding.ts';
import { LONGEST_LISTING_BYTES } from './limits.ts';
import type { ScarceSpace } from './scarce-space.ts';
import type { ToldDirectories } from './told-directories.ts';
import type { UnlinkedFiles } from './unlinked-files.ts';

const DOT = 0x2e;

function isDotOrDotDot(name: Uint8Array): boolean {
  if (name[0] !== DOT || name.length > 2) return false;
  return name.length === 1 || name[1] === DOT;
}

/** What a listing needs of its session. */
interface ListingHost {
  readonly filesystem: FileSystem;
  readonly directoryCookies: DirectoryCookies;
  readonly blockCounts: BlockCounts;
  readonly toldDirectories: ToldDirectories;
  readonly unlinkedFiles: UnlinkedFiles;
  readonly scarceSpace: Pick<ScarceSpace, 'isScarce'>;
}

export class DirectoryListing {
  /** Length of the entries so far. */
  bytes = 0;
  readonly visit: EntryVisitor;
  readonly #filesystem: FileSystem;
  readonly #wire: Wire;
  readonly #replies: AttributeReplies;
  readonly #cookies: DirectoryCookies;
  readonly #blockCounts: BlockCounts;
  readonly #toldDirectories: ToldDirectories;
  readonly #unlinkedFiles: UnlinkedFiles;
  readonly #scarceSpace: Pick<ScarceSpace, 'isScarce'>;
  /** Of the entry that is being written; one serves all. */
  readonly #entry = { inode: 0, fileType: 0, offset: 0 };
  readonly #attributes: Attributes = emptyAttributes();
  #at = 0;
  #limitBytes = 0;
  #withAttributes: TransactionHandle | undefined = undefined;
  #thread = 0;
  #refused = false;
  /** Of the entry before: its cookie and offset, and where it says its offset. */
  #lastCookie = 0;
  #lastOffset = -1;
  #lastAt = 0;

  constructor(wire: Wire, replies: AttributeReplies, host: ListingHost) {
    const { filesystem, directoryCookies, blockCounts, toldDirectories, unlinkedFiles } = host;
    this.#toldDirectories = toldDirectories;
    this.#unlinkedFiles = unlinkedFiles;
    this.#scarceSpace = host.scarceSpace;
    this.#cookies = directoryCookies;
    this.#blockCounts = blockCounts;
    this.#filesystem = filesystem;
    this.#wire = wire;
    this.#replies = replies;
    this.visit = (name, inode, fileType, cookie) => this.#add(name, inode, fileType, cookie);
  }

  /**
   * @param withAttributes the running transaction for READDIRPLUS, undefined for READDIR
   * @param thread who asks
   */
  begin(at: number, limitBytes: number, withAttributes: TransactionHandle | undefined, thread: number): void {
    this.#thread = thread;
    this.bytes = 0;
    this.#at = at;
    this.#limitBytes = Math.min(limitBytes, LONGEST_LISTING_BYTES);
    this.#withAttributes = withAttributes;
    this.#refused = false;
    this.#lastOffset = -1;
  }

  /**
   * @throws FsError EINVAL if not even one entry found room: an empty answer would mean the end.
   */
  end(): void {
    this.#withAttributes = undefined;
    if (this.#refused && this.bytes === 0) throw fsError('EINVAL');
  }

  #add(name: Uint8Array, inode: number, fileType: number, cookie: number): boolean {
    const offset = this.#cookies.groupOffset(cookie);
    if (offset === this.#lastOffset) {
      encodeDirentOffset(this.#wire, this.#lastAt, this.#cookies.offsetWithin(this.#lastCookie));
    }
    const plus = this.#withAttributes;
    const frontBytes = plus === undefined ? Dirent.sizeBytes : Direntplus.sizeBytes;
    if (this.bytes + directoryRecordBytes(frontBytes, name.length) > this.#limitBytes) {
      this.#refused = true;
      return false;
    }
    let at = this.#at + this.bytes;
    if (plus !== undefined) {
      this.#addEntry(plus, at, name, inode);
      at += EntryOut.sizeBytes;
      this.bytes += EntryOut.sizeBytes;
    }
    const entry = this.#entry;
    entry.inode = inode;
    entry.fileType = fileType;
    entry.offset = offset;
    this.bytes += encodeDirent(this.#wire, at, name, entry);
    this.#lastCookie = cookie;
    this.#lastOffset = offset;
    this.#lastAt = at;
    return true;
  }

  #addEntry(tx: TransactionHandle, at: number, name: Uint8Array, inode: number): void {
    if (!isDotOrDotDot(name) && this.#readAttributes(tx, inode)) {
      const isAskedFor = this.#scarceSpace.isScarce && isRegularMode(this.#attributes.mode);
      const mayKeep = !isAskedFor && this.#unlinkedFiles.mayKeep(inode, this.#thread);
      this.#replies.entryOut(at, this.#attributes, mayKeep);
    } else {
      this.#wire.clear(at, EntryOut.sizeBytes);
    }
  }

  #readAttributes(tx: TransactionHandle, inode: number): boolean {
    try {
      this.#filesystem.readAttributes(tx, inode, this.#attributes);
      this.#blockCounts.told(inode);
      if (isDirectoryMode(this.#attributes.mode)) this.#toldDirectories.told(inode, this.#thread);
      return true;
    } catch (thrown) {
      if (thrown instanceof CorruptionError || thrown instanceof FsError) return false;
      throw thrown;
    }
  }

  /** Takes or gives back the references that a finished READDIRPLUS hands to the kernel. */
  reference(taken: boolean): void {
    const end = this.#at + this.bytes;
    for (let at = this.#at; at < end; at += direntplusBytes(this.#wire, at)) {
      const inode = direntplusInode(this.#wire, at);
      if (inode === 0) continue;
      if (taken) this.#filesystem.acquire(inode);
      else this.#filesystem.forget(inode, 1);
    }
  }
}
