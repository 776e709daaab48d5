/**
 * An open file of a volume: an inode that is held, the flags of open(2), and a place to go on from.
 *
 * What goes on from the place waits for what did before it; everything else may overlap. `close`
 * waits for what is under way.
 */
import { fsError } from '../fs/base/errors.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import type { Transaction } from '../fs/transaction/transaction.ts';
import { O } from './arguments.ts';
import { endsWithSlash, hasNoName, type WalkEnd, withoutSlashes } from './path-walk.ts';
import type { Closable, ProgramSession } from './session.ts';

const ACCESS = O.WRONLY | O.RDWR;

/** What open(2) is asked for. */
export interface OpenRequest {
  readonly path: Uint8Array;
  /** For messages. */
  readonly text: string;
  readonly flags: number;
  /** Of a new file, before the umask. */
  readonly mode: number;
}

/** @throws errors of node:fs, as open(2) has them */
export async function openNode(session: ProgramSession, request: OpenRequest): Promise<OpenNode> {
  const { flags, text } = request;
  const site = { syscall: 'open', path: text };
  let isNew = false;
  const inode = await session.hold(site, (tx) => {
    isNew = false;
    if ((flags & O.CREAT) !== 0 && endsWithSlash(request.path)) {
      session.walk.to(tx, withoutSlashes(request.path), false);
      throw fsError('EISDIR');
    }
    const follow = (flags & O.NOFOLLOW) === 0 && !isExclusive(flags);
    const end = session.walk.to(tx, request.path, follow);
    if (end.inode !== 0) return openExisting(session, end, flags);
    isNew = true;
    return makeFile(session, tx, end, request);
  });
  const node = new OpenNode(session, inode, flags);
  if (isNew || (flags & O.TRUNC) === 0 || !node.mayWrite) return node;
  try {
    await session.attempt(site, () => session.volume.setSize(inode, 0, session.losesSetId));
    return node;
  } catch (thrown) {
    await node.close();
    throw thrown;
  }
}

function isExclusive(flags: number): boolean {
  return (flags & O.CREAT) !== 0 && (flags & O.EXCL) !== 0;
}

function openExisting(session: ProgramSession, end: WalkEnd, flags: number): number {
  const writes = (flags & ACCESS) !== 0;
  if (isExclusive(flags)) throw fsError('EEXIST');
  if (end.type === FileType.symlink) throw fsError('ELOOP');
  if (end.type === FileType.directory) {
    if (writes || (flags & (O.CREAT | O.TRUNC)) !== 0) throw fsError('EISDIR');
    return end.inode;
  }
  if ((flags & O.DIRECTORY) !== 0) throw fsError('ENOTDIR');
  // Devices, FIFOs and sockets are names here, with nothing behind them.
  if (end.type !== FileType.regular) throw fsError('ENXIO');
  if (writes && session.volume.readOnly) throw fsError('EROFS');
  return end.inode;
}

function makeFile(session: ProgramSession, tx: Transaction, end: WalkEnd, request: OpenRequest): number {
  if ((request.flags & O.CREAT) === 0) throw fsError('ENOENT');
  if (end.isDirectoryPath || hasNoName(end)) throw fsError('EISDIR');
  const mode = FileType.regular | request.mode;
  const { volume, caller } = session;
  return volume.create(tx, end.parent, end.name, { mode, deviceNumber: 0, caller });
}

