/**
 * The thread that a request comes from, as /proc shows it: it waits in the kernel for our answer,
 * so what it does, who it is and what its arguments point to does not change meanwhile.
 *
 * Asked only where the protocol does not say what it should. Whoever runs the daemon may be kept
 * from looking (another user, a process outside of our PID namespace, ptrace_scope); then the
 * answer is undefined.
 */
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** A system call that waits: its number, and its arguments. */
export interface SystemCall {
  readonly number: number;
  readonly arguments: readonly bigint[];
}

/** With whose rights it calls, in our user namespace. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

const ARGUMENTS = 6;

function textOf(thread: number, file: string): string | undefined {
  if (thread === 0) return undefined;
  try {
    return readFileSync(`/proc/${thread}/${file}`, 'latin1');
  } catch {
    return undefined;
  }
}

/** `number arguments… stack pc`; or "running", or −1 and no arguments. See proc_pid_syscall(5). */
export function parseSystemCall(text: string): SystemCall | undefined {
  const [number, ...values] = text.trim().split(' ');
  if (!/^\d+$/.test(number ?? '') || values.length < ARGUMENTS) return undefined;
  return { number: Number(number), arguments: values.slice(0, ARGUMENTS).map(BigInt) };
}

/** @param thread its number in our PID namespace, 0 for none */
export function systemCallOf(thread: number): SystemCall | undefined {
  const text = textOf(thread, 'syscall');
  return text === undefined ? undefined : parseSystemCall(text);
}

/** The ids of files that it makes are the last of four: see proc_pid_status(5). */
export function parseCredentials(status: string): Credentials | undefined {
  const numbersOf = (name: string) => {
    const line = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1];
    return line?.split(/\s+/).filter(Boolean).map(Number);
  };
  const uid = numbersOf('Uid')?.[3];
  const gid = numbersOf('Gid')?.[3];
  if (uid === undefined || gid === undefined) return undefined;
  return { uid, gid, groups: numbersOf('Groups') ?? [] };
}

/**
 * The thread for which one works that io_uring made, by its name: `iou-wrk-` or `iou-sqp-` and the
 * number of that one. Undefined for any other thread.
 */
export function submitterOf(status: string): number | undefined {
  const number = /^Name:\tiou-(?:wrk|sqp)-(\d+)$/m.exec(status)?.[1];
  return number === undefined ? undefined : Number(number);
}

function processOf(status: string): string | undefined {
  return /^Tgid:\s*(\d+)$/m.exec(status)?.[1];
}

/**
 * A thread of io_uring works with the rights of whoever submitted, and /proc shows those that the
 * process had when the thread was made. So the submitter is looked at, who mostly waits for it. One
 * that cannot be found (the number in the name is that of the first PID namespace), or is a thread
 * of io_uring itself, leaves nobody known.
 * @param thread its number in our PID namespace, 0 for none
 */
export function credentialsOf(thread: number): Credentials | undefined {
  const status = textOf(thread, 'status');
  if (status === undefined) return undefined;
  const submitter = submitterOf(status);
  if (submitter === undefined) return parseCredentials(status);
  const other = textOf(submitter, 'status');
  if (other === undefined || processOf(other) !== processOf(status)) return undefined;
  return submitterOf(other) === undefined ? parseCredentials(other) : undefined;
}

/** A descriptor of a thread. */
export interface OpenDescriptor {
  /** Where the next write(2) begins, unless it appends. */
  readonly positionBytes: number;
  readonly appends: boolean;
  /** Of its file, as its filesystem numbers them; undefined where the kernel does not say. */
  readonly inode: number | undefined;
}

const APPEND = 0o2000;

/** See proc_pid_fdinfo(5). */
export function parseOpenFile(text: string): OpenDescriptor | undefined {
  const position = /^pos:\s*(\d+)$/m.exec(text)?.[1];
  const flags = /^flags:\s*([0-7]+)$/m.exec(text)?.[1];
  const inode = /^ino:\s*(\d+)$/m.exec(text)?.[1];
  if (position === undefined || flags === undefined) return undefined;
  return {
    positionBytes: Number(position),
    appends: (Number.parseInt(flags, 8) & APPEND) !== 0,
    inode: inode === undefined ? undefined : Number(inode),
  };
}

export function openFileOf(thread: number, descriptor: number): OpenDescriptor | undefined {
  const text = textOf(thread, `fdinfo/${descriptor}`);
  return text === undefined ? undefined : parseOpenFile(text);
}

/** Threads of the pool that may wait for somebody's memory at once: some are left for the rest. */
const MOST_LOOKS = 2;
/** A look takes some microseconds; who waits longer for his turn goes without. */
const TURN_MILLISECONDS = 50;
let looks = 0;
const waitingForTurn: (() => void)[] = [];

/** @returns whether one of the threads may be taken; it is given back by `endTurn` */
async function takeTurn(): Promise<boolean> {
  if (looks < MOST_LOOKS) {
    looks++;
    return true;
  }
  return await new Promise((resolve) => {
    const giveUp = () => {
      waitingForTurn.splice(waitingForTurn.indexOf(granted), 1);
      resolve(false);
    };
    const timer = setTimeout(giveUp, TURN_MILLISECONDS);
    const granted = () => {
      clearTimeout(timer);
      resolve(true);
    };
    waitingForTurn.push(granted);
  });
}

function endTurn(): void {
  const next = waitingForTurn.shift();
  if (next === undefined) looks--;
  else next();
}

/**
 * Bytes of its memory; undefined where there are not as many, and while too many wait. By a thread
 * of the pool: what is mapped there may be a file of a mount of ours, or of one that never answers.
 */
export async function memoryLater(
  thread: number,
  address: bigint,
  lengthBytes: number,
): Promise<Buffer | undefined> {
  const position = Number(address);
  if (thread === 0 || !Number.isSafeInteger(position) || !(await takeTurn())) return undefined;
  const file = await open(`/proc/${thread}/mem`, 'r').catch(() => undefined);
  try {
    const read = await file?.read(Buffer.alloc(lengthBytes), 0, lengthBytes, position);
    return read?.bytesRead === lengthBytes ? read.buffer : undefined;
  } catch {
    return undefined;
  } finally {
    await file?.close();
    endTurn();
  }
}
