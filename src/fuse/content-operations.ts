/**
 * Operations on what is in files, symlinks and directories. Their answers stand in the payload.
 */
import { Errno, errnoOf, fsError } from '../fs/base/errors.ts';
import type { TransactionHandle } from '../fs/base/filesystem.ts';
import {
  exact,
  FsyncFlag,
  FsyncIn,
  InitFlag,
  Opcode,
  OpenOutFlag,
  PRUNE_MINOR,
  READ_LOCKOWNER,
  ReadIn,
  WriteFlag,
  WriteIn,
  WriteOut,
} from './abi.ts';
import { encodeOpenOut } from './encoding.ts';
import { endAfter, metadata, type OperationRow, row } from './handler-parts.ts';
import { agreedOn } from './negotiation.ts';
import type { FuseRequest } from './request.ts';
import { OPEN_DSYNC, OPEN_SYNC } from './synchronous.ts';

// Constants of this file, for speed: see encoding.ts.
const fsyncIn = FsyncIn;
const readIn = ReadIn;
const writeIn = WriteIn;

function performReadlink(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  request.passed.bytes = filesystem.readSymlink(tx, request.inode);
  filesystem.accessed(tx, request.inode);
}

function answerReadlink(request: FuseRequest): void {
  const { passed, memoryOffset } = request;
  request.wire.bytes.set(passed.bytes, memoryOffset);
  request.answerLong(memoryOffset, passed.bytes.length);
}

const OPEN_ACCESS_MODE = 3;
const OPEN_WRITE_ONLY = 1;
/** Open flag O_NOATIME of Linux on x86 and ARM. */
const OPEN_NO_ACCESS_TIME = 0o1000000;

/**
 * By the flags of the open file. Through one for writing only, the kernel reads what surrounds the
 * bytes written.
 */
function movesAccessTime(openFlags: number): boolean {
  return (openFlags & OPEN_NO_ACCESS_TIME) === 0 && (openFlags & OPEN_ACCESS_MODE) !== OPEN_WRITE_ONLY;
}

/** READDIR and READDIRPLUS have READ's arguments; the offset is that of the entry before. */
function decodeReaddir(request: FuseRequest): void {
  const { wire, bodyAt, conversation, list } = request;
  const offset = exact(readIn.offset, wire.view, bodyAt, 'EINVAL');
  list.cookie = conversation.directoryCookies.cookieAt(offset);
  list.lengthBytes = Math.min(readIn.size.get(wire.view, bodyAt), request.payloadBytes);
  list.movesAccessTime = movesAccessTime(readIn.flags.get(wire.view, bodyAt));
}

function performList(request: FuseRequest, tx: TransactionHandle, withAttributes: boolean): void {
  const { listing, memoryOffset, list, inode } = request;
  listing.begin(memoryOffset, list.lengthBytes, withAttributes ? tx : undefined, request.callerPid);
  const { filesystem } = request.conversation;
  filesystem.readDirectory(tx, inode, list.cookie, listing.visit);
  listing.end();
  if (list.movesAccessTime) filesystem.accessed(tx, inode);
}

function answerListing(request: FuseRequest): void {
  request.answerLong(request.memoryOffset, request.listing.bytes);
}

// Data.

function decodeRead(request: FuseRequest): void {
  const { wire, bodyAt, transfer } = request;
  transfer.inode = request.inode;
  transfer.offsetBytes = exact(readIn.offset, wire.view, bodyAt, 'EOVERFLOW');
  transfer.lengthBytes = readIn.size.get(wire.view, bodyAt);
  if (transfer.lengthBytes > request.payloadBytes) throw fsError('EINVAL');
  transfer.movesAccessTime = movesAccessTime(readIn.flags.get(wire.view, bodyAt));
  if ((readIn.read_flags.get(wire.view, bodyAt) & READ_LOCKOWNER) === 0) {
    request.conversation.cachedPages.filled(request.inode);
  }
  transfer.mustBeDurable = false;
  transfer.resultOffset = request.memoryOffset;
  transfer.resultBytes = 0;
}

