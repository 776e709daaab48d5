/**
 * Questions to a mount: what an ioctl(2) on its root directory carries, in both directions.
 *
 * The kernel brings a question to whoever serves the mount and to nobody else, and says whose it
 * is; so no file is needed by which a daemon is found, and nobody can answer in its place. What
 * comes back is the word of that mount's server about itself, no more: a user may serve a mount of
 * his own and answer as he likes.
 *
 * One command number stands for all questions: its size, for the kernel to copy, is that of the
 * longest message. An answer is JSON, and one that is longer comes in parts: the first part brings
 * a token, and the next ones are asked for by token and offset.
 *
 *   question  | head | payload …                    answer  | head | part of the text …
 */

import { viewOf } from '../common/bytes.ts';
import { MESSAGE_BYTES, MOST_ANSWER_BYTES } from './limits.ts';

/** _IOWR('Q', 0x51, 16376): both directions, the size of a message, the type, the number. */
export const QUESTION_COMMAND = ((3 << 30) | (MESSAGE_BYTES << 16) | (0x51 << 8) | 0x51) >>> 0;

/** 'QRRY'; then the version of the layout. */
const MAGIC = 0x59525251;
const VERSION = 1;
/** Offsets in bytes, as in abi.ts. */
export const QuestionHead = {
  bytes: 48,
  magic: 0,
  version: 4,
  question: 8,
  payloadBytes: 12,
  /** 0 for a new question, otherwise the answer whose next part is asked for. */
  token: 16,
  offset: 24,
} as const;

export const AnswerHead = {
  bytes: 48,
  magic: 0,
  version: 4,
  /** 0, or an errno; the text is then a message. */
  errno: 8,
  partBytes: 12,
  token: 16,
  offset: 24,
  totalBytes: 32,
} as const;

export const MOST_PAYLOAD_BYTES = MESSAGE_BYTES - QuestionHead.bytes;
export const MOST_PART_BYTES = MESSAGE_BYTES - AnswerHead.bytes;

export interface QuestionRule {
  readonly number: number;
  /** Only root and the user who serves the mount may ask. */
  readonly ownerOnly: boolean;
}

/** The questions there are. */
export const QUESTIONS = {
  /** Who serves this mount, and since when. */
  identify: { number: 1, ownerOnly: false },
  /** The live counters. */
  stat: { number: 2, ownerOnly: false },
  /** The last lines of the log; they may name files. */
  log: { number: 3, ownerOnly: true },
  /** Makes everything durable that has reached the server. */
  commit: { number: 4, ownerOnly: true },
  /** Takes new mount options, the payload. */
  remount: { number: 5, ownerOnly: true },
  /** Makes the volume larger; the payload says how large. Answers with both sizes. */
  resize: { number: 6, ownerOnly: true },
} as const satisfies Record<string, QuestionRule>;

export type QuestionName = keyof typeof QUESTIONS;

export function questionNamed(number: number): QuestionName | undefined {
  const names = Object.keys(QUESTIONS) as QuestionName[];
  return names.find((name) => QUESTIONS[name].number === number);
}

export interface Question {
  readonly number: number;
  readonly payload: string;
  readonly token: number;
  readonly offset: number;
}

export interface AnswerPart {
  readonly errno: number;
  readonly token: number;
  readonly offset: number;
  readonly totalBytes: number;
  readonly part: Uint8Array;
}

function isOurs(view: DataView): boolean {
  return view.getUint32(0, true) === MAGIC && view.getUint32(4, true) === VERSION;
}

/** A whole message. @throws RangeError if the payload does not fit */
export function encodeQuestion({ number, payload, token, offset }: Question): Uint8Array {
  const text = Buffer.from(payload);
  if (text.length > MOST_PAYLOAD_BYTES) throw new RangeError('the question is too long');
  const bytes = new Uint8Array(MESSAGE_BYTES);
  const view = viewOf(bytes);
  view.setUint32(QuestionHead.magic, MAGIC, true);
  view.setUint32(QuestionHead.version, VERSION, true);
  view.setUint32(QuestionHead.question, number, true);
  view.setUint32(QuestionHead.payloadBytes, text.length, true);
  view.setBigUint64(QuestionHead.token, BigInt(token), true);
  view.setBigUint64(QuestionHead.offset, BigInt(offset), true);
  bytes.set(text, QuestionHead.bytes);
  return bytes;
}

/** undefined for what is not a question of this version. */
export function decodeQuestion(bytes: Uint8Array): Question | undefined {
  const view = viewOf(bytes);
  if (bytes.length < QuestionHead.bytes || !isOurs(view)) return undefined;
  const payloadBytes = view.getUint32(QuestionHead.payloadBytes, true);
  if (payloadBytes > bytes.length - QuestionHead.bytes) return undefined;
  const payload = bytes.subarray(QuestionHead.bytes, QuestionHead.bytes + payloadBytes);
  return {
    number: view.getUint32(QuestionHead.question, true),
    payload: Buffer.from(payload).toString(),
    token: Number(view.getBigUint64(QuestionHead.token, true)),
    offset: Number(view.getBigUint64(QuestionHead.offset, true)),
  };
}

export function encodeAnswer({ errno, token, offset, totalBytes, part }: AnswerPart): Uint8Array {
  const bytes = new Uint8Array(AnswerHead.bytes + part.length);
  const view = viewOf(bytes);
  view.setUint32(AnswerHead.magic, MAGIC, true);
  view.setUint32(AnswerHead.version, VERSION, true);
  view.setInt32(AnswerHead.errno, errno, true);
  view.setUint32(AnswerHead.partBytes, part.length, true);
  view.setBigUint64(AnswerHead.token, BigInt(token), true);
  view.setBigUint64(AnswerHead.offset, BigInt(offset), true);
  view.setBigUint64(AnswerHead.totalBytes, BigInt(totalBytes), true);
  bytes.set(part, AnswerHead.bytes);
  return bytes;
}

/**
 * undefined for what no server of Quarry says. The numbers are within their bounds, the text is
 * anybody's.
 */
export function decodeAnswer(bytes: Uint8Array): AnswerPart | undefined {
  const view = viewOf(bytes);
  if (bytes.length < AnswerHead.bytes || !isOurs(view)) return undefined;
  const partBytes = view.getUint32(AnswerHead.partBytes, true);
  const totalBytes = Number(view.getBigUint64(AnswerHead.totalBytes, true));
  const offset = Number(view.getBigUint64(AnswerHead.offset, true));
  if (totalBytes > MOST_ANSWER_BYTES || partBytes > bytes.length - AnswerHead.bytes) return undefined;
  if (offset + partBytes > totalBytes) return undefined;
  return {
    errno: view.getInt32(AnswerHead.errno, true),
    token: Number(view.getBigUint64(AnswerHead.token, true)),
    offset,
    totalBytes,
    part: bytes.subarray(AnswerHead.bytes, AnswerHead.bytes + partBytes),
  };
}
