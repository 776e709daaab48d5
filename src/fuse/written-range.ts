/**
 * Which bytes a thread is about to write to a file, by the system call in which it waits for our
 * answer (calling-thread.ts): write(2) and its kin, sendfile(2), splice(2), copy_file_range(2), and
 * io_submit(2), in which buffered writes of libaio are done one after the other.
 */
import { viewOf } from '../common/bytes.ts';
import { record, U16, U32, U64 } from '../common/record.ts';
import {
  memoryLater,
  type OpenDescriptor,
  openFileOf,
  type SystemCall,
  systemCallOf,
} from './calling-thread.ts';

/** Where the bytes go: a place in the file, its end, or nobody knows. */
export type WritePlace = number | 'end' | 'somewhere';

const NOTHING: readonly WrittenRange[] = [];

/** All that a call is to write, piece by piece. */
export interface WholeCall {
  readonly startBytes: number;
  readonly lengthBytes: number;
}

export interface WrittenRange {
  readonly place: WritePlace;
  readonly lengthBytes: number;
  /** Of a call that goes on in pieces, as far as it can be seen. */
  readonly whole?: WholeCall;
}

/** Which arguments of a system call say what. */
interface WriteCall {
  readonly number: number;
  /** How many bytes; of `isVector`, how many pieces, which the argument before points to. */
  readonly lengthAt: number;
  readonly isVector?: true;
  readonly offsetAt?: number;
  /** The kernel goes on in pieces of a pipe, and asks before each. */
  readonly isPiped?: true;
  /** Of the file; the first if not given. */
  readonly descriptorAt?: number;
  /** A pointer to where to begin, in place of the file's position. */
  readonly pointerAt?: number;
}

/** Room of a pipe, in bytes. */
const PIPE_BYTES = 16 * 4096;
/** struct iovec: pointer and length. */
const PIECE_BYTES = 16;
/** IOV_MAX. */
const MOST_PIECES = 1024;
/** Linux writes no more by one call. */
const MOST_BYTES = 2 ** 31 - 4096;
/** Offset −1 of pwritev2(2). */
const NO_OFFSET = 2n ** 64n - 1n;

/**
 * write, pwrite64, writev, pwritev, pwritev2, sendfile, splice, copy_file_range: numbers of
 * asm/unistd.h.
 */
function writeCalls(numbers: readonly number[]): ReadonlyMap<number, WriteCall> {
  const rules: readonly Omit<WriteCall, 'number'>[] = [
    { lengthAt: 2 },
    { lengthAt: 2, offsetAt: 3 },
    { lengthAt: 2, isVector: true },
    { lengthAt: 2, isVector: true, offsetAt: 3 },
    { lengthAt: 2, isVector: true, offsetAt: 3 },
    { lengthAt: 3, isPiped: true },
    { lengthAt: 4, isPiped: true, descriptorAt: 2, pointerAt: 3 },
    { lengthAt: 4, isPiped: true, descriptorAt: 2, pointerAt: 3 },
  ];
  const calls = numbers.map((number, at): WriteCall => ({ number, lengthAt: 2, ...rules[at] }));
  return new Map(calls.map((call) => [call.number, call]));
}

const CALLS: Partial<Record<string, ReadonlyMap<number, WriteCall>>> = {
  x64: writeCalls([1, 18, 20, 296, 328, 40, 275, 326]),
  arm64: writeCalls([64, 68, 66, 70, 287, 71, 76, 285]),
};

/** io_submit: asm/unistd_64.h, asm-generic/unistd.h. */
const SUBMIT_NUMBERS: Partial<Record<string, number>> = { x64: 209, arm64: 2 };
/** It does not say which of its requests it is at: so all are looked at each time, if few. */
const MOST_SUBMITTED = 16;
const POINTER_BYTES = 8;
/** IOCB_CMD_PWRITE and IOCB_CMD_PWRITEV. */
const SUBMITTED_WRITE = 1;
const SUBMITTED_VECTOR = 8;

/** linux/aio_abi.h. */
const Iocb = record('struct iocb', 64, {
  data: new U64(0),
  key: new U32(8),
  rwFlags: new U32(12),
  opcode: new U16(16),
  priority: new U16(18),
  descriptor: new U32(20),
  buffer: new U64(24),
  count: new U64(32),
  offset: new U64(40),
  reserved: new U64(48),
  flags: new U32(56),
  resultDescriptor: new U32(60),
});

/** What is looked at beside the call itself. */
export interface ThreadFacts {
  memory(address: bigint, lengthBytes: number): Uint8Array | undefined;
  openFile(descriptor: number): OpenDescriptor | undefined;
}

function lengthOf(rule: WriteCall, given: readonly bigint[], facts: ThreadFacts): number | undefined {
  const count = Number(given[rule.lengthAt]);
  if (rule.isPiped) return Math.min(count, PIPE_BYTES);
  if (!rule.isVector) return Math.min(count, MOST_BYTES);
  if (count > MOST_PIECES) return undefined;
  const pieces = facts.memory(given[rule.lengthAt - 1] ?? 0n, count * PIECE_BYTES);
  return pieces === undefined ? undefined : lengthOfPieces(pieces);
}

function lengthOfPieces(pieces: Uint8Array): number {
  const view = viewOf(pieces);
  let lengthBytes = 0;
  for (let at = 8; at < pieces.length; at += PIECE_BYTES) lengthBytes += Number(view.getBigUint64(at, true));
  return Math.min(lengthBytes, MOST_BYTES);
}

