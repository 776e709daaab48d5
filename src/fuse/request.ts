/**
 * One request of the kernel, from its bytes in a slot to the reply.
 *
 * There is one Request per slot, made once with the arguments of every family (arguments/) and used
 * again and again. It is itself the `Operation` that the filesystem is given, and its `transfer`
 * the read or write, so a cached metadata request allocates nothing but the view of its name. Life
 * of a request:
 *
 *   receive   the header is read
 *   decode    the arguments are read out of the slot, once: the reply may later be built over them
 *   begin     it is handed to the filesystem, or answered at once
 *   perform   what a metadata request does; may run several times, and overwrites its own results
 *   finished  hands it back to the session, which waits for the disk if it is `synchronous`, calls
 *             `answer`, sends, and releases the slot
 *
 * Slot: | head page, 4096 bytes … request from −80 | payload … | room for 2 blocks | A short reply
 * is built at the start of the head page, a long one in the payload with its header directly before
 * the bytes, so that either is one write(2) and no copy.
 */
import { strict as assert } from 'node:assert';
import type { Memory } from '../aio/device.ts';
import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { fsError } from '../fs/base/errors.ts';
import type {
  Attributes,
  Caller,
  FileSystem,
  Operation,
  SpaceStatistics,
  TransactionHandle,
} from '../fs/base/filesystem.ts';
import { InHeader, NO_CALLER, OutHeader, type Wire } from './abi.ts';
import { AttributeArguments } from './arguments/attributes.ts';
import { ByteArguments } from './arguments/bytes.ts';
import { ExtendedAttributeArguments } from './arguments/extended-attributes.ts';
import { ListingArguments } from './arguments/listing.ts';
import { NameArguments } from './arguments/names.ts';
import { RangeArguments } from './arguments/ranges.ts';
import { Transfer } from './arguments/transfer.ts';
import type { AttributeSupport } from './attribute-names.ts';
import { AttributeReplies } from './attribute-replies.ts';
import type { BlockCounts } from './block-counts.ts';
import type { CachedPages } from './cached-pages.ts';
import { type Credentials, credentialsOf } from './calling-thread.ts';
import type { DirectoryCookies } from './directory-cookies.ts';
import { DirectoryListing } from './directory-listing.ts';
import type { DirtyLimits } from './dirty-limits.ts';
import { encodeOutHeader, encodeUnique } from './encoding.ts';
import { HEAD_ANSWER_BYTES } from './limits.ts';
import type { MountAnswers } from './mount-answers.ts';
import type { Agreement } from './negotiation.ts';
import type { Notices } from './notices.ts';
import type { ScarceSpace } from './scarce-space.ts';
import { HEAD_BYTES, REQUEST_LEAD_BYTES } from './slot.ts';
import type { ToldDirectories } from './told-directories.ts';
import type { UnlinkedFiles } from './unlinked-files.ts';
import type { UnwrittenFiles } from './unwritten-files.ts';
import type { WriteFailures } from './write-failures.ts';

// Constants of this file, for speed: see encoding.ts.
const inHeader = InHeader;

/** What a request needs of its session. */
export interface Conversation {
  readonly filesystem: FileSystem;
  /** Undefined before INIT. */
  readonly agreement: Agreement | undefined;
  /** st_blksize, in bytes. */
  readonly preferredBytes: number;
  /** The kernel may gather writes in its page cache. */
  readonly writebackCache: boolean;
  /** Which extended attributes there can be. */
  readonly attributeSupport: AttributeSupport;
  /** CREATE is answered, rather than left to MKNOD. */
  readonly atomicCreate: boolean;
  /** Scratch of STATFS. */
  readonly space: SpaceStatistics;
  /** What the offsets in listings mean. */
  readonly directoryCookies: DirectoryCookies;
  /** What the kernel's page cache may hold. */
  readonly cachedPages: CachedPages;
  /** What the kernel knows of st_blocks. */
  readonly blockCounts: BlockCounts;
  /** Whose attributes may be on their way. */
  readonly toldDirectories: ToldDirectories;
  readonly unlinkedFiles: UnlinkedFiles;
  /** Files with failed WRITEs that the kernel still holds. */
  readonly unwrittenFiles: UnwrittenFiles;
  /** Failed WRITEs whose writers do not know yet. */
  readonly writeFailures: WriteFailures;
  /** Gives writers their room while there is little. */
  readonly scarceSpace: ScarceSpace;
  /** Follow the free space; undefined where nobody set them. */
  readonly dirtyLimits: DirtyLimits | undefined;
  /** What the kernel is told without having asked. */
  readonly notices: Notices;
  /** To questions by ioctl; undefined where there are none. */
  readonly answers: MountAnswers | undefined;
  agreed(agreement: Agreement): void;
  /** INIT was answered, and the kernel took the answer. */
  greeted(): void;
  /** INIT was refused. */
  notUnderstood(): void;
  /** Sends the reply that `answer` made. Returns 0, or the errno of the kernel. */
  reply(request: FuseRequest): number;
  /** Unmounts the filesystem, once. */
  unmount(): Promise<void>;
  /**
   * Whether a request may wait for what the kernel does before it is answered. If not, it is over
   * for now, and comes again by itself.
   */
  mayWait(request: FuseRequest): boolean;
  /** The end of a request: replies and releases its slot. */
  ended(request: FuseRequest, thrown: unknown): void;
}

