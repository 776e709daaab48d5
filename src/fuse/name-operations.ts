/**
 * Operations on names: looked up, made, moved and taken away.
 */
import { PERMISSION_BITS } from '../common/permissions.ts';
import { Errno, fsError } from '../fs/base/errors.ts';
import { RenameFlag, type TransactionHandle } from '../fs/base/filesystem.ts';
import {
  CreateIn,
  exact,
  LinkIn,
  MkdirIn,
  MknodIn,
  Opcode,
  OpenOutFlag,
  Rename2In,
  RenameIn,
} from './abi.ts';
import { encodeNegativeEntry, encodeOpenOut, isDirectoryMode } from './encoding.ts';
import {
  answerEntry,
  entry,
  execute,
  foundEntry,
  mayKeepAttributes,
  metadata,
  type OperationRow,
  type Parts,
} from './handler-parts.ts';
import type { FuseRequest } from './request.ts';

const DIRECTORY_TYPE = 0o040000;

function decodeName(request: FuseRequest): void {
  request.names.name = request.text(0);
}

function performLookup(request: FuseRequest, tx: TransactionHandle): void {
  const inode = request.conversation.filesystem.lookup(tx, request.inode, request.names.name);
  request.entryInode = inode;
  if (inode !== 0) foundEntry(request, tx, inode);
}

/**
 * A missing name is an entry without inode, not ENOENT: the kernel remembers it as long as the
 * others.
 */
function answerLookup(request: FuseRequest): void {
  if (request.entryInode !== 0) answerEntry(request);
  else request.answerShort(encodeNegativeEntry(request.wire, request.answerAt));
}

function decodeMknod(request: FuseRequest): void {
  const { wire, bodyAt } = request;
  request.names.mode = MknodIn.mode.get(wire.view, bodyAt);
  request.names.deviceNumber = MknodIn.rdev.get(wire.view, bodyAt);
  request.caller.umask = MknodIn.umask.get(wire.view, bodyAt);
  request.names.name = request.text(MknodIn.sizeBytes);
}

function decodeMkdir(request: FuseRequest): void {
  const { wire, bodyAt } = request;
  request.names.mode = DIRECTORY_TYPE | (MkdirIn.mode.get(wire.view, bodyAt) & PERMISSION_BITS);
  request.names.deviceNumber = 0;
  request.caller.umask = MkdirIn.umask.get(wire.view, bodyAt);
  request.names.name = request.text(MkdirIn.sizeBytes);
}

function decodeCreate(request: FuseRequest): void {
  const { wire, bodyAt } = request;
  request.names.mode = CreateIn.mode.get(wire.view, bodyAt);
  request.names.deviceNumber = 0;
  request.caller.umask = CreateIn.umask.get(wire.view, bodyAt);
  request.names.name = request.text(CreateIn.sizeBytes);
}

function performCreate(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  foundEntry(request, tx, filesystem.create(tx, request.inode, request.names.name, request.names));
}

/** Refused, CREATE becomes MKNOD without OPEN, and the file needs no RELEASE when it is closed. */
function beginCreate(request: FuseRequest): void {
  if (request.conversation.atomicCreate) execute(request);
  else request.finished(fsError('ENOSYS'));
}

function answerCreate(request: FuseRequest): void {
  const { wire, replies, answerAt, attributes } = request;
  const entryBytes = replies.entryOut(answerAt, attributes, mayKeepAttributes(request));
  const openBytes = encodeOpenOut(wire, answerAt + entryBytes, OpenOutFlag.KEEP_CACHE);
  request.answerShort(entryBytes + openBytes);
}

/** The arguments are CREATE's; the name is none. */
function decodeTmpfile(request: FuseRequest): void {
  const { wire, bodyAt } = request;
  request.names.mode = CreateIn.mode.get(wire.view, bodyAt);
  request.names.deviceNumber = 0;
  request.caller.umask = CreateIn.umask.get(wire.view, bodyAt);
}

function performTmpfile(request: FuseRequest, tx: TransactionHandle): void {
  request.entryInode = 0;
  foundEntry(request, tx, request.conversation.filesystem.createUnnamed(tx, request.inode, request.names));
}

/** The filesystem took the kernel's reference; whoever does not get the answer holds none. */
function tmpfileOver(request: FuseRequest, failure: unknown, delivered: boolean): void {
  const { entryInode, conversation } = request;
  if (entryInode === 0 || (failure === undefined && delivered)) return;
  conversation.filesystem.forget(entryInode, 1);
}

function decodeSymlink(request: FuseRequest): void {
  request.names.name = request.text(0);
  request.names.newName = request.text(0);
}

function performSymlink(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  const { inode, names } = request;
  foundEntry(request, tx, filesystem.symlink(tx, inode, names.name, names));
}

function decodeLink(request: FuseRequest): void {
  request.names.newParent = request.inode;
  request.inode = exact(LinkIn.oldnodeid, request.wire.view, request.bodyAt, 'ESTALE');
  request.names.name = request.text(LinkIn.sizeBytes);
}

function performLink(request: FuseRequest, tx: TransactionHandle): void {
  const { inode, names } = request;
  const { to } = names;
  to.parent = names.newParent;
  to.name = names.name;
  request.conversation.filesystem.link(tx, inode, to);
  foundEntry(request, tx, request.inode);
}

/** @param inode a file that has names left, or 0 */
function lostName({ conversation, callerPid }: FuseRequest, inode: number): void {
  if (inode !== 0) conversation.unlinkedFiles.lostName(inode, callerPid);
}

function performUnlink(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  lostName(request, filesystem.unlink(tx, request.inode, request.names.name));
}

