/**
 * Runs operations on a volume over a recording device, and keeps the model and its history in step.
 *
 * Names are resolved inside the transaction of the operation, and the model follows inside
 * `finished`, which a volume calls in the same breath in which the transaction succeeds; so the
 * versions of the model are in the order of the transactions, also when many operations are under
 * way. What the volume refuses (ENOSPC, ENOENT, …) leaves the model alone.
 *
 * `sync` notes what must survive from its end on: the version at its call, and all data answered
 * before it.
 */

import type { Device } from '../../src/aio/device.ts';
import { emptyAttributes, emptyStatistics } from '../../src/fs/base/empty-attributes.ts';
import { FsError, fsError, LostDataError } from '../../src/fs/base/errors.ts';
import {
  type Caller,
  type EntryPlace,
  type FallocateAction,
  RenameFlag,
  type WriteRequest,
} from '../../src/fs/base/filesystem.ts';
import { FileType, QuotaKind, ROOT_INODE } from '../../src/fs/format/format.ts';
import { extentsPerStep, logBlocksOf } from '../../src/fs/format/limits.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import type { Volume } from '../../src/fs/volume.ts';
import type { DeviceEvent } from '../../src/sim/crash-image.ts';
import { aclBytes } from '../suite/acl-bytes.ts';
import { type ContentChange, Model, type ModelNode, type NodeAttributes, parentOf } from './model.ts';
import { Patterns } from './patterns.ts';
import { attributesOf, readContents } from './recovered-tree.ts';

const CALLER: Caller = { uid: 1000, gid: 1000, umask: 0 };
const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

/** A device whose history is kept. */
export interface RecordingDevice extends Device {
  readonly log: readonly DeviceEvent[];
}

/** From `position` of the device log on, the version `version` or a later one must be found. */
export interface DurableMark {
  readonly position: number;
  readonly version: number;
  /**
   * Files whose early writes were waited for: they are at least so large, unless truncated later.
   */
  readonly floors: readonly { id: number; sizeBytes: number; truncations: number }[];
}

/** A write answered early, or maybe not: it took effect for sure when a later sync ends. */
interface OpenWrite {
  readonly id: number;
  readonly endByte: number;
  readonly change: ContentChange;
  answered: boolean;
}

export interface WriteStyle {
  /** The answer may come before the data is on the device. */
  readonly early?: boolean;
  /**
   * As the kernel's writeback cache asks for: a write within the file then needs no transaction at
   * all.
   */
  readonly keepTimes?: boolean;
}

/** Bytes of a file. */
export interface FileRange {
  readonly path: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

interface PatternWrite extends WriteStyle {
  readonly inode: number;
  readonly offset: number;
  readonly length: number;
  readonly pattern: number;
}

const RIGHTS = ['---', '--x', '-w-', '-wx', 'r--', 'r-x', 'rw-', 'rwx'] as const;

export class Recorder {
  readonly model = new Model();
  readonly patterns = new Patterns();
  readonly marks: DurableMark[] = [];
  /** Errors that operations ended with, by code: for the summary. */
  readonly refused = new Map<string, number>();
  /** Model node id → inode number of the volume. */
  readonly #inodes = new Map<number, number>([[1, ROOT_INODE]]);
  #openWrites: OpenWrite[] = [];
  /** Writes and truncations under way, by file. */
  readonly #busy = new Map<number, number>();
  readonly #truncating = new Set<number>();
  /** Places in the device log at which versions came to be. */
  readonly versionPositions: number[] = [0];
  #nextValue = 1;
  /** The volume has quotas. */
  countsUsage = false;
  unmounted = false;

  constructor(
    readonly device: RecordingDevice,
    readonly volume: Volume,
  ) {}

  #version(): void {
    this.model.commitVersion();
    this.versionPositions.push(this.device.log.length);
  }

  // ---- names: one transaction each ----

