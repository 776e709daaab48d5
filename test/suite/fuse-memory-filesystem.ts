/**
 * A small filesystem in memory behind the `FileSystem` interface, to try the FUSE layer without a
 * volume.
 *
 * It logs every call with the values it was given, can be told to miss a block (`misses`), to hold
 * data operations back (`holdData`), and to fail. Operations that miss are rolled back by not
 * having begun: the fake throws at their first access, as a block cache would.
 */
import { fsError } from '../../src/fs/base/errors.ts';
import type {
  AttributeChanges,
  Attributes,
  CopyRequest,
  CreateRequest,
  EntryPlace,
  EntryVisitor,
  ExtendedAttribute,
  FallocateRequest,
  FileSystem,
  FlagChanges,
  Operation,
  ReadRequest,
  RenameRequest,
  SeekAnswer,
  SeekTarget,
  SetMode,
  SpaceStatistics,
  SymlinkRequest,
  TransactionHandle,
  WriteRequest,
} from '../../src/fs/base/filesystem.ts';

const TYPE = 0o170000;
const DIRECTORY = 0o040000;

interface Node {
  attributes: Attributes;
  parent: number;
  names: Map<string, number>;
  bytes: Uint8Array;
  extended: Map<string, Uint8Array>;
  references: number;
}

/** Names are bytes; as Latin-1 text they keep them all and can be a map's key. */
function keyOf(name: Uint8Array): string {
  return Buffer.from(name).toString('latin1');
}

class Miss extends Error {}

export class MemoryFileSystem implements FileSystem {
  readonly blockBytes = 4096;
  readonly offsetSecret = [1, 2, 3, 4];
  readonly readOnly = false;
  freeBytes = 2 ** 40;
  readonly calls: unknown[][] = [];
  /** So many accesses still miss their block. */
  misses = 0;
  holdData = false;
  failure: unknown = undefined;
  syncs: Promise<void> = Promise.resolve();
  unmounts = 0;
  submits = 0;
  readonly #nodes = new Map<number, Node>();
  readonly #held: (() => void)[] = [];
  #next = 2;
  #clock = 1_000;

  constructor() {
    this.#add(1, 1, { mode: DIRECTORY | 0o755, deviceNumber: 0, caller: { uid: 0, gid: 0, umask: 0 } });
  }

  node(inode: number): Node {
    const found = this.#nodes.get(inode);
    if (found === undefined) throw fsError('ESTALE');
    return found;
  }

  has(inode: number): boolean {
    return this.#nodes.has(inode);
  }

  /** Runs what was held back, or missed. */
  settle(): void {
    for (const run of this.#held.splice(0)) run();
  }

  execute(operation: Operation): void {
    try {
      operation.perform({ readOnly: false });
    } catch (thrown) {
      if (thrown instanceof Miss) this.#held.push(() => this.execute(operation));
      else operation.finished(thrown);
      return;
    }
    operation.finished(undefined);
  }

  #enter(...call: unknown[]): void {
    this.calls.push(call);
    if (this.misses > 0) {
      this.misses--;
      throw new Miss();
    }
    if (this.failure !== undefined) throw this.failure;
  }

