/**
 * Operations on attributes: read, changed, and those of the whole volume.
 */
import { PERMISSION_BITS } from '../common/permissions.ts';
import { fsError, fsErrorFromNumber } from '../fs/base/errors.ts';
import { FileFlag, type TransactionHandle } from '../fs/base/filesystem.ts';
import { exact, GETATTR_FH, GetattrIn, Opcode, SetattrIn, SetattrValid, StatxIn } from './abi.ts';
import { encodeStatfsOut, isRegularMode } from './encoding.ts';
import {
  execute,
  mayKeepAttributes,
  metadata,
  type OperationRow,
  readAttributes,
  row,
} from './handler-parts.ts';
import { expectMayGoOn, isFixed } from './protected-files.ts';
import type { FuseRequest } from './request.ts';
import { writtenRanges } from './written-range.ts';

function performReadAttributes(request: FuseRequest, tx: TransactionHandle): void {
  readAttributes(request, tx, request.inode);
}

/** So the kernel asks before a write(2), among others. */
function namesOpenFile({ wire, bodyAt }: FuseRequest): boolean {
  return (GetattrIn.getattr_flags.get(wire.view, bodyAt) & GETATTR_FH) !== 0;
}

/** A writer looks at the attributes before each write(2); see write-failures.ts. */
function decodeGetattr(request: FuseRequest): void {
  const { conversation } = request;
  if (!namesOpenFile(request)) return;
  const errno = conversation.writeFailures.take(request.inode);
  if (errno !== 0) throw fsErrorFromNumber(errno);
}

/** A writer has his room first, while there is little: see scarce-space.ts. */
function beginGetattr(request: FuseRequest): void {
  const { conversation, callerPid } = request;
  const { scarceSpace } = conversation;
  const isLooked = scarceSpace.isScarce && conversation.writebackCache && namesOpenFile(request);
  const ranges = isLooked ? writtenRanges(callerPid, request.inode) : [];
  if (Array.isArray(ranges) && ranges.length === 0) execute(request);
  else if (conversation.mayWait(request)) executeAfter(request, admitted(request, ranges));
}

async function admitted(request: FuseRequest, ranges: ReturnType<typeof writtenRanges>): Promise<void> {
  const { conversation, inode } = request;
  for (const range of await ranges) await conversation.scarceSpace.admit(inode, range, request);
}

/** When it is admitted, or refused. */
function executeAfter(request: FuseRequest, admission: Promise<void>): void {
  const { filesystem } = request.conversation;
  admission.then(
    () => {
      filesystem.execute(request);
      filesystem.submit();
    },
    (thrown: unknown) => request.finished(thrown ?? fsError('EIO')),
  );
}

function answerAttributes(request: FuseRequest): void {
  const { replies, answerAt, attributes } = request;
  request.answerShort(replies.attrOut(answerAt, attributes, mayKeepAttributes(request)));
}

/** The kernel asks so before it opens or writes to a file whose attributes it may not keep. */
function settleGetattr({ attributes, callerPid }: FuseRequest): Promise<void> | undefined {
  return isFixed(attributes) ? expectMayGoOn(attributes.flags, callerPid) : undefined;
}

function answerStatx(request: FuseRequest): void {
  const { replies, answerAt, attributes } = request;
  request.answerShort(replies.statxOut(answerAt, attributes, mayKeepAttributes(request)));
}

const OTHER_THAN_SIZE =
  SetattrValid.MODE |
  SetattrValid.UID |
  SetattrValid.GID |
  SetattrValid.ATIME |
  SetattrValid.MTIME |
  SetattrValid.CTIME;

const SOMETHING =
  OTHER_THAN_SIZE |
  SetattrValid.SIZE |
  SetattrValid.ATIME_NOW |
  SetattrValid.MTIME_NOW |
  SetattrValid.KILL_SUIDGID;

/** What the kernel sends when it writes an inode back. It looks at nothing in the answer then. */
const FLUSHED_TIMES = SetattrValid.MTIME | SetattrValid.CTIME;

const SET_USER_ID = 0o4000;
const SET_GROUP_ID = 0o2000;
const GROUP_EXECUTE = 0o0010;

function decodeSetattr(request: FuseRequest): void {
  const { wire, bodyAt } = request;
  const valid = SetattrIn.valid.get(wire.view, bodyAt);
  request.setattr.killPrivileges = (valid & SetattrValid.KILL_SUIDGID) !== 0;
  request.setattr.dropsPrivileges = (valid & SOMETHING) === 0;
  request.setattr.flushesTimes = (valid & SOMETHING & ~FLUSHED_TIMES) === 0;
  request.setattr.resizes = (valid & SetattrValid.SIZE) !== 0;
  request.setattr.sizeBytes = request.setattr.resizes ? exact(SetattrIn.size, wire.view, bodyAt, 'EFBIG') : 0;
  const killsByItself = request.setattr.killPrivileges && !request.setattr.resizes;
  request.setattr.changesOther = (valid & OTHER_THAN_SIZE) !== 0 || killsByItself;
  request.setattr.changes.killPrivileges = killsByItself || undefined;
  const isKept = request.setattr.flushesTimes && (valid & SetattrValid.FH) !== 0;
  request.setattr.changes.kept = isKept || undefined;
  decodeOwnership(request, valid);
  decodeTimes(request, valid);
}

function decodeOwnership({ wire, bodyAt, setattr }: FuseRequest, valid: number): void {
  const { changes } = setattr;
  changes.mode =
    (valid & SetattrValid.MODE) !== 0 ? SetattrIn.mode.get(wire.view, bodyAt) & PERMISSION_BITS : undefined;
  changes.uid = (valid & SetattrValid.UID) !== 0 ? SetattrIn.uid.get(wire.view, bodyAt) : undefined;
  changes.gid = (valid & SetattrValid.GID) !== 0 ? SetattrIn.gid.get(wire.view, bodyAt) : undefined;
}

