/**
 * Errands: system calls that may wait for a FUSE server, made by child processes of the addon, and
 * given up when they take too long.
 *
 * A process that waits for a server which has taken its request cannot even be killed. So nothing
 * that may wait for a mount is called from here directly; a child that does not come back is left
 * behind, and this process ends when it likes.
 */
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { ERRAND_STEPS, type Errand, native } from '../native.ts';

/** An outcome begins with these two numbers of 32 bits. */
const OUTCOME_HEAD_BYTES = 8;

/** A step of an errand failed; `code` is the name of its errno, and the message says the step. */
export class ErrandError extends Error {
  override readonly name = 'ErrandError';
  readonly code: string;
  readonly syscall: string;

  constructor(errno: number, step: number) {
    // Node's table of names, which is libuv's, has no ESTALE.
    const code = errno === constants.errno.ESTALE ? 'ESTALE' : getSystemErrorName(-errno);
    const syscall = ERRAND_STEPS[step] ?? 'errand';
    super(`${code}, ${syscall}`);
    this.code = code;
    this.syscall = syscall;
  }
}

/** Nothing came back in time. */
export class SilenceError extends Error {
  override readonly name = 'SilenceError';
}

function collect(descriptor: number, signal: AbortSignal): Promise<Buffer> {
  const pipe = new Socket({ fd: descriptor, readable: true, writable: false });
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      pipe.destroy();
      reject(new SilenceError('no answer in time'));
    };
    signal.addEventListener('abort', giveUp, { once: true });
    pipe.on('data', (chunk: Buffer) => chunks.push(chunk));
    pipe.on('error', reject);
    pipe.on('close', () => {
      signal.removeEventListener('abort', giveUp);
      resolve(Buffer.concat(chunks));
    });
    if (signal.aborted) giveUp();
  });
}

/**
 * Waits for an errand.
 * @param signal gives it up: its child is killed, or left behind where that is not possible
 * @returns what it brought
 * @throws ErrandError, SilenceError
 */
export async function runErrand([child, descriptor]: Errand, signal: AbortSignal): Promise<Buffer> {
  try {
    const bytes = await collect(descriptor, signal);
    if (bytes.length < OUTCOME_HEAD_BYTES) throw new SilenceError('the call was broken off');
    const errno = bytes.readInt32LE(0);
    if (errno !== 0) throw new ErrandError(errno, bytes.readInt32LE(4));
    return bytes.subarray(OUTCOME_HEAD_BYTES);
  } finally {
    native.endErrand(child);
  }
}
