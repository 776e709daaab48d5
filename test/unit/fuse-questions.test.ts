/**
 * Questions to a mount: the ioctl as bytes, who may ask, answers in parts, and what no server of
 * ours would say.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import { Errno } from '../../src/fs/base/errors.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { MESSAGE_BYTES, MOST_ANSWER_BYTES } from '../../src/fuse/limits.ts';
import { MountAnswers } from '../../src/fuse/mount-answers.ts';
import {
  AnswerHead,
  decodeAnswer,
  encodeAnswer,
  encodeQuestion,
  MOST_PART_BYTES,
  MOST_PAYLOAD_BYTES,
  QUESTION_COMMAND,
  QUESTIONS,
} from '../../src/fuse/questions.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const OWNER = 1001;
const IOCTL_DIR = 16;
const question = { payload: '', token: 0, offset: 0 };

let channel: FakeChannel;
let answers: MountAnswers;

beforeEach(() => {
  channel = new FakeChannel();
  answers = new MountAnswers(OWNER);
  const session = new Session(channel, new MemoryFileSystem(), { log: () => {}, answers });
  session.start();
  channel.deliver(message(Opcode.INIT, 0n, u32(7, 45, 131072, 0x7fff_ffff)));
});

/** An ioctl as the kernel sends it: fuse_ioctl_in, then the bytes that go in. */
function ioctl(
  bytes: Uint8Array,
  { command = QUESTION_COMMAND, flags = IOCTL_DIR, outBytes = MESSAGE_BYTES } = {},
) {
  return Buffer.concat([u64(0), u32(flags, command), u64(0x7fff_0000), u32(bytes.length, outBytes), bytes]);
}

async function deliver(body: Uint8Array, nodeid = 1n): Promise<Reply> {
  const before = channel.replies.length;
  channel.deliver(message(Opcode.IOCTL, nodeid, body));
  await new Promise((resolve) => setImmediate(resolve));
  expect(channel.replies.length).toBe(before + 1);
  expect(channel.takenSlots).toBe(0);
  return channel.replies.at(-1) as Reply;
}

describe('the ioctl', () => {
  test('its number is _IOWR of the size of a message', () => {
    expect(QUESTION_COMMAND).toBe(0xfff8_5151);
    expect((QUESTION_COMMAND >>> 16) & 0x3fff).toBe(MESSAGE_BYTES);
    expect(QUESTION_COMMAND >>> 30).toBe(3);
  });

  test('carries a question in and an answer out', async () => {
    answers.attach({ stat: (payload, asker) => ({ payload, asker }) });
    const bytes = encodeQuestion({ ...question, number: QUESTIONS.stat.number, payload: 'grüß' });
    expect(bytes.length).toBe(MESSAGE_BYTES);
    const { error, body } = await deliver(ioctl(bytes));
    expect(error).toBe(0);
    // fuse_ioctl_out: result, flags, counts of vectors.
    expect([0, 4, 8, 12].map((at) => body.readUInt32LE(at))).toEqual([0, 0, 0, 0]);
    const answer = decodeAnswer(body.subarray(16));
    expect(answer).toMatchObject({ errno: 0, offset: 0 });
    expect(JSON.parse(Buffer.from(answer?.part ?? []).toString())).toEqual({
      payload: 'grüß',
      asker: { uid: 1001, gid: 1002, pid: 1003 },
    });
    expect(body.readUInt32LE(16 + AnswerHead.partBytes.offset)).toBe(answer?.totalBytes);
  });

  test('is asked by whom /proc knows, where the kernel does not say', async () => {
    answers.attach({ stat: (_, asker) => asker, log: () => 'lines' });
    const ask = async (name: 'stat' | 'log', pid: number) => {
      const request = message(
        Opcode.IOCTL,
        1n,
        ioctl(encodeQuestion({ ...question, number: QUESTIONS[name].number })),
      );
      request.fill(0xff, 24, 32);
      request.writeUInt32LE(pid, 32);
      channel.deliver(request);
      await new Promise((resolve) => setImmediate(resolve));
      const answer = decodeAnswer((channel.replies.at(-1) as Reply).body.subarray(16));
      return [answer?.errno, JSON.parse(Buffer.from(answer?.part ?? []).toString())];
    };
    const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
    expect(await ask('stat', process.pid)).toEqual([0, { uid, gid, pid: process.pid }]);
    expect(await ask('stat', 0)).toEqual([0, { uid: 0xffff_ffff, gid: 0xffff_ffff, pid: 0 }]);
    expect((await ask('log', 0))[0]).toBe(Errno.EPERM);
  });

  const whole = encodeQuestion({ ...question, number: QUESTIONS.stat.number });
  test.each([
    ['another command', ioctl(whole, { command: 0x8008_6602 }), 1n, -Errno.ENOSYS],
    ['the same on a file', ioctl(whole, { flags: 0 }), 1n, -Errno.ENOSYS],
    ['another directory', ioctl(whole), 5n, -Errno.ENOSYS],
    ['no room for the answer', ioctl(whole, { outBytes: 40 }), 1n, -Errno.EINVAL],
    ['less than a head', ioctl(whole.subarray(0, 47)), 1n, -Errno.EINVAL],
    ['more than there is', ioctl(whole).subarray(0, 32 + 100), 1n, -Errno.EINVAL],
    ['bytes that are no question', ioctl(new Uint8Array(64).fill(0xff)), 1n, -Errno.EINVAL],
  ])('%s is refused', async (_, body, nodeid, error) => {
    answers.attach({ stat: () => 1 });
    expect(await deliver(body, nodeid)).toMatchObject({ error });
  });

  test('a payload beyond the message is refused before it is sent', () => {
    expect(() =>
      encodeQuestion({ ...question, number: 1, payload: 'x'.repeat(MOST_PAYLOAD_BYTES) }),
    ).not.toThrow();
    expect(() =>
      encodeQuestion({ ...question, number: 1, payload: 'x'.repeat(MOST_PAYLOAD_BYTES + 1) }),
    ).toThrow(RangeError);
  });
});

