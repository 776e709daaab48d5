/**
 * What the volume has to say: a tree of inodes with attributes, and the rules of Linux by which
 * calls change them.
 *
 * Nothing here asks the mount. Where a call leaves something open (a time within the call, whether
 * a cached read moves the time of access), the model holds all that may be (`Moment`); what was
 * told once is what must be told again (`learn`).
 */
import { Content } from './content.ts';
import { Moment, type Span } from './moment.ts';
import type { User } from './worker.ts';

export type Kind = 'file' | 'directory' | 'symlink' | 'fifo';
/** How a mount moves times of access. */
export type AccessRule = 'relatime' | 'strictatime' | 'noatime';

export const SET_USER = 0o4000;
export const SET_GROUP = 0o2000;
const GROUP_EXECUTE = 0o010;
const DAY = 86_400_000_000_000n;
/** Longest file whose bytes may lie in the inode. */
const INLINE_BYTES = 336;

/** Bits of `statx`, as linux/stat.h has them. */
export const Field = {
  mode: 0x3,
  links: 0x4,
  uid: 0x8,
  gid: 0x10,
  accessed: 0x20,
  modified: 0x40,
  changed: 0x80,
  number: 0x100,
  size: 0x200,
  blocks: 0x400,
  born: 0x800,
} as const;

export class Inode {
  readonly id: number;
  readonly kind: Kind;
  mode: number;
  uid: number;
  gid: number;
  links = 1;
  readonly accessed: Moment;
  readonly modified: Moment;
  readonly changed: Moment;
  readonly born: Moment;
  /** Of a file. */
  readonly content = new Content();
  /** Of a symlink. */
  readonly target: string;
  /** Of a directory. */
  readonly entries = new Map<string, Inode>();
  parent: Inode | undefined;
  /** Extended attributes but for ACLs. */
  readonly attributes = new Map<string, Uint8Array>();
  /**
   * What the access ACL says beside the mode: the permissions of one named user, whom no call is
   * made by, and of the group, whose bits of the mode are the mask.
   */
  acl: { readonly user: number; readonly group: number } | undefined;
  /** What was told, and must be told again until the inode changes. */
  number: bigint | undefined;
  blocks: bigint | undefined;
  directorySize: bigint | undefined;
  /** Written through the page cache, and not flushed: the filesystem need not have heard of it. */
  mayBeUnflushed = false;
  /** Writes through the page cache so far, and those of them that have not returned. */
  writesBegun = 0;
  writesUnderWay = 0;
  /** The end was moved by a write that is not flushed. */
  sizeMayBeUnflushed = false;
  /** Nothing of it is cached: the next read is seen by the filesystem. */
  isCold = false;
  /** A READ of the kernel's own may still be on its way to the filesystem. */
  mayBeReadAhead = false;
  /**
   * A page was read to write a part of it. The filesystem takes that for an access, of which the
   * kernel's attributes do not learn: until it forgets the inode, the time of access may be told as
   * before or as moved, in turn.
   */
  mayHaveTwoAccessTimes = false;
  /** As `name_to_handle_at` told it. */
  handle = '';

  constructor(id: number, kind: Kind, mode: number, owner: User, born: Span, target = '') {
    this.id = id;
    this.kind = kind;
    this.mode = mode;
    this.uid = owner.uid;
    this.gid = owner.gid;
    this.target = target;
    if (kind === 'directory') this.links = 2;
    [this.accessed, this.modified, this.changed, this.born] = [
      new Moment(born),
      new Moment(born),
      new Moment(born),
      new Moment(born),
    ];
  }

  get size(): number {
    return this.kind === 'symlink' ? this.target.length : this.content.size;
  }

  /** What may have changed is forgotten: counts of blocks, and that nothing is cached. */
  disturb(): void {
    this.blocks = undefined;
    this.directorySize = undefined;
    this.isCold = false;
  }

  /** Mode, owner, links or name changed. */
  attributesChanged(span: Span, batch: number): void {
    this.disturb();
    this.changed.set(span, batch);
  }

  contentChanged(span: Span, batch: number): void {
    this.attributesChanged(span, batch);
    this.modified.set(span, batch);
  }

  /** The set-user-id and set-group-id bits after somebody has written or truncated. */
  dropSetIds(user: User): void {
    if (user.uid === 0) return;
    const isMember = user.gid === this.gid;
    if (this.mode & SET_GROUP && (this.mode & GROUP_EXECUTE || !isMember)) this.mode &= ~SET_GROUP;
    this.mode &= ~SET_USER;
  }

  /**
   * The bits after `chown` by root, which clears them of files and spares those of mandatory
   * locking.
   */
  dropSetIdsAtChown(): void {
    if (this.kind === 'directory') return;
    this.mode &= ~SET_USER;
    if (this.mode & GROUP_EXECUTE) this.mode &= ~SET_GROUP;
  }

  /** A part of a page was written, and the rest read for it, perhaps. */
  wasReadToWrite(rule: AccessRule, span: Span, batch: number): void {
    this.wasRead(rule, span, batch, false);
    this.mayBeReadAhead = true;
    this.mayHaveTwoAccessTimes = true;
  }

  /** Nothing of it is in the kernel's memory. */
  forgotten(): void {
    this.isCold = true;
    this.mayBeReadAhead = false;
    this.mayHaveTwoAccessTimes = false;
  }

  /**
   * It was read through the page cache: what the kernel reads beyond, it reads when the caller may
   * have gone on.
   */
  wasReadThroughCache(): void {
    this.mayBeReadAhead = true;
  }