function answerRead(request: FuseRequest): void {
  const { transfer } = request;
  request.answerLong(transfer.resultOffset, transfer.resultBytes);
}

function decodeWrite(request: FuseRequest): void {
  const { wire, bodyAt, conversation, transfer } = request;
  transfer.inode = request.inode;
  transfer.mustBeDurable = false;
  transfer.pastCache = false;
  const flags = writeIn.write_flags.get(wire.view, bodyAt);
  const cached = (flags & WriteFlag.CACHE) !== 0;
  // The filesystem refuses such an offset, however inexact, and notes what a cache loses by it.
  transfer.offsetBytes = cached
    ? writeIn.offset.get(wire.view, bodyAt)
    : exact(writeIn.offset, wire.view, bodyAt, 'EFBIG');
  transfer.lengthBytes = writeIn.size.get(wire.view, bodyAt);
  const receivedBytes = request.bodyEnd - request.memoryOffset;
  if (transfer.lengthBytes !== receivedBytes || receivedBytes > request.payloadBytes) throw fsError('EINVAL');
  const { agreement } = conversation;
  transfer.updateTimes = agreement === undefined || !agreedOn(agreement, InitFlag.WRITEBACK_CACHE);
  const openFlags = writeIn.flags.get(wire.view, bodyAt);
  if (!cached && (openFlags & OPEN_DSYNC) !== 0) {
    request.dataOnly = !request.synchronous && (openFlags & OPEN_SYNC) !== OPEN_SYNC;
    request.synchronous = true;
  }
  transfer.mayEndEarly = cached && !request.synchronous;
  transfer.fromCache = cached;
  transfer.dropsCapability = !cached || !conversation.attributeSupport.attributes;
  transfer.killPrivileges = (flags & WriteFlag.KILL_SUIDGID) !== 0;
  transfer.pastCache = !cached && (flags & WriteFlag.LOCKOWNER) !== 0;
}

/**
 * Past the cache it does not take the room of what is dirty: see scarce-space.ts. One that goes
 * through the cache must not wait: the kernel may have a page of it locked until it is answered.
 */
function beginWrite(request: FuseRequest): void {
  const { transfer, conversation } = request;
  const { filesystem, scarceSpace } = conversation;
  const first =
    transfer.pastCache && conversation.writebackCache
      ? scarceSpace.beforeWrite(transfer.lengthBytes)
      : undefined;
  if (first === undefined) filesystem.write(transfer);
  else
    first
      .then(() => {
        filesystem.write(transfer);
        filesystem.submit();
      })
      .catch((thrown: unknown) => request.finished(thrown));
}

function answerWrite(request: FuseRequest): void {
  const { wire, answerAt, transfer } = request;
  WriteOut.size.set(wire.view, answerAt, transfer.lengthBytes);
  WriteOut.padding.set(wire.view, answerAt, 0);
  request.answerShort(WriteOut.sizeBytes);
}

/**
 * A WRITE past the kernel's cache is answered when no page of it can be older; see cached-pages.ts.
 */
function sendWrite(request: FuseRequest): number {
  const { transfer, inode, conversation } = request;
  const { pastCache, offsetBytes, lengthBytes } = transfer;
  if (pastCache && lengthBytes > 0 && conversation.cachedPages.mayHold(inode)) {
    const { notices } = conversation;
    if (notices.forgetPagesBefore(inode, offsetBytes, lengthBytes, request) === 0) return 0;
  }
  return conversation.reply(request);
}