async function ask(number: number, uid: number, token = 0, offset = 0) {
  const bytes = await answers.answer(encodeQuestion({ number, payload: '', token, offset }), {
    uid,
    gid: 0,
    pid: 1,
  });
  const answer = decodeAnswer(bytes ?? new Uint8Array());
  if (answer === undefined) throw new Error('not an answer');
  return { ...answer, text: Buffer.from(answer.part).toString() };
}

describe('answers', () => {
  test('anyone may ask who serves and how it does, and have files moved; only root and the owner the rest', async () => {
    const functions = {
      identify: () => 1,
      stat: () => 1,
      log: () => 1,
      commit: () => 1,
      remount: () => 1,
      resize: () => 1,
      record: () => 1,
      watch: () => 1,
      defrag: () => 1,
      quota: () => 1,
      tune: () => 1,
    };
    answers.attach(functions);
    for (const [name, { number, ownerOnly }] of Object.entries(QUESTIONS)) {
      expect(ownerOnly, name).toBe(!['identify', 'stat', 'defrag', 'quota'].includes(name));
      for (const [uid, allowed] of [
        [0, true],
        [OWNER, true],
        [65534, !ownerOnly],
      ] as const) {
        expect((await ask(number, uid)).errno, `${name} by ${uid}`).toBe(allowed ? 0 : Errno.EPERM);
      }
    }
  });

  test('what is thrown, cannot be written as JSON, or is not known, is an error and no more', async () => {
    answers.attach({
      stat: () => ({ free: 1n }),
      log: () => {
        throw new Error('no log today');
      },
      commit: () => Promise.reject(new Error('no room')),
    });
    expect(await ask(QUESTIONS.stat.number, 0)).toMatchObject({ errno: Errno.EIO });
    expect(await ask(QUESTIONS.log.number, 0)).toMatchObject({ errno: Errno.EIO, text: '"no log today"' });
    expect(await ask(QUESTIONS.commit.number, 0)).toMatchObject({ errno: Errno.EIO, text: '"no room"' });
    expect(await ask(QUESTIONS.identify.number, 0)).toMatchObject({ errno: Errno.ENOSYS });
    expect(await ask(4711, 0)).toMatchObject({ errno: Errno.ENOSYS });
  });

  test('a long answer comes in parts, of one moment, to him who asked', async () => {
    const long = 'ä'.repeat(MOST_PART_BYTES);
    let calls = 0;
    answers.attach({ stat: () => long + ++calls });
    const first = await ask(QUESTIONS.stat.number, OWNER);
    let text = Buffer.from(first.part);
    while (text.length < first.totalBytes) {
      const next = await ask(QUESTIONS.stat.number, OWNER, first.token, text.length);
      expect(next).toMatchObject({ errno: 0, offset: text.length, totalBytes: first.totalBytes });
      text = Buffer.concat([text, next.part]);
    }
    expect(JSON.parse(text.toString())).toBe(`${long}1`);
    expect(calls).toBe(1);
    expect(await ask(QUESTIONS.stat.number, 65534, first.token, 0)).toMatchObject({ errno: Errno.ESTALE });
    expect(await ask(QUESTIONS.stat.number, OWNER, 4711, 0)).toMatchObject({ errno: Errno.ESTALE });
  });

  test('one that is too long is not sent', async () => {
    answers.attach({ stat: () => 'x'.repeat(MOST_ANSWER_BYTES) });
    expect(await ask(QUESTIONS.stat.number, 0)).toMatchObject({ errno: Errno.EFBIG });
  });
});

test('numbers that no server of ours says are not believed', () => {
  const good = { errno: 0, token: 1, offset: 0, totalBytes: 3, part: Buffer.from('abc') };
  expect(decodeAnswer(encodeAnswer(good))).toMatchObject({ totalBytes: 3 });
  for (const bad of [
    encodeAnswer({ ...good, totalBytes: MOST_ANSWER_BYTES + 1 }),
    encodeAnswer({ ...good, totalBytes: 2 }),
    encodeAnswer({ ...good, offset: 1 }),
    encodeAnswer(good).subarray(0, AnswerHead.sizeBytes + 2),
    encodeAnswer(good).fill(0, 0, 4),
    new Uint8Array(),
  ]) {
    expect(decodeAnswer(bad)).toBeUndefined();
  }
});
