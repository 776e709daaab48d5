/**
 * What Quarry does with each opcode: one row per opcode, made of small functions.
 *
 * A row says how long its arguments are at least, how they are read, how the work begins, what a metadata
 * operation does in its transaction, and how the answer is built. Most rows share their parts: `metadata`
 * rows begin with `execute`, `refused` rows answer an errno that the kernel remembers, so that it stops asking.
 *
 * The server keeps no open-file state: file handles are always 0, and a node id is an inode number.
 */
import { type ErrnoName, fsError } from '../fs/errors.ts';
import { RenameFlag, type TransactionHandle } from '../fs/filesystem.ts';
import {
  BatchForgetIn,
  CreateIn,
  ForgetIn,
  ForgetOne,
  GetattrIn,
  InitFlag,
  InitIn,
  LinkIn,
  MkdirIn,
  MknodIn,
  OPCODE_LIMIT,
  Opcode,
  OpenOut,
  OpenOutFlag,
  ReadIn,
  Rename2In,
  RenameIn,
  SetattrIn,
  SetattrValid,
  StatxIn,
  WriteFlag,
  WriteIn,
  WriteOut,
} from './abi.ts';
import {
  encodeAttrOut,
  encodeEntryOut,
  encodeNegativeEntry,
  encodeStatfsOut,
  encodeStatxOut,
} from './encoding.ts';
import { agree, agreedOn, decodeInit, encodeInitOut } from './negotiation.ts';
import type { Handler, Request } from './request.ts';

const PERMISSION_BITS = 0o7777;
const DIRECTORY_TYPE = 0o040000;

// Parts that many rows share.

function nothing(): void {}

function execute(request: Request): void {
  request.conversation.filesystem.execute(request);
}

function succeed(request: Request): void {
  request.finished(undefined);
}

function answerEmpty(request: Request): void {
  request.answerError(0);
}

const blank: Handler = {
  name: '',
  bodyBytes: 0,
  silent: false,
  decode: nothing,
  begin: succeed,
  perform: nothing,
  answer: answerEmpty,
  reference: nothing,
};

type Parts = Partial<Omit<Handler, 'name'>>;

function row(name: string, parts: Parts): Handler {
  return { ...blank, name, ...parts };
}

/** A row that runs in a transaction. */
function metadata(name: string, parts: Parts): Handler {
  return { ...blank, begin: execute, name, ...parts };
}

/** A row whose transaction ends with an entry in the answer. */
function entry(name: string, parts: Parts): Handler {
  return metadata(name, { answer: answerEntry, reference: referenceEntry, ...parts });
}

function refused(name: string, code: ErrnoName): Handler {
  return row(name, { begin: (request) => request.finished(fsError(code)) });
}

/** Waits for `work`, then ends the request; what was queued meanwhile is handed over. */
function endAfter(request: Request, work: Promise<void>): void {
  work.then(
    () => request.finished(undefined),
    (thrown: unknown) => request.finished(thrown ?? fsError('EIO')),
  );
}

// Entries.

function answerEntry(request: Request): void {
  const { wire, answerAt, attributes, conversation } = request;
  request.answerShort(encodeEntryOut(wire, answerAt, attributes, conversation.preferredBytes));
}

function referenceEntry(request: Request, taken: boolean): void {
  const { entryInode } = request;
  if (entryInode === 0) return;
  const { filesystem } = request.conversation;
  if (taken) filesystem.acquire(entryInode);
  else filesystem.forget(entryInode, 1);
}

function decodeName(request: Request): void {
  request.name = request.text(0);
}

/** Ends `perform` of a row that answers with `inode` as its entry. */
function foundEntry(request: Request, tx: TransactionHandle, inode: number): void {
  request.entryInode = inode;
  request.conversation.filesystem.readAttributes(tx, inode, request.attributes);
}

function performLookup(request: Request, tx: TransactionHandle): void {
  const inode = request.conversation.filesystem.lookup(tx, request.inode, request.name);
  request.entryInode = inode;
  if (inode !== 0) foundEntry(request, tx, inode);
}

/** A missing name is an entry without inode, not ENOENT: the kernel remembers it as long as the others. */
function answerLookup(request: Request): void {
  if (request.entryInode !== 0) answerEntry(request);
  else request.answerShort(encodeNegativeEntry(request.wire, request.answerAt));
}

