/**
 * How far a policy's process has come, in a few bytes of a file that it shares with its parent.
 */
import type { ObservedHook } from './observed-policy.ts';

/** The file, in the process that writes it. */
export const PROGRESS_DESCRIPTOR = 3;

export const HOOK_NAMES: readonly ObservedHook[] = [
  'create',
  'allocate',
  'taken',
  'release',
  'forgetInode',
  'stats',
  'checkInvariants',
];

export interface Progress {
  /** Counts the calls of hooks: another number is another call. */
  readonly call: number;
  /** Index in HOOK_NAMES of the hook that runs; −1 = none. */
  readonly hook: number;
  /** Which of the random histories of a task. */
  readonly round: number;
  readonly operation: number;
  readonly request: number;
}

const FIELDS = ['call', 'hook', 'round', 'operation', 'request'] as const;
const words = new Int32Array(FIELDS.length);
export const PROGRESS_BYTES = words.byteLength;

/** The bytes; valid until the next call. */
export function encodeProgress(progress: Progress): Uint8Array {
  for (const [index, field] of FIELDS.entries()) words[index] = progress[field];
  return new Uint8Array(words.buffer);
}

export function decodeProgress(bytes: Uint8Array): Progress {
  const read = new Int32Array(bytes.buffer, bytes.byteOffset, FIELDS.length);
  const [call = 0, hook = -1, round = 0, operation = 0, request = 0] = read;
  return { call, hook, round, operation, request };
}