/** What an operation changes: whether -o dirsync and -o sync make it wait for the disk. */
export type Changes = 'nothing' | 'names' | 'others';

/** What Quarry does with one opcode, all of it: a row of the table in operations.ts. */
export interface Handler {
  readonly name: string;
  readonly changes: Changes;
  /** Least length of the arguments, after the header. */
  readonly bodyBytes: number;
  /** The kernel expects no reply. */
  readonly silent: boolean;
  /** Numbers of errors that are no failure: by them the kernel learns what it need not ask. */
  readonly agreements: readonly number[];
  /** Reads the arguments. Throws FsError for those that cannot be. */
  decode(request: FuseRequest): void;
  /** Starts the work; `request.finished` ends it, now or later. */
  begin(request: FuseRequest): void;
  /** The work of a metadata operation. */
  perform(request: FuseRequest, tx: TransactionHandle): void;
  /**
   * What has to be waited for when the work is done, and may refuse the request still; undefined
   * for nothing. Throws FsError where that is known at once.
   */
  settle(request: FuseRequest): Promise<void> | undefined;
  /** Builds the successful answer. */
  answer(request: FuseRequest): void;
  /** Sends the answer, or the refusal. Returns 0, or the errno of the kernel. */
  send(request: FuseRequest): number;
  /**
   * The last word on a request, when it was replied to.
   * @param failure what it was refused for; undefined on success
   * @param delivered the kernel took the reply, or expected none
   */
  over(request: FuseRequest, failure: unknown, delivered: boolean): void;
  /**
   * Takes (or gives back, if the reply was not delivered) the references to inodes that the answer
   * hands to the kernel.
   */
  reference(request: FuseRequest, taken: boolean): void;
}

/** Where a request comes in, and its answer goes out. */
interface RequestSlot {
  readonly memory: Memory;
  /** The same memory. */
  readonly wire: Wire;
  /** Number of the slot, … */
  readonly slot: number;
  /** … and the length of each; 2 blocks at its end are left to the filesystem. */
  readonly slotBytes: number;
}

export class FuseRequest implements Operation {
  readonly slot: number;
  readonly wire: Wire;
  readonly conversation: Conversation;
  readonly replies: AttributeReplies;
  readonly listing: DirectoryListing;
  handler: Handler;
  /** Received and not answered. */
  pending = false;
  /** Answered only when what it changed is on disk. */
  synchronous = false;
  /** Times need not be there then. */
  dataOnly = false;
  /** It waits, or may, for what the kernel does: see waiting-room.ts. */
  waits = false;

  // From the header.
  opcode = 0;
  inode = 0;
  readonly caller: Caller = { uid: 0, gid: 0, umask: 0 };
  /** Arguments stand in [bodyAt, bodyEnd) of the wire. */
  readonly bodyAt: number;
  bodyEnd = 0;

  // Arguments and results, by family of operations; a request uses those of its own.
  readonly names: NameArguments;
  readonly transfer: Transfer;
  readonly setattr = new AttributeArguments();
  readonly extended = new ExtendedAttributeArguments();
  readonly list = new ListingArguments();
  readonly passed = new ByteArguments();
  readonly ranges: RangeArguments;

  readonly attributes: Attributes = emptyAttributes();
  /** Inode of an entry reply, 0 for none. */
  entryInode = 0;

  // The reply, set by `answer`.
  replyAt = 0;
  replyBytes = 0;

  readonly memory: Memory;
  /** The payload, page-aligned, and the longest transfer it holds. */
  readonly memoryOffset: number;
  readonly payloadBytes: number;
  readonly #headAt: number;
  readonly #requestAt: number;
  #uniqueLow = 0;
  #uniqueHigh = 0;
  #textEnd = 0;

  constructor(conversation: Conversation, { memory, wire, slot, slotBytes }: RequestSlot, idle: Handler) {
    this.conversation = conversation;
    this.memory = memory;
    this.wire = wire;
    this.slot = slot;
    this.handler = idle;
    this.#headAt = slot * slotBytes;
    this.memoryOffset = this.#headAt + HEAD_BYTES;
    this.#requestAt = this.memoryOffset - REQUEST_LEAD_BYTES;
    this.bodyAt = this.#requestAt + inHeader.sizeBytes;
    this.payloadBytes = slotBytes - HEAD_BYTES - 2 * conversation.filesystem.blockBytes;
    assert(this.payloadBytes >= HEAD_BYTES, 'a slot holds at least a page of payload');
    this.replies = new AttributeReplies(wire, conversation.preferredBytes);
    this.listing = new DirectoryListing(wire, this.replies, conversation);
    this.names = new NameArguments(this.caller);
    this.transfer = new Transfer(this);
    this.ranges = new RangeArguments(this);
  }