function performRmdir(request: FuseRequest, tx: TransactionHandle): void {
  request.conversation.filesystem.removeDirectory(tx, request.inode, request.names.name);
}

/** Nothing has moved yet, also where the arguments are refused. */
function beginRename({ names }: FuseRequest): void {
  names.movedDirectory = 0;
  names.exchangedDirectory = 0;
}

function decodeRename(request: FuseRequest): void {
  beginRename(request);
  request.names.newParent = exact(RenameIn.newdir, request.wire.view, request.bodyAt, 'ESTALE');
  request.names.flags = 0;
  request.names.name = request.text(RenameIn.sizeBytes);
  request.names.newName = request.text(0);
}

function decodeRename2(request: FuseRequest): void {
  beginRename(request);
  const { wire, bodyAt } = request;
  request.names.newParent = exact(Rename2In.newdir, wire.view, bodyAt, 'ESTALE');
  request.names.flags = Rename2In.flags.get(wire.view, bodyAt);
  request.names.name = request.text(Rename2In.sizeBytes);
  request.names.newName = request.text(0);
}

function performRename(request: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = request.conversation;
  const { inode, names } = request;
  const { from, to, name, newParent, newName, flags } = names;
  from.parent = inode;
  from.name = name;
  to.parent = newParent;
  to.name = newName;
  lostName(request, filesystem.rename(tx, from, to, names));
  if (inode === newParent) return;
  names.movedDirectory = directoryAt(request, tx, newParent, newName);
  if ((flags & RenameFlag.exchange) !== 0) names.exchangedDirectory = directoryAt(request, tx, inode, name);
}

/** What somebody is just being told of the directory must not count as fresh after its change. */
function directoryChanged({ conversation, callerPid }: FuseRequest, directory: number): void {
  conversation.toldDirectories.changed(directory, callerPid, conversation.notices);
}

function sendChanged(request: FuseRequest): number {
  directoryChanged(request, request.inode);
  return request.conversation.reply(request);
}

function sendLinked(request: FuseRequest): number {
  directoryChanged(request, request.names.newParent);
  return request.conversation.reply(request);
}

/**
 * A moved directory has another parent behind its `..`: what the kernel keeps of its listing goes
 * before the answer.
 */
function sendRename(request: FuseRequest): number {
  directoryChanged(request, request.inode);
  if (request.names.newParent !== request.inode) directoryChanged(request, request.names.newParent);
  const { names, conversation } = request;
  const { movedDirectory, exchangedDirectory } = names;
  const first = movedDirectory || exchangedDirectory;
  if (first === 0) return conversation.reply(request);
  const { notices } = conversation;
  if (movedDirectory !== 0 && exchangedDirectory !== 0) notices.forgetListing(exchangedDirectory);
  const errno = notices.forgetPagesBefore(first, 0, 0, request);
  return errno === 0 ? 0 : conversation.reply(request);
}

/** The directory of this name, or 0 if it is something else. */
function directoryAt(request: FuseRequest, tx: TransactionHandle, parent: number, name: Uint8Array): number {
  const { conversation, attributes } = request;
  const { filesystem } = conversation;
  const inode = filesystem.lookup(tx, parent, name);
  if (inode === 0) return 0;
  filesystem.readAttributes(tx, inode, attributes);
  return isDirectoryMode(attributes.mode) ? inode : 0;
}

const createParts: Parts = { changes: 'names', perform: performCreate, send: sendChanged };
const renameParts: Parts = { changes: 'names', perform: performRename, send: sendRename };

export const nameOperations: readonly OperationRow[] = [
  [Opcode.LOOKUP, entry('lookup', { decode: decodeName, perform: performLookup, answer: answerLookup })],
  [Opcode.MKNOD, entry('mknod', { bodyBytes: MknodIn.sizeBytes, decode: decodeMknod, ...createParts })],
  [Opcode.MKDIR, entry('mkdir', { bodyBytes: MkdirIn.sizeBytes, decode: decodeMkdir, ...createParts })],
  [
    Opcode.CREATE,
    entry('create', {
      bodyBytes: CreateIn.sizeBytes,
      agreements: [Errno.ENOSYS],
      decode: decodeCreate,
      begin: beginCreate,
      answer: answerCreate,
      ...createParts,
    }),
  ],
  [
    Opcode.TMPFILE,
    metadata('tmpfile', {
      changes: 'others',
      bodyBytes: CreateIn.sizeBytes,
      decode: decodeTmpfile,
      perform: performTmpfile,
      answer: answerCreate,
      over: tmpfileOver,
    }),
  ],
  [
    Opcode.SYMLINK,
    entry('symlink', { changes: 'names', send: sendChanged, decode: decodeSymlink, perform: performSymlink }),
  ],
  [
    Opcode.LINK,
    entry('link', {
      changes: 'names',
      send: sendLinked,
      bodyBytes: LinkIn.sizeBytes,
      decode: decodeLink,
      perform: performLink,
    }),
  ],
  [
    Opcode.UNLINK,
    metadata('unlink', { changes: 'names', send: sendChanged, decode: decodeName, perform: performUnlink }),
  ],
  [
    Opcode.RMDIR,
    metadata('rmdir', { changes: 'names', send: sendChanged, decode: decodeName, perform: performRmdir }),
  ],
  [
    Opcode.RENAME,
    metadata('rename', { bodyBytes: RenameIn.sizeBytes, decode: decodeRename, ...renameParts }),
  ],
  [
    Opcode.RENAME2,
    metadata('rename2', { bodyBytes: Rename2In.sizeBytes, decode: decodeRename2, ...renameParts }),
  ],
];
