/**
 * The life of one mount: requests come in from the channel, go to the filesystem, and are answered.
 *
 * Invariants: 1. Every request is ended exactly once, by `ended`: one reply (none where the kernel
 * expects none), one
 *     release of its slot. Nothing else replies or releases.
 * 2. No exception leaves `#onRequests` or `ended`: what is not an answer for the user becomes EIO
 * and a
 *     line in the log.
 * 3. After each batch the filesystem hands its queued I/O over. 4. The filesystem is unmounted
 * once: at DESTROY, which is answered afterwards, or when the mount is gone.
 *
 * `closed` resolves when the mount is gone and the volume is clean on disk; it rejects if that
 * failed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { emptyStatistics } from '../fs/base/empty-attributes.ts';
import { Errno, errnoOf, FsError, fsError } from '../fs/base/errors.ts';
import type { FileSystem } from '../fs/base/filesystem.ts';
import { Wire } from './abi.ts';
import { ALL_ATTRIBUTES, type AttributeSupport } from './attribute-names.ts';
import { BlockCounts } from './block-counts.ts';
import { CachedPages } from './cached-pages.ts';
import type { FuseChannel } from './channel.ts';
import { DirectoryCookies } from './directory-cookies.ts';
import type { DirtyLimits } from './dirty-limits.ts';
import { preferredIoBytes } from './encoding.ts';
import type { MountAnswers } from './mount-answers.ts';
import type { Agreement } from './negotiation.ts';
import { Notices } from './notices.ts';
import { handlerOf, unknownOperation } from './operations.ts';
import { type Conversation, FuseRequest, type Handler } from './request.ts';
import { type OperationCount, RequestMeter } from './request-meter.ts';
import { RequestTrace, type TraceOptions } from './request-trace.ts';
import { ScarceSpace } from './scarce-space.ts';
import { type SynchronousRequests, waitsForDisk } from './synchronous.ts';
import { ToldDirectories } from './told-directories.ts';
import { UnlinkedFiles } from './unlinked-files.ts';
import { UnwrittenFiles } from './unwritten-files.ts';
import { type KeptRequest, WaitingRoom } from './waiting-room.ts';
import { WriteFailures } from './write-failures.ts';

export interface SessionOptions {
  /** Receives each line for the log, without newline. */
  readonly log: (message: string) => void;
  /**
   * Answer CREATE, at the price of a RELEASE per created file; otherwise the kernel uses MKNOD.
   * Default false.
   */
  readonly atomicCreate?: boolean;
  /** Which requests wait for the disk by themselves, see synchronous.ts. Default none. */
  readonly synchronous?: SynchronousRequests;
  /** Which extended attributes there can be. Default: all. */
  readonly attributeSupport?: AttributeSupport;
  /** Answers questions to the mount, see questions.ts. Default none. */
  readonly answers?: MountAnswers;
  /** Tells of each request, see request-trace.ts. Default: not. */
  readonly trace?: TraceOptions;
}

/** Live counters of a mount. */
export interface SessionStatistics {
  /** Protocol version in use, `7.x`; undefined before the kernel's INIT. */
  readonly protocol: string | undefined;
  /** Requests received and not yet answered. */
  readonly pending: number;
  /** Of files, since the mount began. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** By name of operation; only those that were asked for. */
  readonly operations: Record<string, OperationCount>;
  /** By name of operation, the same times as a histogram; see `MeteredKind`. */
  readonly latencies: Record<string, readonly number[]>;
  readonly channel: ReturnType<FuseChannel['statistics']>;
}

/**
 * write(2) says this when the request was given up meanwhile, or the mount is gone: nobody waits
 * for the reply.
 */
const NOBODY_WAITS: ReadonlySet<number> = new Set([Errno.ENOENT, Errno.ENODEV]);

/** Of the slots, so many may wait for what the kernel does: its requests need the others. */
const WAITING_SHARE = 1 / 4;

/** How often somebody who begins to watch looks whether what came before is done. */
const WATCH_MILLISECONDS = 2;

