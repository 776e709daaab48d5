/**
 * Tells of the operations of a mount, as they end: rows of the operation table (operations.ts) that
 * do what the table's own do, and tell of it.
 *
 * The session is given these rows in the place of its own while somebody records; otherwise nothing
 * here is reached. What an operation was about has to be looked at before it: which file a name is
 * of that goes or moves. That is kept by slot, since a request may be performed more than once, and
 * others in between.
 *
 * While the tree is still being told (tree-walk.ts), operations on what is not told yet are passed
 * over; what they lead into a part of the tree that is told already, is told then.
 */
import { type FileSystem, RenameFlag, type TransactionHandle } from '../fs/base/filesystem.ts';
import { emptyOperation, type OperationSink, RecordKind } from '../record/recorded-operation.ts';
import { Opcode } from './abi.ts';
import { isDirectoryMode } from './encoding.ts';
import { NamesBefore } from './names-before.ts';
import { handlerOf } from './operations.ts';
import type { FuseRequest, Handler } from './request.ts';
import { type ExistingInode, recordedTypeOf, TreeWalk } from './tree-walk.ts';

const NO_NAME = new Uint8Array(0);

type Told = (request: FuseRequest) => void;
type Looked = (request: FuseRequest, tx: TransactionHandle, before: NamesBefore) => void;
type RemovalKind = typeof RecordKind.unlink | typeof RecordKind.removeDirectory;

export class OperationRecorder {
  readonly #sink: OperationSink;
  readonly #rows = new Map<number, Handler>();
  readonly #before: NamesBefore[] = [];
  readonly #operation = emptyOperation();
  #walk: TreeWalk | undefined;
  #ended = false;

  constructor(filesystem: FileSystem, sink: OperationSink) {
    this.#sink = sink;
    this.#walk = new TreeWalk(filesystem, sink);
    const created: Told = (request) => this.#created(request);
    for (const opcode of [Opcode.MKNOD, Opcode.MKDIR, Opcode.CREATE, Opcode.SYMLINK])
      this.#row(opcode, created);
    this.#row(Opcode.LINK, (request) => this.#linked(request));
    const named: Looked = (request, tx, before) => before.lookAtName(request, tx, this.#walk);
    this.#row(Opcode.UNLINK, (request) => this.#removed(request, RecordKind.unlink), named);
    this.#row(Opcode.RMDIR, (request) => this.#removed(request, RecordKind.removeDirectory), named);
    const both: Looked = (request, tx, before) => before.lookAtBoth(request, tx, this.#walk);
    for (const opcode of [Opcode.RENAME, Opcode.RENAME2])
      this.#row(opcode, (request) => this.#renamed(request), both);
    this.#row(Opcode.WRITE, (request) => this.#written(request));
    this.#row(Opcode.FALLOCATE, (request) => this.#allocated(request));
    for (const opcode of [Opcode.COPY_FILE_RANGE, Opcode.COPY_FILE_RANGE_64])
      this.#row(opcode, (request) => this.#copied(request));
    this.#row(Opcode.SETATTR, (request) => this.#resized(request));
    for (const opcode of [Opcode.FSYNC, Opcode.FSYNCDIR])
      this.#row(opcode, ({ inode }) => this.#synced(inode));
    this.#row(Opcode.SYNCFS, () => this.#synced(0));
  }

  /** The row of an opcode while this is at work. */
  readonly handlerOf = (opcode: number): Handler => this.#rows.get(opcode) ?? handlerOf(opcode);

  /** Tells what exists already; to be called when every operation under way has one of its rows. */
  async tellTree(): Promise<void> {
    await this.#walk?.go();
    this.#walk = undefined;
    this.#operation.kind = RecordKind.begun;
    if (!this.#ended) this.#sink.add(this.#operation);
  }

  /** Nothing is told any more. */
  end(): void {
    this.#ended = true;
    this.#walk?.stop();
  }

  #row(opcode: number, told: Told, looked?: Looked): void {
    const own = handlerOf(opcode);
    this.#rows.set(opcode, {
      ...own,
      perform:
        looked === undefined
          ? own.perform
          : (request, tx) => {
              looked(request, tx, this.#beforeOf(request));
              own.perform(request, tx);
            },
      over: (request, failure, delivered) => {
        own.over(request, failure, delivered);
        if (failure === undefined && !this.#ended) told(request);
      },
    });
  }

  #beforeOf({ slot }: FuseRequest): NamesBefore {
    const before = this.#before[slot] ?? new NamesBefore();
    this.#before[slot] = before;
    return before;
  }

  #created({ inode: parent, entryInode, attributes, names }: FuseRequest): void {
    const walk = this.#walk;
    if (walk !== undefined) {
      // Told as existing already, if it was answered late.
      if (walk.isTold(entryInode)) return;
      walk.set(entryInode, walk.isTold(parent));
      if (!walk.isTold(parent)) return;
    }
    const operation = this.#operation;
    operation.kind = RecordKind.create;
    operation.inode = entryInode;
    operation.parent = parent;
    operation.type = recordedTypeOf(attributes.mode);
    operation.sizeBytes = attributes.sizeBytes;
    operation.name = names.name;
    this.#sink.add(operation);
  }