export class OpenNode implements Closable {
  readonly session: ProgramSession;
  readonly inode: number;
  readonly mayRead: boolean;
  readonly mayWrite: boolean;
  readonly appends: boolean;
  readonly #isSynchronous: boolean;
  /** Times need not be durable with a write. */
  readonly #timesMayWait: boolean;
  readonly #movesAccessTime: boolean;
  /** Told once, when it is closed. */
  whenClosed: () => void = () => {};
  /** Bytes from the start. */
  #position = 0;
  /** The last of those who go on from the position. */
  #line: Promise<unknown> = Promise.resolve();
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** Takes over a reference to the inode. */
  constructor(session: ProgramSession, inode: number, flags: number) {
    const access = flags & ACCESS;
    this.session = session;
    this.inode = inode;
    this.mayRead = access !== O.WRONLY;
    this.mayWrite = access !== 0;
    this.appends = (flags & O.APPEND) !== 0;
    this.#isSynchronous = (flags & (O.SYNC | O.DSYNC)) !== 0;
    this.#timesMayWait = (flags & O.SYNC) !== O.SYNC;
    this.#movesAccessTime = (flags & O.NOATIME) === 0;
    session.open.add(this);
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** @throws EBADF once it is closed, as Node says it */
  requireOpen(syscall: string): void {
    if (this.#closing === undefined) return;
    throw Object.assign(new Error('file closed'), { code: 'EBADF', syscall });
  }

  /** Does work with the file open. @throws EBADF once it is closed; errors of node:fs */
  async use<T>(syscall: string, work: () => Promise<T>): Promise<T> {
    this.requireOpen(syscall);
    const working = this.session.attempt({ syscall }, work);
    this.#underWay.add(working);
    try {
      return await working;
    } finally {
      this.#underWay.delete(working);
    }
  }

  /**
   * Fills the array.
   * @param position undefined to go on
   * @returns how many bytes it filled: fewer at the end of the file
   */
  read(into: Uint8Array, position: number | undefined): Promise<number> {
    return this.use('read', async () => {
      if (!this.mayRead) throw fsError('EBADF');
      const { transfers } = this.session;
      if (position !== undefined) return transfers.read(this.inode, into, position, this.#movesAccessTime);
      return this.#goOn(async (from) => {
        const read = await transfers.read(this.inode, into, from, this.#movesAccessTime);
        this.#position = from + read;
        return read;
      });
    });
  }

  /**
   * Writes all of the array.
   * @param position undefined to go on; of a file that appends, ignored
   */
  write(from: Uint8Array, position: number | undefined): Promise<void> {
    return this.use('write', async () => {
      if (!this.mayWrite) throw fsError('EBADF');
      if (this.appends) await this.#append(from);
      else if (position !== undefined) await this.#put(from, position);
      else {
        await this.#goOn(async (at) => {
          await this.#put(from, at);
          this.#position = at + from.length;
        });
      }
    });
  }

  #append(from: Uint8Array): Promise<void> {
    return this.session.inLine(this.inode, async () => {
      const end = await this.#size();
      await this.#put(from, end);
      this.#position = end + from.length;
    });
  }

  async #put(from: Uint8Array, at: number): Promise<void> {
    const { transfers, losesSetId, volume } = this.session;
    const mustBeDurable = await transfers.write(this.inode, from, at, losesSetId);
    if (mustBeDurable) await volume.sync(this.inode);
    else if (this.#isSynchronous) await volume.sync(this.inode, this.#timesMayWait);
  }

  #size(): Promise<number> {
    return this.session.volume.run((tx) => this.session.look(tx, this.inode).sizeBytes);
  }

  #goOn<T>(work: (position: number) => Promise<T>): Promise<T> {
    const mine = this.#line.then(() => work(this.#position));
    this.#line = mine.catch(() => {});
    return mine;
  }

  /** How many bytes there are from the position on. @throws EISDIR */
  bytesLeft(): Promise<number> {
    return this.use('read', () =>
      this.session.volume.run((tx) => {
        if (!this.mayRead) throw fsError('EBADF');
        const { mode, sizeBytes } = this.session.look(tx, this.inode);
        if ((mode & FILE_TYPE_MASK) === FileType.directory) throw fsError('EISDIR');
        return Math.max(0, sizeBytes - this.#position);
      }),
    );
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.use('ftruncate', async () => {
      if (!this.mayWrite) throw fsError('EINVAL');
      await this.session.volume.setSize(this.inode, sizeBytes, this.session.losesSetId);
    });
  }

  sync(syscall: 'fsync' | 'fdatasync'): Promise<void> {
    return this.use(syscall, () => this.session.volume.sync(this.inode, syscall === 'fdatasync'));
  }

  /** Waits for what is under way. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    this.session.open.delete(this);
    this.session.release(this.inode);
    this.whenClosed();
  }
}