export class Session implements Conversation {
  readonly filesystem: FileSystem;
  readonly preferredBytes: number;
  readonly atomicCreate: boolean;
  readonly writebackCache: boolean;
  readonly attributeSupport: AttributeSupport;
  /** Which requests wait for the disk from now on; the kernel's cache stays as it was agreed. */
  synchronous: SynchronousRequests;
  readonly writeFailures = new WriteFailures();
  readonly directoryCookies: DirectoryCookies;
  readonly cachedPages = new CachedPages();
  readonly blockCounts: BlockCounts;
  readonly toldDirectories = new ToldDirectories();
  readonly unlinkedFiles = new UnlinkedFiles();
  readonly unwrittenFiles: UnwrittenFiles;
  readonly notices: Notices;
  readonly scarceSpace: ScarceSpace;
  /** Follow the free space; undefined where nobody set them. */
  dirtyLimits: DirtyLimits | undefined = undefined;
  readonly space = emptyStatistics();
  readonly meter: RequestMeter;
  readonly answers: MountAnswers | undefined;
  /**
   * Resolves when the kernel's INIT was answered: the mount is usable. Rejects if the kernel is too
   * old or the mount went away first.
   */
  readonly initialized: Promise<Agreement>;
  /** Resolves when the mount is gone and the filesystem is unmounted. */
  readonly closed: Promise<void>;

  readonly #channel: FuseChannel;
  readonly #wire: Wire;
  readonly #log: (message: string) => void;
  /** The table of operations, or that of somebody who watches. */
  #rowOf: (opcode: number) => Handler = handlerOf;
  readonly #trace: RequestTrace | undefined;
  readonly #requests: FuseRequest[] = [];
  readonly #waitingRoom: WaitingRoom;
  #agreement: Agreement | undefined = undefined;
  /** Requests that were received and are not answered. */
  #pending = 0;
  #unmounted: Promise<void> | undefined = undefined;
  #abandoned = false;
  #lastLine = '';
  #initialize: (agreement: Agreement) => void = () => {};
  #failInitialize: (reason: Error) => void = () => {};
  #close: () => void = () => {};
  #failClose: (reason: unknown) => void = () => {};

  constructor(channel: FuseChannel, filesystem: FileSystem, options: SessionOptions) {
    this.filesystem = filesystem;
    this.directoryCookies = new DirectoryCookies(filesystem.offsetSecret);
    this.preferredBytes = preferredIoBytes(filesystem.blockBytes);
    this.atomicCreate = options.atomicCreate ?? false;
    this.synchronous = options.synchronous ?? 'none';
    this.writebackCache = this.synchronous !== 'all';
    this.attributeSupport = options.attributeSupport ?? ALL_ATTRIBUTES;
    this.#channel = channel;
    this.#wire = new Wire(channel.memory.bytes);
    this.meter = new RequestMeter(channel.slotCount);
    this.notices = new Notices(
      channel,
      this.#wire,
      () => this.#agreement?.minor ?? 0,
      () => this.#pending === 0,
    );
    this.blockCounts = new BlockCounts(this.notices);
    this.unwrittenFiles = new UnwrittenFiles(this.notices);
    this.scarceSpace = new ScarceSpace(filesystem, this.notices);
    filesystem.watchSpace?.((inode) => this.blockCounts.changed(inode));
    this.#waitingRoom = new WaitingRoom(Math.max(1, Math.floor(channel.slotCount * WAITING_SHARE)));
    this.#log = options.log;
    this.answers = options.answers;
    this.#trace = options.trace && new RequestTrace(options.trace);
    this.initialized = new Promise((resolve, reject) => {
      this.#initialize = resolve;
      this.#failInitialize = reject;
    });
    this.closed = new Promise((resolve, reject) => {
      this.#close = resolve;
      this.#failClose = reject;
    });
    // Whoever does not wait for them must not die of their rejection.
    this.initialized.catch(() => {});
    this.closed.catch(() => {});
    this.#makeRequests();
  }

  #makeRequests(): void {
    const { memory, slotBytes, slotCount } = this.#channel;
    for (let slot = 0; slot < slotCount; slot++) {
      this.#requests.push(
        new FuseRequest(this, { memory, wire: this.#wire, slot, slotBytes }, unknownOperation),
      );
    }
  }

