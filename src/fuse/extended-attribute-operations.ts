/**
 * Operations on extended attributes: xattr(7) as the kernel asks for it, ACLs among them.
 *
 * GETXATTR and LISTXATTR with no room for an answer ask how long it would be. That an inode has no
 * such attribute is ENODATA, and for `security.capability` and ACLs asked much more often than
 * anything else: before the first write, and for who is not the owner. A mount with `noxattr` says
 * ENOSYS to each of the four once, and is asked no more; the capabilities that are there it then
 * takes away itself, with each write.
 */
import { CAPABILITY_NAME } from '../common/attribute-names.ts';
import { sameBytes } from '../common/bytes.ts';
import { PERMISSION_BITS } from '../common/permissions.ts';
import { Errno, fsError } from '../fs/base/errors.ts';
import type { SetMode, TransactionHandle } from '../fs/base/filesystem.ts';
import {
  GetxattrIn,
  GetxattrOut,
  InitFlag,
  Opcode,
  SETXATTR_ACL_KILL_SGID,
  SETXATTR_COMPAT_BYTES,
  SetxattrFlag,
  SetxattrIn,
} from './abi.ts';
import { isAccessAcl, isImpossibleLabel, isListed, nameFlaw } from './attribute-names.ts';
import { metadata, type OperationRow } from './handler-parts.ts';
import { agreedOn } from './negotiation.ts';
import type { FuseRequest } from './request.ts';

const SET_GROUP_ID = 0o2000;
const NO_ATTRIBUTE = fsError('ENODATA');

/** @throws ENOSYS, EOPNOTSUPP, EINVAL for a name that no attribute of the mount can have */
function readName(request: FuseRequest, skippedBytes: number): void {
  const { extended, conversation } = request;
  extended.name = request.text(skippedBytes);
  const flaw = nameFlaw(extended.name, conversation.attributeSupport);
  if (flaw !== undefined) throw fsError(flaw);
}

/** @throws EINVAL for flags that contradict each other, or that nobody knows */
function setMode(flags: number): SetMode {
  if (flags === 0) return 'any';
  if (flags === SetxattrFlag.CREATE) return 'create';
  if (flags === SetxattrFlag.REPLACE) return 'replace';
  throw fsError('EINVAL');
}

function decodeSet(request: FuseRequest): void {
  const { wire, bodyAt, bodyEnd, extended, conversation } = request;
  const { agreement } = conversation;
  const isLong = agreement !== undefined && agreedOn(agreement, InitFlag.SETXATTR_EXT);
  const headBytes = isLong ? SetxattrIn.sizeBytes : SETXATTR_COMPAT_BYTES;
  if (bodyEnd - bodyAt < headBytes) throw fsError('EINVAL');
  const lengthBytes = SetxattrIn.size.get(wire.view, bodyAt);
  const flags = isLong ? SetxattrIn.setxattr_flags.get(wire.view, bodyAt) : 0;
  extended.movedSpace = false;
  extended.mode = setMode(SetxattrIn.flags.get(wire.view, bodyAt));
  readName(request, headBytes);
  extended.value = request.rest();
  if (extended.value.length !== lengthBytes) throw fsError('EINVAL');
  extended.dropsSetGroupId = (flags & SETXATTR_ACL_KILL_SGID) !== 0 && isAccessAcl(extended.name);
}

function sectorsOf({ inode, attributes, conversation }: FuseRequest, tx: TransactionHandle): number {
  conversation.filesystem.readAttributes(tx, inode, attributes);
  return attributes.sectors;
}

/** Makes a change, and notes whether the inode takes another space by it. */
function noteSpace(request: FuseRequest, tx: TransactionHandle, change: () => void): void {
  const { extended } = request;
  extended.movedSpace = false;
  const before = sectorsOf(request, tx);
  change();
  extended.movedSpace = sectorsOf(request, tx) !== before;
}

/**
 * The kernel asks again for the time of change, and goes on with the space that it knows. And an
 * answer that is under way must not make the old time count as fresh; see told-directories.ts.
 */
function sendChanged(request: FuseRequest): number {
  const { inode, extended, callerPid, conversation } = request;
  const { notices, toldDirectories } = conversation;
  if (extended.movedSpace) notices.forgetAttributesNow(inode);
  else toldDirectories.changed(inode, callerPid, notices);
  return conversation.reply(request);
}

