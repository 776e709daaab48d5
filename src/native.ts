/**
 * The native addon, seen from TypeScript: the one file that loads it.
 *
 * The addon makes system calls and nothing else. Addresses never reach JavaScript: memory is named
 * by its `AlignedMemory` object and offsets into it, and every length is checked natively.
 * Callbacks are made through the loop's own entry, so promises settled inside them run when they
 * return, and what they throw becomes an uncaught exception.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Memory } from './aio/device.ts';

/**
 * Page-aligned, zeroed, anonymous memory of fixed length; unmapped when unreachable and no I/O uses
 * it.
 */
export interface AlignedMemory extends Memory {
  readonly bytes: Uint8Array;
}

/**
 * Kernel end of a FUSE mount: an open `/dev/fuse`, non-blocking, with memory for requests.
 *
 * The memory is `slotCount` slots of `slotBytes`. In a slot the first 4096 bytes are the head page
 * and the rest is the payload. A request is received at `4096 − 80` from the start of its slot, so
 * that the payload of a WRITE (40 bytes of fuse_in_header, 40 of fuse_write_in) starts
 * page-aligned. The bytes of the head page before it are free for replies.
 */
export interface FuseChannelHandle {
  readonly memory: AlignedMemory;
  readonly slotBytes: number;
  readonly slotCount: number;
  /** Filled before each callback: pairs (slot, length in bytes) of the requests received. */
  readonly ready: Int32Array;
  /**
   * Starts receiving: `onRequests(count)` with `count` pairs in `ready`; `onClosed(errno)` once
   * when the mount is gone (0 = unmounted, ENODEV).
   * @param onNoticed called with the token of each `notifyThen` that is done
   */
  start(
    onRequests: (count: number) => void,
    onClosed: (errno: number) => void,
    onNoticed?: (token: number) => void,
  ): void;
  /** The slot may receive again. */
  release(slot: number): void;
  /** write(2) of `lengthBytes` at `offset` of `memory` to the kernel; 0 or an errno. */
  reply(offset: number, lengthBytes: number): number;
  /**
   * writev(2) of a head at `offset` of the channel's memory and a body from any memory; 0 or an
   * errno.
   */
  replyWithBody(
    offset: number,
    lengthBytes: number,
    body: AlignedMemory,
    bodyOffset: number,
    bodyBytes: number,
  ): number;
  /**
   * Like `reply`, for a message that nobody asked for: copied, and written soon by a thread of its
   * own, since the kernel may make it wait for us.
   */
  notify(offset: number, lengthBytes: number): number;
  /**
   * The same for `count` messages of one length, `lengthBytes` in all, written when this returns,
   * whatever the kernel says of each; EAGAIN and none while the kernel has requests that wait.
   */
  notifyIdle(offset: number, lengthBytes: number, count: number): number;
  /** As `notify`, but it may wait until `deliverNotices`, or the next `notify`. */
  keepNotice(offset: number, lengthBytes: number): number;
  deliverNotices(): void;
  /**
   * `notify`, and when that is done, by the same thread, `reply` of `replyBytes` at `replyAt`,
   * copied too; an errno says that neither will be.
   */
  notifyBefore(offset: number, lengthBytes: number, replyAt: number, replyBytes: number): number;
  /**
   * `notify`, by a thread of its own, which may wait for answers to requests and for nothing else;
   * `onNoticed(token)` when it is done, however it went. An errno says that it will not be.
   * @param token a number of 32 bits
   */
  notifyThen(offset: number, lengthBytes: number, token: number): number;
  /**
   * Longest spin before going back to the event loop that this channel wishes, in nanoseconds; 0,
   * as at first, = never. The thread has one spin: the longest wish of its queues and of the
   * channels that are started.
   */
  setSpin(nanoseconds: number): void;
  /**
   * Counters since start: requests, wake-ups of the event loop, spins that paid, spins that did
   * not.
   */
  statistics(): { requests: number; wakeups: number; spinHits: number; spinMisses: number };
  /** Stops receiving and closes the descriptor. Idempotent. */
  close(): void;
}

/**
 * Memory as an IoQueue knows it: by the number that its entries name. The addon's own memory always
 * has one.
 */
export interface NumberedMemory extends AlignedMemory {
  readonly id: number;
}

/**
 * Operations of an IoQueue, by the numbers that its entries name. Not those of any kernel
 * interface.
 */