function decodeTimes({ wire, bodyAt, setattr }: FuseRequest, valid: number): void {
  const { changes } = setattr;
  const access = (valid & SetattrValid.ATIME) !== 0;
  const accessNow = (valid & SetattrValid.ATIME_NOW) !== 0;
  const modify = (valid & SetattrValid.MTIME) !== 0;
  const modifyNow = (valid & SetattrValid.MTIME_NOW) !== 0;
  const change = (valid & SetattrValid.CTIME) !== 0;
  changes.accessSeconds = access ? (accessNow ? 'now' : SetattrIn.atime.get(wire.view, bodyAt)) : undefined;
  changes.accessNanoseconds = access && !accessNow ? SetattrIn.atimensec.get(wire.view, bodyAt) : undefined;
  changes.modifySeconds = modify ? (modifyNow ? 'now' : SetattrIn.mtime.get(wire.view, bodyAt)) : undefined;
  changes.modifyNanoseconds = modify && !modifyNow ? SetattrIn.mtimensec.get(wire.view, bodyAt) : undefined;
  changes.changeSeconds = change ? SetattrIn.ctime.get(wire.view, bodyAt) : undefined;
  changes.changeNanoseconds = change ? SetattrIn.ctimensec.get(wire.view, bodyAt) : undefined;
}

/**
 * The size moves bytes and may take many transactions, so it comes first; the rest follows in one.
 */
function beginSetattr(request: FuseRequest): void {
  if (!request.setattr.resizes) {
    execute(request);
    return;
  }
  const { filesystem, scarceSpace } = request.conversation;
  const { sizeBytes, killPrivileges } = request.setattr;
  scarceSpace.resized(request.inode);
  filesystem.setSize(request.inode, sizeBytes, killPrivileges, request).then(
    () => {
      filesystem.execute(request);
      filesystem.submit();
    },
    (thrown: unknown) => request.finished(thrown ?? fsError('EIO')),
  );
}

function performSetattr(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem, blockCounts } = request.conversation;
  if (request.setattr.changesOther) filesystem.changeAttributes(tx, request.inode, request.setattr.changes);
  if (request.setattr.flushesTimes) {
    filesystem.readAttributes(tx, request.inode, request.attributes);
    blockCounts.perhapsTold(request.inode);
  } else readAttributes(request, tx, request.inode);
  if ((request.attributes.flags & FileFlag.synchronous) !== 0) request.synchronous = true;
  const truncates = request.setattr.resizes && request.setattr.killPrivileges;
  if (!request.setattr.dropsPrivileges && !truncates) return;
  const kept = keptMode(request);
  if (kept === request.attributes.mode) return;
  // The time of change stays what the kernel said, or knows: it keeps that of cached files by
  // itself, and moves it with what follows.
  const { changeSeconds, changeNanoseconds } = request.attributes;
  filesystem.changeAttributes(tx, request.inode, {
    mode: kept & PERMISSION_BITS,
    changeSeconds,
    changeNanoseconds,
  });
  readAttributes(request, tx, request.inode);
}

/**
 * The mode that a write or a truncation by somebody without CAP_FSETID leaves.
 *
 * Before such a write the kernel finds in its own copy of the mode that bits have to go, and says
 * so by a SETATTR of nothing. It goes on with the mode in our answer, so that nobody can run the
 * file as its owner between the write and the next look at its attributes. Set-group-id without
 * execution by the group goes with a stranger's write only (setattr_should_drop_sgid in the
 * kernel); of the caller's groups we may know the first only. Asked where no other bit is left to
 * go, it is this one.
 */
function keptMode(request: FuseRequest): number {
  const { dropsPrivileges } = request.setattr;
  const { mode, gid } = request.attributes;
  if (!isRegularMode(mode)) return mode;
  const groupRuns = (mode & GROUP_EXECUTE) !== 0;
  const onlyGroup = dropsPrivileges && (mode & SET_USER_ID) === 0;
  const dropsGroup = groupRuns || onlyGroup || ((mode & SET_GROUP_ID) !== 0 && !isInGroup(request, gid));
  return mode & ~SET_USER_ID & (dropsGroup ? ~SET_GROUP_ID : ~0);
}

function isInGroup({ asker }: FuseRequest, group: number): boolean {
  return asker.gid === group || asker.groups.includes(group);
}

function performStatfs(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem, space } = request.conversation;
  filesystem.statistics(tx, space, request.inode);
}

function answerStatfs(request: FuseRequest): void {
  request.answerShort(encodeStatfsOut(request.wire, request.answerAt, request.conversation.space));
}

export const attributeOperations: readonly OperationRow[] = [
  [
    Opcode.GETATTR,
    metadata('getattr', {
      bodyBytes: GetattrIn.sizeBytes,
      decode: decodeGetattr,
      begin: beginGetattr,
      perform: performReadAttributes,
      settle: settleGetattr,
      answer: answerAttributes,
    }),
  ],
  [
    Opcode.STATX,
    metadata('statx', { bodyBytes: StatxIn.sizeBytes, perform: performReadAttributes, answer: answerStatx }),
  ],
  [
    Opcode.SETATTR,
    row('setattr', {
      changes: 'others',
      bodyBytes: SetattrIn.sizeBytes,
      decode: decodeSetattr,
      begin: beginSetattr,
      perform: performSetattr,
      answer: answerAttributes,
    }),
  ],
  [Opcode.STATFS, metadata('statfs', { perform: performStatfs, answer: answerStatfs })],
];