function writeOver({ inode, transfer, conversation }: FuseRequest, failure: unknown): void {
  conversation.dirtyLimits?.written();
  if (transfer.fromCache) conversation.scarceSpace.written(inode);
  if (failure === undefined) return;
  const { writeFailures, notices, agreement, unwrittenFiles } = conversation;
  writeFailures.note(notices, inode, errnoOf(failure));
  if ((agreement?.minor ?? 0) >= PRUNE_MINOR) unwrittenFiles.failed(inode);
}

/** Whoever has synced a file may look at once at the space it takes. */
function answerSync(request: FuseRequest): void {
  request.conversation.blockCounts.settle(request.inode);
  request.answerError(0);
}

/** Of one file or directory: it never fails for what others lost. */
function beginSync(request: FuseRequest): void {
  const { wire, bodyAt, conversation, inode } = request;
  const dataOnly = (fsyncIn.fsync_flags.get(wire.view, bodyAt) & FsyncFlag.FDATASYNC) !== 0;
  endAfter(request, conversation.filesystem.sync(inode, dataOnly));
}

function beginSyncOfAll(request: FuseRequest): void {
  endAfter(request, request.conversation.filesystem.sync());
}

// Files are not opened: the answer that makes the kernel stop asking, where it knows it.

function openUnless(flag: number): (request: FuseRequest) => void {
  return (request) => {
    const { agreement } = request.conversation;
    const skipped = agreement !== undefined && agreedOn(agreement, flag);
    request.finished(skipped ? fsError('ENOSYS') : undefined);
  };
}

function answerOpen(flags: number): (request: FuseRequest) => void {
  return (request) => request.answerShort(encodeOpenOut(request.wire, request.answerAt, flags));
}

export const contentOperations: readonly OperationRow[] = [
  [Opcode.READLINK, metadata('readlink', { perform: performReadlink, answer: answerReadlink })],
  [
    Opcode.READDIR,
    metadata('readdir', {
      bodyBytes: readIn.sizeBytes,
      decode: decodeReaddir,
      perform: (request, tx) => performList(request, tx, false),
      answer: answerListing,
    }),
  ],
  [
    Opcode.READDIRPLUS,
    metadata('readdirplus', {
      bodyBytes: readIn.sizeBytes,
      decode: decodeReaddir,
      perform: (request, tx) => performList(request, tx, true),
      answer: answerListing,
      reference: (request, taken) => request.listing.reference(taken),
    }),
  ],
  [
    Opcode.READ,
    row('read', {
      bodyBytes: readIn.sizeBytes,
      decode: decodeRead,
      begin: (request) => request.conversation.filesystem.read(request.transfer),
      answer: answerRead,
    }),
  ],
  [
    Opcode.WRITE,
    row('write', {
      changes: 'others',
      bodyBytes: writeIn.sizeBytes,
      decode: decodeWrite,
      begin: beginWrite,
      answer: answerWrite,
      send: sendWrite,
      over: writeOver,
    }),
  ],
  [Opcode.FSYNC, row('fsync', { bodyBytes: fsyncIn.sizeBytes, begin: beginSync, answer: answerSync })],
  [Opcode.FSYNCDIR, row('fsyncdir', { bodyBytes: fsyncIn.sizeBytes, begin: beginSync })],
  [Opcode.SYNCFS, row('syncfs', { begin: beginSyncOfAll })],
  [
    Opcode.OPEN,
    row('open', {
      agreements: [Errno.ENOSYS],
      begin: openUnless(InitFlag.NO_OPEN_SUPPORT),
      answer: answerOpen(OpenOutFlag.KEEP_CACHE),
    }),
  ],
  [
    Opcode.OPENDIR,
    row('opendir', {
      agreements: [Errno.ENOSYS],
      begin: openUnless(InitFlag.NO_OPENDIR_SUPPORT),
      answer: answerOpen(OpenOutFlag.KEEP_CACHE | OpenOutFlag.CACHE_DIR),
    }),
  ],
  [Opcode.RELEASE, row('release', {})],
  [Opcode.RELEASEDIR, row('releasedir', {})],
];