export const QueueOperation = {
  read: 0,
  write: 1,
  sync: 2,
  dataSync: 3,
  /**
   * Asks for another request to end early: the file offset of the entry is that one's token. Ends
   * with 0, −ENOENT or −EALREADY.
   */
  cancel: 4,
  /** Like read; a ThreadQueue takes what the page cache has without a thread. */
  readCached: 5,
  /** Like write, and durable when it ends. */
  writeThrough: 6,
} as const;

/**
 * Numbers in one entry: operation, file, memory id, memory offset, length, file offset, token,
 * segment count.
 */
export const QUEUE_ENTRY_NUMBERS = 8;
/** Numbers in one segment: memory id, memory offset, length. */
export const QUEUE_SEGMENT_NUMBERS = 3;
/** Most segments in one entry (IOV_MAX). */
export const QUEUE_SEGMENTS_PER_ENTRY = 1024;

/**
 * A queue of requests to the kernel, for any number of files. Which kind of kernel interface is
 * below is all that its kinds differ in; whoever uses one may be given another implementation.
 *
 * An entry's file is a descriptor, or for a ThreadQueue −1 − the `id` of a MappedFile. With a
 * segment count other than 0 the memory offset is the place of its first segment in `segments`, and
 * the length is that of all its segments.
 *
 * Never more than `depth` requests may be unfinished. Each entry handed to `submit` ends in exactly
 * one pair of one later `onCompletions(count)`, also when the kernel refuses it (EINVAL, for
 * instance, for memory out of bounds). A result of −EAGAIN means that the kernel has no room and
 * nothing of ours in flight: try later.
 */
export interface IoQueueHandle {
  /** `depth` entries of QUEUE_ENTRY_NUMBERS each, to be filled before `submit`. */
  readonly entries: Float64Array;
  /**
   * Segments of the entries in `entries`, QUEUE_SEGMENT_NUMBERS each; room for four of the largest
   * entries.
   */
  readonly segments: Float64Array;
  /**
   * Filled before each callback: pairs (token, result), where a result is bytes moved or a negative
   * errno.
   */
  readonly completions: Float64Array;
  /** Hands the first `count` entries to the kernel, in one system call where it has one. */
  submit(count: number): void;
  /** As `FuseChannelHandle.setSpin`. */
  setSpin(nanoseconds: number): void;
  /** Waits, blocking, for what the kernel still has, and drops its results. Idempotent. */
  close(): void;
  /**
   * Counters: requests given to the kernel, system calls that did it, requests finished, batches of
   * completions.
   */
  statistics(): { submitted: number; submitCalls: number; completed: number; batches: number };
}

/** An io_uring. */
export interface UringQueueHandle extends IoQueueHandle {
  /**
   * The kernel keeps the open file at hand; false when its table has no room. Undo before closing
   * the descriptor.
   */
  registerFile(descriptor: number): boolean;
  unregisterFile(descriptor: number): void;
  /**
   * The kernel keeps the pages pinned, and the memory stays mapped, until it is unregistered; 0 or
   * an errno (ENOMEM: RLIMIT_MEMLOCK).
   */
  registerMemory(memory: AlignedMemory): number;
  unregisterMemory(memory: AlignedMemory): void;
}

/** A file mapped into memory, as a file of a ThreadQueue. Does not own the descriptor. */
export interface MappedFileHandle {
  readonly id: number;
  /** Requests under way still end. Idempotent. */
  close(): void;
}

/**
 * A duplicate of an open descriptor, with an owner: closed with this object when nobody closed it
 * before.
 */
export interface DescriptorHandle {
  readonly number: number;
  close(): void;
}

/** Watches calls into somebody else's JavaScript from a thread of its own. */
export interface HookWatchHandle {
  /**
   * A function that calls `hook` on `receiver` with up to two arguments, watched; it throws
   * `overrun` when the call had to be ended.
   */
  guard<T extends (...values: never[]) => unknown>(name: string, hook: T, receiver: unknown): T;
  /** A module is being loaded: if that computes without end, the process is ended. */
  loading(active: boolean): void;
  /** The event loop has turned. Once this was called, its absence is told of. */
  beat(): void;
  /** Stops watching; guarded functions go on working. Idempotent. */
  close(): void;
}

/** How to open a device or image file. */
export interface OpenDeviceOptions {
  /** Default false. */
  readonly readOnly?: boolean;
  /**
   * Refuse what is in use, with EBUSY: O_EXCL on a block device, a lock of the whole file on an
   * image. Default true.
   */
  readonly exclusive?: boolean;
  /** Ask for O_DIRECT. Default true. */
  readonly direct?: boolean;
}

