/**
 * The ioctls on files and directories that Linux has for every filesystem: what chattr(1) sets, the
 * project, the generation. Commands and structures as in linux/fs.h.
 *
 * For the flags the kernel sends them by itself, when it has found that whoever asks may
 * (vfs_fileattr_set): the owner, and for immutable and append-only somebody with
 * CAP_LINUX_IMMUTABLE in the first user namespace.
 */
import { viewOf } from '../common/bytes.ts';
import { fsError } from '../fs/base/errors.ts';
import { FileFlag, type TransactionHandle } from '../fs/base/filesystem.ts';
import { FsXattr } from './abi.ts';
import type { FuseRequest } from './request.ts';

/** What becomes of a command, in a transaction. */
export interface FileIoctl {
  /** It brings as many bytes, which stand in `passed.bytes`. */
  readonly inBytes: number;
  /** Room that its answer needs. */
  readonly outBytes: number;
  readonly changes: boolean;
  perform(request: FuseRequest, tx: TransactionHandle): Uint8Array;
}

/** FS_*_FL, FS_XFLAG_* (0 where there is none), and ours. */
const FLAGS: readonly (readonly [generic: number, extended: number, own: number])[] = [
  [0x8, 0x20, FileFlag.synchronous],
  [0x10, 0x8, FileFlag.immutable],
  [0x20, 0x10, FileFlag.appendOnly],
  [0x40, 0x80, FileFlag.noDump],
  [0x80, 0x40, FileFlag.noAccessTime],
  [0x1_0000, 0, FileFlag.synchronousDirectory],
  [0x2_0000, 0, FileFlag.topDirectory],
];
const GENERIC = 0;
const EXTENDED = 1;
type Notation = typeof GENERIC | typeof EXTENDED;

/** Those that the extended notation has no word for. */
const NOT_EXTENDED = FLAGS.reduce((flags, row) => (row[EXTENDED] === 0 ? flags | row[2] : flags), 0);

function written(own: number, notation: Notation): number {
  let flags = 0;
  for (const row of FLAGS) if ((own & row[2]) !== 0) flags |= row[notation];
  return flags;
}

/** @throws EOPNOTSUPP for flags that there are not here, as ext4 does */
function understood(flags: number, notation: Notation): number {
  let own = 0;
  let known = 0;
  for (const row of FLAGS) {
    known |= row[notation];
    if ((flags & row[notation]) !== 0) own |= row[2];
  }
  if ((flags & ~known) !== 0) throw fsError('EOPNOTSUPP');
  return own;
}

const NOTHING = new Uint8Array(0);

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

function look({ conversation, inode, attributes }: FuseRequest, tx: TransactionHandle): void {
  conversation.filesystem.readAttributes(tx, inode, attributes);
}

/** chattr(1) and lsattr(1) mean an int, whatever the size in the command. */
function getFlags(request: FuseRequest, tx: TransactionHandle): Uint8Array {
  look(request, tx);
  return word(written(request.attributes.flags, GENERIC));
}

function setFlags(request: FuseRequest, tx: TransactionHandle): Uint8Array {
  const flags = understood(viewOf(request.passed.bytes).getUint32(0, true), GENERIC);
  request.conversation.filesystem.changeFlags(tx, request.inode, { flags });
  return NOTHING;
}

function getExtended(request: FuseRequest, tx: TransactionHandle): Uint8Array {
  look(request, tx);
  const { flags, projectId } = request.attributes;
  const bytes = new Uint8Array(FsXattr.sizeBytes);
  FsXattr.xflags.set(viewOf(bytes), 0, written(flags, EXTENDED));
  FsXattr.projid.set(viewOf(bytes), 0, projectId);
  return bytes;
}

function setExtended(request: FuseRequest, tx: TransactionHandle): Uint8Array {
  const view = viewOf(request.passed.bytes);
  const sizes = FsXattr.extsize.get(view, 0) | FsXattr.cowextsize.get(view, 0);
  if (sizes !== 0) throw fsError('EOPNOTSUPP');
  look(request, tx);
  const flags = understood(FsXattr.xflags.get(view, 0), EXTENDED) | (request.attributes.flags & NOT_EXTENDED);
  const projectId = FsXattr.projid.get(view, 0);
  request.conversation.filesystem.changeFlags(tx, request.inode, { flags, projectId });
  return NOTHING;
}

/** An int too: the low half of the generation. */
function getVersion(request: FuseRequest, tx: TransactionHandle): Uint8Array {
  look(request, tx);
  return word(request.attributes.generation % 2 ** 32);
}

export const fileIoctls: ReadonlyMap<number, FileIoctl> = new Map([
  // FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
  [0x8008_6601, { inBytes: 0, outBytes: 4, changes: false, perform: getFlags }],
  [0x4008_6602, { inBytes: 4, outBytes: 0, changes: true, perform: setFlags }],
  // FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
  [0x801c_581f, { inBytes: 0, outBytes: FsXattr.sizeBytes, changes: false, perform: getExtended }],
  [0x401c_5820, { inBytes: FsXattr.sizeBytes, outBytes: 0, changes: true, perform: setExtended }],
  // FS_IOC_GETVERSION
  [0x8008_7601, { inBytes: 0, outBytes: 4, changes: false, perform: getVersion }],
]);