  #linked({ inode, names, attributes }: FuseRequest): void {
    const walk = this.#walk;
    if (walk !== undefined && !walk.isTold(inode)) {
      if (walk.isTold(names.newParent)) walk.tell(attributes, names.newParent, names.name);
      return;
    }
    const operation = this.#operation;
    operation.kind = RecordKind.link;
    operation.inode = inode;
    operation.parent = names.newParent;
    operation.name = names.name;
    this.#sink.add(operation);
  }

  #removed(request: FuseRequest, kind: RemovalKind): void {
    const { inode, attributes } = this.#beforeOf(request);
    this.#unlinked(inode, request.inode, kind);
    const isLast = kind === RecordKind.removeDirectory || attributes.linkCount <= 1;
    if (isLast) this.#walk?.set(inode, false);
  }

  #unlinked(inode: number, parent: number, kind: RemovalKind): void {
    if (this.#isPassedOver(inode)) return;
    const operation = this.#operation;
    operation.kind = kind;
    operation.inode = inode;
    operation.parent = parent;
    this.#sink.add(operation);
  }

  #renamed(request: FuseRequest): void {
    const { inode: parent, names } = request;
    const before = this.#beforeOf(request);
    // Two names of one file: nothing has happened.
    if (before.inode === before.other) return;
    for (const { attributes, parent: above } of before.untold) this.#walk?.tell(attributes, above, NO_NAME);
    before.untold = [];
    const { newParent, name, newName } = names;
    if ((names.flags & RenameFlag.exchange) === 0) {
      this.#replaced(before, newParent);
      this.#moved(before.attributes, before.inode, before.other, [parent, newParent, newName]);
      if (this.#walk !== undefined && before.otherAttributes.linkCount <= 1)
        this.#walk.set(before.other, false);
      return;
    }
    this.#moved(before.attributes, before.inode, 0, [parent, newParent, newName]);
    this.#moved(before.otherAttributes, before.other, 0, [newParent, parent, name]);
  }

  /** A file that is told makes room for one that is not. */
  #replaced({ inode, other, otherAttributes }: NamesBefore, parent: number): void {
    const walk = this.#walk;
    if (walk === undefined || other === 0 || walk.isTold(inode) || !walk.isTold(other)) return;
    const kind = isDirectoryMode(otherAttributes.mode) ? RecordKind.removeDirectory : RecordKind.unlink;
    this.#unlinked(other, parent, kind);
  }

  #moved(
    attributes: ExistingInode,
    inode: number,
    replaced: number,
    [parent, newParent, name]: readonly [parent: number, newParent: number, name: Uint8Array],
  ): void {
    const walk = this.#walk;
    if (walk !== undefined && !walk.isTold(inode)) {
      if (walk.isTold(newParent)) walk.tell(attributes, newParent, name);
      return;
    }
    const operation = this.#operation;
    operation.kind = RecordKind.rename;
    operation.inode = inode;
    operation.parent = parent;
    operation.newParent = newParent;
    operation.replaced = replaced === 0 || this.#isPassedOver(replaced) ? 0 : replaced;
    operation.name = name;
    this.#sink.add(operation);
  }

  #written({ transfer }: FuseRequest): void {
    this.#gotBlocks(transfer.inode, transfer.offsetBytes, transfer.lengthBytes);
  }

  /** What has blocks afterwards was written, as far as a record can tell; a hole has no word. */
  #allocated({ ranges: { fallocate } }: FuseRequest): void {
    if (fallocate.action === 'punch' || fallocate.keepSize) return;
    this.#gotBlocks(fallocate.inode, fallocate.offsetBytes, fallocate.lengthBytes);
  }

  #copied({ ranges: { copy, result } }: FuseRequest): void {
    this.#gotBlocks(copy.to, copy.toBytes, result);
  }

  #gotBlocks(inode: number, offsetBytes: number, lengthBytes: number): void {
    if (lengthBytes === 0 || this.#isPassedOver(inode)) return;
    const operation = this.#operation;
    operation.kind = RecordKind.write;
    operation.inode = inode;
    operation.offsetBytes = offsetBytes;
    operation.lengthBytes = lengthBytes;
    this.#sink.add(operation);
  }

  #resized({ inode, setattr }: FuseRequest): void {
    if (!setattr.resizes || this.#isPassedOver(inode)) return;
    const operation = this.#operation;
    operation.kind = RecordKind.truncate;
    operation.inode = inode;
    operation.sizeBytes = setattr.sizeBytes;
    this.#sink.add(operation);
  }

  #synced(inode: number): void {
    if (inode !== 0 && this.#isPassedOver(inode)) return;
    const operation = this.#operation;
    operation.kind = RecordKind.sync;
    operation.inode = inode;
    this.#sink.add(operation);
  }

  #isPassedOver(inode: number): boolean {
    return this.#walk !== undefined && !this.#walk.isTold(inode);
  }
}
