/**
 * Asking a mount something: the question goes through the kernel to whoever serves it
 * (fuse/questions.ts).
 *
 * The answer is bounded in length and time, and is the word of that server about itself: a user can
 * serve a mount that looks like ours. So nothing in it is a name to open, a process to end or text
 * to print as it is.
 */

import { isRoot } from '../common/permissions.ts';
import { printable } from '../common/printable.ts';
import { ErrandError, runErrand, SilenceError } from '../fuse/errand.ts';
import { LONGEST_SENTENCE_CHARACTERS } from '../fuse/limits.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { ownerOf } from '../fuse/mount-table.ts';
import {
  type AnswerPart,
  decodeAnswer,
  encodeQuestion,
  QUESTION_COMMAND,
  QUESTIONS,
  type QuestionName,
} from '../fuse/questions.ts';
import { native } from '../native.ts';
import { CommandError } from './failure.ts';

export const ANSWER_SECONDS = 5;

/**
 * Why there is no answer. `dead`: nobody serves the mount any more. `silent`: its server does not
 * answer in time. `foreign`: it is not one of ours, or cannot be asked. `refused`: the answer is an
 * error.
 */
export type NoAnswerReason = 'dead' | 'silent' | 'foreign' | 'refused';

export class NoAnswerError extends CommandError {
  readonly reason: NoAnswerReason;

  constructor(reason: NoAnswerReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

const DEAD = new Set(['ENOTCONN', 'ECONNABORTED']);

function explain(thrown: unknown, { directory }: MountRecord): unknown {
  if (thrown instanceof SilenceError) {
    return new NoAnswerError('silent', `the daemon of ${directory} does not answer`);
  }
  if (!(thrown instanceof ErrandError)) return thrown;
  if (DEAD.has(thrown.code)) return new NoAnswerError('dead', `the daemon of ${directory} is gone`);
  if (thrown.code === 'EACCES') {
    return new NoAnswerError('foreign', `no permission to ask ${directory}: ask as root, or as its owner`);
  }
  return new NoAnswerError('foreign', `${directory} cannot be asked (${thrown.message})`);
}

/**
 * The kernel lets nobody but its owner into a user's mount, not even root: root asks as that user,
 * in a child.
 */
function identityFor(mount: MountRecord): readonly [user: number, group: number] {
  const { uid, gid, allowOther } = ownerOf(mount);
  const asOwner = isRoot() && uid !== 0 && !allowOther;
  return asOwner ? [uid, gid] : [-1, -1];
}

async function askOnce(mount: MountRecord, bytes: Uint8Array, signal: AbortSignal): Promise<AnswerPart> {
  const { directory, id } = mount;
  const errand = native.startQuestion(directory, id, ...identityFor(mount), QUESTION_COMMAND, bytes);
  const answer = decodeAnswer(await runErrand(errand, signal));
  if (answer === undefined) throw new NoAnswerError('foreign', `${directory} does not answer as Quarry does`);
  return answer;
}

/** All parts of an answer, of which each must bring it forward. */
async function askWhole(
  mount: MountRecord,
  question: { number: number; payload: string },
  signal: AbortSignal,
): Promise<{ errno: number; text: string }> {
  const parts: Uint8Array[] = [];
  let token = 0;
  let offset = 0;
  for (;;) {
    const answer = await askOnce(mount, encodeQuestion({ ...question, token, offset }), signal);
    parts.push(answer.part);
    token = answer.token;
    offset += answer.part.length;
    if (offset >= answer.totalBytes || answer.part.length === 0 || answer.errno !== 0) {
      return { errno: answer.errno, text: Buffer.concat(parts).toString() };
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sentence(said: unknown): string | undefined {
  return typeof said === 'string' ? printable(said.slice(0, LONGEST_SENTENCE_CHARACTERS)) : undefined;
}

export interface AskOptions {
  readonly payload?: string;
  readonly limitMs?: number;
  /** Gives the question up before its time, as if there was no answer. */
  readonly signal?: AbortSignal;
}

/**
 * Asks the server of a mount.
 * @returns its answer, whatever JSON that is
 * @throws NoAnswerError
 */
export async function askMount(
  mount: MountRecord,
  name: QuestionName,
  { payload = '', limitMs = ANSWER_SECONDS * 1000, signal }: AskOptions = {},
): Promise<unknown> {
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  const timer = setTimeout(giveUp, limitMs);
  signal?.addEventListener('abort', giveUp);
  if (signal?.aborted) giveUp();
  try {
    const { number } = QUESTIONS[name];
    const { errno, text } = await askWhole(mount, { number, payload }, limit.signal);
    const answer = parse(text);
    if (errno === 0) return answer;
    throw new NoAnswerError('refused', sentence(answer) ?? `errno ${errno}`);
  } catch (thrown) {
    throw explain(thrown, mount);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  }
}

/** What `identify` tells, as far as it can be used. */
export interface MountIdentity {
  /** Where to look first for the process that serves the mount; to be proven. */
  readonly pid: number | undefined;
  readonly readOnly: boolean;
  /** Why the volume takes no changes, for people. */
  readonly failure: string | undefined;
}

/** @throws NoAnswerError */
export async function identify(mount: MountRecord, limitMs?: number): Promise<MountIdentity> {
  const answer = await askMount(mount, 'identify', limitMs === undefined ? {} : { limitMs });
  const { pid, readOnly, failure }: Record<string, unknown> = Object(answer);
  return {
    pid: typeof pid === 'number' && Number.isInteger(pid) && pid > 0 && pid < 2 ** 31 ? pid : undefined,
    readOnly: readOnly === true,
    failure: sentence(failure),
  };
}
