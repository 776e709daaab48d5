/**
 * What may be asked of a mounted volume (filesystem.ts): each operation finds here whose it is.
 *
 *   names        synchronous, in a transaction: namespace.ts → directory.ts, inode-table.ts
 *   data         device transfers, then a transaction: file-reader.ts, file-writer.ts,
 *                file-resizer.ts
 *   durability   at sync, every few seconds, when much is dirty: durability.ts, commit.ts,
 *                journal.ts
 */
import type { Allocator } from '../alloc/allocator.ts';
import type { VolumeParts } from './assemble.ts';
import { type CorruptionError, fsError } from './base/errors.ts';
import {
  type AttributeChanges,
  type Attributes,
  type Claimant,
  type CopyRequest,
  type CreateRequest,
  type EntryPlace,
  type EntryVisitor,
  type ExtendedAttribute,
  type ExtentVisitor,
  type FallocateRequest,
  type FileSystem,
  type FlagChanges,
  type Operation,
  type ReadRequest,
  RenameFlag,
  type RenameRequest,
  type SeekAnswer,
  type SeekTarget,
  type SetMode,
  type SpaceStatistics,
  type SymlinkRequest,
  type WriteRequest,
} from './base/filesystem.ts';
import { copyRange } from './data/copying.ts';
import type { EarlyWrites } from './data/early-writes.ts';
import { fallocate } from './data/fallocate.ts';
import { readFile } from './data/file-reader.ts';
import { resizeFile } from './data/file-resizer.ts';
import { writeFile } from './data/file-writer.ts';
import { seek } from './data/seeking.ts';
import type { WriteContext } from './data/write-plan.ts';
import { hasFeature } from './format/features.ts';
import { MAX_NAME_BYTES, QuotaKind, VolumeRoot } from './format/format.ts';
import type { Layout } from './format/layout.ts';
import { offsetSecret } from './format/name-hash.ts';
import { isAclName } from './inodes/access-lists.ts';
import type { AccessTimes } from './inodes/access-times.ts';
import { changeFileFlags, inheritedProject, requireChangeable } from './inodes/file-flags.ts';
import { changeInode } from './inodes/inode-changes.ts';
import type { InodeTable } from './inodes/inode-table.ts';
import type { InodePaths } from './life/inode-path.ts';
import type { Namespace } from './namespace.ts';
import { BEHIND_EARLY_WRITES, type OperationRunner, transact } from './transaction/operation-runner.ts';
import type { Transaction } from './transaction/transaction.ts';
import { isDot, isDotDot, requireDirectory } from './tree/directory.ts';
import { hasAttributes } from './tree/extended-attributes.ts';
import { fillAttributes, isInline, requireRegular, sizeOf } from './tree/inode.ts';

const PLAIN_RENAME: RenameRequest = { flags: 0 };

export class VolumeOperations implements Omit<FileSystem<Transaction>, 'unmount'> {
  readonly layout: Layout;
  protected readonly parts: VolumeParts;
  // What each request needs, one step nearer.
  readonly #runner: OperationRunner;
  readonly #names: Namespace;
  readonly #table: InodeTable;
  readonly #files: WriteContext;
  readonly #early: EarlyWrites;
  readonly #access: AccessTimes;
  readonly #paths: InodePaths;
  readonly #tx: Transaction;
  readonly offsetSecret: readonly number[];
  /** As it was when last seen. */
  #freeBytes = Number.POSITIVE_INFINITY;

  constructor(parts: VolumeParts) {
    this.parts = parts;
    this.layout = parts.layout;
    this.#tx = parts.tx;
    this.#runner = parts.runner;
    this.#names = parts.names;
    this.#table = parts.table;
    this.#files = parts.files;
    this.#early = parts.early;
    this.#access = parts.access;
    this.#paths = parts.paths;
    this.offsetSecret = offsetSecret(parts.superblock.nameSecret);
  }

  get blockBytes(): number {
    return this.layout.blockBytes;
  }

  get freeBytes(): number {
    try {
      const { space } = this.parts;
      const blocks = Math.max(0, space.availableBlocks - space.reservedBlocks);
      this.#freeBytes = blocks * this.layout.blockBytes;
    } catch {
      // Not in memory just now, or damaged, which whoever wants to write will find.
    }
    return this.#freeBytes;
  }

  get readOnly(): boolean {
    return this.#tx.readOnly;
  }

  /** Whether the volume is read-only because it rests. */
  get resting(): boolean {
    return this.#tx.resting;
  }

  /** Corruption was met by somebody else than an operation. */
  corrupt(error: CorruptionError): void {
    this.parts.health.damage(error);
  }

  /**
   * Resolves when every write answered early so far is done, well or not. Asks nothing of the
   * device.
   */
  earlyWritesSettled(): Promise<void> {
    return this.#early.settled();
  }

  submit(): void {
    this.parts.device.submit();
  }

  execute(operation: Operation<Transaction>): void {
    this.#runner.execute(operation);
  }