  /** Begins to answer the kernel. */
  start(): void {
    this.#channel.start(
      (count) => this.#onRequests(count),
      (errno) => this.#onClosed(errno),
      (token) => this.notices.noticed(token),
    );
  }

  get agreement(): Agreement | undefined {
    return this.#agreement;
  }

  agreed(agreement: Agreement): void {
    this.#agreement = agreement;
  }

  #onRequests(count: number): void {
    const { ready } = this.#channel;
    this.#pending += count;
    const now = performance.now();
    for (let pair = 0; pair < count; pair++) this.meter.arrived(ready[2 * pair] as number, now);
    for (let pair = 0; pair < count; pair++) {
      this.#dispatch(ready[2 * pair] as number, ready[2 * pair + 1] as number);
    }
    this.#submit();
  }

  #submit(): void {
    try {
      this.filesystem.submit();
    } catch (thrown) {
      this.#logThrown('submit', thrown);
    }
  }

  #dispatch(slot: number, lengthBytes: number): void {
    const request = this.#requests[slot];
    if (request === undefined || request.pending || !request.receive(lengthBytes)) {
      this.#logLine(`a request of ${lengthBytes} bytes in slot ${slot} is not one of the protocol; dropped`);
      if (request !== undefined && !request.pending) this.#channel.release(slot);
      this.#pending--;
      return;
    }
    this.#begin(request);
  }

  #begin(request: FuseRequest): void {
    const handler = this.#rowOf(request.opcode);
    request.handler = handler;
    request.synchronous = waitsForDisk(this.synchronous, handler.changes);
    request.dataOnly = false;
    try {
      if (request.bodyEnd - request.bodyAt < handler.bodyBytes) throw fsError('EINVAL');
      if (request.inode > Number.MAX_SAFE_INTEGER) throw fsError('ESTALE');
      handler.decode(request);
      if (this.#trace !== undefined) this.#trace.began(request);
      handler.begin(request);
    } catch (thrown) {
      this.ended(request, thrown ?? fsError('EIO'));
    }
  }

  mayWait(request: FuseRequest): boolean {
    if (this.#waitingRoom.enter(request)) return true;
    request.pending = false;
    if (this.#trace !== undefined) this.#trace.stoodAside(request);
    this.#channel.release(request.slot);
    return false;
  }

  /** One that had to stand aside, in the slot of one that is over. */
  #beginAgain(request: FuseRequest, { bytes, arrivedMs }: KeptRequest): void {
    request.place(bytes);
    request.receive(bytes.length);
    request.waits = true;
    this.meter.arrived(request.slot, arrivedMs);
    this.#begin(request);
    this.#submit();
  }

  ended(request: FuseRequest, thrown: unknown): void {
    if (!request.pending) {
      this.#logThrown(`${request.handler.name} ended twice`, thrown);
      return;
    }
    let refusal = thrown;
    let last: Promise<void> | undefined;
    try {
      if (thrown === undefined) last = this.#lastWait(request);
    } catch (failure) {
      refusal = failure ?? fsError('EIO');
    }
    if (last === undefined) this.#end(request, refusal);
    else this.#endAfter(request, last);
  }

  /** For the disk, or for what the row of the operation has to find out yet. */
  #lastWait(request: FuseRequest): Promise<void> | undefined {
    if (!request.synchronous) return request.handler.settle(request);
    return this.filesystem.sync(request.inode, request.dataOnly);
  }

  #end(request: FuseRequest, thrown: unknown): void {
    let failure: unknown;
    try {
      failure = this.#reply(request, thrown);
    } catch (fault) {
      failure = fault;
      this.#logThrown(`reply to ${request.handler.name}`, fault);
    }
    const errno = failure === undefined ? 0 : errnoOf(failure);
    this.meter.ended(request, errno, performance.now());
    if (this.#trace !== undefined) this.#trace.ended(request, errno);
    request.pending = false;
    this.#pending--;
    const next = this.#waitingRoom.leave(request);
    if (next === undefined) this.#channel.release(request.slot);
    else queueMicrotask(() => this.#beginAgain(request, next));
    if (this.#pending === 0) this.blockCounts.idle();
  }

  #endAfter(request: FuseRequest, last: Promise<void>): void {
    last.then(
      () => this.#end(request, undefined),
      (failure: unknown) => this.#end(request, failure ?? fsError('EIO')),
    );
  }

  /** Returns what the request was refused for, if it was. */
  #reply(request: FuseRequest, thrown: unknown): unknown {
    const { handler } = request;
    const failure = thrown === undefined ? this.#answer(request) : thrown;
    if (failure !== undefined) this.#refuse(request, failure);
    const delivered = handler.silent || this.#send(request, failure === undefined);
    handler.over(request, failure, delivered);
    return failure;
  }

  #send(request: FuseRequest, succeeded: boolean): boolean {
    const { handler } = request;
    if (succeeded) handler.reference(request, true);
    const errno = handler.send(request);
    if (errno === 0) return true;
    if (succeeded) handler.reference(request, false);
    if (!NOBODY_WAITS.has(errno) && !this.#abandoned)
      this.#logLine(`the kernel refused the reply to ${handler.name}: errno ${errno}`);
    return false;
  }

  reply({ replyAt, replyBytes }: FuseRequest): number {
    return this.#channel.reply(replyAt, replyBytes);
  }

  /** Builds the answer; returns what was thrown, if anything. */
  #answer(request: FuseRequest): unknown {
    try {
      request.handler.answer(request);
      return undefined;
    } catch (thrown) {
      return thrown ?? fsError('EIO');
    }
  }

  #refuse(request: FuseRequest, failure: unknown): void {
    if (!(failure instanceof FsError)) this.#logThrown(request.handler.name, failure);
    request.answerError(errnoOf(failure));
  }

  greeted(): void {
    if (this.#agreement !== undefined) this.#initialize(this.#agreement);
  }

  notUnderstood(): void {
    this.#failInitialize(new Error(TOO_OLD_KERNEL));
  }

  #onClosed(errno: number): void {
    if (errno !== 0 && errno !== Errno.ENODEV)
      this.#logLine(`the mount ended: reading /dev/fuse gave errno ${errno}`);
    this.#failInitialize(new Error('the mount went away before the kernel introduced itself'));
    this.blockCounts.close();
    this.unwrittenFiles.close();
    this.dirtyLimits?.close();
    this.scarceSpace.close();
    this.unmount().then(
      () => {
        this.#channel.close();
        this.#close();
      },
      (thrown: unknown) => {
        this.#channel.close();
        this.#failClose(thrown);
      },
    );
  }

  /**
   * Ends the connection from this side, for a mount that cannot be taken out of the directory tree:
   * whoever calls into it from now on gets ENOTCONN. `closed` tells when the filesystem is
   * unmounted.
   */
  abandon(): void {
    this.#abandoned = true;
    this.#channel.close();
    this.#onClosed(0);
  }

  /**
   * Requests that come from now on are carried out by rows of somebody who watches them, or by the
   * table's own again.
   * @param rowOf does all that the table's row does, and whatever else
   * @returns resolves when no request is under way that came before
   */
  async watch(rowOf: (opcode: number) => Handler = handlerOf): Promise<void> {
    this.#rowOf = rowOf;
    const isOld = ({ pending, opcode, handler }: FuseRequest) => pending && handler !== rowOf(opcode);
    // Whoever came after us has waits of his own.
    while (this.#rowOf === rowOf && this.#requests.some(isOld)) await sleep(WATCH_MILLISECONDS);
  }

  unmount(): Promise<void> {
    this.#unmounted ??= this.filesystem.unmount();
    return this.#unmounted;
  }

  statistics(): SessionStatistics {
    const { bytesRead, bytesWritten, kinds } = this.meter.reading();
    const histograms = Object.entries(kinds).map(([name, { latencies }]) => [name, latencies]);
    return {
      protocol: this.#agreement === undefined ? undefined : `7.${this.#agreement.minor}`,
      pending: this.#pending,
      bytesRead,
      bytesWritten,
      operations: this.meter.operations(),
      latencies: Object.fromEntries(histograms),
      channel: this.#channel.statistics(),
    };
  }

  #logThrown(where: string, thrown: unknown): void {
    const what = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.#logLine(`${where}: ${what.replace(/\s*\n\s*/g, ' ')}`);
  }

  /** A line that repeats the one before says nothing new. */
  #logLine(line: string): void {
    if (line === this.#lastLine) return;
    this.#lastLine = line;
    this.#log(line);
  }
}

const TOO_OLD_KERNEL = 'this kernel is too old: Quarry needs FUSE 7.31 (Linux 5.4 or newer)';