function decodeMknod(request: Request): void {
  const { wire, bodyAt } = request;
  request.mode = wire.u32(bodyAt + MknodIn.mode);
  request.deviceNumber = wire.u32(bodyAt + MknodIn.rdev);
  request.caller.umask = wire.u32(bodyAt + MknodIn.umask);
  request.name = request.text(MknodIn.bytes);
}

function decodeMkdir(request: Request): void {
  const { wire, bodyAt } = request;
  request.mode = DIRECTORY_TYPE | (wire.u32(bodyAt + MkdirIn.mode) & PERMISSION_BITS);
  request.deviceNumber = 0;
  request.caller.umask = wire.u32(bodyAt + MkdirIn.umask);
  request.name = request.text(MkdirIn.bytes);
}

function decodeCreate(request: Request): void {
  const { wire, bodyAt } = request;
  request.mode = wire.u32(bodyAt + CreateIn.mode);
  request.deviceNumber = 0;
  request.caller.umask = wire.u32(bodyAt + CreateIn.umask);
  request.name = request.text(CreateIn.bytes);
}

function performCreate(request: Request, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  foundEntry(request, tx, filesystem.create(tx, request.inode, request.name, request));
}

/** Refused, CREATE becomes MKNOD without OPEN, and the file needs no RELEASE when it is closed. */
function beginCreate(request: Request): void {
  if (request.conversation.atomicCreate) execute(request);
  else request.finished(fsError('ENOSYS'));
}

function encodeOpenOut(request: Request, at: number, flags: number): number {
  request.wire.clear(at, OpenOut.bytes);
  request.wire.setU32(at + OpenOut.open_flags, flags);
  return OpenOut.bytes;
}

function answerCreate(request: Request): void {
  const { wire, answerAt, attributes, conversation } = request;
  const entryBytes = encodeEntryOut(wire, answerAt, attributes, conversation.preferredBytes);
  const openBytes = encodeOpenOut(request, answerAt + entryBytes, OpenOutFlag.KEEP_CACHE);
  request.answerShort(entryBytes + openBytes);
}

function decodeSymlink(request: Request): void {
  request.name = request.text(0);
  request.newName = request.text(0);
}

function performSymlink(request: Request, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  const { inode, name, newName, caller } = request;
  foundEntry(request, tx, filesystem.symlink(tx, inode, name, newName, caller));
}

function decodeLink(request: Request): void {
  request.newParent = request.inode;
  request.inode = request.wire.exactU64(request.bodyAt + LinkIn.oldnodeid, 'ESTALE');
  request.name = request.text(LinkIn.bytes);
}

function performLink(request: Request, tx: TransactionHandle): void {
  request.conversation.filesystem.link(tx, request.inode, request.newParent, request.name);
  foundEntry(request, tx, request.inode);
}

// Names taken away and moved.

function performUnlink(request: Request, tx: TransactionHandle): void {
  request.conversation.filesystem.unlink(tx, request.inode, request.name);
}

function performRmdir(request: Request, tx: TransactionHandle): void {
  request.conversation.filesystem.removeDirectory(tx, request.inode, request.name);
}

function decodeRename(request: Request): void {
  request.newParent = request.wire.exactU64(request.bodyAt + RenameIn.newdir, 'ESTALE');
  request.flags = 0;
  request.name = request.text(RenameIn.bytes);
  request.newName = request.text(0);
}

/** Flags that a rename may have. A whiteout is the business of an overlay's upper layer, which FUSE cannot be. */
const RENAME_FLAGS = RenameFlag.noReplace | RenameFlag.exchange;

function decodeRename2(request: Request): void {
  const { wire, bodyAt } = request;
  request.newParent = wire.exactU64(bodyAt + Rename2In.newdir, 'ESTALE');
  request.flags = wire.u32(bodyAt + Rename2In.flags);
  if ((request.flags & ~RENAME_FLAGS) !== 0) throw fsError('EINVAL');
  request.name = request.text(Rename2In.bytes);
  request.newName = request.text(0);
}