/** An opened device or image file, with its geometry. */
export interface OpenedDevice extends DeviceGeometry {
  readonly descriptor: number;
  /** False when O_DIRECT was not asked for, or the host filesystem of the image refuses it. */
  readonly direct: boolean;
}

/** What a block device or file is like. */
export interface DeviceGeometry {
  readonly isBlockDevice: boolean;
  /** BLKGETSIZE64, or the length of the file. */
  readonly sizeBytes: number;
  /** BLKSSZGET; 512 for a file. */
  readonly logicalSectorBytes: number;
  /** BLKPBSZGET; 512 for a file. */
  readonly physicalSectorBytes: number;
  /** STATX_DIOALIGN: what O_DIRECT needs of memory addresses; 0 when the kernel does not say. */
  readonly memoryAlignBytes: number;
  /** STATX_DIOALIGN: what O_DIRECT needs of offsets and lengths; 0 when the kernel does not say. */
  readonly offsetAlignBytes: number;
}

/** What a loop device shows the bytes of. Device numbers are as stat(2) gives them. */
export interface LoopBacking {
  readonly device: number;
  readonly inode: bigint;
  /** The block device that the inode is, or 0. */
  readonly blockDevice: number;
  readonly offsetBytes: number;
  /** 0 for all that is there. */
  readonly limitBytes: number;
}

/** A child process at work, and the pipe on which its outcome comes. */
export type Errand = readonly [child: number, descriptor: number];

/** What failed, by the second number of an errand's outcome. */
export const ERRAND_STEPS = [
  '',
  'open',
  'mount id',
  'ioctl',
  'umount2',
  'unshare',
  'remount',
  'syncfs',
  'abort',
] as const;

/** Numbers that both sides state. */
export interface SharedNumbers {
  /** The most that `setSpin` of a channel or queue takes. */
  readonly longestSpinNanoseconds: number;
  /** As QUEUE_ENTRY_NUMBERS, QUEUE_SEGMENT_NUMBERS, QUEUE_SEGMENTS_PER_ENTRY. */
  readonly queueEntryNumbers: number;
  readonly queueSegmentNumbers: number;
  readonly queueSegmentsPerEntry: number;
  /** The most that an IoQueue takes for its depth, and for the length of an entry. */
  readonly deepestQueue: number;
  readonly longestTransferBytes: number;
  /** The head page of a slot, and what of a request is before its end. */
  readonly fuseHeadBytes: number;
  readonly fuseRequestLeadBytes: number;
  readonly leastFuseSlotBytes: number;
  readonly mostFuseSlotBytes: number;
  readonly mostFuseSlots: number;
  /** The longest answer of `startQuestion`. */
  readonly mostAnswerBytes: number;
}

/**
 * What fails throws an Error with `code`, `errno` (negative), `syscall` and, where there is one,
 * `path`.
 */