function performSet(request: FuseRequest, tx: TransactionHandle): void {
  const { inode, extended } = request;
  const { filesystem } = request.conversation;
  noteSpace(request, tx, () => filesystem.setExtendedAttribute(tx, inode, extended, extended.mode));
  if (!extended.dropsSetGroupId) return;
  const { mode } = request.attributes;
  if ((mode & SET_GROUP_ID) === 0) return;
  filesystem.changeAttributes(tx, inode, { mode: mode & PERMISSION_BITS & ~SET_GROUP_ID });
}

function decodeGet(request: FuseRequest): void {
  request.extended.mostBytes = GetxattrIn.size.get(request.wire.view, request.bodyAt);
  readName(request, GetxattrIn.sizeBytes);
}

/**
 * What is asked for most is not there, and no error: that would be made, thrown and caught for each
 * new file.
 * @throws EOPNOTSUPP for a label of SELinux that is not there and means nothing
 */
function performGet({ inode, extended, conversation }: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = conversation;
  extended.found = undefined;
  // The kernel asks for it before the first write to a file.
  if (sameBytes(extended.name, CAPABILITY_NAME)) conversation.scarceSpace.mayBecomeDirty(inode);
  if (!isImpossibleLabel(extended.name) && !filesystem.hasExtendedAttributes(tx, inode)) return;
  try {
    extended.found = filesystem.getExtendedAttribute(tx, inode, extended.name);
  } catch (thrown) {
    throw thrown === NO_ATTRIBUTE && isImpossibleLabel(extended.name) ? fsError('EOPNOTSUPP') : thrown;
  }
}

/** @throws ENOSYS */
function decodeList(request: FuseRequest): void {
  if (!request.conversation.attributeSupport.attributes) throw fsError('ENOSYS');
  request.extended.mostBytes = GetxattrIn.size.get(request.wire.view, request.bodyAt);
}

function performList(request: FuseRequest, tx: TransactionHandle): void {
  const { inode, extended, conversation } = request;
  const { filesystem, attributeSupport } = conversation;
  const names = filesystem
    .listExtendedAttributes(tx, inode)
    .filter((name) => isListed(name, attributeSupport, () => request.comesFromRoot));
  const list = new Uint8Array(names.reduce((bytes, name) => bytes + name.length + 1, 0));
  let at = 0;
  for (const name of names) {
    list.set(name, at);
    at += name.length + 1;
  }
  extended.found = list;
}

/** @throws ERANGE where there is no room for it */
function answerFound(request: FuseRequest): void {
  const { wire, answerAt, memoryOffset, payloadBytes, extended } = request;
  const { found, mostBytes } = extended;
  if (found === undefined) {
    request.answerError(Errno.ENODATA);
    return;
  }
  if (mostBytes === 0) {
    GetxattrOut.size.set(wire.view, answerAt, found.length);
    GetxattrOut.padding.set(wire.view, answerAt, 0);
    request.answerShort(GetxattrOut.sizeBytes);
    return;
  }
  if (found.length > Math.min(mostBytes, payloadBytes)) throw fsError('ERANGE');
  wire.bytes.set(found, memoryOffset);
  request.answerLong(memoryOffset, found.length);
}

function decodeRemove(request: FuseRequest): void {
  request.extended.movedSpace = false;
  readName(request, 0);
}

function performRemove(request: FuseRequest, tx: TransactionHandle): void {
  const { inode, extended, conversation } = request;
  noteSpace(request, tx, () => conversation.filesystem.removeExtendedAttribute(tx, inode, extended.name));
}

export const extendedAttributeOperations: readonly OperationRow[] = [
  [
    Opcode.SETXATTR,
    metadata('setxattr', {
      agreements: [Errno.ENOSYS],
      changes: 'others',
      bodyBytes: SETXATTR_COMPAT_BYTES,
      decode: decodeSet,
      perform: performSet,
      send: sendChanged,
    }),
  ],
  [
    Opcode.GETXATTR,
    metadata('getxattr', {
      agreements: [Errno.ENOSYS, Errno.ENODATA, Errno.EOPNOTSUPP],
      bodyBytes: GetxattrIn.sizeBytes,
      decode: decodeGet,
      perform: performGet,
      answer: answerFound,
    }),
  ],
  [
    Opcode.LISTXATTR,
    metadata('listxattr', {
      agreements: [Errno.ENOSYS],
      bodyBytes: GetxattrIn.sizeBytes,
      decode: decodeList,
      perform: performList,
      answer: answerFound,
    }),
  ],
  [
    Opcode.REMOVEXATTR,
    metadata('removexattr', {
      agreements: [Errno.ENOSYS],
      changes: 'others',
      decode: decodeRemove,
      perform: performRemove,
      send: sendChanged,
    }),
  ],
];