function performRename(request: Request, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  const { inode, name, newParent, newName, flags } = request;
  filesystem.rename(tx, inode, name, newParent, newName, flags);
}

// Attributes.

function performReadAttributes(request: Request, tx: TransactionHandle): void {
  request.conversation.filesystem.readAttributes(tx, request.inode, request.attributes);
}

function answerAttributes(request: Request): void {
  const { wire, answerAt, attributes, conversation } = request;
  request.answerShort(encodeAttrOut(wire, answerAt, attributes, conversation.preferredBytes));
}

function answerStatx(request: Request): void {
  const { wire, answerAt, attributes, conversation } = request;
  request.answerShort(encodeStatxOut(wire, answerAt, attributes, conversation.preferredBytes));
}

const OTHER_THAN_SIZE =
  SetattrValid.MODE |
  SetattrValid.UID |
  SetattrValid.GID |
  SetattrValid.ATIME |
  SetattrValid.MTIME |
  SetattrValid.CTIME;

function decodeSetattr(request: Request): void {
  const { wire, bodyAt } = request;
  const valid = wire.u32(bodyAt + SetattrIn.valid);
  request.killPrivileges = (valid & SetattrValid.KILL_SUIDGID) !== 0;
  request.resizes = (valid & SetattrValid.SIZE) !== 0;
  request.sizeBytes = request.resizes ? wire.exactU64(bodyAt + SetattrIn.size, 'EFBIG') : 0;
  const killsByItself = request.killPrivileges && !request.resizes;
  request.changesOther = (valid & OTHER_THAN_SIZE) !== 0 || killsByItself;
  request.changes.killPrivileges = killsByItself || undefined;
  decodeOwnership(request, valid);
  decodeTimes(request, valid);
}

function decodeOwnership({ wire, bodyAt, changes }: Request, valid: number): void {
  changes.mode =
    (valid & SetattrValid.MODE) !== 0 ? wire.u32(bodyAt + SetattrIn.mode) & PERMISSION_BITS : undefined;
  changes.uid = (valid & SetattrValid.UID) !== 0 ? wire.u32(bodyAt + SetattrIn.uid) : undefined;
  changes.gid = (valid & SetattrValid.GID) !== 0 ? wire.u32(bodyAt + SetattrIn.gid) : undefined;
}

function decodeTimes({ wire, bodyAt, changes }: Request, valid: number): void {
  const access = (valid & SetattrValid.ATIME) !== 0;
  const accessNow = (valid & SetattrValid.ATIME_NOW) !== 0;
  const modify = (valid & SetattrValid.MTIME) !== 0;
  const modifyNow = (valid & SetattrValid.MTIME_NOW) !== 0;
  const change = (valid & SetattrValid.CTIME) !== 0;
  changes.accessSeconds = access ? (accessNow ? 'now' : wire.i64(bodyAt + SetattrIn.atime)) : undefined;
  changes.accessNanoseconds = access && !accessNow ? wire.u32(bodyAt + SetattrIn.atimensec) : undefined;
  changes.modifySeconds = modify ? (modifyNow ? 'now' : wire.i64(bodyAt + SetattrIn.mtime)) : undefined;
  changes.modifyNanoseconds = modify && !modifyNow ? wire.u32(bodyAt + SetattrIn.mtimensec) : undefined;
  changes.changeSeconds = change ? wire.i64(bodyAt + SetattrIn.ctime) : undefined;
  changes.changeNanoseconds = change ? wire.u32(bodyAt + SetattrIn.ctimensec) : undefined;
}

/** The size moves bytes and may take many transactions, so it comes first; the rest follows in one. */
function beginSetattr(request: Request): void {
  if (!request.resizes) {
    execute(request);
    return;
  }
  const { filesystem } = request.conversation;
  filesystem.setSize(request.inode, request.sizeBytes, request.killPrivileges).then(
    () => {
      filesystem.execute(request);
      filesystem.submit();
    },
    (thrown: unknown) => request.finished(thrown ?? fsError('EIO')),
  );
}

function performSetattr(request: Request, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  if (request.changesOther) filesystem.changeAttributes(tx, request.inode, request.changes);
  filesystem.readAttributes(tx, request.inode, request.attributes);
}