export interface NativeBinding {
  /**
   * CRC-32C (Castagnoli) of bytes [from, to), continued from `seed` (0 to begin). Finished form:
   * crc32c("123456789") = 0xe3069283.
   */
  crc32c(bytes: Uint8Array, from: number, to: number, seed: number): number;
  /**
   * The same without the processor's instruction; what other processors use, and a check on the
   * fast one.
   */
  crc32cByTable(bytes: Uint8Array, from: number, to: number, seed: number): number;
  AlignedMemory: new (lengthBytes: number) => NumberedMemory;
  FuseChannel: new (descriptor: number, slotBytes: number, slotCount: number) => FuseChannelHandle;
  /** Kernel AIO. @throws Error EAGAIN when fs.aio-max-nr is used up. */
  AioQueue: new (
    depth: number,
    onCompletions: (count: number) => void,
  ) => IoQueueHandle;
  /** @throws Error ENOSYS or EPERM when the system has no io_uring, or forbids it. */
  UringQueue: new (
    depth: number,
    onCompletions: (count: number) => void,
  ) => UringQueueHandle;
  /** System calls on libuv's threads; `depth` is how many at once. */
  ThreadQueue: new (
    depth: number,
    onCompletions: (count: number) => void,
  ) => IoQueueHandle;
  MappedFile: new (descriptor: number, writable: boolean, isBlockDevice: boolean) => MappedFileHandle;
  Descriptor: new (descriptor: number) => DescriptorHandle;
  /** Calls `onChange` after changes of this process's mount table. */
  MountWatch: new (
    onChange: () => void,
  ) => { close(): void };
  /**
   * A line on standard error, `subject` … `advice`, after `reportTicks` looks at the same call; its
   * end, by throwing `overrun`, after `endTicks`, if it used the processor.
   */
  HookWatch: new (
    subject: string,
    advice: string,
    overrun: Error,
    tickMilliseconds: number,
    reportTicks: number,
    endTicks: number,
  ) => HookWatchHandle;
  /**
   * A lock of the open file description: 0 none, 1 shared, 2 exclusive; on the whole file, or on a
   * range of its bytes, whose length 0 is to the end however far that moves. 0 or an errno, at
   * once: EAGAIN when it is held elsewhere.
   */
  lockDescriptor(descriptor: number, kind: 0 | 1 | 2, startBytes?: number, lengthBytes?: number): number;
  /** Whether such a lock is held elsewhere now; the descriptor needs no right to take it. */
  isLockedElsewhere(descriptor: number, kind: 1 | 2, startBytes?: number, lengthBytes?: number): boolean;
  /**
   * Turns O_DIRECT on or off, and O_NONBLOCK off. 0 or an errno: EINVAL when the filesystem knows
   * no O_DIRECT.
   */
  setDirect(descriptor: number, direct: boolean): number;
  /** Geometry of an open file or block device; ENOTBLK for anything else. */
  probeDescriptor(descriptor: number): DeviceGeometry;
  /** What the addon states for itself, to be compared: `native/shared_numbers.h`. */
  readonly numbers: SharedNumbers;
  /** Opens a block device or a regular file; ENOTBLK for anything else. */
  openDevice(path: string, options: OpenDeviceOptions): OpenedDevice;
  /**
   * LOOP_GET_STATUS64; undefined where the open device is no loop device, or has nothing behind it.
   */
  loopBacking(descriptor: number): LoopBacking | undefined;
  /**
   * Tells a device (BLKDISCARD) or image file (FALLOC_FL_PUNCH_HOLE) that what the range holds is
   * of no use any more, on one of libuv's threads. `done` gets 0 or an errno.
   */
  discardRange(
    descriptor: number,
    isBlockDevice: boolean,
    offsetBytes: number,
    lengthBytes: number,
    done: (errno: number) => void,
  ): void;
  closeDevice(descriptor: number): void;
  /**
   * mount(2). `flags` are MS_…; `data` is what the filesystem type takes, `fd=7,rootmode=40000,…`.
   */
  mountFuse(source: string, directory: string, type: string, flags: number, data: string): void;
  /** umount2(2). `flags`: 2 = MNT_DETACH. */
  umount(directory: string, flags: number): void;
  /**
   * Errands: calls that may wait for a FUSE server, each made by a child process, since not even a
   * signal ends such a wait. What they give is the number of the child and a pipe, on which an
   * outcome comes: an errno, the place of the step that failed in ERRAND_STEPS, and the answer.
   */
  /**
   * ioctl(2) on the root of a mount, by user and group (−1: this process's). `bytes` go in, and as
   * many come as the answer.
   */
  startQuestion(
    path: string,
    mountId: number,
    user: number,
    group: number,
    command: number,
    bytes: Uint8Array,
  ): Errand;
  /** umount2(2), if the topmost mount at the path is this one. `flags`: 2 = MNT_DETACH. */
  startUnmount(path: string, mountId: number, flags: number): Errand;
  /**
   * Makes the filesystem of a mount that others cover read-only, and writes what the page cache has
   * of it.
   */
  startSeal(covers: readonly string[], path: string, deviceMajor: number, deviceMinor: number): Errand;
  /** Ends a FUSE connection from outside, through fusectl. */
  startAbort(connection: number): Errand;
  /** Ends the child of an errand if it is still at work. */
  endErrand(child: number): void;
  /** pidfd_open(2): a descriptor to be closed, or a negative errno. */
  openProcess(pid: number): number;
  processHasEnded(descriptor: number): boolean;
  /**
   * setsid(2): this process has no terminal from now on, and no group that is ended with others. 0,
   * or an errno: EPERM for the leader of a group.
   */
  leaveSession(): number;
  /**
   * The status of wait(2); −1 when its parent has not collected it yet, and on kernels before 6.15.
   */
  processExit(descriptor: number): number;
  /** pidfd_send_signal(2): 0 or an errno. */
  signalProcess(descriptor: number, signal: number): number;
  /**
   * A socket for datagrams to one in the filesystem, connected; or a negative errno. To be closed
   * as a file is.
   */
  connectDatagram(path: string): number;
  /** Sends without waiting: 0 or an errno, EAGAIN where whoever listens is behind. */
  sendDatagram(descriptor: number, bytes: Uint8Array): number;
  /** socketpair(2), AF_UNIX stream, close-on-exec: give one end to fusermount3 as _FUSE_COMMFD. */
  socketPair(): [number, number];
  /**
   * Waits, blocking, for a descriptor sent with SCM_RIGHTS; −1 when the other end closed without
   * one.
   */
  receiveDescriptor(socket: number): number;
  /**
   * prctl(PR_SET_IO_FLUSHER): memory reclaim on our behalf must not wait for us. 0 or an errno
   * (EPERM).
   */
  setIoFlusher(): number;
  /** Opens what `readFileClock` needs; one serves a process for its life. */
  openFileClock(): number;
  /** The time that the kernel would stamp a file with now, as [seconds, nanoseconds]. */
  readFileClock(descriptor: number, into: Float64Array): void;
  /**
   * How long the addon's calls into this thread's JavaScript were: the longest in ms, then how many
   * in each bucket of turns.ts.
   */
  turnLengths(): number[];
  /**
   * getrlimit(2): [soft, hard]; Infinity for no limit. `resource` is a number of Linux, RLIMIT_….
   */
  resourceLimit(resource: number): [number, number];
  /** setrlimit(2). 0 or an errno. */
  setResourceLimit(resource: number, soft: number, hard: number): number;
  /** llistxattr(2): names, each with a null byte behind it. */
  listAttributes(path: string): Uint8Array;
  /** lgetxattr(2). */
  getAttribute(path: string, name: string): Uint8Array;
  /** lsetxattr(2). */
  setAttribute(path: string, name: string, value: Uint8Array): void;
  /** mknod(2). `device` as stat(2) has it in 32 bits. */
  makeNode(path: string, mode: number, device: number): void;
  /** utimensat(2), of a link itself. */
  setTimes(
    path: string,
    accessSeconds: number,
    accessNanoseconds: number,
    modifySeconds: number,
    modifyNanoseconds: number,
  ): void;
  /** lseek(2) for the next data, or hole; −1 where there is none. */
  seekFile(descriptor: number, offset: number, hole: boolean): number;
}