  #transaction(perform: (tx: Transaction) => void, succeeded: () => void): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.volume.execute({
        perform,
        finished: (thrown) => {
          if (thrown === undefined) {
            succeeded();
            this.#version();
            resolve(true);
          } else if (this.#isRefusal(thrown)) resolve(false);
          else reject(thrown);
        },
      });
      this.volume.submit();
    });
  }

  #isRefusal(thrown: unknown): boolean {
    if (!(thrown instanceof FsError) || thrown.code === 'EIO') return false;
    this.refused.set(thrown.code, (this.refused.get(thrown.code) ?? 0) + 1);
    return true;
  }

  #resolve(tx: Transaction, path: string): number {
    let inode = ROOT_INODE as number;
    for (const part of path.split('/')) {
      if (part === '') continue;
      inode = this.volume.lookup(tx, inode, encoder.encode(part));
      if (inode === 0) throw fsError('ENOENT');
    }
    return inode;
  }

  #entry(tx: Transaction, path: string): EntryPlace {
    const [parent, name] = this.#place(tx, path);
    return { parent, name };
  }

  #place(tx: Transaction, path: string): [parent: number, name: Uint8Array] {
    const parent = parentOf(path);
    return [this.#resolve(tx, parent), encoder.encode(path.slice(parent.length + 1))];
  }

  async #make(path: string, kind: 'file' | 'directory', mode: number): Promise<boolean> {
    const type = kind === 'file' ? FileType.regular : FileType.directory;
    let inode = 0;
    let made: NodeAttributes = { mode, attributes: '' };
    return this.#transaction(
      (tx) => {
        const [parent, name] = this.#place(tx, path);
        inode = this.volume.create(tx, parent, name, { mode: type | mode, deviceNumber: 0, caller: CALLER });
        made = attributesOf(this.volume, tx, inode);
      },
      () => this.#inodes.set(this.model.add(path, kind, made).id, inode),
    );
  }

  create(path: string, mode = 0o644): Promise<boolean> {
    return this.#make(path, 'file', mode);
  }

  mkdir(path: string, mode = 0o755): Promise<boolean> {
    return this.#make(path, 'directory', mode);
  }

  /** Makes a file without a name, fills it, and gives it one, if that is free. */
  async linkUnnamed(path: string, lengthBytes: number): Promise<boolean> {
    const { volume, model } = this;
    const request = { mode: FileType.regular | 0o644, deviceNumber: 0, caller: CALLER };
    let inode = 0;
    let attributes: NodeAttributes = { mode: 0, attributes: '' };
    const made = await this.#transaction(
      (tx) => {
        inode = volume.createUnnamed(tx, this.#resolve(tx, parentOf(path)), request);
        attributes = attributesOf(volume, tx, inode);
      },
      () => {},
    );
    if (!made) return false;
    const node = model.make(parentOf(path), 'file', attributes);
    const pattern = this.patterns.next();
    const change = model.beginChange(node.id, pattern, 0, lengthBytes, this.device.log.length);
    const thrown = await this.#send({ inode, offset: 0, length: lengthBytes, pattern }, (failure) => {
      if (failure === undefined) this.#endWrite(node.id, lengthBytes, change);
    });
    if (thrown !== undefined && !this.#isRefusal(thrown)) throw thrown;
    const linked =
      thrown === undefined &&
      (await this.#transaction(
        (tx) => volume.link(tx, inode, this.#entry(tx, path)),
        () => {
          model.names.set(path, node);
          this.#inodes.set(node.id, inode);
        },
      ));
    volume.forget(inode, 1);
    return linked;
  }

  symlink(target: string, path: string): Promise<boolean> {
    return this.#transaction(
      (tx) => {
        const [parent, name] = this.#place(tx, path);
        this.volume.symlink(tx, parent, name, { target: encoder.encode(target), caller: CALLER });
      },
      () => this.model.add(path, 'symlink', { mode: 0o777, attributes: '' }, target),
    );
  }

  link(from: string, to: string): Promise<boolean> {
    return this.#transaction(
      (tx) => {
        const [parent, name] = this.#place(tx, to);
        this.volume.link(tx, this.#resolve(tx, from), { parent, name });
      },
      () => this.model.link(from, to),
    );
  }

  unlink(path: string): Promise<boolean> {
    return this.#transaction(
      (tx) => this.volume.unlink(tx, ...this.#place(tx, path)),
      () => this.model.remove(path),
    );
  }

  rmdir(path: string): Promise<boolean> {
    return this.#transaction(
      (tx) => this.volume.removeDirectory(tx, ...this.#place(tx, path)),
      () => this.model.remove(path),
    );
  }

  rename(from: string, to: string): Promise<boolean> {
    return this.#transaction(
      (tx) => this.volume.rename(tx, this.#entry(tx, from), this.#entry(tx, to)),
      () => this.model.rename(from, to),
    );
  }

  /** A rename that leaves a device 0:0 in the old place. */
  whiteOut(from: string, to: string): Promise<boolean> {
    let happened = false;
    return this.#transaction(
      (tx) => {
        const [old, place] = [this.#entry(tx, from), this.#entry(tx, to)];
        const inode = this.volume.lookup(tx, old.parent, old.name);
        happened = inode !== this.volume.lookup(tx, place.parent, place.name);
        this.volume.rename(tx, old, place, { flags: RenameFlag.whiteout, caller: CALLER });
      },
      () => {
        if (!happened) return;
        this.model.rename(from, to);
        this.model.add(from, 'whiteout', { mode: 0, attributes: '' });
      },
    );
  }

  exchange(left: string, right: string): Promise<boolean> {
    return this.#transaction(
      (tx) =>
        this.volume.rename(tx, this.#entry(tx, left), this.#entry(tx, right), { flags: RenameFlag.exchange }),
      () => {
        if (this.model.get(left).id !== this.model.get(right).id) this.model.exchange(left, right);
      },
    );
  }

  chmod(path: string, mode: number): Promise<boolean> {
    return this.#changeAttributes(path, (tx, inode) => this.volume.changeAttributes(tx, inode, { mode }));
  }

  /** Of this many named users, whose permissions are others each time. */
  setAcl(path: string, name: 'access' | 'default', users: number): Promise<boolean> {
    const kind = this.#nextValue++ % 8;
    const named = Array.from(
      { length: Math.max(1, users) },
      (_, i) => `u:${i + 1}:${RIGHTS[(kind + i) % 8]}`,
    );
    const acl = aclBytes(`u::${RIGHTS[kind]},${named.join(',')},g::r-x,m::${RIGHTS[7 - kind]},o::---`);
    return this.#changeAttributes(path, (tx, inode) =>
      this.volume.setExtendedAttribute(tx, inode, {
        name: encoder.encode(`system.posix_acl_${name}`),
        value: acl,
      }),
    );
  }

  /** Another owner, which the model does not know of: the checker compares what he has. */
  give(path: string, uid: number): Promise<boolean> {
    return this.#transaction(
      (tx) => this.volume.changeAttributes(tx, this.#resolve(tx, path), { uid, gid: uid }),
      () => {},
    );
  }

  /** Limits of a user that nobody here meets: who asks is not limited. */
  async limit(uid: number, blocks: number): Promise<void> {
    try {
      await this.volume.quotas.setLimits(QuotaKind.user, uid, { softBlocks: blocks, hardInodes: blocks });
    } catch (thrown) {
      if (!this.#isRefusal(thrown)) throw thrown;
    }
  }

  /** Usage is counted from now on, or not any more; nothing else is under way. */
  async countUsage(kinds: readonly QuotaKind[]): Promise<void> {
    if (kinds.length > 0) await this.volume.quotas.turnOn(kinds);
    else await this.volume.quotas.turnOff();
  }

  /** @param flags of `FileFlag`: those that a new inode inherits whatever it is */
  setFlags(path: string, flags: number): Promise<boolean> {
    return this.#transaction(
      (tx) => this.volume.changeFlags(tx, this.#resolve(tx, path), { flags, projectId: flags }),
      () => this.model.changeFlags(path, flags),
    );
  }

  /** Sets an extended attribute to so many bytes of a kind that was not there before. */
  async setAttribute(path: string, name: string, lengthBytes: number): Promise<boolean> {
    const value = new Uint8Array(lengthBytes).fill(this.#nextValue++);
    return this.#changeAttributes(path, (tx, inode) =>
      this.volume.setExtendedAttribute(tx, inode, { name: encoder.encode(name), value }),
    );
  }

  removeAttribute(path: string, name: string): Promise<boolean> {
    return this.#changeAttributes(path, (tx, inode) =>
      this.volume.removeExtendedAttribute(tx, inode, encoder.encode(name)),
    );
  }

  #changeAttributes(path: string, change: (tx: Transaction, inode: number) => void): Promise<boolean> {
    let changed: NodeAttributes = { mode: 0, attributes: '' };
    return this.#transaction(
      (tx) => {
        const inode = this.#resolve(tx, path);
        change(tx, inode);
        changed = attributesOf(this.volume, tx, inode);
      },
      () => this.model.changeAttributes(path, changed),
    );
  }

  /** Makes the volume larger, as far as the device reaches. */
  async grow(stepBytes: number): Promise<boolean> {
    const { layout } = this.volume;
    const before = layout.blockCount;
    const sizeBytes = before * layout.blockBytes + stepBytes;
    await this.volume.grow(Math.min(sizeBytes, this.device.sizeBytes));
    return layout.blockCount > before;
  }

  /** Makes the volume smaller, when all else is over. */
  async shrink(stepBytes: number): Promise<boolean> {
    await this.sync();
    const { layout } = this.volume;
    try {
      await this.volume.shrink(layout.blockCount * layout.blockBytes - stepBytes);
      return true;
    } catch (thrown) {
      if (this.#isRefusal(thrown)) return false;
      throw thrown;
    }
  }

  /** Moves the file to where it lies in fewer pieces. Nothing that anybody sees changes. */
  async defragment(path: string): Promise<boolean> {
    if (this.#file(path) === undefined) return false;
    const inode = this.inodeOf(path);
    let movedBlocks = 0;
    try {
      for (let from = 0; Number.isFinite(from); ) {
        const range = await this.volume.defragment({ inode, from, dryRun: false });
        movedBlocks += range.movedBlocks;
        from = range.next;
      }
    } catch (thrown) {
      if (!this.#isRefusal(thrown)) throw thrown;
    }
    return movedBlocks > 0;
  }

  /** Tells the device of what is free, which nobody sees. */
  async trim(startBytes = 0, lengthBytes = Number.MAX_SAFE_INTEGER): Promise<number> {
    const { whole } = this.volume;
    const minimumBytes = 3 * this.volume.blockBytes;
    return await whole.trim({ startBytes, lengthBytes, minimumBytes });
  }

  async freeBlocks(): Promise<number> {
    const into = emptyStatistics();
    await this.volume.run((tx) => this.volume.statistics(tx, into));
    return into.freeBlocks;
  }

  /** Removes the file while the kernel holds it; the returned function gives it back. */
  async unlinkHeld(path: string): Promise<() => void> {
    if (this.#file(path) === undefined) return () => {};
    const inode = this.inodeOf(path);
    this.volume.acquire(inode);
    await this.unlink(path);
    return () => this.volume.forget(inode, 1);
  }

  // ---- data ----

  #file(path: string): ModelNode | undefined {
    const node = this.model.names.get(path);
    if (node?.kind === 'file') return node;
    this.refused.set('no such file', (this.refused.get('no such file') ?? 0) + 1);
    return undefined;
  }

  inodeOf(path: string): number {
    const inode = this.#inodes.get(this.model.get(path).id);
    if (inode === undefined) throw new Error(`${path} has no inode number`);
    return inode;
  }

  /** May the file be truncated now? Not while data is on its way: the order would be unknown. */
  isQuiet(path: string): boolean {
    const id = this.model.names.get(path)?.id ?? 0;
    return (this.#busy.get(id) ?? 0) === 0 && !this.#openWrites.some((open) => open.id === id);
  }

  isTruncating(path: string): boolean {
    return this.#truncating.has(this.model.names.get(path)?.id ?? 0);
  }

  #setBusy(id: number, change: number): void {
    this.#busy.set(id, (this.#busy.get(id) ?? 0) + change);
  }

  /** Writes a new pattern. */
  async write(path: string, offset: number, length: number, style: WriteStyle = {}): Promise<boolean> {
    const node = this.#file(path);
    if (!node) return false;
    const { id } = node;
    const endByte = offset + length;
    const pattern = this.patterns.next();
    const change = this.model.beginChange(id, pattern, offset, endByte, this.device.log.length);
    const open: OpenWrite = { id, endByte, change, answered: false };
    if (style.early) this.#openWrites.push(open);
    if (style.early || this.#mayBeRecordedInSteps(length)) this.#allowSizesBetween(id, endByte, length);
    this.#setBusy(id, 1);
    const inode = this.inodeOf(path);
    const thrown = await this.#send({ inode, offset, length, pattern, ...style }, (failure) => {
      if (failure !== undefined) this.#forgetOpen(open);
      else if (style.early) open.answered = true;
      else this.#endWrite(id, endByte, change);
    });
    if (thrown !== undefined && !this.#isRefusal(thrown)) throw thrown;
    if (thrown !== undefined) await this.#takeBack(open, inode);
    this.#setBusy(id, -1);
    return thrown === undefined;
  }

  #forgetOpen(refused: OpenWrite): void {
    this.#openWrites = this.#openWrites.filter((open) => open !== refused);
  }

  #endWrite(id: number, endByte: number, change: ContentChange): void {
    const { sizes } = this.model.sizeState(id);
    this.model.setSizes(
      id,
      sizes.map((size) => Math.max(size, endByte)),
    );
    change.endTick = ++this.model.tick;
    this.#version();
  }

  #mayBeRecordedInSteps(lengthBytes: number): boolean {
    const pieces = Math.ceil(lengthBytes / this.volume.blockBytes) + 1;
    const { journalBlocks: logBlocks } = this.volume.counters();
    return pieces > extentsPerStep(logBlocksOf({ logBlocks }, this.countsUsage).forAll);
  }

  /** Sizes that the file may have until the write is over. */
  #allowSizesBetween(id: number, endByte: number, lengthBytes: number): void {
    const { blockBytes } = this.volume;
    const before = this.model.sizeState(id).sizes;
    const sizes = [...before, ...before.map((size) => Math.max(size, endByte))];
    if (this.#mayBeRecordedInSteps(lengthBytes)) {
      const first = Math.floor(Math.min(...before) / blockBytes) + 1;
      for (let block = first; block * blockBytes < endByte; block++) sizes.push(block * blockBytes);
    }
    this.model.setSizes(id, sizes);
    this.#version();
  }

  /** A write was refused: the file is as before, or has grown by some of its pieces. */
  async #takeBack(refused: OpenWrite, inode: number): Promise<void> {
    const { id } = refused;
    const isAlone = () => this.#busy.get(id) === 1 && this.#openWrites.every((open) => open.id !== id);
    if (!isAlone()) return;
    const attributes = emptyAttributes();
    await this.volume.run((tx) => this.volume.readAttributes(tx, inode, attributes)).catch(() => {});
    if (attributes.inode !== inode || !isAlone()) return;
    this.model.setSizes(id, [attributes.sizeBytes]);
    this.#version();
  }

  #send(what: PatternWrite, ended: (thrown: unknown) => void): Promise<unknown> {
    const { inode, offset, length, pattern } = what;
    return new Promise((resolve) => {
      const memory = this.device.allocateMemory(length + 2 * this.volume.blockBytes + 8192);
      this.patterns.fill(memory.bytes.subarray(4096, 4096 + length), offset, pattern);
      const request: WriteRequest = {
        inode,
        offsetBytes: offset,
        lengthBytes: length,
        memory,
        memoryOffset: 4096,
        updateTimes: !what.keepTimes,
        killPrivileges: false,
        mayEndEarly: what.early ?? false,
        fromCache: false,
        finished: (thrown) => {
          ended(thrown);
          resolve(thrown);
        },
      };
      this.volume.write(request);
      this.volume.submit();
    });
  }

  /** A range becomes zeros: a hole, or unwritten. The file keeps its size. */
  async clear(path: string, action: 'punch' | 'zero', offset: number, lengthBytes: number): Promise<boolean> {
    const node = this.#file(path);
    if (!node) return false;
    const { model } = this;
    const change = model.beginChange(node.id, 0, offset, offset + lengthBytes, this.device.log.length);
    if (!(await this.#fallocate(path, action, offset, lengthBytes))) return false;
    change.endTick = ++model.tick;
    this.#version();
    return true;
  }

  /** Blocks for a range, wherever it ends: nothing that anybody sees changes. */
  keepSpace(path: string, offset: number, lengthBytes: number): Promise<boolean> {
    if (!this.#file(path)) return Promise.resolve(false);
    return this.#fallocate(path, 'allocate', offset, lengthBytes);
  }

  /** Without a change of the size. False if it was refused: it may be done in part. */
  async #fallocate(
    path: string,
    action: FallocateAction,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<boolean> {
    const { id } = this.model.get(path);
    const times = { updateTimes: true, killPrivileges: false };
    this.#setBusy(id, 1);
    try {
      const inode = this.inodeOf(path);
      await this.volume.fallocate({ inode, action, offsetBytes, lengthBytes, keepSize: true, ...times });
      return true;
    } catch (thrown) {
      if (!this.#isRefusal(thrown)) throw thrown;
      return false;
    } finally {
      this.#setBusy(id, -1);
    }
  }

  /** What the file holds now. */
  /** Nothing if the file is removed meanwhile. */
  async #contentOf(path: string): Promise<Uint8Array> {
    const inode = this.inodeOf(path);
    const attributes = emptyAttributes();
    try {
      await this.volume.run((tx) => this.volume.readAttributes(tx, inode, attributes));
      const { sizeBytes } = attributes;
      const [content] = await readContents(this.volume, this.device, [{ path, inode, sizeBytes }]);
      return content ?? NOTHING;
    } catch (thrown) {
      if (thrown instanceof FsError && thrown.code === 'ESTALE') return NOTHING;
      throw thrown;
    }
  }

  /** No data of these files may be on its way, and none comes in meanwhile. */
  async #holding(paths: readonly string[], action: () => Promise<boolean>): Promise<boolean> {
    if (!paths.every((path) => this.#file(path) !== undefined && this.isQuiet(path))) return false;
    const ids = new Set(paths.map((path) => this.model.get(path).id));
    for (const id of ids) {
      this.#setBusy(id, 1);
      this.#truncating.add(id);
    }
    try {
      return await action();
    } finally {
      for (const id of ids) {
        this.#setBusy(id, -1);
        this.#truncating.delete(id);
      }
    }
  }

  /**
   * Bytes of a file become those of another, or of another place in it. Does nothing if data of
   * either is on its way.
   */
  copy(from: FileRange, to: string, toBytes: number): Promise<boolean> {
    return this.#holding([from.path, to], async () => {
      const inodes = { from: this.inodeOf(from.path), to: this.inodeOf(to) };
      const { id } = this.model.get(to);
      const end = from.offsetBytes + from.lengthBytes;
      const content = (await this.#contentOf(from.path)).subarray(from.offsetBytes, end);
      if (content.length === 0) return false;
      const endByte = toBytes + content.length;
      const pattern = this.patterns.literal(toBytes, content);
      const change = this.model.beginChange(id, pattern, toBytes, endByte, this.device.log.length);
      // A short one is answered early, and each stretch of data is a write.
      const open: OpenWrite = { id, endByte, change, answered: false };
      this.#openWrites.push(open);
      this.#allowSizesOfCopy(id, toBytes, endByte, from.offsetBytes);
      const style = { updateTimes: true, killPrivileges: false };
      const request = { ...inodes, fromBytes: from.offsetBytes, toBytes, lengthBytes: content.length };
      const done = await this.volume.copyRange({ ...request, ...style }).catch((thrown: unknown) => {
        if (!this.#isRefusal(thrown)) throw thrown;
        return 0;
      });
      open.answered = done === content.length;
      if (open.answered) return true;
      this.#forgetOpen(open);
      await this.#takeBack(open, inodes.to);
      return false;
    });
  }

  /** Between the stretches of a copy, and between the pieces of one. */
  #allowSizesOfCopy(id: number, toBytes: number, endByte: number, fromBytes: number): void {
    const { blockBytes } = this.volume;
    const sizes = new Set(this.model.sizeState(id).sizes);
    const smallest = Math.min(...sizes);
    const ends = [endByte];
    for (let at = toBytes - (toBytes % blockBytes); at < endByte; at += blockBytes) ends.push(at);
    for (let at = toBytes - (fromBytes % blockBytes); at < endByte; at += blockBytes) ends.push(at);
    for (const end of ends) if (end > smallest) sizes.add(end);
    this.model.setSizes(id, sizes);
    this.#version();
  }

  /**
   * Takes a range out of the file, or puts a hole into it. Does nothing if data of the file is on
   * its way. After a crash the hole may be anywhere behind, and the end where it was or will be.
   */
  shift(path: string, action: 'collapse' | 'insert', offset: number, lengthBytes: number): Promise<boolean> {
    return this.#holding([path], async () => {
      const { model, patterns } = this;
      const { id } = model.get(path);
      const before = await this.#contentOf(path);
      if (model.names.get(path)?.id !== id) return false;
      const isCollapse = action === 'collapse';
      const sizeBytes = before.length + (isCollapse ? -lengthBytes : lengthBytes);
      if (isCollapse ? offset + lengthBytes >= before.length : offset >= before.length) return false;
      const rest = new Uint8Array(sizeBytes - offset);
      if (isCollapse) rest.set(before.subarray(offset + lengthBytes));
      else rest.set(before.subarray(offset), lengthBytes);
      const position = this.device.log.length;
      const passing = model.beginChange(id, 0, offset, Number.MAX_SAFE_INTEGER, position);
      const literal = patterns.literal(offset, rest);
      const changes = [
        model.beginChange(id, literal, offset, sizeBytes, position),
        model.beginChange(id, 0, sizeBytes, Number.MAX_SAFE_INTEGER, position),
      ];
      const { truncations } = model.sizeState(id);
      model.setSizes(id, [before.length, sizeBytes], truncations + 1);
      this.#version();
      if (!(await this.#fallocate(path, action, offset, lengthBytes))) return false;
      model.setSizes(id, [sizeBytes]);
      passing.goneTick = ++model.tick;
      for (const change of changes) change.endTick = model.tick;
      this.#version();
      return true;
    });
  }

  /**
   * Blocks for a range behind the end, which becomes longer by it. Does nothing if data of
   * the file is on its way.
   */
  preallocate(path: string, lengthBytes: number): Promise<boolean> {
    const node = this.model.names.get(path);
    const size = node ? this.model.largestSize(node.id) : 0;
    return this.truncate(path, size + lengthBytes, (inode) =>
      this.volume.preallocate(inode, size, lengthBytes),
    );
  }

  /**
   * Does nothing if data of the file is on its way.
   * @param how does it, if not by a truncation
   */
  async truncate(
    path: string,
    sizeBytes: number,
    how = (inode: number) => this.volume.setSize(inode, sizeBytes, false),
  ): Promise<boolean> {
    const node = this.#file(path);
    if (!node || !this.isQuiet(path)) return false;
    const { id } = node;
    const { model } = this;
    const { sizes, truncations } = model.sizeState(id);
    const position = this.device.log.length;
    const change = model.beginChange(id, 0, sizeBytes, Number.MAX_SAFE_INTEGER, position);
    model.setSizes(id, [...sizes, sizeBytes], truncations + 1);
    this.#version();
    this.#setBusy(id, 1);
    this.#truncating.add(id);
    try {
      await how(this.inodeOf(path));
    } catch (thrown) {
      if (!this.#isRefusal(thrown)) throw thrown;
      model.setSizes(id, sizes);
      this.#version();
      return false;
    } finally {
      this.#setBusy(id, -1);
      this.#truncating.delete(id);
    }
    model.setSizes(id, [sizeBytes]);
    change.endTick = ++model.tick;
    this.#version();
    return true;
  }

  // ---- durability ----

  /** fsync, fdatasync, fsyncdir and syncfs arrive at a volume as this one call. */
  async sync(dataOnly = false): Promise<void> {
    const version = this.model.versions.length - 1;
    const waited = this.#openWrites.filter((open) => open.answered);
    const done = this.#changesOver();
    // An open write keeps truncations away, so that their number now is that of its time.
    const floors = waited.map(({ id, endByte: sizeBytes }) => ({
      id,
      sizeBytes,
      truncations: this.model.sizeState(id).truncations,
    }));
    try {
      await this.volume.sync(undefined, dataOnly);
    } catch (thrown) {
      // A write answered early found no space for its record: nothing is promised.
      if (this.#isRefusal(thrown)) return;
      throw thrown;
    }
    const position = this.device.log.length;
    for (const change of done) change.durablePosition = Math.min(change.durablePosition, position);
    this.#endOpenWrites(waited, position);
    const last = this.marks.at(-1);
    this.marks.push({
      position,
      version: Math.max(version, last?.version ?? 0),
      floors: [...(last?.floors ?? []), ...floors],
    });
  }

  #changesOver(): ContentChange[] {
    return [...this.model.contents.values()].flat().filter(({ endTick }) => endTick <= this.model.tick);
  }

  /** Unmounts, which is a sync too. */
  async unmount(): Promise<void> {
    this.unmounted = true;
    const version = this.model.versions.length - 1;
    const open = this.#openWrites;
    // What found no space is promised to nobody, and nothing else is known to be durable.
    if (!(await this.#unmountLosing())) return;
    const position = this.device.log.length;
    for (const change of this.#changesOver()) {
      change.durablePosition = Math.min(change.durablePosition, position);
    }
    this.#endOpenWrites(open, position);
    this.marks.push({ position, version: Math.max(version, this.model.versions.length - 1), floors: [] });
  }

  /** Ends the live volume after the recording. */
  async abandon(): Promise<void> {
    if (!this.unmounted) await this.#unmountLosing();
  }

  /** False if a write answered early is lost, because there was no space for its record. */
  async #unmountLosing(): Promise<boolean> {
    try {
      await this.volume.unmount();
      return true;
    } catch (thrown) {
      if (thrown instanceof LostDataError && this.#isRefusal(thrown)) return false;
      throw thrown;
    }
  }

  #endOpenWrites(ended: readonly OpenWrite[], position: number): void {
    const open = ended.filter((write) => this.#openWrites.includes(write));
    if (open.length === 0) return;
    this.#openWrites = this.#openWrites.filter((write) => !open.includes(write));
    for (const { id, endByte, change } of open) {
      change.durablePosition = position;
      this.model.setSizes(
        id,
        this.model.sizeState(id).sizes.filter((size) => size >= endByte),
      );
    }
    this.model.tick++;
    for (const { change } of open) change.endTick = this.model.tick;
    this.#version();
  }
}
