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
import { Bytes, I32, record, U32, U64 } from '../common/record.ts';
import { MESSAGE_BYTES, MOST_ANSWER_BYTES } from './limits.ts';

/** _IOWR('Q', 0x51, 16376): both directions, the size of a message, the type, the number. */
export const QUESTION_COMMAND = ((3 << 30) | (MESSAGE_BYTES << 16) | (0x51 << 8) | 0x51) >>> 0;

/** 'QRRY'; then the version of the layout. */
const MAGIC = 0x59525251;
const VERSION = 1;

export const QuestionHead = record('head of a question', 48, {
  magic: new U32(0),
  version: new U32(4),
  question: new U32(8),
  payloadBytes: new U32(12),
  /** 0 for a new question, otherwise the answer whose next part is asked for. */
  token: new U64(16),
  offset: new U64(24),
  reserved: new Bytes(32, 16),
});

export const AnswerHead = record('head of an answer', 48, {
  magic: new U32(0),
  version: new U32(4),
  /** 0, or an errno; the text is then a message. */
  errno: new I32(8),
  partBytes: new U32(12),
  token: new U64(16),
  offset: new U64(24),
  totalBytes: new U64(32),
  reserved: new U64(40),
});

export const MOST_PAYLOAD_BYTES = MESSAGE_BYTES - QuestionHead.sizeBytes;
export const MOST_PART_BYTES = MESSAGE_BYTES - AnswerHead.sizeBytes;

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
  /** Begins, looks at or ends a record of the mount's operations; the payload says which. */
  record: { number: 7, ownerOnly: true },
  /** Moves files into fewer pieces for a moment: those of the asker, or of anybody for root. */
  defrag: { number: 9, ownerOnly: false },
  /**
   * Counters and what changed of the free space, for `quarry watch`; begins to count. For the owner
   * because it makes work.
   */
  watch: { number: 10, ownerOnly: true },
  /** Who has how much and may have; limits are set by the owner, and others see their own. */
  quota: { number: 11, ownerOnly: false },
  /** Changes what the superblock says for people: label, id, mount options. */
  tune: { number: 12, ownerOnly: true },
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

function isOurs(head: typeof QuestionHead | typeof AnswerHead, view: DataView): boolean {
  return head.magic.get(view, 0) === MAGIC && head.version.get(view, 0) === VERSION;
}

/** A whole message. @throws RangeError if the payload does not fit */
export function encodeQuestion({ number, payload, token, offset }: Question): Uint8Array {
  const text = Buffer.from(payload);
  if (text.length > MOST_PAYLOAD_BYTES) throw new RangeError('the question is too long');
  const bytes = new Uint8Array(MESSAGE_BYTES);
  const view = viewOf(bytes);
  QuestionHead.magic.set(view, 0, MAGIC);
  QuestionHead.version.set(view, 0, VERSION);
  QuestionHead.question.set(view, 0, number);
  QuestionHead.payloadBytes.set(view, 0, text.length);
  QuestionHead.token.set(view, 0, token);
  QuestionHead.offset.set(view, 0, offset);
  bytes.set(text, QuestionHead.sizeBytes);
  return bytes;
}

/** undefined for what is not a question of this version. */
export function decodeQuestion(bytes: Uint8Array): Question | undefined {
  const view = viewOf(bytes);
  if (bytes.length < QuestionHead.sizeBytes || !isOurs(QuestionHead, view)) return undefined;
  const payloadBytes = QuestionHead.payloadBytes.get(view, 0);
  if (payloadBytes > bytes.length - QuestionHead.sizeBytes) return undefined;
  const payload = bytes.subarray(QuestionHead.sizeBytes, QuestionHead.sizeBytes + payloadBytes);
  return {
    number: QuestionHead.question.get(view, 0),
    payload: Buffer.from(payload).toString(),
    token: QuestionHead.token.get(view, 0),
    offset: QuestionHead.offset.get(view, 0),
  };
}

export function encodeAnswer({ errno, token, offset, totalBytes, part }: AnswerPart): Uint8Array {
  const bytes = new Uint8Array(AnswerHead.sizeBytes + part.length);
  const view = viewOf(bytes);
  AnswerHead.magic.set(view, 0, MAGIC);
  AnswerHead.version.set(view, 0, VERSION);
  AnswerHead.errno.set(view, 0, errno);
  AnswerHead.partBytes.set(view, 0, part.length);
  AnswerHead.token.set(view, 0, token);
  AnswerHead.offset.set(view, 0, offset);
  AnswerHead.totalBytes.set(view, 0, totalBytes);
  bytes.set(part, AnswerHead.sizeBytes);
  return bytes;
}

/**
 * undefined for what no server of Quarry says. The numbers are within their bounds, the text is
 * anybody's.
 */
export function decodeAnswer(bytes: Uint8Array): AnswerPart | undefined {
  const view = viewOf(bytes);
  if (bytes.length < AnswerHead.sizeBytes || !isOurs(AnswerHead, view)) return undefined;
  const partBytes = AnswerHead.partBytes.get(view, 0);
  const totalBytes = AnswerHead.totalBytes.get(view, 0);
  const offset = AnswerHead.offset.get(view, 0);
  if (totalBytes > MOST_ANSWER_BYTES || partBytes > bytes.length - AnswerHead.sizeBytes) return undefined;
  if (offset + partBytes > totalBytes) return undefined;
  return {
    errno: AnswerHead.errno.get(view, 0),
    token: AnswerHead.token.get(view, 0),
    offset,
    totalBytes,
    part: bytes.subarray(AnswerHead.sizeBytes, AnswerHead.sizeBytes + partBytes),
  };
}
