/**
 * Opens of and writes to regular files that are immutable or append-only, while they can still be
 * refused.
 *
 * The kernel has flags of its own for that, and does not know ours; files are not opened here, and
 * write(2) ends in its cache. But it asks for attributes that it may not keep: before an open, by a
 * GETATTR, and before each write(2), by one that names an open file. The protocol does not say what
 * for. So we look at the system call in which whoever asks waits (calling-thread.ts), and refuse
 * what ext4 refuses: opens of an immutable file for writing and writes to it, and opens of an
 * append-only file for writing that is not appending. What cannot be looked at passes: io_uring,
 * sendfile(2) into a file that was open before, a daemon that may not look. Of openat2(2) the flags
 * stand in the caller's memory, which may wait for whatever is mapped there, this mount as well: so
 * they are read beside the event loop, by few at once, and more than that pass. Those that change
 * names and attributes are requests, which the volume refuses by itself.
 */
import { fsError } from '../fs/base/errors.ts';
import { type Attributes, FileFlag } from '../fs/base/filesystem.ts';
import { memoryLater, type SystemCall, systemCallOf } from './calling-thread.ts';
import { isRegularMode } from './encoding.ts';

const FIXED = FileFlag.immutable | FileFlag.appendOnly;

const ACCESS_MODE = 3;
const READ_ONLY = 0;
/** Open flags O_APPEND and O_PATH. */
const APPEND = 0o2000;
const PATH = 0o10000000;
/** creat(2) opens for writing only. */
const CREAT_FLAGS = 1;
/** W_OK of access(2). */
const WRITE_OK = 2;

/** Numbers of system calls, and the argument that says what is asked for. */
interface CallNumbers {
  readonly writes: readonly number[];
  readonly opens: readonly (readonly [number: number, argument: number])[];
  /** The flags are the first of what the argument points to. */
  readonly opensBy: readonly (readonly [number: number, argument: number])[];
  readonly creates: readonly number[];
  readonly accesses: readonly (readonly [number: number, argument: number])[];
}

/** pwritev2, faccessat2 and the like included: asm/unistd_64.h, asm-generic/unistd.h. */
const NUMBERS: Partial<Record<string, CallNumbers>> = {
  x64: {
    writes: [1, 18, 20, 296, 328],
    opens: [
      [2, 1],
      [257, 2],
    ],
    opensBy: [[437, 2]],
    creates: [85],
    accesses: [
      [21, 1],
      [269, 2],
      [439, 2],
    ],
  },
  arm64: {
    writes: [64, 66, 68, 70, 287],
    opens: [[56, 2]],
    opensBy: [[437, 2]],
    creates: [],
    accesses: [
      [48, 2],
      [439, 2],
    ],
  },
};

/** A regular file with one of these flags. */
export function isFixed({ mode, flags }: Attributes): boolean {
  return (flags & FIXED) !== 0 && isRegularMode(mode);
}

function argumentOf(
  { number, arguments: given }: SystemCall,
  rules: readonly (readonly [number: number, argument: number])[],
): bigint | undefined {
  const rule = rules.find(([candidate]) => candidate === number);
  return rule === undefined ? undefined : given[rule[1]];
}

/** The flags that a file is being opened with; undefined if it is not, or the call does not say. */
function openFlagsOf(call: SystemCall, numbers: CallNumbers): number | undefined {
  if (numbers.creates.includes(call.number)) return CREAT_FLAGS;
  const flags = argumentOf(call, numbers.opens);
  return flags === undefined ? undefined : Number(flags & 0xffff_ffffn);
}

/** Where the calling thread's memory says what it opens with; undefined if the call itself does. */
export function openFlagsAt(call: SystemCall, architecture: string): bigint | undefined {
  return argumentOf(call, NUMBERS[architecture]?.opensBy ?? []);
}

/** Whether a file with these flags refuses to be opened with those. */
export function refusesOpen(flags: number, openFlags: number): boolean {
  if ((openFlags & PATH) !== 0 || (openFlags & ACCESS_MODE) === READ_ONLY) return false;
  return (flags & FileFlag.immutable) !== 0 || (openFlags & APPEND) === 0;
}

/** Whether a file with these flags refuses what the call is about to do, as far as it says. */
export function refuses(flags: number, call: SystemCall, architecture: string): boolean {
  const numbers = NUMBERS[architecture];
  if (numbers === undefined) return false;
  const isImmutable = (flags & FileFlag.immutable) !== 0;
  if (numbers.writes.includes(call.number)) return isImmutable;
  const wanted = argumentOf(call, numbers.accesses);
  if (wanted !== undefined) return isImmutable && (Number(wanted & 0xffn) & WRITE_OK) !== 0;
  const openFlags = openFlagsOf(call, numbers);
  return openFlags !== undefined && refusesOpen(flags, openFlags);
}

/**
 * @param flags of the file, which are fixed ones
 * @param thread who asks for its attributes
 * @returns what has to be waited for, and may throw the same; undefined for nothing
 * @throws FsError EPERM
 */
export function expectMayGoOn(flags: number, thread: number): Promise<void> | undefined {
  const call = systemCallOf(thread);
  if (call === undefined) return undefined;
  const pointer = openFlagsAt(call, process.arch);
  if (pointer !== undefined) return expectMayOpen(flags, thread, pointer);
  if (refuses(flags, call, process.arch)) throw fsError('EPERM');
  return undefined;
}

async function expectMayOpen(flags: number, thread: number, pointer: bigint): Promise<void> {
  const how = await memoryLater(thread, pointer, 8);
  if (how !== undefined && refusesOpen(flags, how.readUInt32LE(0))) throw fsError('EPERM');
}