function performStatfs(request: Request, tx: TransactionHandle): void {
  const { filesystem, space } = request.conversation;
  filesystem.statistics(tx, space);
}

function answerStatfs(request: Request): void {
  request.answerShort(encodeStatfsOut(request.wire, request.answerAt, request.conversation.space));
}

// Symlinks and directories: answers in the payload.

function performReadlink(request: Request, tx: TransactionHandle): void {
  request.target = request.conversation.filesystem.readSymlink(tx, request.inode);
}

function answerReadlink(request: Request): void {
  const { target, memoryOffset } = request;
  request.wire.bytes.set(target, memoryOffset);
  request.answerLong(memoryOffset, target.length);
}

/** READDIR and READDIRPLUS have READ's arguments; the offset is the cookie of the entry before. */
function decodeReaddir(request: Request): void {
  const { wire, bodyAt } = request;
  request.offsetBytes = wire.exactU64(bodyAt + ReadIn.offset, 'EINVAL');
  request.lengthBytes = Math.min(wire.u32(bodyAt + ReadIn.size), request.payloadBytes);
}

function list(request: Request, tx: TransactionHandle, withAttributes: boolean): void {
  const { listing, memoryOffset, lengthBytes, inode, offsetBytes } = request;
  listing.begin(memoryOffset, lengthBytes, withAttributes ? tx : undefined);
  request.conversation.filesystem.readDirectory(tx, inode, offsetBytes, listing.visit);
  listing.end();
}

function answerListing(request: Request): void {
  request.answerLong(request.memoryOffset, request.listing.bytes);
}

// Data.

function decodeRead(request: Request): void {
  const { wire, bodyAt } = request;
  request.offsetBytes = wire.exactU64(bodyAt + ReadIn.offset, 'EOVERFLOW');
  request.lengthBytes = wire.u32(bodyAt + ReadIn.size);
  if (request.lengthBytes > request.payloadBytes) throw fsError('EINVAL');
  request.resultOffset = request.memoryOffset;
  request.resultBytes = 0;
}

function answerRead(request: Request): void {
  request.answerLong(request.resultOffset, request.resultBytes);
}

function decodeWrite(request: Request): void {
  const { wire, bodyAt, conversation } = request;
  request.offsetBytes = wire.exactU64(bodyAt + WriteIn.offset, 'EFBIG');
  request.lengthBytes = wire.u32(bodyAt + WriteIn.size);
  const receivedBytes = request.bodyEnd - request.memoryOffset;
  if (request.lengthBytes !== receivedBytes || receivedBytes > request.payloadBytes) throw fsError('EINVAL');
  const { agreement } = conversation;
  request.updateTimes = agreement === undefined || !agreedOn(agreement, InitFlag.WRITEBACK_CACHE);
  request.killPrivileges = (wire.u32(bodyAt + WriteIn.write_flags) & WriteFlag.KILL_SUIDGID) !== 0;
}

function answerWrite(request: Request): void {
  const { wire, answerAt } = request;
  wire.setU32(answerAt + WriteOut.size, request.lengthBytes);
  wire.setU32(answerAt + WriteOut.padding, 0);
  request.answerShort(WriteOut.bytes);
}

function beginSync(request: Request): void {
  endAfter(request, request.conversation.filesystem.sync());
}

// Files are not opened: the answer that makes the kernel stop asking, where it knows it.

function openUnless(flag: number): (request: Request) => void {
  return (request) => {
    const { agreement } = request.conversation;
    const skipped = agreement !== undefined && agreedOn(agreement, flag);
    request.finished(skipped ? fsError('ENOSYS') : undefined);
  };
}

function answerOpen(flags: number): (request: Request) => void {
  return (request) => request.answerShort(encodeOpenOut(request, request.answerAt, flags));
}

// References given back.

function beginForget(request: Request): void {
  const { wire, bodyAt, inode, conversation } = request;
  conversation.filesystem.forget(inode, wire.u64(bodyAt + ForgetIn.nlookup));
  succeed(request);
}