/** Something was wanted of an addon that is not there. */
export class MissingAddonError extends Error {
  override readonly name = 'MissingAddonError';

  constructor(cause: unknown) {
    super(`the native addon is not ${whatIsMissing()}`, { cause });
  }
}

function whatIsMissing(): string {
  const { platform, arch } = process;
  if (platform !== 'linux')
    return `for ${platform}: there volumes in image files are read and written without it, and not mounted`;
  if (!/[\\/]node_modules[\\/]/.test(HERE))
    return "built: run 'npm install' (it needs a C++ compiler, make and python3)";
  return (
    `there: none that came with the package loads on linux-${arch}, and none was compiled. ` +
    "Run 'npm rebuild quarryfs --foreground-scripts' (it needs a C++ compiler, make and python3); where install " +
    "scripts are blocked, allow that of quarryfs first ('npm install-scripts approve quarryfs', or " +
    "'--allow-scripts=quarryfs' for what is installed globally)"
  );
}

/** This file. A bundler may have put it into another one, and then it may be no module either. */
const HERE = whereThisIs();

function whereThisIs(): string {
  const url: string | undefined = import.meta.url;
  if (typeof url === 'string') return fileURLToPath(url);
  return typeof __filename === 'string' ? __filename : join(process.cwd(), 'bundle.cjs');
}

let failure: unknown;

/**
 * The addon that was compiled here, or the one among those that came with the package that this
 * system can load. Found through the package: from inside of it, and from a bundle beside which it
 * is installed.
 */
function load(): NativeBinding | undefined {
  try {
    const require = createRequire(HERE);
    const root = dirname(require.resolve('quarryfs/package.json'));
    const nodeGypBuild = createRequire(join(root, 'package.json'))('node-gyp-build') as LoadAddon;
    return nodeGypBuild(root) as NativeBinding;
  } catch (cause) {
    failure = cause;
    return undefined;
  }
}

/** What the package node-gyp-build exports. @param folder that of the package */
type LoadAddon = (folder: string) => unknown;

/** In place of an addon that is not there: whoever wants anything of it hears what to do. */
const absent = new Proxy(Object.create(null) as NativeBinding, {
  get() {
    throw new MissingAddonError(failure);
  },
});

/** The addon; undefined where it was not built for this machine. */
export const addon: NativeBinding | undefined = load();

/** The addon for those who cannot do without it: without one, any use of it throws. */
export const native: NativeBinding = addon ?? absent;
