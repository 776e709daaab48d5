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
    wire.u32(bodyAt + IoctlIn.cmd) === QUESTION_COMMAND &&
    (wire.u32(bodyAt + IoctlIn.flags) & IOCTL_DIR) !== 0;
  if (!isQuestion) throw fsError('ENOSYS');
  const inBytes = wire.u32(bodyAt + IoctlIn.in_size);
  const at = bodyAt + IoctlIn.bytes;
  if (inBytes < QuestionHead.bytes || at + inBytes > bodyEnd) throw fsError('EINVAL');
  request.passed.mostBytes = wire.u32(bodyAt + IoctlIn.out_size);
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
  wire.clear(memoryOffset, IoctlOut.bytes);
  wire.bytes.set(passed.bytes, memoryOffset + IoctlOut.bytes);
  request.answerLong(memoryOffset, IoctlOut.bytes + passed.bytes.length);
}

export const ioctlOperations: readonly OperationRow[] = [
  [
    Opcode.IOCTL,
    row('ioctl', { bodyBytes: IoctlIn.bytes, decode: decodeIoctl, begin: beginIoctl, answer: answerIoctl }),
  ],
];