function beginBatchForget(request: Request): void {
  const { wire, bodyAt, bodyEnd, conversation } = request;
  const { filesystem } = conversation;
  const count = wire.u32(bodyAt + BatchForgetIn.count);
  const received = Math.floor((bodyEnd - bodyAt - BatchForgetIn.bytes) / ForgetOne.bytes);
  let at = bodyAt + BatchForgetIn.bytes;
  for (let left = Math.min(count, received); left > 0; left--) {
    filesystem.forget(wire.u64(at + ForgetOne.nodeid), wire.u64(at + ForgetOne.nlookup));
    at += ForgetOne.bytes;
  }
  succeed(request);
}

// The session itself.

function decodeInitRequest(request: Request): void {
  request.conversation.agreed(agree(decodeInit(request.wire, request.bodyAt)));
}

function answerInit(request: Request): void {
  const { agreement } = request.conversation;
  if (agreement === undefined) throw fsError('EPROTO');
  request.answerShort(encodeInitOut(request.wire, request.answerAt, agreement));
}

/** Replied to when the volume is clean on disk: the kernel lets umount(2) of a fuseblk mount return then. */
function beginDestroy(request: Request): void {
  endAfter(request, request.conversation.unmount());
}

const createParts: Parts = { perform: performCreate };
const renameParts: Parts = { perform: performRename };

