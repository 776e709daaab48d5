/**
 * IOCTL: on files and directories the commands that Linux has for every filesystem
 * (file-ioctls.ts); on the root directory questions to the mount (questions.ts), by the one command
 * that they have.
 *
 * Anything else is refused with ENOSYS, which the kernel hands on as ENOTTY. A restricted ioctl, as
 * this is, has its size in the command: the kernel brings that many bytes, and takes up to as many
 * back.
 */
import { fsError } from '../fs/base/errors.ts';
import type { TransactionHandle } from '../fs/base/filesystem.ts';
import { IOCTL_DIR, IoctlIn, IoctlOut, Opcode, ROOT_NODE } from './abi.ts';
import { fileIoctls } from './file-ioctls.ts';
import { endAfter, execute, type OperationRow, row } from './handler-parts.ts';
import { QUESTION_COMMAND, QuestionHead } from './questions.ts';
import type { FuseRequest } from './request.ts';

/** Leaves what the command brings in `passed`, as a copy: the reply is built over the request. */
function decodeIoctl(request: FuseRequest): void {
  const { wire, bodyAt, bodyEnd, passed } = request;
  const inBytes = IoctlIn.in_size.get(wire.view, bodyAt);
  const at = bodyAt + IoctlIn.sizeBytes;
  passed.command = IoctlIn.cmd.get(wire.view, bodyAt);
  passed.mostBytes = IoctlIn.out_size.get(wire.view, bodyAt);
  expectKnown(request, inBytes);
  if (at + inBytes > bodyEnd) throw fsError('EINVAL');
  passed.bytes = wire.bytes.slice(at, at + inBytes);
}

/** @throws ENOSYS for what is no command of ours, EINVAL for one of another size */
function expectKnown({ wire, bodyAt, inode, passed }: FuseRequest, inBytes: number): void {
  const command = fileIoctls.get(passed.command);
  if (command !== undefined) {
    if (inBytes < command.inBytes || passed.mostBytes < command.outBytes) throw fsError('EINVAL');
    return;
  }
  const isOnDirectory = (IoctlIn.flags.get(wire.view, bodyAt) & IOCTL_DIR) !== 0;
  if (inode !== ROOT_NODE || passed.command !== QUESTION_COMMAND || !isOnDirectory) throw fsError('ENOSYS');
  if (inBytes < QuestionHead.sizeBytes) throw fsError('EINVAL');
}

function beginIoctl(request: FuseRequest): void {
  const command = fileIoctls.get(request.passed.command);
  if (command?.changes !== true) request.synchronous = false;
  if (command === undefined) endAfter(request, ask(request));
  else execute(request);
}

async function ask(request: FuseRequest): Promise<void> {
  const { answers } = request.conversation;
  if (answers === undefined) throw fsError('ENOSYS');
  const { uid, gid } = request.caller;
  const message = await answers.answer(request.passed.bytes, { uid, gid, pid: request.callerPid });
  if (message === undefined || message.length > request.passed.mostBytes) throw fsError('EINVAL');
  request.passed.answer = message;
}

function performIoctl(request: FuseRequest, tx: TransactionHandle): void {
  const command = fileIoctls.get(request.passed.command);
  if (command === undefined) throw fsError('ENOSYS');
  request.passed.answer = command.perform(request, tx);
}

function answerIoctl(request: FuseRequest): void {
  const { wire, memoryOffset, passed, conversation, inode } = request;
  // What the kernel keeps of the attributes was allowed by the flags that were there before.
  if (fileIoctls.get(passed.command)?.changes) conversation.notices.forgetAttributesNow(inode);
  wire.clear(memoryOffset, IoctlOut.sizeBytes);
  wire.bytes.set(passed.answer, memoryOffset + IoctlOut.sizeBytes);
  request.answerLong(memoryOffset, IoctlOut.sizeBytes + passed.answer.length);
}

export const ioctlOperations: readonly OperationRow[] = [
  [
    Opcode.IOCTL,
    row('ioctl', {
      // Those that change nothing do not wait.
      changes: 'others',
      bodyBytes: IoctlIn.sizeBytes,
      decode: decodeIoctl,
      begin: beginIoctl,
      perform: performIoctl,
      answer: answerIoctl,
    }),
  ],
];
