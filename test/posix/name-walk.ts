/**
 * System calls onto a filesystem that knows inodes only: a stand-in for what the kernel does above
 * it, and no more than that. It walks paths, holds a reference to each inode that it was told of
 * and gives it back, and says of a write or a truncation that it comes from an ordinary user. It
 * checks nothing, so that every errno is the filesystem's own.
 */
import type { SetMode } from '../../src/fs/base/filesystem.ts';
import type {
  Access,
  Calls,
  Device,
  Entry,
  OpenFile,
  OpenFlag,
  Quotas,
  RangeChange,
  Space,
  Status,
  TimeToSet,
  User,
} from './calls.ts';
import { PosixError, Type } from './calls.ts';
import type { SetClock } from './set-clock.ts';

export interface NodeChanges {
  readonly mode?: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly access?: TimeToSet;
  readonly modify?: TimeToSet;
  /** Set-user-id and set-group-id are lost by it, as they are by chown(2). */
  readonly kill?: boolean;
}

export interface NodeRange {
  readonly change: RangeChange;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly keepSize: boolean;
}

/** Two inodes, from where in the one to where in the other, and how much. */
export interface NodeCopy {
  readonly source: number;
  readonly target: number;
  readonly from: number;
  readonly to: number;
  readonly lengthBytes: number;
}

/** A filesystem as the kernel sees it. An inode that is answered is a reference, for `forget`. */
export interface Nodes {
  /** 0 if there is no such name. */
  lookup(parent: number, name: Buffer): Promise<number>;
  forget(inode: number): void;
  status(inode: number): Promise<Status>;
  change(inode: number, changes: NodeChanges): Promise<void>;
  /** @param kill set-user-id and set-group-id are lost by it, as they are by a write */
  resize(inode: number, sizeBytes: number, kill: boolean): Promise<void>;
  make(parent: number, name: Buffer, mode: number, device: Device, user: User): Promise<number>;
  /** A regular file without a name. */
  makeUnnamed(parent: number, mode: number, user: User): Promise<number>;
  symlink(parent: number, name: Buffer, target: Buffer, user: User): Promise<number>;
  readlink(inode: number): Promise<Buffer>;
  /** The answer's reference is given back already. */
  link(inode: number, parent: number, name: Buffer): Promise<void>;
  unlink(parent: number, name: Buffer): Promise<void>;
  rmdir(parent: number, name: Buffer): Promise<void>;
  rename(
    parent: number,
    name: Buffer,
    newParent: number,
    newName: Buffer,
    flags: number,
    user: User,
  ): Promise<void>;
  flags(inode: number): Promise<number>;
  setFlags(inode: number, flags: number): Promise<void>;
  read(inode: number, offset: number, lengthBytes: number): Promise<Buffer>;
  write(inode: number, offset: number, data: Uint8Array, kill: boolean): Promise<void>;
  fallocate(inode: number, range: NodeRange, user: User): Promise<void>;
  seek(inode: number, offset: number, target: 'data' | 'hole'): Promise<number>;
  copy(copy: NodeCopy, user: User): Promise<number>;
  list(inode: number, cookie: bigint, bufferBytes: number): Promise<Entry[]>;
  sync(inode: number): Promise<void>;
  attribute(inode: number, name: Buffer): Promise<Buffer>;
  attributes(inode: number): Promise<string[]>;
  setAttribute(inode: number, name: Buffer, value: Uint8Array, mode: SetMode): Promise<void>;
  removeAttribute(inode: number, name: Buffer): Promise<void>;
  statfs(): Promise<Space>;
}

const NO_DEVICE: Device = { major: 0, minor: 0 };
const ENOENT = 2;