const rows: readonly (readonly [opcode: number, handler: Handler])[] = [
  [Opcode.INIT, row('init', { bodyBytes: InitIn.leastBytes, decode: decodeInitRequest, answer: answerInit })],
  [Opcode.DESTROY, row('destroy', { begin: beginDestroy })],
  // Requests end soon by themselves, so there is nothing to interrupt.
  [Opcode.INTERRUPT, row('interrupt', { silent: true })],

  [Opcode.LOOKUP, entry('lookup', { decode: decodeName, perform: performLookup, answer: answerLookup })],
  [Opcode.FORGET, row('forget', { silent: true, bodyBytes: ForgetIn.bytes, begin: beginForget })],
  [
    Opcode.BATCH_FORGET,
    row('batch-forget', { silent: true, bodyBytes: BatchForgetIn.bytes, begin: beginBatchForget }),
  ],

  [
    Opcode.GETATTR,
    metadata('getattr', {
      bodyBytes: GetattrIn.bytes,
      perform: performReadAttributes,
      answer: answerAttributes,
    }),
  ],
  [
    Opcode.STATX,
    metadata('statx', { bodyBytes: StatxIn.bytes, perform: performReadAttributes, answer: answerStatx }),
  ],
  [
    Opcode.SETATTR,
    row('setattr', {
      bodyBytes: SetattrIn.bytes,
      decode: decodeSetattr,
      begin: beginSetattr,
      perform: performSetattr,
      answer: answerAttributes,
    }),
  ],
  [Opcode.STATFS, metadata('statfs', { perform: performStatfs, answer: answerStatfs })],

  [Opcode.MKNOD, entry('mknod', { bodyBytes: MknodIn.bytes, decode: decodeMknod, ...createParts })],
  [Opcode.MKDIR, entry('mkdir', { bodyBytes: MkdirIn.bytes, decode: decodeMkdir, ...createParts })],
  [
    Opcode.CREATE,
    entry('create', {
      bodyBytes: CreateIn.bytes,
      decode: decodeCreate,
      begin: beginCreate,
      answer: answerCreate,
      ...createParts,
    }),
  ],
  [Opcode.SYMLINK, entry('symlink', { decode: decodeSymlink, perform: performSymlink })],
  [Opcode.LINK, entry('link', { bodyBytes: LinkIn.bytes, decode: decodeLink, perform: performLink })],
  [Opcode.UNLINK, metadata('unlink', { decode: decodeName, perform: performUnlink })],
  [Opcode.RMDIR, metadata('rmdir', { decode: decodeName, perform: performRmdir })],
  [Opcode.RENAME, metadata('rename', { bodyBytes: RenameIn.bytes, decode: decodeRename, ...renameParts })],
  [
    Opcode.RENAME2,
    metadata('rename2', { bodyBytes: Rename2In.bytes, decode: decodeRename2, ...renameParts }),
  ],

  [Opcode.READLINK, metadata('readlink', { perform: performReadlink, answer: answerReadlink })],
  [
    Opcode.READDIR,
    metadata('readdir', {
      bodyBytes: ReadIn.bytes,
      decode: decodeReaddir,
      perform: (request, tx) => list(request, tx, false),
      answer: answerListing,
    }),
  ],
  [
    Opcode.READDIRPLUS,
    metadata('readdirplus', {
      bodyBytes: ReadIn.bytes,
      decode: decodeReaddir,
      perform: (request, tx) => list(request, tx, true),
      answer: answerListing,
      reference: (request, taken) => request.listing.reference(taken),
    }),
  ],

  [
    Opcode.READ,
    row('read', {
      bodyBytes: ReadIn.bytes,
      decode: decodeRead,
      begin: (request) => request.conversation.filesystem.read(request),
      answer: answerRead,
    }),
  ],
  [
    Opcode.WRITE,
    row('write', {
      bodyBytes: WriteIn.bytes,
      decode: decodeWrite,
      begin: (request) => request.conversation.filesystem.write(request),
      answer: answerWrite,
    }),
  ],
  [Opcode.FSYNC, row('fsync', { begin: beginSync })],
  [Opcode.FSYNCDIR, row('fsyncdir', { begin: beginSync })],
  [Opcode.SYNCFS, row('syncfs', { begin: beginSync })],

  [
    Opcode.OPEN,
    row('open', {
      begin: openUnless(InitFlag.NO_OPEN_SUPPORT),
      answer: answerOpen(OpenOutFlag.KEEP_CACHE),
    }),
  ],
  [
    Opcode.OPENDIR,
    row('opendir', {
      begin: openUnless(InitFlag.NO_OPENDIR_SUPPORT),
      answer: answerOpen(OpenOutFlag.KEEP_CACHE | OpenOutFlag.CACHE_DIR),
    }),
  ],
  [Opcode.RELEASE, row('release', {})],
  [Opcode.RELEASEDIR, row('releasedir', {})],
  // The kernel has written the pages before it asks; there is nothing more to flush.
  [Opcode.FLUSH, refused('flush', 'ENOSYS')],
  // default_permissions: the kernel checks access by itself.
  [Opcode.ACCESS, refused('access', 'ENOSYS')],

  // Not yet: the kernel remembers ENOSYS, and falls back where it can (lseek, copy) or says EOPNOTSUPP.
  [Opcode.SETXATTR, refused('setxattr', 'ENOSYS')],
  [Opcode.GETXATTR, refused('getxattr', 'ENOSYS')],
  [Opcode.LISTXATTR, refused('listxattr', 'ENOSYS')],
  [Opcode.REMOVEXATTR, refused('removexattr', 'ENOSYS')],
  [Opcode.FALLOCATE, refused('fallocate', 'ENOSYS')],
  [Opcode.LSEEK, refused('lseek', 'ENOSYS')],
  [Opcode.COPY_FILE_RANGE, refused('copy-file-range', 'ENOSYS')],
  [Opcode.COPY_FILE_RANGE_64, refused('copy-file-range-64', 'ENOSYS')],
  [Opcode.TMPFILE, refused('tmpfile', 'ENOSYS')],
  // Never: locks are the kernel's own, and the blocks of a file move.
  [Opcode.GETLK, refused('getlk', 'ENOSYS')],
  [Opcode.SETLK, refused('setlk', 'ENOSYS')],
  [Opcode.SETLKW, refused('setlkw', 'ENOSYS')],
  [Opcode.BMAP, refused('bmap', 'ENOSYS')],
  [Opcode.IOCTL, refused('ioctl', 'ENOSYS')],
  [Opcode.POLL, refused('poll', 'ENOSYS')],
  [Opcode.SETUPMAPPING, refused('setupmapping', 'ENOSYS')],
  [Opcode.REMOVEMAPPING, refused('removemapping', 'ENOSYS')],
  [Opcode.NOTIFY_REPLY, row('notify-reply', { silent: true })],
];

/** For opcodes that this version does not know. */
export const unknownOperation: Handler = refused('unknown', 'ENOSYS');

const byOpcode: Handler[] = new Array<Handler>(OPCODE_LIMIT).fill(unknownOperation);
for (const [opcode, handler] of rows) byOpcode[opcode] = handler;

/** The row of an opcode. */
export function handlerOf(opcode: number): Handler {
  return byOpcode[opcode] ?? unknownOperation;
}
