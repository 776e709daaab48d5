/**
 * What a mount answers to questions (questions.ts): who may ask, the work, and answers in parts.
 *
 * `attach` brings the functions when the mount is ready; until then, and for what has no function,
 * the answer is an error. A function that throws answers with its message. Nothing that is asked,
 * and nothing that is thrown, harms the mount.
 */

import { messageOf } from '../common/thrown.ts';
import { Errno } from '../fs/base/errors.ts';
import { LONGEST_SENTENCE_CHARACTERS, MOST_ANSWER_BYTES } from './limits.ts';
import {
  decodeQuestion,
  encodeAnswer,
  MOST_PART_BYTES,
  QUESTIONS,
  type Question,
  type QuestionName,
  questionNamed,
} from './questions.ts';

/** Who asks, as the kernel tells it. */
export interface Asker {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

export type AnswerFunction = (payload: string, asker: Asker) => unknown;
export type AnswerFunctions = Readonly<Partial<Record<QuestionName, AnswerFunction>>>;

/** An answer that is fetched in parts. */
interface Whole {
  readonly token: number;
  readonly uid: number;
  readonly errno: number;
  readonly text: Uint8Array;
}

/** More answers than are fetched in parts at once; who is late asks again. */
const MOST_KEPT = 8;

function failed(errno: number, message: string): { errno: number; text: Uint8Array } {
  return { errno, text: Buffer.from(JSON.stringify(message.slice(0, LONGEST_SENTENCE_CHARACTERS))) };
}

export class MountAnswers {
  readonly #ownerUid: number;
  #functions: AnswerFunctions = {};
  #kept: Whole[] = [];
  #lastToken = 0;

  /** @param ownerUid who serves the mount, and may ask everything besides root */
  constructor(ownerUid: number) {
    this.#ownerUid = ownerUid;
  }

  attach(functions: AnswerFunctions): void {
    this.#functions = { ...this.#functions, ...functions };
  }

  /** @returns the message to answer with; undefined if `bytes` are not a question */
  async answer(bytes: Uint8Array, asker: Asker): Promise<Uint8Array | undefined> {
    const question = decodeQuestion(bytes);
    if (question === undefined) return undefined;
    const whole = question.token === 0 ? await this.#begin(question, asker) : this.#find(question, asker);
    const { token, errno, text } = whole;
    const offset = Math.min(question.offset, text.length);
    const part = text.subarray(offset, offset + MOST_PART_BYTES);
    return encodeAnswer({ errno, token, offset, totalBytes: text.length, part });
  }

  async #begin(question: Question, asker: Asker): Promise<Whole> {
    const { errno, text } = await this.#make(question, asker);
    const whole: Whole = { token: ++this.#lastToken, uid: asker.uid, errno, text };
    if (text.length > MOST_PART_BYTES) this.#kept = [...this.#kept.slice(1 - MOST_KEPT), whole];
    return whole;
  }

  #find({ token }: Question, { uid }: Asker): Whole {
    const kept = this.#kept.find((whole) => whole.token === token && whole.uid === uid);
    return kept ?? { token, uid, ...failed(Errno.ESTALE, 'that answer is not kept any more') };
  }

  async #make({ number, payload }: Question, asker: Asker): Promise<{ errno: number; text: Uint8Array }> {
    const name = questionNamed(number);
    const work = name === undefined ? undefined : this.#functions[name];
    if (name === undefined || work === undefined) {
      return failed(Errno.ENOSYS, 'the daemon does not know this question, or is not ready');
    }
    if (QUESTIONS[name].ownerOnly && asker.uid !== 0 && asker.uid !== this.#ownerUid) {
      return failed(Errno.EPERM, `only root and the daemon's owner may ask for '${name}'`);
    }
    try {
      const text = Buffer.from(JSON.stringify((await work(payload, asker)) ?? null));
      if (text.length <= MOST_ANSWER_BYTES) return { errno: 0, text };
      return failed(Errno.EFBIG, 'the answer is too long');
    } catch (thrown) {
      return failed(Errno.EIO, messageOf(thrown));
    }
  }
}
