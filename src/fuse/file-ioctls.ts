/**
 * The ioctls on files and directories: those that Linux has for every filesystem (what chattr(1)
 * sets, the project, the generation; commands and structures as in linux/fs.h), and one of ours
 * that lists where a file lies.
 *
 * For the flags the kernel sends them by itself, when it has found that whoever asks may
 * (vfs_fileattr_set): the owner, and for immutable and append-only somebody with
 * CAP_LINUX_IMMUTABLE in the first user namespace.
 */
import { viewOf } from '../common/bytes.ts';
import { record, U32, U64 } from '../common/record.ts';
import { fsError } from '../fs/base/errors.ts';
import { FileFlag, type TransactionHandle } from '../fs/base/filesystem.ts';
import { exact, FsXattr } from './abi.ts';
import type { IoctlCommand } from './ioctl-command.ts';
import type { FuseRequest } from './request.ts';

/** FS_*_FL, FS_XFLAG_* (0 where there is none), and ours. */
const FLAGS: readonly (readonly [generic: number, extended: number, own: number])[] = [
  [0x8, 0x20, FileFlag.synchronous],
  [0x10, 0x8, FileFlag.immutable],
  [0x20, 0x10, FileFlag.appendOnly],
  [0x40, 0x80, FileFlag.noDump],
  [0x80, 0x40, FileFlag.noAccessTime],
  [0x1_0000, 0, FileFlag.synchronousDirectory],
  [0x2_0000, 0, FileFlag.topDirectory],
  [0x2000_0000, 0x200, FileFlag.inheritsProject],
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
  look(request, tx);
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

/** The head of a list of extents, and what is asked for: the first byte of the file in question. */
export const ExtentsHead = record('head of a list of extents', 16, {
  from: new U64(0),
  count: new U32(8),
  /** 1 if there are more, behind the last of these. */
  more: new U32(12),
});
/** As struct fiemap_extent, without what is reserved there: bytes, and the flags of FIEMAP. */
export const ListedExtent = record('extent of a list', 32, {
  logical: new U64(0),
  physical: new U64(8),
  length: new U64(16),
  flags: new U32(24),
  reserved: new U32(28),
});
export const EXTENTS_BYTES = 4096;
/** _IOWR('Q', 0x52, 4096). */
export const EXTENTS_COMMAND = ((3 << 30) | (EXTENTS_BYTES << 16) | (0x51 << 8) | 0x52) >>> 0;
const MOST_EXTENTS = Math.floor((EXTENTS_BYTES - ExtentsHead.sizeBytes) / ListedExtent.sizeBytes);
/** FIEMAP_EXTENT_UNWRITTEN. */
const UNWRITTEN = 0x800;

/** Where the file lies on the device, as far as it fits: docs/FRAGMENTATION.md. */
function listExtents({ conversation, inode, passed }: FuseRequest, tx: TransactionHandle): Uint8Array {
  const { filesystem } = conversation;
  if (filesystem.visitExtents === undefined) throw fsError('ENOSYS');
  const { blockBytes } = filesystem;
  const from = exact(ExtentsHead.from, viewOf(passed.bytes), 0, 'EINVAL');
  const bytes = new Uint8Array(EXTENTS_BYTES);
  const view = viewOf(bytes);
  let count = 0;
  const add = (fileBlock: number, block: number, length: number, unwritten: boolean): boolean => {
    if (count === MOST_EXTENTS) {
      ExtentsHead.more.set(view, 0, 1);
      return false;
    }
    const at = ExtentsHead.sizeBytes + count++ * ListedExtent.sizeBytes;
    ListedExtent.logical.set(view, at, fileBlock * blockBytes);
    ListedExtent.physical.set(view, at, block * blockBytes);
    ListedExtent.length.set(view, at, length * blockBytes);
    ListedExtent.flags.set(view, at, unwritten ? UNWRITTEN : 0);
    return true;
  };
  filesystem.visitExtents(tx, inode, add, Math.floor(from / blockBytes));
  ExtentsHead.from.set(view, 0, from);
  ExtentsHead.count.set(view, 0, count);
  return bytes;
}

export const fileIoctls: readonly (readonly [command: number, rule: IoctlCommand])[] = [
  // FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
  [0x8008_6601, { inBytes: 0, outBytes: 4, perform: getFlags }],
  [0x4008_6602, { inBytes: 4, outBytes: 0, changesFlags: true, perform: setFlags }],
  // FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
  [0x801c_581f, { inBytes: 0, outBytes: FsXattr.sizeBytes, perform: getExtended }],
  [0x401c_5820, { inBytes: FsXattr.sizeBytes, outBytes: 0, changesFlags: true, perform: setExtended }],
  // FS_IOC_GETVERSION
  [0x8008_7601, { inBytes: 0, outBytes: 4, perform: getVersion }],
  [EXTENTS_COMMAND, { inBytes: EXTENTS_BYTES, outBytes: EXTENTS_BYTES, perform: listExtents }],
];
