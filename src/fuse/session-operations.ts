/**
 * Operations of the mount itself: its beginning and end, and the references to inodes that the
 * kernel gives back.
 */
import { fsError } from '../fs/base/errors.ts';
import { BatchForgetIn, ForgetIn, ForgetOne, INIT_IN_LEAST_BYTES, InitFlag, Opcode } from './abi.ts';
import { endAfter, type OperationRow, row, succeed } from './handler-parts.ts';
import { agree, decodeInit, encodeInitOut } from './negotiation.ts';
import type { Conversation, FuseRequest } from './request.ts';

function decodeInitRequest(request: FuseRequest): void {
  const { conversation, wire, bodyAt, bodyEnd } = request;
  const { writebackCache, attributeSupport } = conversation;
  const unwanted =
    (writebackCache ? 0 : InitFlag.WRITEBACK_CACHE) | (attributeSupport.acl ? 0 : InitFlag.POSIX_ACL);
  conversation.agreed(agree(decodeInit(wire, bodyAt, bodyEnd - bodyAt), unwanted));
}

function answerInit(request: FuseRequest): void {
  const { agreement } = request.conversation;
  if (agreement === undefined) throw fsError('EPROTO');
  request.answerShort(encodeInitOut(request.wire, request.answerAt, agreement));
}

function initOver({ conversation }: FuseRequest, failure: unknown, delivered: boolean): void {
  if (failure !== undefined) conversation.notUnderstood();
  else if (delivered) conversation.greeted();
}

/**
 * Replied to when the volume is clean on disk: the kernel lets umount(2) of a fuseblk mount return
 * then.
 */
function beginDestroy(request: FuseRequest): void {
  endAfter(request, request.conversation.unmount());
}

// References given back.

function forget(conversation: Conversation, inode: number, count: number): void {
  if (!conversation.filesystem.forget(inode, count)) return;
  conversation.cachedPages.gone(inode);
  conversation.blockCounts.gone(inode);
  conversation.toldDirectories.gone(inode);
  conversation.unlinkedFiles.gone(inode);
  conversation.unwrittenFiles.gone(inode);
  conversation.scarceSpace.gone(inode);
  conversation.writeFailures.gone(inode);
}

function beginForget(request: FuseRequest): void {
  const { wire, bodyAt, inode, conversation } = request;
  forget(conversation, inode, ForgetIn.nlookup.get(wire.view, bodyAt));
  succeed(request);
}

function beginBatchForget(request: FuseRequest): void {
  const { wire, bodyAt, bodyEnd, conversation } = request;
  const count = BatchForgetIn.count.get(wire.view, bodyAt);
  const received = Math.floor((bodyEnd - bodyAt - BatchForgetIn.sizeBytes) / ForgetOne.sizeBytes);
  let at = bodyAt + BatchForgetIn.sizeBytes;
  for (let left = Math.min(count, received); left > 0; left--) {
    forget(conversation, ForgetOne.nodeid.get(wire.view, at), ForgetOne.nlookup.get(wire.view, at));
    at += ForgetOne.sizeBytes;
  }
  succeed(request);
}

export const sessionOperations: readonly OperationRow[] = [
  [
    Opcode.INIT,
    row('init', {
      bodyBytes: INIT_IN_LEAST_BYTES,
      decode: decodeInitRequest,
      answer: answerInit,
      over: initOver,
    }),
  ],
  [Opcode.DESTROY, row('destroy', { begin: beginDestroy })],
  // Requests end soon by themselves, so there is nothing to interrupt.
  [Opcode.INTERRUPT, row('interrupt', { silent: true })],
  [Opcode.FORGET, row('forget', { silent: true, bodyBytes: ForgetIn.sizeBytes, begin: beginForget })],
  [
    Opcode.BATCH_FORGET,
    row('batch-forget', { silent: true, bodyBytes: BatchForgetIn.sizeBytes, begin: beginBatchForget }),
  ],
  [Opcode.NOTIFY_REPLY, row('notify-reply', { silent: true })],
];
