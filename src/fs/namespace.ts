/**
 * The tree of names: create, link, unlink, rename and their kin, each a function of cached metadata
 * in one transaction. Semantics after POSIX.1-2017 and the Linux man pages named beside each.
 *
 * Permissions are the kernel's business (`default_permissions`); what is checked here keeps the
 * tree a tree.
 */

import { PERMISSION_BITS } from '../common/permissions.ts';
import { CorruptionError, fsError } from './base/errors.ts';
import {
  type Caller,
  type CreateRequest,
  type EntryPlace,
  RenameFlag,
  type RenameRequest,
  type SymlinkRequest,
} from './base/filesystem.ts';
import {
  BlockKind,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  Inode,
  MAX_LINKS,
  MAX_SYMLINK_BYTES,
  NO_ID,
  TreeKind,
} from './format/format.ts';
import type { AccessLists } from './inodes/access-lists.ts';
import { requireOutside } from './inodes/ancestor-walk.ts';
import {
  inheritedFlags,
  inheritedProject,
  isSynchronous,
  requireChangeable,
  requireMutable,
  requireProject,
  requireRemovable,
} from './inodes/file-flags.ts';
import type { InodeTable } from './inodes/inode-table.ts';
import { addOrphan, removeOrphan } from './inodes/orphans.ts';
import type { SpaceMap } from './transaction/space-map.ts';
import type { Transaction } from './transaction/transaction.ts';
import {
  checkName,
  type Directories,
  isDot,
  isDotDot,
  requireDirectory,
  requireLiveDirectory,
} from './tree/directory.ts';
import type { ExtentMap } from './tree/extents.ts';
import {
  gidOf,
  type InodeRef,
  inlineBytes,
  inlineCapacity,
  isDirectory,
  isInline,
  linkCountOf,
  modeOf,
  setFileFlags,
  setInline,
  setLinkCount,
  setSizeOf,
  sizeOf,
  touchChanged,
  touchModified,
} from './tree/inode.ts';
import { initialiseTree, treeIsEmpty } from './tree/tree.ts';

const RENAME_FLAGS = RenameFlag.noReplace | RenameFlag.exchange | RenameFlag.whiteout;
/** What names stand on. */
export interface NamespaceParts {
  readonly table: InodeTable;
  readonly directories: Directories;
  readonly extents: ExtentMap;
  readonly space: SpaceMap;
  readonly acls: AccessLists;
}

/** What a rename is about. */
interface Renaming {
  from: InodeRef;
  name: Uint8Array;
  /** The file that has the name. */
  source: InodeRef;
  to: InodeRef;
  newName: Uint8Array;
  /** The file that has the new name, if there is one. */
  target: InodeRef | undefined;
}

/** In place of a caller whom it does not depend on. */
const NOBODY: Caller = { uid: 0, gid: 0, umask: 0 };

export class Namespace {
  readonly #table: InodeTable;
  readonly #directories: Directories;
  readonly #extents: ExtentMap;
  readonly #space: SpaceMap;
  readonly #acls: AccessLists;
  /** One serves all renames, which come one after the other. */
  #renaming: Renaming | undefined;
  /** New files get the group of their directory, and no setgid bit of it: grpid of ext4. */
  directoryGroups = false;

  constructor({ table, directories, extents, space, acls }: NamespaceParts) {
    this.#table = table;
    this.#directories = directories;
    this.#extents = extents;
    this.#space = space;
    this.#acls = acls;
  }

  /**
   * '.' is any inode that has a name, as file handles ask for it; the others are names in a
   * directory. An inode without one that is still open is in the kernel's memory, which does not
   * ask for it: who asks has let go of it.
   */
  lookup(tx: Transaction, parent: number, name: Uint8Array): number {
    const directory = this.#table.get(tx, parent);
    if (isDot(name)) return named(directory);
    requireDirectory(directory);
    if (isDotDot(name)) return parentOf(directory);
    if (name.length > 255) throw fsError('ENAMETOOLONG');
    return this.#directories.find(tx, directory, name);
  }