  /** Somebody read it. @param reachesFilesystem whether it cannot have been answered by a cache */
  wasRead(rule: AccessRule, span: Span, batch: number, reachesFilesystem: boolean): void {
    if (rule === 'noatime') return;
    const changed = [this.modified, this.changed];
    const isOld = (accessed: bigint, now: bigint) => accessed <= now - DAY;
    const must =
      rule === 'strictatime' ||
      changed.some(({ earliest }) => this.accessed.latest <= earliest) ||
      isOld(this.accessed.latest, span.from);
    const may =
      must ||
      changed.some(({ latest }) => this.accessed.earliest <= latest) ||
      isOld(this.accessed.earliest, span.to);
    if (must && reachesFilesystem) this.accessed.set(span, batch);
    else if (may) this.accessed.perhaps(span, batch);
  }

  /** Least and most of `st_blocks` before they were told. */
  blockBounds(blockBytes: number): { least: number; most: number } {
    const { content } = this;
    const isInline = content.size <= INLINE_BYTES;
    const least = this.mayBeUnflushed || isInline ? 0 : content.writtenBytes(blockBytes) / 512;
    const most = (content.mostBytes(Math.max(4096, blockBytes)) * 5) / 4 / 512 + 256;
    return { least, most };
  }

  may(user: User, wanted: number): boolean {
    if (user.uid === 0) return true;
    const isMember = user.uid !== this.uid && user.gid === this.gid;
    const shift = user.uid === this.uid ? 6 : isMember ? 3 : 0;
    const mask = isMember && this.acl ? this.acl.group : 7;
    return ((this.mode >> shift) & mask & wanted) === wanted;
  }
}

/** An open file of a worker; keeps its inode alive. */
export interface Held {
  readonly worker: number;
  readonly slot: number;
  readonly inode: Inode;
  readonly isDirect: boolean;
  readonly isAppend: boolean;
  readonly text: string;
  /** Bytes of a mapping that stays; 0 without. */
  mappedBytes: number;
}

function byName([left]: [string, unknown], [right]: [string, unknown]): number {
  return left < right ? -1 : 1;
}

/**
 * A path names what is not there, or not of the right kind: a step that was left out is missing.
 */
export class NotApplicable extends Error {}

export class Model {
  readonly root: Inode;
  readonly held = new Map<string, Held>();
  /** Handles of inodes that nothing refers to any more. */
  readonly deadHandles: string[] = [];
  #nextId = 1;

  constructor(born: Span) {
    this.root = this.make('directory', 0o755, { uid: 0, gid: 0 }, born);
  }

  make(kind: Kind, mode: number, owner: User, born: Span, target = ''): Inode {
    return new Inode(this.#nextId++, kind, mode, owner, born, target);
  }

  find(path: string): Inode | undefined {
    let inode: Inode | undefined = this.root;
    for (const name of path.split('/').filter((part) => part !== '')) inode = inode?.entries.get(name);
    return inode;
  }

  /** @throws NotApplicable */
  at(path: string, kind?: Kind): Inode {
    const inode = this.find(path);
    if (!inode || (kind && inode.kind !== kind)) throw new NotApplicable(path);
    return inode;
  }

  /** The directory of a path and the last name. @throws NotApplicable */
  place(path: string): { directory: Inode; name: string } {
    const cut = path.lastIndexOf('/');
    return { directory: this.at(path.slice(0, Math.max(cut, 0)), 'directory'), name: path.slice(cut + 1) };
  }

  /**
   * Every name with its inode, directories before what is in them; the root is ''. The order is
   * that of the names, not that in which steps of a batch happened to end.
   */
  *names(from = this.root, path = ''): Generator<[string, Inode]> {
    yield [path, from];
    for (const [name, inode] of [...from.entries].sort(byName))
      yield* this.names(inode, path ? `${path}/${name}` : name);
  }

  /** Every inode that has a name, with one of them. */
  named(): Map<Inode, string> {
    const found = new Map<Inode, string>();
    for (const [path, inode] of this.names()) if (!found.has(inode)) found.set(inode, path);
    return found;
  }

  /** Whether somebody may pass through all directories of a path. */
  reaches(path: string, user: User): boolean {
    const parts = path.split('/').slice(0, -1);
    return [this.root, ...parts.map((_, i) => this.find(parts.slice(0, i + 1).join('/')))].every(
      (directory) => directory?.may(user, 1) ?? false,
    );
  }

  /** Open files, in the order of their workers and slots. */
  allHeld(): Held[] {
    return [...this.held].sort(byName).map(([, held]) => held);
  }

  isHeld(inode: Inode): boolean {
    return this.allHeld().some((held) => held.inode === inode);
  }

  /** A new name in a directory. */
  enter(path: string, inode: Inode, span: Span, batch: number): void {
    const { directory, name } = this.place(path);
    directory.entries.set(name, inode);
    if (inode.kind === 'directory') {
      directory.links++;
      inode.parent = directory;
    }
    directory.contentChanged(span, batch);
  }

  /** A name goes; the inode lives on if it has others or is open. */
  leave(path: string, span: Span, batch: number): Inode {
    const { directory, name } = this.place(path);
    const inode = this.at(path);
    directory.entries.delete(name);
    if (inode.kind === 'directory') {
      directory.links--;
      inode.parent = undefined;
    }
    directory.contentChanged(span, batch);
    return inode;
  }

  /** An inode has lost a name for good. */
  unlinked(inode: Inode, span: Span, batch: number): void {
    inode.links = inode.kind === 'directory' ? 0 : inode.links - 1;
    inode.attributesChanged(span, batch);
    this.noteDead(inode);
  }

  /** Keeps the handle of an inode that is gone, to see that it opens nothing. */
  noteDead(inode: Inode): void {
    if (inode.links === 0 && inode.handle && !this.isHeld(inode)) this.deadHandles.push(inode.handle);
  }
}