function placeOf(rule: WriteCall, given: readonly bigint[], facts: ThreadFacts): WritePlace {
  if (rule.isPiped) return 'somewhere';
  const file = facts.openFile(Number(given[0]));
  if (file === undefined) return 'somewhere';
  if (file.appends) return 'end';
  const offset = rule.offsetAt === undefined ? NO_OFFSET : (given[rule.offsetAt] ?? NO_OFFSET);
  return offset === NO_OFFSET ? file.positionBytes : Number(offset);
}

/** The position of the open file moves when all is done. */
function wholeOf(rule: WriteCall, given: readonly bigint[], facts: ThreadFacts): WholeCall | undefined {
  if (!rule.isPiped || (rule.pointerAt !== undefined && given[rule.pointerAt] !== 0n)) return undefined;
  const file = facts.openFile(Number(given[rule.descriptorAt ?? 0]));
  if (file === undefined || file.appends) return undefined;
  const lengthBytes = Math.min(Number(given[rule.lengthAt]), MOST_BYTES);
  return { startBytes: file.positionBytes, lengthBytes };
}

/** Undefined if it is no such call, or cannot be seen. */
export function rangeOfCall(
  call: SystemCall,
  architecture: string,
  facts: ThreadFacts,
): WrittenRange | undefined {
  const rule = CALLS[architecture]?.get(call.number);
  if (rule === undefined) return undefined;
  const lengthBytes = lengthOf(rule, call.arguments, facts);
  if (lengthBytes === undefined || lengthBytes === 0) return undefined;
  const place = placeOf(rule, call.arguments, facts);
  const whole = wholeOf(rule, call.arguments, facts);
  return whole === undefined ? { place, lengthBytes } : { place, lengthBytes, whole };
}

/** What is looked at of a thread that submits: as `ThreadFacts`, but its memory takes a while. */
export interface SubmitterFacts {
  memory(address: bigint, lengthBytes: number): Promise<Uint8Array | undefined>;
  openFile(descriptor: number): OpenDescriptor | undefined;
}

/** What the requests that an io_submit(2) hands over write to an inode. */
export async function rangesOfSubmission(
  { arguments: given }: SystemCall,
  inode: number,
  facts: SubmitterFacts,
): Promise<readonly WrittenRange[]> {
  const count = Number(given[1] ?? 0n);
  if (count === 0 || count > MOST_SUBMITTED) return [];
  const pointers = await facts.memory(given[2] ?? 0n, count * POINTER_BYTES);
  if (pointers === undefined) return [];
  const view = viewOf(pointers);
  const ranges: WrittenRange[] = [];
  for (let at = 0; at < pointers.length; at += POINTER_BYTES) {
    const range = await rangeOfRequest(view.getBigUint64(at, true), inode, facts);
    if (range !== undefined) ranges.push(range);
  }
  return ranges;
}

async function rangeOfRequest(
  address: bigint,
  inode: number,
  facts: SubmitterFacts,
): Promise<WrittenRange | undefined> {
  const bytes = await facts.memory(address, Iocb.sizeBytes);
  if (bytes === undefined) return undefined;
  const view = viewOf(bytes);
  const file = facts.openFile(Iocb.descriptor.get(view, 0));
  if (file === undefined || (file.inode ?? inode) !== inode) return undefined;
  const lengthBytes = await lengthOfRequest(view, facts);
  if (lengthBytes === 0) return undefined;
  return { place: file.appends ? 'end' : Iocb.offset.get(view, 0), lengthBytes };
}

/** 0 if it is no write, or cannot be seen. */
async function lengthOfRequest(view: DataView, facts: SubmitterFacts): Promise<number> {
  const opcode = Iocb.opcode.get(view, 0);
  const count = Iocb.count.get(view, 0);
  if (opcode === SUBMITTED_WRITE) return Math.min(count, MOST_BYTES);
  if (opcode !== SUBMITTED_VECTOR || count > MOST_PIECES) return 0;
  const pieces = await facts.memory(BigInt(Iocb.buffer.get(view, 0)), count * PIECE_BYTES);
  return pieces === undefined ? 0 : lengthOfPieces(pieces);
}

/**
 * Of a call that points to what it is about it takes a look at the caller's memory, which may wait
 * for whatever is mapped there, this mount as well: so later.
 * @param thread that waits for us
 * @param inode that it is about to write to
 */
export function writtenRanges(
  thread: number,
  inode: number,
): readonly WrittenRange[] | Promise<readonly WrittenRange[]> {
  const call = systemCallOf(thread);
  if (call === undefined) return NOTHING;
  const openFile = (descriptor: number) => openFileOf(thread, descriptor);
  const memory = (address: bigint, lengthBytes: number) => memoryLater(thread, address, lengthBytes);
  if (call.number === SUBMIT_NUMBERS[process.arch])
    return rangesOfSubmission(call, inode, { memory, openFile });
  const rule = CALLS[process.arch]?.get(call.number);
  if (rule === undefined) return NOTHING;
  const ranges = (pieces?: Uint8Array) => {
    const range = rangeOfCall(call, process.arch, { memory: () => pieces, openFile });
    return range === undefined ? NOTHING : [range];
  };
  const count = Number(call.arguments[rule.lengthAt]);
  if (!rule.isVector || count > MOST_PIECES) return ranges();
  return memory(call.arguments[rule.lengthAt - 1] ?? 0n, count * PIECE_BYTES).then(ranges);
}