  /** Reads the header of a request of `lengthBytes`; false if it is not whole. */
  receive(lengthBytes: number): boolean {
    const { wire } = this;
    const at = this.#requestAt;
    if (lengthBytes < inHeader.sizeBytes || inHeader.len.get(wire.view, at) !== lengthBytes) return false;
    this.pending = true;
    this.opcode = inHeader.opcode.get(wire.view, at);
    this.#uniqueLow = inHeader.unique_low.get(wire.view, at);
    this.#uniqueHigh = inHeader.unique_high.get(wire.view, at);
    this.inode = inHeader.nodeid.get(wire.view, at);
    this.caller.uid = inHeader.uid.get(wire.view, at);
    this.caller.gid = inHeader.gid.get(wire.view, at);
    this.caller.umask = 0;
    this.bodyEnd = at + lengthBytes;
    this.#textEnd = this.bodyAt;
    this.entryInode = 0;
    return true;
  }

  /** All of the request, as it came. To be taken before anything is built over it. */
  copy(): Uint8Array {
    return this.wire.bytes.slice(this.#requestAt, this.bodyEnd);
  }

  /** A request that was kept stands in this slot, as if it had been received. */
  place(bytes: Uint8Array): void {
    this.wire.bytes.set(bytes, this.#requestAt);
  }

  /**
   * The NUL-terminated bytes that start `skippedBytes` after the text before (or after the start of
   * the arguments): a view of the slot, not a copy.
   *
   * @throws FsError EINVAL if they are empty or not terminated.
   */
  text(skippedBytes: number): Uint8Array {
    const { bytes } = this.wire;
    const from = this.#textEnd + skippedBytes;
    let end = from;
    while (end < this.bodyEnd && bytes[end] !== 0) end++;
    if (end === from || end >= this.bodyEnd) throw fsError('EINVAL');
    this.#textEnd = end + 1;
    return new Uint8Array(bytes.buffer, bytes.byteOffset + from, end - from);
  }

  /** What stands behind the last text, to the end: a view as well. */
  rest(): Uint8Array {
    const { buffer, byteOffset } = this.wire.bytes;
    return new Uint8Array(buffer, byteOffset + this.#textEnd, this.bodyEnd - this.#textEnd);
  }

  perform(tx: TransactionHandle): void {
    this.handler.perform(this, tx);
    if (tx.mustBeDurable) this.synchronous = true;
  }

  finished(thrown: unknown): void {
    this.conversation.ended(this, thrown);
  }

  /** The thread that asks, 0 if it is none of this namespace. */
  get callerPid(): number {
    return inHeader.pid.get(this.wire.view, this.#requestAt);
  }

  /**
   * Who asks, of whom the header may say nothing. `NO_CALLER` where nobody else does either.
   */
  get asker(): Credentials {
    const { uid, gid } = this.caller;
    const known = { uid, gid, groups: [] };
    return uid === NO_CALLER ? (credentialsOf(this.callerPid) ?? known) : known;
  }

  /** As far as can be told. */
  get comesFromRoot(): boolean {
    return this.asker.uid === 0;
  }

  /** Limits of quotas hold for all but root, who can set them. */
  get isLimited(): boolean {
    return !this.comesFromRoot;
  }

  /** Where a short answer is built. */
  get answerAt(): number {
    return this.#headAt + OutHeader.sizeBytes;
  }

  /** The answer is the `bytes` bytes at `answerAt`. */
  answerShort(bytes: number): void {
    assert(bytes <= HEAD_ANSWER_BYTES);
    this.#seal(this.#headAt, bytes, 0);
  }

  /** The answer is the `bytes` bytes at `at`, in the payload or directly before it. */
  answerLong(at: number, bytes: number): void {
    assert(at >= this.memoryOffset && bytes <= this.payloadBytes);
    this.#seal(at - OutHeader.sizeBytes, bytes, 0);
  }

  /** The answer is an errno, 0 for plain success. */
  answerError(errno: number): void {
    this.#seal(this.#headAt, 0, errno);
  }

  #seal(headerAt: number, bytes: number, errno: number): void {
    this.replyAt = headerAt;
    this.replyBytes = OutHeader.sizeBytes + bytes;
    encodeOutHeader(this.wire, headerAt, this.replyBytes, errno);
    encodeUnique(this.wire, headerAt, this.#uniqueLow, this.#uniqueHigh);
  }
}