  /** open(2) with O_CREAT, mkdir(2), mknod(2). */
  create(tx: Transaction, parent: number, name: Uint8Array, request: CreateRequest): number {
    const directory = this.#parentFor(tx, parent, name);
    const isSubdirectory = (request.mode & FILE_TYPE_MASK) === FileType.directory;
    const inode = this.#makeByUmask(tx, directory, request);
    this.#enter(tx, directory, name, inode);
    if (isSubdirectory) this.#addLinks(tx, directory, 1);
    return inode.number;
  }

  /** By the umask, or the default ACL of the directory. */
  #makeByUmask(tx: Transaction, directory: InodeRef, request: CreateRequest): InodeRef {
    const acl = this.#acls.inheritedFrom(tx, directory);
    const umask = acl === undefined ? request.caller.umask : 0;
    const inode = this.#make(tx, directory, {
      mode: (request.mode & FILE_TYPE_MASK) | (request.mode & PERMISSION_BITS & ~umask),
      deviceNumber: request.deviceNumber,
      caller: request.caller,
    });
    if (acl !== undefined) this.#acls.inherit(tx, inode, acl);
    return inode;
  }

  /**
   * open(2) with O_TMPFILE: a regular file without a name, as if made in this directory. It is on
   * the orphan list, so that a crash leaves nothing of it.
   */
  createUnnamed(tx: Transaction, parent: number, request: CreateRequest): number {
    const directory = this.#table.get(tx, parent);
    requireLiveDirectory(directory);
    requireMutable(directory);
    const mode = FileType.regular | (request.mode & PERMISSION_BITS);
    const file = this.#makeByUmask(tx, directory, { ...request, mode, deviceNumber: 0 });
    setLinkCount(file, 0);
    addOrphan(tx, this.#table, file);
    tx.unnamed.push(file.number);
    return file.number;
  }

  /** symlink(2). A target too long for the inode goes into blocks of kind `symlink`. */
  symlink(tx: Transaction, parent: number, name: Uint8Array, { target, caller }: SymlinkRequest): number {
    if (target.length === 0) throw fsError('ENOENT');
    if (target.length > MAX_SYMLINK_BYTES) throw fsError('ENAMETOOLONG');
    const directory = this.#parentFor(tx, parent, name);
    const mode = FileType.symlink | 0o777;
    const inode = this.#make(tx, directory, { mode, deviceNumber: 0, caller });
    this.#writeTarget(tx, inode, target);
    this.#enter(tx, directory, name, inode);
    return inode.number;
  }

  #writeTarget(tx: Transaction, inode: InodeRef, target: Uint8Array): void {
    setSizeOf(inode, target.length);
    if (target.length <= inlineCapacity(inode)) {
      inlineBytes(inode).set(target);
      return;
    }
    setInline(inode, false);
    initialiseTree(inode, TreeKind.extents);
    const perBlock = tx.blockBytes - HEADER_BYTES;
    for (let i = 0; i * perBlock < target.length; i++) {
      const block = this.#space.allocateOne(tx, inode.frame.block + 1, inode.number, 'tree');
      this.#extents.insert(tx, inode, { fileBlock: i, block, length: 1, unwritten: false });
      const frame = tx.create(block, BlockKind.symlink, inode.number);
      frame.bytes.set(target.subarray(i * perBlock, (i + 1) * perBlock), HEADER_BYTES);
    }
  }

  /** readlink(2). */
  readSymlink(tx: Transaction, number: number): Uint8Array {
    const inode = this.#table.get(tx, number);
    if ((modeOf(inode) & FILE_TYPE_MASK) !== FileType.symlink) throw fsError('EINVAL');
    const size = sizeOf(inode);
    if (size > MAX_SYMLINK_BYTES) throw new CorruptionError(inode.frame.block, `symlink of ${size} bytes`);
    if (isInline(inode)) return inlineBytes(inode).subarray(0, size);
    const target = new Uint8Array(size);
    const perBlock = tx.blockBytes - HEADER_BYTES;
    for (let i = 0; i * perBlock < size; i++) {
      const { block } = this.#extents.find(tx, inode, i);
      const frame = tx.read(block, BlockKind.symlink);
      const length = Math.min(perBlock, size - i * perBlock);
      target.set(frame.bytes.subarray(HEADER_BYTES, HEADER_BYTES + length), i * perBlock);
    }
    return target;
  }

  #parentFor(tx: Transaction, parent: number, name: Uint8Array): InodeRef {
    const directory = this.#table.get(tx, parent);
    requireLiveDirectory(directory);
    checkName(name);
    if (isDot(name) || isDotDot(name)) throw fsError('EEXIST');
    return directory;
  }

  /**
   * A new inode with the owner and group that a file made in this directory gets (inode_init_owner
   * in the kernel).
   * @throws EOVERFLOW if the caller has no number here, as the kernel itself says it
   */
  #make(tx: Transaction, directory: InodeRef, request: CreateRequest): InodeRef {
    const { uid, gid } = request.caller;
    if (uid === NO_ID || gid === NO_ID) throw fsError('EOVERFLOW');
    const hasGroup = (modeOf(directory) & 0o2000) !== 0;
    const isSubdirectory = (request.mode & FILE_TYPE_MASK) === FileType.directory;
    const passesBit = hasGroup && isSubdirectory && !this.directoryGroups;
    const inode = this.#table.create(tx, {
      mode: passesBit ? request.mode | 0o2000 : request.mode,
      uid,
      gid: hasGroup || this.directoryGroups ? gidOf(directory) : gid,
      deviceNumber: request.deviceNumber,
      linkCount: isSubdirectory ? 2 : 1,
      parent: isSubdirectory ? directory.number : 0,
      projectId: inheritedProject(directory),
    });
    setFileFlags(inode, inheritedFlags(directory, request.mode));
    return inode;
  }

  #enter(tx: Transaction, directory: InodeRef, name: Uint8Array, inode: InodeRef): void {
    this.#directories.insert(tx, directory, name, inode);
    requireMutable(directory);
    this.#changed(tx, directory);
  }

  /** Names in the directory came, went or changed. */
  #changed(tx: Transaction, directory: InodeRef): void {
    touchModified(directory, tx.clock);
    if (isSynchronous(directory)) tx.mustBeDurable = true;
  }

  /** @throws EMLINK, also for a directory with too many subdirectories */
  #addLinks(tx: Transaction, inode: InodeRef, change: number): void {
    const links = linkCountOf(inode) + change;
    if (change > 0 && links > MAX_LINKS) throw fsError('EMLINK');
    if (links < 0) {
      throw new CorruptionError(inode.frame.block, `inode ${inode.number} has fewer links than names`);
    }
    tx.modify(inode.frame);
    setLinkCount(inode, links);
  }

  /** link(2). @param unnamed the inode never had a name, and may get one (linkat(2)) */
  link(tx: Transaction, number: number, { parent, name }: EntryPlace, unnamed: boolean): void {
    const inode = this.#table.get(tx, number);
    if (isDirectory(inode)) throw fsError('EPERM');
    const directory = this.#parentFor(tx, parent, name);
    if (linkCountOf(inode) === 0 && !unnamed) throw fsError('ENOENT');
    requireChangeable(inode);
    requireProject(directory, inode);
    this.#enter(tx, directory, name, inode);
    this.#addLinks(tx, inode, 1);
    if (unnamed) {
      removeOrphan(tx, this.#table, inode);
      tx.named.push(inode.number);
    }
    touchChanged(inode, tx.clock);
  }

  /** unlink(2). Returns the file if it has names left, else 0. */
  unlink(tx: Transaction, parent: number, name: Uint8Array): number {
    const directory = this.#table.get(tx, parent);
    const inode = this.#existing(tx, directory, name);
    if (isDirectory(inode)) throw fsError('EISDIR');
    requireRemovable(directory, inode);
    this.#directories.remove(tx, directory, name);
    this.#changed(tx, directory);
    return this.#dropLink(tx, inode);
  }

  /** rmdir(2). */
  removeDirectory(tx: Transaction, parent: number, name: Uint8Array): void {
    if (isDot(name)) throw fsError('EINVAL');
    if (isDotDot(name)) throw fsError('ENOTEMPTY');
    const directory = this.#table.get(tx, parent);
    const inode = this.#existing(tx, directory, name);
    requireDirectory(inode);
    requireRemovable(directory, inode);
    requireEmpty(inode);
    this.#directories.remove(tx, directory, name);
    this.#changed(tx, directory);
    this.#addLinks(tx, directory, -1);
    this.#dropDirectory(tx, inode);
  }

  #existing(tx: Transaction, directory: InodeRef, name: Uint8Array): InodeRef {
    requireDirectory(directory);
    if (name.length > 255) throw fsError('ENAMETOOLONG');
    const number = this.#directories.find(tx, directory, name);
    if (number === 0) throw fsError('ENOENT');
    return this.#table.get(tx, number);
  }

  /**
   * One name of a file is gone; without any it becomes an orphan. Returns the file if it has names
   * left, else 0.
   */
  #dropLink(tx: Transaction, inode: InodeRef): number {
    const links = linkCountOf(inode);
    if (links === 0)
      throw new CorruptionError(inode.frame.block, `inode ${inode.number} has a name but no link count`);
    this.#addLinks(tx, inode, -1);
    touchChanged(inode, tx.clock);
    if (links > 1) return inode.number;
    this.#orphan(tx, inode);
    return 0;
  }

  #dropDirectory(tx: Transaction, inode: InodeRef): void {
    tx.treeChanges++;
    tx.modify(inode.frame);
    setLinkCount(inode, 0);
    touchChanged(inode, tx.clock);
    this.#orphan(tx, inode);
  }

  #orphan(tx: Transaction, inode: InodeRef): void {
    addOrphan(tx, this.#table, inode);
    tx.orphaned.push(inode.number);
  }

  /**
   * rename(2), renameat2(2) with RENAME_NOREPLACE, RENAME_EXCHANGE and RENAME_WHITEOUT. Returns the
   * file that had the new name if it has names left, else 0.
   */
  rename(tx: Transaction, from: EntryPlace, to: EntryPlace, request: RenameRequest): number {
    const { flags } = request;
    const exchange = (flags & RenameFlag.exchange) !== 0;
    const noReplace = (flags & RenameFlag.noReplace) !== 0;
    const whiteout = (flags & RenameFlag.whiteout) !== 0;
    if ((exchange && (noReplace || whiteout)) || (flags & ~RENAME_FLAGS) !== 0) throw fsError('EINVAL');
    if (isDot(from.name) || isDotDot(from.name) || isDot(to.name) || isDotDot(to.name))
      throw fsError('EBUSY');
    const renaming = this.#find(tx, from, to);
    const { source, target } = renaming;
    if (noReplace && target) throw fsError('EEXIST');
    // Two names of one file: rename(2) does nothing then.
    if (!exchange && target?.number === source.number) return 0;
    this.#requireRenamable(tx, renaming, exchange);
    tx.modify(renaming.from.frame);
    const left = exchange ? this.#exchange(tx, renaming) : this.#move(tx, renaming, request);
    this.#changed(tx, renaming.from);
    this.#changed(tx, renaming.to);
    tx.modify(source.frame);
    touchChanged(source, tx.clock);
    return left;
  }

  /**
   * What a rename is about. The object returned is used again by the next one.
   * @throws ENOENT, ENOTDIR, ENAMETOOLONG, EINVAL
   */
  #find(tx: Transaction, { parent, name }: EntryPlace, place: EntryPlace): Renaming {
    const from = this.#table.get(tx, parent);
    const to = parent === place.parent ? from : this.#table.get(tx, place.parent);
    const source = this.#existing(tx, from, name);
    requireLiveDirectory(to);
    checkName(place.name);
    const found = this.#directories.find(tx, to, place.name);
    const target = found === 0 ? undefined : this.#table.get(tx, found);
    this.#renaming ??= { from, name, source, to, newName: place.name, target };
    const renaming = this.#renaming;
    renaming.from = from;
    renaming.name = name;
    renaming.source = source;
    renaming.to = to;
    renaming.newName = place.name;
    renaming.target = target;
    return renaming;
  }

  /** @throws EPERM, EXDEV, EINVAL */
  #requireRenamable(tx: Transaction, { from, source, to, target }: Renaming, exchange: boolean): void {
    requireRemovable(from, source);
    if (target) requireRemovable(to, target);
    else requireMutable(to);
    requireProject(to, source);
    if (exchange && target) requireProject(from, target);
    if (isDirectory(source)) requireOutside(tx, this.#table, source, to);
  }

  #exchange(tx: Transaction, { from, name, source, to, newName, target }: Renaming): number {
    if (!target) throw fsError('ENOENT');
    if (isDirectory(target)) requireOutside(tx, this.#table, target, from);
    this.#directories.replace(tx, from, name, target);
    this.#directories.replace(tx, to, newName, source);
    if (from.number !== to.number) {
      if (isDirectory(source)) this.#moveParent(tx, source, from, to);
      if (isDirectory(target)) this.#moveParent(tx, target, to, from);
    }
    tx.modify(from.frame);
    tx.modify(to.frame);
    tx.modify(target.frame);
    touchChanged(target, tx.clock);
    return 0;
  }

  #move(tx: Transaction, renaming: Renaming, { flags, caller = NOBODY }: RenameRequest): number {
    const { from, name, source, to } = renaming;
    const left = this.#enterMoved(tx, renaming);
    if ((flags & RenameFlag.whiteout) !== 0) this.#whiteOut(tx, from, name, caller);
    else this.#directories.remove(tx, from, name);
    if (isDirectory(source) && from.number !== to.number) this.#moveParent(tx, source, from, to);
    return left;
  }

  /** The source gets its new name, beside the old one. */
  #enterMoved(tx: Transaction, renaming: Renaming): number {
    const { source, to, newName, target } = renaming;
    tx.modify(to.frame);
    if (target) return this.#replaceTarget(tx, renaming, target);
    this.#directories.insert(tx, to, newName, source);
    return 0;
  }

  /**
   * The name becomes that of a new device 0:0, by which overlayfs knows that the layers below are
   * not to be looked at for it.
   */
  #whiteOut(tx: Transaction, directory: InodeRef, name: Uint8Array, caller: Caller): void {
    const inode = this.#make(tx, directory, { mode: FileType.characterDevice, deviceNumber: 0, caller });
    this.#directories.replace(tx, directory, name, inode);
  }

  #replaceTarget(tx: Transaction, { source, to, newName }: Renaming, target: InodeRef): number {
    if (isDirectory(source) && !isDirectory(target)) throw fsError('ENOTDIR');
    if (!isDirectory(source) && isDirectory(target)) throw fsError('EISDIR');
    if (isDirectory(target)) requireEmpty(target);
    this.#directories.replace(tx, to, newName, source);
    if (!isDirectory(target)) return this.#dropLink(tx, target);
    this.#addLinks(tx, to, -1);
    this.#dropDirectory(tx, target);
    return 0;
  }

  #moveParent(tx: Transaction, directory: InodeRef, from: InodeRef, to: InodeRef): void {
    tx.treeChanges++;
    tx.modify(directory.frame);
    Inode.parent.set(directory.frame.view, directory.at, to.number);
    this.#addLinks(tx, from, -1);
    this.#addLinks(tx, to, 1);
  }
}

/** @throws ESTALE of an inode without a name */
function named(inode: InodeRef): number {
  if (linkCountOf(inode) === 0) throw fsError('ESTALE');
  return inode.number;
}

/**
 * '..':
 * @throws ESTALE of a directory that was removed, whose parent may be gone, and its number
 * another's
 */
function parentOf(directory: InodeRef): number {
  if (linkCountOf(directory) === 0) throw fsError('ESTALE');
  return Inode.parent.get(directory.frame.view, directory.at);
}

/** @throws ENOTEMPTY */
function requireEmpty(directory: InodeRef): void {
  if (sizeOf(directory) > 0) throw fsError('ENOTEMPTY');
  if (treeIsEmpty(directory)) return;
  throw new CorruptionError(
    directory.frame.block,
    `directory ${directory.number} has entries, and counts none`,
  );
}
