/**
 * IOCTL: on files and directories the commands of file-ioctls.ts and volume-ioctls.ts; on the root
 * directory also questions to the mount (questions.ts), by the one command that they have.
 *
 * Anything else is refused with ENOSYS, which the kernel hands on as ENOTTY. A restricted ioctl, as
 * this is, has its size in the command: the kernel brings that many bytes, and takes up to as many
 * back.
 */
import { fsError } from '../fs/base/errors.ts';
import type { TransactionHandle } from '../fs/base/filesystem.ts';
import { IOCTL_DIR, IoctlIn, IoctlOut, Opcode, PRUNE_MINOR, ROOT_NODE } from './abi.ts';
import { isRegularMode } from './encoding.ts';
import { fileIoctls } from './file-ioctls.ts';
import { endAfter, execute, type OperationRow, row } from './handler-parts.ts';
import type { IoctlCommand } from './ioctl-command.ts';
import { QUESTION_COMMAND, QuestionHead } from './questions.ts';
import type { FuseRequest } from './request.ts';
import { volumeIoctls } from './volume-ioctls.ts';

const question: IoctlCommand = { inBytes: QuestionHead.sizeBytes, outBytes: 0, run: ask };
const commands = new Map<number, IoctlCommand>([
  ...fileIoctls,
  ...volumeIoctls,
  [QUESTION_COMMAND, question],
]);

async function ask({ conversation, asker, callerPid, passed }: FuseRequest): Promise<Uint8Array> {
  const { answers } = conversation;
  if (answers === undefined) throw fsError('ENOSYS');
  const { uid, gid } = asker;
  const message = await answers.answer(passed.bytes, { uid, gid, pid: callerPid });
  if (message === undefined || message.length > passed.mostBytes) throw fsError('EINVAL');
  return message;
}

/** @throws ENOSYS for what is no command of ours */
function commandOf({ inode, wire, bodyAt, passed }: FuseRequest): IoctlCommand {
  const command = commands.get(passed.command);
  const isDirectory = (IoctlIn.flags.get(wire.view, bodyAt) & IOCTL_DIR) !== 0;
  const isElsewhere = command === question && (inode !== ROOT_NODE || !isDirectory);
  if (command === undefined || isElsewhere) throw fsError('ENOSYS');
  return command;
}

/** Leaves what the command brings in `passed`, as a copy: the reply is built over the request. */
function decodeIoctl(request: FuseRequest): void {
  const { wire, bodyAt, bodyEnd, passed } = request;
  const inBytes = IoctlIn.in_size.get(wire.view, bodyAt);
  const at = bodyAt + IoctlIn.sizeBytes;
  passed.command = IoctlIn.cmd.get(wire.view, bodyAt);
  passed.mostBytes = IoctlIn.out_size.get(wire.view, bodyAt);
  const command = commandOf(request);
  if (inBytes < command.inBytes || passed.mostBytes < command.outBytes) throw fsError('EINVAL');
  if (at + inBytes > bodyEnd) throw fsError('EINVAL');
  passed.bytes = wire.bytes.slice(at, at + inBytes);
}

function beginIoctl(request: FuseRequest): void {
  const command = commandOf(request);
  if (command.changesFlags !== true) request.synchronous = false;
  if (command.run === undefined) execute(request);
  else endAfter(request, answered(request, command.run(request)));
}

async function answered({ passed }: FuseRequest, work: Promise<Uint8Array>): Promise<void> {
  passed.answer = await work;
}

function performIoctl(request: FuseRequest, tx: TransactionHandle): void {
  const answer = commandOf(request).perform?.(request, tx);
  if (answer === undefined) throw fsError('ENOSYS');
  request.passed.answer = answer;
}

/** What the kernel keeps of the attributes was allowed by the flags that were there before. */
function flagsChanged({ inode, attributes, conversation }: FuseRequest): void {
  const { notices, agreement, unwrittenFiles } = conversation;
  notices.forgetAttributesNow(inode);
  if ((agreement?.minor ?? 0) >= PRUNE_MINOR && isRegularMode(attributes.mode)) unwrittenFiles.changed(inode);
}

function answerIoctl(request: FuseRequest): void {
  const { wire, memoryOffset, passed } = request;
  if (commandOf(request).changesFlags) flagsChanged(request);
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