  /**
   * Runs a function as one transaction.
   * @throws what it throws, and EIO if its blocks cannot be read
   */
  run<T>(body: (tx: Transaction) => T, asker?: Claimant): Promise<T> {
    return transact(this.parts, body, asker);
  }

  lookup(tx: Transaction, parent: number, name: Uint8Array): number {
    const inode = this.#names.lookup(tx, parent, name);
    if (!isDot(name) && !isDotDot(name)) this.#paths.remember(inode, parent);
    return inode;
  }

  readAttributes(tx: Transaction, inode: number, into: Attributes): void {
    fillAttributes(this.#table.get(tx, inode), this.layout.blockBytes, into);
    this.#access.overlay(inode, into);
    if (this.#early.pending(inode)) into.sizeBytes = Math.max(into.sizeBytes, this.#early.sizeOf(inode));
    const { lost } = this.#files;
    if (lost.keeps(inode)) into.sizeBytes = Math.max(into.sizeBytes, lost.sizeOf(inode));
    into.sectors += this.parts.pending.of(inode) * (this.layout.blockBytes / 512);
  }

  changeAttributes(tx: Transaction, inode: number, changes: AttributeChanges): void {
    changeInode(tx, this.#table.get(tx, inode), changes, this.parts);
    if (changes.accessSeconds !== undefined) this.#access.forget(inode);
  }

  changeFlags(tx: Transaction, inode: number, changes: FlagChanges): void {
    changeFileFlags(tx, this.#table.get(tx, inode), changes);
  }

  hasExtendedAttributes(tx: Transaction, inode: number): boolean {
    return hasAttributes(this.#table.get(tx, inode));
  }

  getExtendedAttribute(tx: Transaction, inode: number, name: Uint8Array): Uint8Array {
    const { attributes, acls } = this.parts;
    if (!acls.enabled && isAclName(name)) throw fsError('EOPNOTSUPP');
    return attributes.get(tx, this.#table.get(tx, inode), name);
  }

  listExtendedAttributes(tx: Transaction, inode: number): Uint8Array[] {
    const { attributes, acls } = this.parts;
    const names = attributes.list(tx, this.#table.get(tx, inode));
    return acls.enabled ? names : names.filter((name) => !isAclName(name));
  }

  setExtendedAttribute(
    tx: Transaction,
    inode: number,
    attribute: ExtendedAttribute,
    mode: SetMode = 'any',
  ): void {
    if (!hasFeature(this.parts.superblock.view, 'attributes')) throw fsError('EOPNOTSUPP');
    const found = this.#table.get(tx, inode);
    requireChangeable(found);
    const { name, value } = attribute;
    if (isAclName(name)) this.parts.acls.set(tx, found, name, value);
    else this.parts.attributes.set(tx, found, attribute, mode);
  }

  removeExtendedAttribute(tx: Transaction, inode: number, name: Uint8Array): void {
    const { attributes, acls } = this.parts;
    const found = this.#table.get(tx, inode);
    requireChangeable(found);
    if (isAclName(name)) acls.remove(tx, found, name);
    else attributes.remove(tx, found, name);
  }

  accessed(tx: Transaction, inode: number): void {
    this.#access.touched(tx, this.#table.get(tx, inode));
  }

  create(tx: Transaction, parent: number, name: Uint8Array, request: CreateRequest): number {
    const inode = this.#names.create(tx, parent, name, request);
    this.#paths.remember(inode, parent);
    return inode;
  }

  createUnnamed(tx: Transaction, parent: number, request: CreateRequest): number {
    return this.#names.createUnnamed(tx, parent, request);
  }

  symlink(tx: Transaction, parent: number, name: Uint8Array, request: SymlinkRequest): number {
    return this.#names.symlink(tx, parent, name, request);
  }

  readSymlink(tx: Transaction, inode: number): Uint8Array {
    return this.#names.readSymlink(tx, inode);
  }

  link(tx: Transaction, inode: number, to: EntryPlace): void {
    this.#stayBehindWrites(tx, inode);
    this.#names.link(tx, inode, to, this.parts.references.isUnnamed(inode));
    this.#paths.remember(inode, to.parent);
  }

  unlink(tx: Transaction, parent: number, name: Uint8Array): number {
    return this.#names.unlink(tx, parent, name);
  }

  removeDirectory(tx: Transaction, parent: number, name: Uint8Array): void {
    this.#names.removeDirectory(tx, parent, name);
  }

  rename(tx: Transaction, from: EntryPlace, to: EntryPlace, request = PLAIN_RENAME): number {
    const inode = this.#names.lookup(tx, from.parent, from.name);
    this.#stayBehindWrites(tx, inode);
    // For a node that a directory takes by it nobody is refused.
    if ((request.flags & RenameFlag.whiteout) === 0) tx.usage?.askedBy(undefined);
    const left = this.#names.rename(tx, from, to, request);
    this.#paths.remember(inode, to.parent);
    return left;
  }

  /** A new name must not be on disk before the data that its file was given. */
  #stayBehindWrites(tx: Transaction, inode: number): void {
    if (!tx.behindEarlyWrites && this.#early.pending(inode)) throw BEHIND_EARLY_WRITES;
  }

  readDirectory(tx: Transaction, inode: number, cookie: number, visit: EntryVisitor): void {
    const directory = this.#table.get(tx, inode);
    requireDirectory(directory);
    this.parts.directories.read(tx, directory, cookie, visit);
  }

  statistics(tx: Transaction, into: SpaceStatistics, inode = 0): void {
    const root = this.#table.root(tx);
    into.blockBytes = this.layout.blockBytes;
    into.blocks = this.parts.space.usableBlocks;
    into.freeBlocks = this.parts.space.availableBlocks;
    into.availableBlocks = Math.max(0, into.freeBlocks - this.parts.space.reservedBlocks);
    into.inodes = VolumeRoot.inodeCount.get(root.view, 0);
    into.freeInodes = into.freeBlocks * this.layout.inodesPerBlock;
    into.maxNameBytes = MAX_NAME_BYTES;
    if (inode !== 0 && this.parts.quotas !== undefined) this.#asOfProject(tx, into, inode);
  }

  /** What the limits of a project leave, of a directory that gives it to what is made in it. */
  #asOfProject(tx: Transaction, into: SpaceStatistics, number: number): void {
    const { quotas } = this.parts;
    const project = inheritedProject(this.#table.get(tx, number));
    if (project === 0 || !quotas?.counts(tx, QuotaKind.project)) return;
    const entry = quotas.entry(tx, QuotaKind.project, project);
    if (entry === undefined) return;
    const { blockLimits, inodeLimits } = entry;
    const blocks = blockLimits.soft || blockLimits.hard;
    if (blocks > 0) {
      into.blocks = Math.min(into.blocks, blocks);
      into.freeBlocks = Math.min(into.freeBlocks, Math.max(0, blocks - entry.blocks));
      into.availableBlocks = Math.min(into.availableBlocks, into.freeBlocks);
    }
    const inodes = inodeLimits.soft || inodeLimits.hard;
    if (inodes === 0) return;
    into.inodes = entry.inodes;
    into.freeInodes = Math.min(into.freeInodes, Math.max(0, inodes - entry.inodes));
  }

  read(request: ReadRequest): void {
    readFile(this.#files, request);
  }

  write(request: WriteRequest): void {
    writeFile(this.#files, request);
  }

  fallocate(request: FallocateRequest): Promise<void> {
    return fallocate(this.#files, request, hasFeature(this.parts.superblock.view, 'unwritten'));
  }

  seek(inode: number, offsetBytes: number, target: SeekTarget): Promise<SeekAnswer> {
    return seek(this.#files, inode, offsetBytes, target);
  }

  copyRange(request: CopyRequest): Promise<number> {
    return copyRange(this.#files, request);
  }

  setSize(inode: number, sizeBytes: number, killPrivileges: boolean, asker?: Claimant): Promise<void> {
    return resizeFile(this.#files, { inode, size: sizeBytes, killPrivileges, asker });
  }

  sync(inode?: number, dataOnly = false): Promise<void> {
    return this.parts.durability.sync(inode, dataOnly);
  }

  watchSpace(changed: (inode: number) => void): void {
    this.parts.spaceWatch.changed = changed;
  }

  visitExtents(tx: Transaction, inode: number, visit: ExtentVisitor, fromBlock = 0): void {
    const { blockBytes } = this.layout;
    const file = this.#table.get(tx, inode);
    requireRegular(file);
    if (isInline(file)) return;
    const end = Math.ceil(sizeOf(file) / blockBytes);
    for (let at = fromBlock; at < end; ) {
      const { block, length, unwritten } = this.parts.files.extents.find(tx, file, at);
      const part = Math.min(length, end - at);
      if (block !== 0 && visit(at, block, part, unwritten) === false) return;
      at += part;
    }
  }

  /** The free runs of a group of the space, in order; blocks count from the start of the space. */
  visitFreeRuns(_tx: Transaction, group: number, visit: (start: number, length: number) => void): void {
    const { index } = this.parts.space;
    const end = Math.min((group + 1) * index.groupBlocks, index.blockCount);
    let at = index.nextFree(group * index.groupBlocks, end);
    while (at >= 0) {
      const length = index.freeRunLength(at, end - at);
      visit(at, length);
      at = index.nextFree(at + length, end);
    }
  }

  /** What decides where blocks go. */
  get policy(): Allocator | undefined {
    return this.parts.space.policy;
  }

  acquire(inode: number): void {
    this.parts.references.acquire(inode);
  }

  forget(inode: number, count: number): boolean {
    if (!this.parts.references.release(inode, count)) return false;
    this.parts.space.policy?.forgetInode?.(inode);
    return true;
  }
}
