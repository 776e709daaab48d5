/**
 * What the rows of the operation table are made of.
 *
 * `row` is a request that is answered by itself, `metadata` one that runs in a transaction, `entry`
 * one whose transaction ends with an entry in the answer, `refused` one that gets an errno, which
 * the kernel remembers where it can.
 */
import { type ErrnoName, fsError } from '../fs/base/errors.ts';
import type { TransactionHandle } from '../fs/base/filesystem.ts';
import { isDirectoryMode, isRegularMode } from './encoding.ts';
import type { FuseRequest, Handler } from './request.ts';

export type OperationRow = readonly [opcode: number, handler: Handler];

function nothing(): void {}

function settled(): undefined {
  return undefined;
}

export function execute(request: FuseRequest): void {
  request.conversation.filesystem.execute(request);
}

export function succeed(request: FuseRequest): void {
  request.finished(undefined);
}

function answerEmpty(request: FuseRequest): void {
  request.answerError(0);
}

function reply(request: FuseRequest): number {
  return request.conversation.reply(request);
}

const blank: Handler = {
  name: '',
  changes: 'nothing',
  bodyBytes: 0,
  silent: false,
  decode: nothing,
  begin: succeed,
  perform: nothing,
  settle: settled,
  answer: answerEmpty,
  send: reply,
  over: nothing,
  reference: nothing,
};

export type Parts = Partial<Omit<Handler, 'name'>>;

export function row(name: string, parts: Parts): Handler {
  return { ...blank, name, ...parts };
}

/** A row that runs in a transaction. */
export function metadata(name: string, parts: Parts): Handler {
  return { ...blank, begin: execute, name, ...parts };
}

/** A row whose transaction ends with an entry in the answer. */
export function entry(name: string, parts: Parts): Handler {
  return metadata(name, { answer: answerEntry, reference: referenceEntry, ...parts });
}

export function refused(name: string, code: ErrnoName, parts: Parts = {}): Handler {
  return row(name, { begin: (request) => request.finished(fsError(code)), ...parts });
}

/** Waits for `work`, then ends the request. */
export function endAfter(request: FuseRequest, work: Promise<void>): void {
  work.then(
    () => request.finished(undefined),
    (thrown: unknown) => request.finished(thrown ?? fsError('EIO')),
  );
}

export function answerEntry(request: FuseRequest): void {
  const { replies, answerAt, attributes } = request;
  request.answerShort(replies.entryOut(answerAt, attributes, mayKeepAttributes(request)));
}

function referenceEntry(request: FuseRequest, taken: boolean): void {
  const { entryInode } = request;
  if (entryInode === 0) return;
  const { filesystem } = request.conversation;
  if (taken) filesystem.acquire(entryInode);
  else filesystem.forget(entryInode, 1);
}

/**
 * Reads the attributes that the answer will carry. What changes after this has to be told again.
 */
export function readAttributes(request: FuseRequest, tx: TransactionHandle, inode: number): void {
  const { filesystem, blockCounts, toldDirectories } = request.conversation;
  filesystem.readAttributes(tx, inode, request.attributes);
  blockCounts.told(inode);
  if (isDirectoryMode(request.attributes.mode)) toldDirectories.told(inode, request.callerPid);
}

/** May the kernel keep the attributes that the request answers with? */
export function mayKeepAttributes({ conversation, attributes, callerPid }: FuseRequest): boolean {
  const { scarceSpace, unlinkedFiles } = conversation;
  if (scarceSpace.isScarce && isRegularMode(attributes.mode)) return false;
  return unlinkedFiles.mayKeep(attributes.inode, callerPid);
}

/** Ends `perform` of a row that answers with `inode` as its entry. */
export function foundEntry(request: FuseRequest, tx: TransactionHandle, inode: number): void {
  request.entryInode = inode;
  readAttributes(request, tx, inode);
}
