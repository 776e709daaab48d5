/**
 * A volume in a program: who asks, what is open, and how an operation is made of a function.
 *
 * Each path is walked in the transaction of what is done with its end. What takes several
 * transactions holds its inode in between, as a kernel does, so that it lives on without a name.
 * The program is whoever has the bytes, so modes are kept and answered, and keep nobody out.
 */
import type { Device } from '../aio/device.ts';
import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import type { Attributes, Caller, Operation } from '../fs/base/filesystem.ts';
import type { Transaction } from '../fs/transaction/transaction.ts';
import type { Volume } from '../fs/volume.ts';
import { PathWalk } from './path-walk.ts';
import { type CallSite, systemError, systemErrorOf } from './system-error.ts';
import { Transfers } from './transfers.ts';

/** Takes a reference to the inode that it answers before anything else can run. */
class HoldingOperation implements Operation<Transaction> {
  readonly promise: Promise<number>;
  mustBeDurable = false;
  #inode = 0;
  #resolve: (inode: number) => void = () => {};
  #reject: (thrown: unknown) => void = () => {};

  constructor(
    private readonly volume: Volume,
    private readonly body: (tx: Transaction) => number,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  perform(tx: Transaction): void {
    this.#inode = this.body(tx);
    this.mustBeDurable = tx.mustBeDurable;
  }

  finished(thrown: unknown): void {
    if (thrown !== undefined) {
      this.#reject(thrown);
      return;
    }
    this.volume.acquire(this.#inode);
    this.#resolve(this.#inode);
  }
}

/** Something open that ends with the volume. */
export interface Closable {
  close(): Promise<void>;
}

export class ProgramSession {
  readonly volume: Volume;
  readonly walk: PathWalk;
  readonly transfers: Transfers;
  /** Overwritten by every look at an inode: to be read in the transaction that filled it. */
  readonly attributes: Attributes = emptyAttributes();
  readonly caller: Caller;
  /** A write by this user takes set-user-id away. */
  readonly losesSetId: boolean;
  /** What stat(2) says of the device. */
  readonly deviceNumber: number;
  readonly open = new Set<Closable>();
  /** Operations that were begun and have not ended. */
  #underWay = 0;
  #whenIdle: () => void = () => {};
  /** By inode: the last of those who wait for each other. */
  readonly #lines = new Map<number, Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(volume: Volume, device: Device, caller: Caller, writesEndEarly = true) {
    this.volume = volume;
    this.caller = caller;
    this.losesSetId = caller.uid !== 0;
    this.walk = new PathWalk(volume, this.attributes);
    this.transfers = new Transfers(volume, device, writesEndEarly);
    const [a = 0, b = 0, c = 0, d = 0] = volume.whole.uuid;
    this.deviceNumber = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** @throws EBADF when the volume was closed */
  requireOpen(site: CallSite): void {
    if (this.#closing !== undefined) throw systemErrorOf('EBADF', site, 'the volume is closed');
  }

  /** Runs a function as one transaction. @throws errors as node:fs has them */
  run<T>(site: CallSite, body: (tx: Transaction) => T): Promise<T> {
    return this.attempt(site, async () => {
      let mustBeDurable = false;
      const result = await this.volume.run((tx) => {
        const found = body(tx);
        mustBeDurable = tx.mustBeDurable;
        return found;
      });
      if (mustBeDurable) await this.volume.sync();
      return result;
    });
  }

  /** The same for what answers with an inode, which is held until `release`. */
  hold(site: CallSite, body: (tx: Transaction) => number): Promise<number> {
    return this.attempt(site, async () => {
      const operation = new HoldingOperation(this.volume, body);
      this.volume.execute(operation);
      this.volume.submit();
      const inode = await operation.promise;
      if (operation.mustBeDurable) await this.volume.sync();
      return inode;
    });
  }

  release(inode: number): void {
    this.volume.forget(inode, 1);
    this.volume.submit();
  }

  /** Does work that waits. @throws errors as node:fs has them */
  async attempt<T>(site: CallSite, work: () => Promise<T>): Promise<T> {
    this.requireOpen(site);
    this.#underWay++;
    try {
      return await work();
    } catch (thrown) {
      throw systemError(thrown, site);
    } finally {
      if (--this.#underWay === 0) this.#whenIdle();
    }
  }

  /** Works on the inode at a path, which is held meanwhile. */
  async withInode<T>(
    site: CallSite,
    path: Uint8Array,
    follow: boolean,
    work: (inode: number) => Promise<T>,
  ): Promise<T> {
    const inode = await this.hold(site, (tx) => this.walk.inodeAt(tx, path, follow));
    try {
      return await this.attempt(site, () => work(inode));
    } finally {
      this.release(inode);
    }
  }

  /** What the inode is, in `attributes`. */
  look(tx: Transaction, inode: number): Attributes {
    this.volume.readAttributes(tx, inode, this.attributes);
    return this.attributes;
  }

  /** One after the other, by inode: where the end of a file is that it is appended to. */
  async inLine<T>(inode: number, work: () => Promise<T>): Promise<T> {
    const before = this.#lines.get(inode);
    const mine = before === undefined ? work() : before.then(work, work);
    this.#lines.set(inode, mine);
    try {
      return await mine;
    } finally {
      if (this.#lines.get(inode) === mine) this.#lines.delete(inode);
    }
  }

  /**
   * Closes what is open, and the volume. Idempotent.
   * @throws the error of the device; EIO, ENOSPC or what it was where files lack data
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(Array.from(this.open, (one) => one.close()));
    // What is answered well has to be there after all.
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    try {
      await this.volume.unmount();
    } catch (thrown) {
      throw systemError(thrown, { syscall: 'close' });
    }
  }
}