  #add(inode: number, parent: number, request: CreateRequest): Node {
    const now = this.#clock++;
    const attributes: Attributes = {
      inode,
      generation: 1,
      mode: request.mode,
      linkCount: (request.mode & TYPE) === DIRECTORY ? 2 : 1,
      uid: request.caller.uid,
      gid: request.caller.gid,
      deviceNumber: request.deviceNumber,
      sizeBytes: 0,
      sectors: 0,
      accessSeconds: now,
      accessNanoseconds: 1,
      modifySeconds: now,
      modifyNanoseconds: 2,
      changeSeconds: now,
      changeNanoseconds: 3,
      birthSeconds: now,
      birthNanoseconds: 4,
      flags: 0,
      projectId: 0,
    };
    const node = {
      attributes,
      parent,
      names: new Map<string, number>(),
      bytes: new Uint8Array(0),
      extended: new Map<string, Uint8Array>(),
      references: 0,
    };
    this.#nodes.set(inode, node);
    return node;
  }

  lookup(_: TransactionHandle, parent: number, name: Uint8Array): number {
    this.#enter('lookup', parent, keyOf(name));
    if (keyOf(name) === '.') return parent;
    if (keyOf(name) === '..') return this.node(parent).parent;
    return this.node(parent).names.get(keyOf(name)) ?? 0;
  }

  accessed(_: TransactionHandle, inode: number): void {
    this.#enter('accessed', inode);
  }

  readAttributes(_: TransactionHandle, inode: number, into: Attributes): void {
    this.#enter('readAttributes', inode);
    Object.assign(into, this.node(inode).attributes);
  }

  changeAttributes(_: TransactionHandle, inode: number, changes: AttributeChanges): void {
    this.#enter('changeAttributes', inode, { ...changes });
    const { attributes } = this.node(inode);
    const { mode, uid, gid, accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds } = changes;
    if (mode !== undefined) attributes.mode = (attributes.mode & TYPE) | mode;
    attributes.uid = uid ?? attributes.uid;
    attributes.gid = gid ?? attributes.gid;
    if (accessSeconds !== undefined)
      attributes.accessSeconds = accessSeconds === 'now' ? this.#clock : accessSeconds;
    if (modifySeconds !== undefined)
      attributes.modifySeconds = modifySeconds === 'now' ? this.#clock : modifySeconds;
    attributes.accessNanoseconds = accessNanoseconds ?? attributes.accessNanoseconds;
    attributes.modifyNanoseconds = modifyNanoseconds ?? attributes.modifyNanoseconds;
    attributes.changeSeconds = changes.changeSeconds ?? this.#clock++;
    attributes.changeNanoseconds = changes.changeNanoseconds ?? 0;
    if (changes.killPrivileges) attributes.mode &= ~0o6000;
  }

  changeFlags(_: TransactionHandle, inode: number, changes: FlagChanges): void {
    this.#enter('changeFlags', inode, { ...changes });
    const { attributes } = this.node(inode);
    attributes.flags = changes.flags ?? attributes.flags;
    attributes.projectId = changes.projectId ?? attributes.projectId;
  }

  hasExtendedAttributes(_: TransactionHandle, inode: number): boolean {
    return this.node(inode).extended.size > 0;
  }

  getExtendedAttribute(_: TransactionHandle, inode: number, name: Uint8Array): Uint8Array {
    this.#enter('getExtendedAttribute', inode, keyOf(name));
    const value = this.node(inode).extended.get(keyOf(name));
    if (value === undefined) throw fsError('ENODATA');
    return value;
  }

  listExtendedAttributes(_: TransactionHandle, inode: number): Uint8Array[] {
    this.#enter('listExtendedAttributes', inode);
    return [...this.node(inode).extended.keys()].map((name) => Buffer.from(name, 'latin1'));
  }

  setExtendedAttribute(
    _: TransactionHandle,
    inode: number,
    { name, value }: ExtendedAttribute,
    mode?: SetMode,
  ): void {
    this.#enter('setExtendedAttribute', inode, keyOf(name), keyOf(value), mode);
    this.node(inode).extended.set(keyOf(name), value.slice());
  }

  removeExtendedAttribute(_: TransactionHandle, inode: number, name: Uint8Array): void {
    this.#enter('removeExtendedAttribute', inode, keyOf(name));
    if (!this.node(inode).extended.delete(keyOf(name))) throw fsError('ENODATA');
  }

  create(_: TransactionHandle, parent: number, name: Uint8Array, request: CreateRequest): number {
    const { mode, deviceNumber, caller } = request;
    this.#enter('create', parent, keyOf(name), { mode, deviceNumber, caller: { ...caller } });
    const { names } = this.node(parent);
    if (names.has(keyOf(name))) throw fsError('EEXIST');
    const inode = this.#next++;
    this.#add(inode, parent, { mode: mode & ~caller.umask, deviceNumber, caller });
    names.set(keyOf(name), inode);
    return inode;
  }

  createUnnamed(_: TransactionHandle, parent: number, request: CreateRequest): number {
    const { mode, caller } = request;
    this.#enter('createUnnamed', parent, { mode, caller: { ...caller } });
    const inode = this.#next++;
    const node = this.#add(inode, parent, { mode: mode & ~caller.umask, deviceNumber: 0, caller });
    node.attributes.linkCount = 0;
    node.references = 1;
    return inode;
  }

  symlink(
    _: TransactionHandle,
    parent: number,
    name: Uint8Array,
    { target, caller }: SymlinkRequest,
  ): number {
    this.#enter('symlink', parent, keyOf(name), keyOf(target), { ...caller });
    const inode = this.#next++;
    const node = this.#add(inode, parent, { mode: 0o120777, deviceNumber: 0, caller });
    node.bytes = target.slice();
    node.attributes.sizeBytes = target.length;
    this.node(parent).names.set(keyOf(name), inode);
    return inode;
  }

  readSymlink(_: TransactionHandle, inode: number): Uint8Array {
    this.#enter('readSymlink', inode);
    return this.node(inode).bytes;
  }

  link(_: TransactionHandle, inode: number, { parent, name }: EntryPlace): void {
    this.#enter('link', inode, parent, keyOf(name));
    this.node(parent).names.set(keyOf(name), inode);
    this.node(inode).attributes.linkCount++;
  }

  unlink(_: TransactionHandle, parent: number, name: Uint8Array): number {
    this.#enter('unlink', parent, keyOf(name));
    return this.#drop(parent, name);
  }

  removeDirectory(_: TransactionHandle, parent: number, name: Uint8Array): void {
    this.#enter('removeDirectory', parent, keyOf(name));
    const inode = this.node(parent).names.get(keyOf(name));
    if (inode !== undefined && this.node(inode).names.size > 0) throw fsError('ENOTEMPTY');
    this.#drop(parent, name);
  }

  /** Returns what had the name if it has names left, else 0. */
  #drop(parent: number, name: Uint8Array): number {
    const { names } = this.node(parent);
    const inode = names.get(keyOf(name));
    if (inode === undefined) throw fsError('ENOENT');
    names.delete(keyOf(name));
    return --this.node(inode).attributes.linkCount > 0 ? inode : 0;
  }

  rename(_: TransactionHandle, from: EntryPlace, to: EntryPlace, request?: RenameRequest): number {
    const flags = request?.flags ?? 0;
    const { parent, name } = from;
    const { parent: newParent, name: newName } = to;
    this.#enter('rename', parent, keyOf(name), newParent, keyOf(newName), flags);
    const { names } = this.node(parent);
    const inode = names.get(keyOf(name));
    if (inode === undefined) throw fsError('ENOENT');
    names.delete(keyOf(name));
    const left = this.node(newParent).names.has(keyOf(newName)) ? this.#drop(newParent, newName) : 0;
    this.node(newParent).names.set(keyOf(newName), inode);
    return left;
  }

  readDirectory(_: TransactionHandle, inode: number, cookie: number, visit: EntryVisitor): void {
    this.#enter('readDirectory', inode, cookie);
    const { names, parent } = this.node(inode);
    const entries: [string, number][] = [['.', inode], ['..', parent], ...names];
    for (const [at, [name, child]] of entries.entries()) {
      if (at < cookie) continue;
      const type = this.node(child).attributes.mode & TYPE;
      if (!visit(Buffer.from(name, 'latin1'), child, type, at + 1)) return;
    }
  }

  statistics(_: TransactionHandle, into: SpaceStatistics): void {
    this.#enter('statistics');
    Object.assign(into, {
      blockBytes: 4096,
      blocks: 2 ** 32 + 1,
      freeBlocks: 2 ** 40 + 2,
      availableBlocks: 2 ** 40 + 1,
      inodes: 5,
      freeInodes: 2 ** 41 + 3,
      maxNameBytes: 255,
    });
  }

  read(request: ReadRequest): void {
    const { inode, offsetBytes, lengthBytes, memory, memoryOffset } = request;
    this.#data(request, () => {
      this.#enter('read', inode, offsetBytes, lengthBytes);
      const found = this.node(inode).bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
      request.resultOffset = memoryOffset + (offsetBytes % 512);
      request.resultBytes = found.length;
      memory.bytes.set(found, request.resultOffset);
    });
  }

  write(request: WriteRequest): void {
    const { inode, offsetBytes, lengthBytes, memory, memoryOffset, updateTimes, killPrivileges } = request;
    this.#data(request, () => {
      this.#enter('write', inode, offsetBytes, lengthBytes, updateTimes, killPrivileges);
      const node = this.node(inode);
      if (offsetBytes + lengthBytes > 2 ** 24) return;
      this.#resize(node, Math.max(node.bytes.length, offsetBytes + lengthBytes));
      node.bytes.set(memory.bytes.subarray(memoryOffset, memoryOffset + lengthBytes), offsetBytes);
    });
  }

  #data(request: ReadRequest | WriteRequest, work: () => void): void {
    const run = (): void => {
      try {
        work();
        request.finished(undefined);
      } catch (thrown) {
        request.finished(thrown);
      }
    };
    if (this.holdData) this.#held.push(run);
    else run();
  }

  #resize(node: Node, sizeBytes: number): void {
    const bytes = new Uint8Array(Math.min(sizeBytes, 2 ** 24));
    bytes.set(node.bytes.subarray(0, bytes.length));
    node.bytes = bytes;
    node.attributes.sizeBytes = sizeBytes;
  }

  async setSize(inode: number, sizeBytes: number, killPrivileges: boolean): Promise<void> {
    this.#enter('setSize', inode, sizeBytes, killPrivileges);
    this.#resize(this.node(inode), sizeBytes);
  }

  async fallocate({ inode, action, offsetBytes, lengthBytes, ...rest }: FallocateRequest): Promise<void> {
    this.#enter('fallocate', inode, action, offsetBytes, lengthBytes, rest);
    const node = this.node(inode);
    const endByte = offsetBytes + lengthBytes;
    if (!rest.keepSize && endByte > node.bytes.length) this.#resize(node, endByte);
    if (action !== 'allocate') node.bytes.fill(0, offsetBytes, endByte);
  }

  /** Bytes that are zero are holes. */
  async seek(inode: number, offsetBytes: number, target: SeekTarget): Promise<SeekAnswer> {
    this.#enter('seek', inode, offsetBytes, target);
    const { bytes } = this.node(inode);
    const isHole = (at: number) => bytes[at] === 0;
    const end = Number.POSITIVE_INFINITY;
    if (offsetBytes >= bytes.length) return { offsetBytes: -1, holeFrom: offsetBytes, holeEnd: end };
    let at = offsetBytes;
    while (at < bytes.length && isHole(at) === (target === 'data')) at++;
    if (target === 'data' && at === bytes.length)
      return { offsetBytes: -1, holeFrom: offsetBytes, holeEnd: end };
    if (target === 'data') return { offsetBytes: at, holeFrom: offsetBytes, holeEnd: at };
    let holeEnd = at;
    while (holeEnd < bytes.length && isHole(holeEnd)) holeEnd++;
    return { offsetBytes: at, holeFrom: at, holeEnd: holeEnd === bytes.length ? end : holeEnd };
  }

  async copyRange({ from, fromBytes, to, toBytes, lengthBytes, ...rest }: CopyRequest): Promise<number> {
    this.#enter('copyRange', from, fromBytes, to, toBytes, lengthBytes, rest);
    const bytes = this.node(from).bytes.slice(fromBytes, fromBytes + lengthBytes);
    const target = this.node(to);
    if (toBytes + bytes.length > target.bytes.length) this.#resize(target, toBytes + bytes.length);
    target.bytes.set(bytes, toBytes);
    return bytes.length;
  }

  async sync(_inode?: number, dataOnly = false): Promise<void> {
    this.#enter(dataOnly ? 'sync of data' : 'sync');
    await this.syncs;
  }

  acquire(inode: number): void {
    this.calls.push(['acquire', inode]);
    if (inode !== 1) this.node(inode).references++;
  }

  forget(inode: number, count: number): boolean {
    this.calls.push(['forget', inode, count]);
    const node = this.#nodes.get(inode);
    if (node === undefined || inode === 1) return false;
    node.references -= count;
    if (node.references === 0 && node.attributes.linkCount === 0) this.#nodes.delete(inode);
    return node.references <= 0;
  }

  /** What a write that changes the space of a file calls. */
  spaceChanged: (inode: number) => void = () => {};

  watchSpace(changed: (inode: number) => void): void {
    this.spaceChanged = changed;
  }

  submit(): void {
    this.submits++;
  }

  async unmount(): Promise<void> {
    this.unmounts++;
  }
}
