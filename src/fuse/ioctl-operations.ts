/**
 * IOCTL: questions to the mount (questions.ts), by the one command that they have, on the root
 * directory.
 *
 * Anything else is refused with ENOSYS, which the kernel hands on as ENOTTY. A restricted ioctl, as
 * this is, has its size in the command: the kernel brings that many bytes, and takes up to as many
 * back.
 */
import { fsError } from '../fs/base/errors.ts';
import { IOCTL_DIR, IoctlIn, IoctlOut, Opcode, ROOT_NODE } from './abi.ts';
import { endAfter, type OperationRow, row } from './handler-parts.ts';
import { QUESTION_COMMAND, QuestionHead } from './questions.ts';
import type { FuseRequest } from './request.ts';

/** Leaves the message in `target`, as a copy: the reply is built over the request. */
function decodeIoctl(request: FuseRequest): void {
  const { wire, bodyAt, bodyEnd, inode } = request;
  const isQuestion =
    inode === ROOT_NODE &&
    IoctlIn.cmd.get(wire.view, bodyAt) === QUESTION_COMMAND &&
    (IoctlIn.flags.get(wire.view, bodyAt) & IOCTL_DIR) !== 0;
  if (!isQuestion) throw fsError('ENOSYS');
  const inBytes = IoctlIn.in_size.get(wire.view, bodyAt);
  const at = bodyAt + IoctlIn.sizeBytes;
  if (inBytes < QuestionHead.sizeBytes || at + inBytes > bodyEnd) throw fsError('EINVAL');
  request.passed.mostBytes = IoctlIn.out_size.get(wire.view, bodyAt);
  request.passed.bytes = wire.bytes.slice(at, at + inBytes);
}

function beginIoctl(request: FuseRequest): void {
  endAfter(request, ask(request));
}

async function ask(request: FuseRequest): Promise<void> {
  const { answers } = request.conversation;
  if (answers === undefined) throw fsError('ENOSYS');
  const { uid, gid } = request.caller;
  const message = await answers.answer(request.passed.bytes, { uid, gid, pid: request.callerPid });
  if (message === undefined || message.length > request.passed.mostBytes) throw fsError('EINVAL');
  request.passed.bytes = message;
}

function answerIoctl(request: FuseRequest): void {
  const { wire, memoryOffset, passed } = request;
  wire.clear(memoryOffset, IoctlOut.sizeBytes);
  wire.bytes.set(passed.bytes, memoryOffset + IoctlOut.sizeBytes);
  request.answerLong(memoryOffset, IoctlOut.sizeBytes + passed.bytes.length);
}

export const ioctlOperations: readonly OperationRow[] = [
  [
    Opcode.IOCTL,
    row('ioctl', {
      bodyBytes: IoctlIn.sizeBytes,
      decode: decodeIoctl,
      begin: beginIoctl,
      answer: answerIoctl,
    }),
  ],
];