function losesSetId({ uid }: User): boolean {
  return uid !== 0;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

class HeldNode implements OpenFile {
  constructor(
    readonly calls: NodeCalls,
    readonly inode: number,
  ) {}

  get #nodes(): Nodes {
    return this.calls.nodes;
  }

  read(offset: number, lengthBytes: number): Promise<Buffer> {
    return this.#nodes.read(this.inode, offset, lengthBytes);
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.#nodes.write(this.inode, offset, data, losesSetId(this.calls.user));
  }

  status(): Promise<Status> {
    return this.#nodes.status(this.inode);
  }

  fallocate(change: RangeChange, offset: number, lengthBytes: number, keepSize: boolean): Promise<void> {
    return this.#nodes.fallocate(this.inode, { change, offset, lengthBytes, keepSize }, this.calls.user);
  }

  seek(offset: number, target: 'data' | 'hole'): Promise<number> {
    return this.#nodes.seek(this.inode, offset, target);
  }

  copyTo(target: OpenFile, from: number, to: number, lengthBytes: number): Promise<number> {
    if (!(target instanceof HeldNode)) throw new Error('a file of another harness');
    const copy = { source: this.inode, target: target.inode, from, to, lengthBytes };
    return this.#nodes.copy(copy, this.calls.user);
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#nodes.resize(this.inode, sizeBytes, losesSetId(this.calls.user));
  }

  chmod(mode: number): Promise<void> {
    return this.#nodes.change(this.inode, { mode });
  }

  utimens(access: TimeToSet, modify: TimeToSet): Promise<void> {
    return this.#nodes.change(this.inode, { access, modify });
  }

  link(path: string, directory?: OpenFile): Promise<void> {
    const calls = directory === undefined ? this.calls : this.calls.at(directory);
    return calls.withParent(path, (parent, name) => this.#nodes.link(this.inode, parent, name));
  }

  list(cookie: bigint, bufferBytes: number): Promise<Entry[]> {
    return this.#nodes.list(this.inode, cookie, bufferBytes);
  }

  sync(): Promise<void> {
    return this.#nodes.sync(this.inode);
  }

  async dropCache(): Promise<void> {}

  async close(): Promise<void> {
    this.#nodes.forget(this.inode);
  }
}

/** What the calls have beside the inodes. */
export interface Surroundings {
  readonly clock: SetClock;
  readonly quotas: Quotas;
}

export class NodeCalls implements Calls {
  constructor(
    readonly nodes: Nodes,
    readonly surroundings: Surroundings,
    readonly base: number,
    readonly user: User,
  ) {}

  get quotas(): Quotas {
    return this.surroundings.quotas;
  }

  get clock(): SetClock {
    return this.surroundings.clock;
  }

  as(user: Partial<User>): Calls {
    return new NodeCalls(this.nodes, this.surroundings, this.base, { ...this.user, ...user });
  }

  at(directory: OpenFile): NodeCalls {
    if (!(directory instanceof HeldNode)) throw new Error('a directory of another harness');
    return new NodeCalls(this.nodes, this.surroundings, directory.inode, this.user);
  }

  /** Works on the inode at the end of these names, and lets go of all of them. */
  async #walk<T>(names: readonly string[], work: (inode: number) => Promise<T>): Promise<T> {
    const held: number[] = [];
    try {
      for (const name of names) {
        const inode = await this.nodes.lookup(held.at(-1) ?? this.base, bytesOf(name));
        if (inode === 0) throw new PosixError(ENOENT, names.join('/'));
        held.push(inode);
      }
      return await work(held.at(-1) ?? this.base);
    } finally {
      for (const inode of held) this.nodes.forget(inode);
    }
  }

  #withNode<T>(path: string, work: (inode: number) => Promise<T>): Promise<T> {
    return this.#walk(
      path.split('/').filter((name) => name !== ''),
      work,
    );
  }

  withParent<T>(path: string, work: (parent: number, name: Buffer) => Promise<T>): Promise<T> {
    const names = path.split('/').filter((name) => name !== '');
    const last = names.pop() ?? '';
    return this.#walk(names, (parent) => work(parent, bytesOf(last)));
  }

  async #made(inode: Promise<number>): Promise<void> {
    this.nodes.forget(await inode);
  }

  mkdir(path: string, mode = 0o755): Promise<void> {
    return this.mknod(path, Type.directory | mode);
  }

  mknod(path: string, mode: number, device = NO_DEVICE): Promise<void> {
    return this.withParent(path, (parent, name) =>
      this.#made(this.nodes.make(parent, name, mode, device, this.user)),
    );
  }

  symlink(target: string, path: string): Promise<void> {
    return this.withParent(path, (parent, name) =>
      this.#made(this.nodes.symlink(parent, name, bytesOf(target), this.user)),
    );
  }

  readlink(path: string): Promise<string> {
    return this.#withNode(path, async (inode) => (await this.nodes.readlink(inode)).toString('latin1'));
  }

  link(from: string, to: string): Promise<void> {
    return this.#withNode(from, (inode) =>
      this.withParent(to, (parent, name) => this.nodes.link(inode, parent, name)),
    );
  }

  unlink(path: string): Promise<void> {
    return this.withParent(path, (parent, name) => this.nodes.unlink(parent, name));
  }

  rmdir(path: string): Promise<void> {
    return this.withParent(path, (parent, name) => this.nodes.rmdir(parent, name));
  }

  rename(from: string, to: string, flags = 0): Promise<void> {
    return this.withParent(from, (parent, name) =>
      this.withParent(to, (newParent, newName) =>
        this.nodes.rename(parent, name, newParent, newName, flags, this.user),
      ),
    );
  }

  renameInto(directory: OpenFile, from: string, to: string): Promise<void> {
    return this.withParent(from, (parent, name) =>
      this.at(directory).withParent(to, (newParent, newName) =>
        this.nodes.rename(parent, name, newParent, newName, 0, this.user),
      ),
    );
  }

  status(path: string): Promise<Status> {
    return this.#withNode(path, (inode) => this.nodes.status(inode));
  }

  statusBehind(path: string): Promise<Status> {
    return this.status(path);
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#withNode(path, (inode) => this.nodes.change(inode, { mode }));
  }

  chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void> {
    return this.#withNode(path, async (inode) => {
      const kill = (await this.nodes.status(inode)).type !== Type.directory;
      await this.nodes.change(inode, { uid, gid, kill });
    });
  }

  utimens(path: string, access: TimeToSet, modify: TimeToSet): Promise<void> {
    return this.#withNode(path, (inode) => this.nodes.change(inode, { access, modify }));
  }

  truncate(path: string, sizeBytes: number): Promise<void> {
    return this.#withNode(path, (inode) => this.nodes.resize(inode, sizeBytes, losesSetId(this.user)));
  }

  flags(path: string): Promise<number> {
    return this.#withNode(path, (inode) => this.nodes.flags(inode));
  }

  setFlags(path: string, flags: number): Promise<void> {
    return this.#withNode(path, (inode) => this.nodes.setFlags(inode, flags));
  }

  async open(
    path: string,
    _access: Access,
    flags: readonly OpenFlag[] = [],
    mode = 0o644,
  ): Promise<OpenFile> {
    if (flags.includes('unnamed')) {
      return this.#withNode(
        path === '.' ? '' : path,
        async (parent) => new HeldNode(this, await this.nodes.makeUnnamed(parent, mode, this.user)),
      );
    }
    if (flags.includes('create')) await this.#create(path, mode, flags.includes('exclusive'));
    const file = await this.withParent(path, async (parent, name) => {
      const inode = await this.nodes.lookup(parent, name.length === 0 ? bytesOf('.') : name);
      if (inode === 0) throw new PosixError(ENOENT, path);
      return new HeldNode(this, inode);
    });
    if (flags.includes('truncate')) await file.truncate(0);
    return file;
  }

  async #create(path: string, mode: number, exclusive: boolean): Promise<void> {
    try {
      await this.mknod(path, Type.regular | mode);
    } catch (thrown) {
      const exists = thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST';
      if (exclusive || !exists) throw thrown;
    }
  }

  statfs(): Promise<Space> {
    return this.nodes.statfs();
  }

  attribute(path: string, name: string): Promise<Buffer> {
    return this.#withNode(path, (inode) => this.nodes.attribute(inode, bytesOf(name)));
  }

  attributes(path: string): Promise<string[]> {
    return this.#withNode(path, async (inode) => (await this.nodes.attributes(inode)).sort());
  }

  setAttribute(path: string, name: string, value: Uint8Array, mode: SetMode = 'any'): Promise<void> {
    return this.#withNode(path, (inode) => this.nodes.setAttribute(inode, bytesOf(name), value, mode));
  }

  removeAttribute(path: string, name: string): Promise<void> {
    return this.#withNode(path, (inode) => this.nodes.removeAttribute(inode, bytesOf(name)));
  }

  makeNamed(name: string): Promise<void> {
    return this.#made(this.nodes.make(this.base, bytesOf(name), Type.regular | 0o644, NO_DEVICE, this.user));
  }

  async tick(): Promise<void> {
    this.clock.advance();
  }

  async now(): Promise<bigint> {
    return this.clock.nowNs;
  }
}
