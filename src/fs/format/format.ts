/**
 * The on-disk format: every record, every constant, in one file. docs/FORMAT.md is made from it.
 *
 *   block 0        1 … J              J+1           J+2                 J+3 …
 *   superblock  |  journal (J blocks) | volume root | backup superblock | space: groups of blocks …
 *
 * Little-endian. Block numbers are absolute (block 0 is the superblock) and fit 48 bits. Every
 * metadata block starts with `BlockHeader`: who it is, whose it is, and a CRC-32C over the block
 * with the checksum field as zero. Data blocks carry nothing but data.
 *
 * What belongs to whom:
 *   superblock    geometry and identity; written at mkfs, mount, unmount and resize only
 *   journal       two heads, then the log: transactions one after the other, round and round
 *   volume root   the inode table's own inode, counters, head of the orphan list
 *   space         block groups: each begins with its bitmap; summaries over them (layout.ts says
 *                 where)
 *   inode table   a file: chunks of one inode bitmap block and the inode blocks it speaks for
 *   tree nodes    extents of a file, entries of a directory, or extended attributes; the root node
 *                 is inside the inode, but for attributes that it has no room for
 *   quota nodes   a tree of the volume: what users, groups and projects have, and may have
 */

import { Bytes, I64, record, U8, U16, U32, U48, U64 } from '../../common/record.ts';
import { NAME_SECRET_BYTES } from './name-hash.ts';

export const MAGIC = 'QUARRY';
export const MAGIC_BYTES: Uint8Array = new TextEncoder().encode(MAGIC);
/** The disk version, apart from the package version. A reader refuses any other. */
export const FORMAT_VERSION = 3;

export const MIN_BLOCK_BYTES = 1024;
export const MAX_BLOCK_BYTES = 65536;
export const DEFAULT_BLOCK_BYTES = 4096;
/** Block numbers fit 48 bits. */
export const MAX_BLOCKS = 2 ** 48;
/** 1 EiB. */
export const MAX_VOLUME_BYTES = 2 ** 60;
/** 1 PiB: the largest file, whatever the block size. */
export const MAX_FILE_BYTES = 2 ** 50;
/** Blocks of a file are numbered below this: also what "to the end" is, whatever the file. */
export const FILE_BLOCK_LIMIT = 2 ** 48;
export const MAX_NAME_BYTES = 255;
export const MAX_SYMLINK_BYTES = 4095;
/** As many as the field holds. */
export const MAX_LINKS = 2 ** 32 - 1;
/** Inode numbers fit 48 bits. */
export const MAX_INODES = 2 ** 48;
export const MAX_LABEL_BYTES = 64;
/**
 * Longest list of mount options that a superblock holds: what changes in it is in its first 512
 * bytes, which no power cut tears.
 */
export const MAX_STORED_OPTIONS_BYTES = 216;

/** Kinds of metadata block, in `BlockHeader.kind`. */
export const BlockKind = {
  superblock: 1,
  volumeRoot: 2,
  groupBitmap: 3,
  summary: 4,
  inodeBitmap: 5,
  inodes: 6,
  extentNode: 7,
  directoryNode: 8,
  symlink: 9,
  journalDescriptor: 10,
  attributeNode: 11,
  journalHead: 12,
  journalRevoke: 13,
  journalCommit: 14,
  quotaNode: 15,
} as const;
export type BlockKind = (typeof BlockKind)[keyof typeof BlockKind];

export const HEADER_BYTES = 64;

export const BlockHeader = record('block header', HEADER_BYTES, {
  /** `MAGIC`. */
  magic: new Bytes(0, 6),
  /** One of `BlockKind`. */
  kind: new U16(6),
  /** CRC-32C of the block (of the first 1024 bytes for a superblock) with this field as zero. */
  checksum: new U32(8),
  reserved: new U32(12),
  /** The block's own number. */
  block: new U64(16),
  /** Id of the volume, the same in all of its blocks. */
  uuid: new Bytes(24, 16),
  /** Number of the commit that last wrote the block. */
  sequence: new U64(40),
  /** Meaning by kind: see `OwnerHeader`, `BitmapHeader`, `SummaryHeader`. */
  special: new Bytes(48, 16),
});

/** `special` of tree nodes and symlink blocks, from the start of the block. */
export const OwnerHeader = record('owner header', HEADER_BYTES, {
  common: new Bytes(0, 48),
  /** Inode that the block belongs to; 0 for the inode table itself. */
  owner: new U64(48),
  reserved: new U64(56),
});

/** `special` of inode bitmaps and group bitmaps. */
export const BitmapHeader = record('bitmap header', HEADER_BYTES, {
  common: new Bytes(0, 48),
  /** Bits that are set. */
  used: new U32(48),
  /** No bit below this one is clear. A hint that must not be too high. */
  firstFree: new U32(52),
  reserved: new U64(56),
});

/** `special` of space summaries. */
export const SummaryHeader = record('summary header', HEADER_BYTES, {
  common: new Bytes(0, 48),
  /** Sum of `freeBlocks` over the entries. */
  freeBlocks: new U64(48),
  /** 1 above the groups, one more for each level of summaries above. */
  level: new U16(56),
  reserved: new U16(58),
  /** Entries, which follow the header. */
  entryCount: new U32(60),
});

/** One entry of a summary node: a group (level 1) or a summary node of the level below. */
export const SummaryEntry = record('summary entry', 16, {
  /** Free blocks of the group, or under that node. */
  freeBlocks: new U64(0),
  /**
   * `SUMMARY_INITIALISED`, or 0 where the block it speaks of was never written and is as mkfs means
   * it.
   */
  flags: new U32(8),
  reserved: new U32(12),
});
export const SUMMARY_INITIALISED = 1;

export const INODE_BYTES = 480;
/**
 * Table space per inode: `blockBytes / INODE_STRIDE_BYTES` inodes in a block, packed after its
 * header.
 */
export const INODE_STRIDE_BYTES = 512;
export const INODE_BODY_OFFSET = 144;
export const INODE_BODY_BYTES = INODE_BYTES - INODE_BODY_OFFSET;

/**
 * An inode. The body holds, by file type and flags: the data of a small file or short symlink
 * (`InodeFlag.inlineData`), or the root node of its extent tree or directory tree; for devices
 * nothing. The root node of its extended attributes is the end of the body, or a block.
 */
export const Inode = record('inode', INODE_BYTES, {
  /** File type and permission bits as in stat(2); 0 in a free inode. */
  mode: new U16(0),
  /** Bits of `InodeFlag`. */
  flags: new U16(2),
  /** Names; for a directory 2, and 1 for each directory in it. 0 on the orphan list. */
  linkCount: new U32(4),
  uid: new U32(8),
  gid: new U32(12),
  /** Bytes; for a directory the number of its entries. */
  size: new U64(16),
  /** Blocks that belong to this inode: data and tree nodes. */
  blocks: new U64(24),
  /** Tells apart the inodes that had this number one after the other. */
  generation: new U64(32),
  /** Times count from 1970, UTC; the nanoseconds are added to the seconds, also before 1970. */
  accessSeconds: new I64(40),
  modifySeconds: new I64(48),
  changeSeconds: new I64(56),
  birthSeconds: new I64(64),
  accessNanoseconds: new U32(72),
  modifyNanoseconds: new U32(76),
  changeNanoseconds: new U32(80),
  birthNanoseconds: new U32(84),
  /** Device number of a device file, as Linux encodes dev_t in 32 bits. */
  deviceNumber: new U32(88),
  /** Project that the space is counted for (quotas); 0 for none. */
  projectId: new U32(92),
  /** For a directory, the inode of its parent (the root's parent is the root). */
  parent: new U64(96),
  /**
   * Orphan list (inodes without a name that are still open or being freed, and files being
   * truncated); 0 ends it.
   */
  nextOrphan: new U64(104),
  previousOrphan: new U64(112),
  /** Block of the root node of the extended attributes; 0 where it is in the body, or nowhere. */
  attributeBlock: new U64(120),
  /**
   * Bytes at the end of the body that are the root node of the extended attributes; 0 where it is a
   * block, or there are none. A multiple of 8 from `MIN_INLINE_ATTRIBUTE_BYTES` to
   * `MAX_INLINE_ATTRIBUTE_BYTES`; what the body holds else ends before them.
   */
  inlineAttributeBytes: new U16(128),
  reserved2: new Bytes(130, 6),
  /** The inode's own number; 0 in the inode of the inode table. */
  number: new U64(136),
  /** Data, or a tree's root node: see above. */
  body: new Bytes(INODE_BODY_OFFSET, INODE_BODY_BYTES),
});

export const MIN_INLINE_ATTRIBUTE_BYTES = 64;
export const MAX_INLINE_ATTRIBUTE_BYTES = 208;

/**
 * No user and no group: (uid_t) −1. What it owned nobody could remove, so it is not stored, and
 * read as `UNMAPPED_ID`.
 */
export const NO_ID = 0xffff_ffff;
/** The owner in place of one that has no number here, as the kernel's overflowuid. */
export const UNMAPPED_ID = 65534;

export const InodeFlag = {
  /** The body holds the data itself. */
  inlineData: 1,
  /**
   * As chattr(1) sets them. Kept for FS_IOC_SETFLAGS: nothing may be changed, not even its names, …
   */
  immutable: 2,
  /** … what is written goes to the end, … */
  appendOnly: 4,
  /** … dump(8) leaves it out, … */
  noDump: 8,
  /** … reading leaves the time of access alone, … */
  noAccessTime: 16,
  /** … every write is durable when it returns, … */
  synchronous: 32,
  /** … every change of the directory is, … */
  synchronousDirectory: 64,
  /** … directories in this one have nothing to do with each other, … */
  topDirectory: 128,
  /** … what is made in this directory is of its project. */
  inheritsProject: 256,
} as const;
/** All of them. */
export const INODE_FLAGS = 511;

/** FUSE's root, and so ours. Inode 0 does not exist; its bit is set. */
export const ROOT_INODE = 1;

/** File types, the top four bits of `Inode.mode`. */
export const FileType = {
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;
export const FILE_TYPE_MASK = 0o170000;

/** The header of a tree node's region: a whole block after its header, or the body of an inode. */
export const NodeHeader = record('node header', 8, {
  /** 0 in a leaf. */
  level: new U8(0),
  /** `TreeKind`. */
  kind: new U8(1),
  /** Records in the node. */
  count: new U16(2),
  /** Records fill the region from its end down to this offset (from the start of the region). */
  heapStart: new U16(4),
  /** Bytes of removed records inside the heap. */
  garbage: new U16(6),
});
/**
 * After the node header, one u16 per record, in order of keys: its offset from the start of the
 * region.
 */
export const SLOT_BYTES = 2;
export const TreeKind = { extents: 1, directory: 2, attributes: 3, quotas: 4 } as const;
export type TreeKind = (typeof TreeKind)[keyof typeof TreeKind];
/** No sound tree is higher. */
export const MAX_TREE_LEVEL = 12;

/**
 * Every tree record starts with its key. In inner nodes the child holds the keys from this one up
 * to the next. The first key of a node is the key its parent has for it, and 0 along the left edge.
 */
export const BranchRecord = record('branch record', 16, {
  /** Lowest key that the child may hold. */
  key: new U64(0),
  /** Block of the child. */
  child: new U48(8),
  reserved: new U16(14),
});

/** Leaf record of an extent tree: file blocks `key` to `key + length − 1` are at `block` and on. */
export const ExtentRecord = record('extent record', 20, {
  /** First block of the file. */
  key: new U64(0),
  /** Where it is. */
  block: new U48(8),
  /** Bits of `ExtentFlag`. */
  flags: new U16(14),
  /** Blocks; not 0. */
  length: new U32(16),
});
export const ExtentFlag = {
  /** Allocated, and reads as zeros: in regular files, and with the feature of this name only. */
  unwritten: 1,
} as const;

/** Leaf record of a directory tree: this head, then the name. The key is made by name-hash.ts. */
export const EntryRecord = record('directory entry', 16, {
  /** Hash of the name and a number that tells names of one hash apart. */
  key: new U64(0),
  inode: new U48(8),
  /** File type: `mode >> 12`. */
  type: new U8(14),
  /** Length of the name, which follows. */
  nameBytes: new U8(15),
});

/**
 * Leaf record of a tree of extended attributes: this head, the name (in the first record of an
 * attribute only), then a part of the value. An attribute is as many records as its value needs,
 * with keys that follow each other; the first has a key that is a multiple of
 * `RECORDS_PER_ATTRIBUTE` (extended-attributes.ts).
 */
export const AttributeRecord = record('attribute record', 16, {
  /** Hash of the name, a number that tells names of one hash apart, and the number of the part. */
  key: new U64(0),
  /** Bytes of the whole value, in each of its records. */
  valueBytes: new U32(8),
  /** Bytes of the value that this record holds. */
  partBytes: new U16(12),
  /** Length of the name, which follows; 0 in all records but the first. */
  nameBytes: new U8(14),
  reserved: new U8(15),
});
export const MAX_ATTRIBUTE_NAME_BYTES = 255;
export const MAX_ATTRIBUTE_VALUE_BYTES = 65536;
export const RECORDS_PER_ATTRIBUTE = 256;

/** Head of an ACL, which is the value of an attribute; its `AclEntry`s follow. */
export const AclHeader = record('ACL', 4, {
  /** `ACL_VERSION`. */
  version: new U32(0),
});
export const ACL_VERSION = 2;

export const AclEntry = record('ACL entry', 8, {
  /** One of `AclTag`. */
  tag: new U16(0),
  /** Read 4, write 2, execute 1. */
  permissions: new U16(2),
  /** Of the named user or group, and not `NO_ID` then. */
  id: new U32(4),
});
/** In this order; those without a name once at most, the mask wherever somebody is named. */
export const AclTag = {
  /** The file's owner. */
  owner: 1,
  /** A named user. */
  user: 2,
  /** The file's group. */
  group: 4,
  /** A named group. */
  namedGroup: 8,
  /** What named users, the file's group and named groups can have at most. */
  mask: 16,
  /** Everybody else. */
  other: 32,
} as const;

/** Whose usage a quota record counts. */
export const QuotaKind = { user: 1, group: 2, project: 3 } as const;
export type QuotaKind = (typeof QuotaKind)[keyof typeof QuotaKind];
/** The key of a record is its kind times this, plus the id. */
export const QUOTA_KEYS_PER_KIND = 2 ** 32;
/** No key is so high. */
export const QUOTA_KEYS_END = 4 * QUOTA_KEYS_PER_KIND;

/**
 * Leaf record of the tree of quotas: what one user, group or project has, and may have. Limits are
 * 0 where there is none.
 */
export const QuotaRecord = record('quota record', 72, {
  /** Kind (`QuotaKind`) and id: `kind × QUOTA_KEYS_PER_KIND + id`. */
  key: new U64(0),
  /** Sum of `Inode.blocks` over the inodes that are its own. */
  blocks: new U64(8),
  /** How many these are, those without a name included. */
  inodes: new U64(16),
  /** Blocks that it may have for the time of grace, … */
  softBlocks: new U64(24),
  /** … and at most. */
  hardBlocks: new U64(32),
  softInodes: new U64(40),
  hardInodes: new U64(48),
  /** When the soft limit of blocks counts as the hard one, in seconds since 1970; 0: not passed. */
  blockDeadline: new I64(56),
  inodeDeadline: new I64(64),
});

export const SUPERBLOCK_BYTES = 1024;

export const VolumeState = {
  /** Unmounted in order. */
  clean: 0,
  /** Mounted, or not unmounted in order. */
  dirty: 1,
  /**
   * A repair was begun and did not end. Not to be mounted: blocks in use may be free by the
   * bitmaps.
   */
  repairing: 2,
} as const;

export const Superblock = record('superblock', SUPERBLOCK_BYTES, {
  /** `BlockHeader`, of kind `superblock`. */
  header: new Bytes(0, HEADER_BYTES),
  /** `FORMAT_VERSION`. */
  formatVersion: new U32(64),
  /** A power of two. */
  blockBytes: new U32(68),
  /** Blocks of the volume, superblocks and journal included. */
  blockCount: new U64(72),
  /** A reader may ignore unknown bits here, … */
  compatibleFeatures: new U64(80),
  /** … may only read if it does not know a bit here, … */
  readOnlyFeatures: new U64(88),
  /** … and must refuse the volume if it does not know a bit here. */
  incompatibleFeatures: new U64(96),
  /** Always 1. */
  journalStart: new U64(104),
  /** Heads and log. */
  journalBlocks: new U64(112),
  /** The block after the journal. */
  volumeRootBlock: new U64(120),
  /** First block of the space: the block after the volume root. */
  spaceStart: new U64(128),
  /** Blocks of the space, bitmaps and summaries included. */
  spaceBlocks: new U64(136),
  /** One of `VolumeState`. */
  state: new U32(144),
  /** Mounts that could write. */
  mountCount: new U32(148),
  /**
   * Random at each mkfs: the journal's blocks bear it, so what a former volume of the same uuid
   * left behind is told apart.
   */
  journalSalt: new Bytes(152, 8),
  createdSeconds: new I64(160),
  createdNanoseconds: new U32(168),
  mountedNanoseconds: new U32(172),
  mountedSeconds: new I64(176),
  unmountedSeconds: new I64(184),
  unmountedNanoseconds: new U32(192),
  reserved1: new U32(196),
  /** UTF-8, padded with NUL. */
  label: new Bytes(200, MAX_LABEL_BYTES),
  /** Random at each mkfs: the key of the name hash, and for nothing else. */
  nameSecret: new Bytes(264, NAME_SECRET_BYTES),
  /**
   * The id that people and programs know the volume by; zeros where it is the one of the block
   * headers, which stays for the life of a volume.
   */
  shownUuid: new Bytes(280, 16),
  /** Mount options that hold where none says otherwise: UTF-8, padded with NUL. */
  mountOptions: new Bytes(296, MAX_STORED_OPTIONS_BYTES),
  reserved2: new Bytes(512, 512),
});

export const VolumeRoot = record('volume root', 960, {
  /** `BlockHeader`, of kind `volumeRoot`. */
  header: new Bytes(0, HEADER_BYTES),
  /** The inode of the inode table, which is a file without a name. */
  inodeTable: new Bytes(64, INODE_BYTES),
  /** Inodes in use, the root directory included. */
  inodeCount: new U64(544),
  /**
   * No chunk of the inode table below this one has a free inode. A hint that must not be too high.
   */
  firstFreeChunk: new U64(552),
  /** First inode of the orphan list, or 0. */
  firstOrphan: new U64(560),
  /** Given to the next inode made, so that a number reused is told from its predecessor. */
  nextGeneration: new U64(568),
  /**
   * Blocks of the volume. It is this number that counts while a volume grows or shrinks; the
   * superblock's is never less.
   */
  blockCount: new U64(576),
  /** Root node of the tree of quotas; 0 for none. */
  quotaBlock: new U64(584),
  /**
   * Kinds whose usage is counted: bit `QuotaKind − 1`. While there are none, the usage in the tree
   * is of an earlier time, and its limits are kept for when there are.
   */
  quotaKinds: new U32(592),
  reserved1: new U32(596),
  /** How long a soft limit may be passed, in seconds, by kind. */
  userBlockGrace: new U32(600),
  userInodeGrace: new U32(604),
  groupBlockGrace: new U32(608),
  groupInodeGrace: new U32(612),
  projectBlockGrace: new U32(616),
  projectInodeGrace: new U32(620),
  reserved: new Bytes(624, 336),
});
export const VOLUME_ROOT_INODE_OFFSET = 64;

/**
 * The journal: blocks 0 and 1 of it are the two heads, the rest is the log, used as a ring. A
 * transaction in the log is
 *
 *   descriptor, copies of the blocks it names   as often as needed
 *   revoke                                      as often as needed
 *   commit                                      one, written when all before it is durable
 *
 * all with the sequence number of the transaction in their header, and all with their place in the
 * journal as `BlockHeader.block`. A copy is the sealed block as it goes home, header and checksum
 * included. Replay begins at the tail that the newer valid head names, takes transactions with
 * consecutive sequence numbers, and ends at the first that is not whole.
 */
export const JOURNAL_HEADS = 2;
/**
 * Sequence numbers and generations are below this. No volume lives to see so many transactions;
 * beyond it numbers could not grow by one for ever (J7).
 */
export const COUNTER_LIMIT = 2 ** 52;

/** `special` of the blocks of the journal itself. */
export const JournalHeader = record('journal header', HEADER_BYTES, {
  common: new Bytes(0, 48),
  /** `Superblock.journalSalt`. */
  salt: new Bytes(48, 8),
  reserved: new U64(56),
});

export const JournalHead = record('journal head', 96, {
  /** `JournalHeader`, of kind `journalHead`. */
  header: new Bytes(0, HEADER_BYTES),
  /** The head with the higher number counts; they are written in turn. */
  generation: new U64(64),
  /** Where the oldest transaction that may have to be replayed begins: an index into the log. */
  tail: new U64(72),
  /** The sequence number of that transaction. */
  sequence: new U64(80),
  reserved: new U64(88),
});

export const JournalDescriptor = record('journal descriptor', 72, {
  /** `JournalHeader`, of kind `journalDescriptor`. */
  header: new Bytes(0, HEADER_BYTES),
  /** Entries, which follow, and copies behind this block in the log. */
  count: new U32(64),
  reserved: new U32(68),
});

export const JournalEntry = record('journal entry', 16, {
  /** Where the copy goes. */
  block: new U48(0),
  reserved1: new U16(6),
  /** `BlockHeader.checksum` of the copy. */
  checksum: new U32(8),
  reserved2: new U32(12),
});

/**
 * Blocks freed by the transaction: copies of them in it and in older transactions are not replayed.
 */
export const JournalRevoke = record('journal revoke', 72, {
  /** `JournalHeader`, of kind `journalRevoke`. */
  header: new Bytes(0, HEADER_BYTES),
  /** Entries, which follow. */
  count: new U32(64),
  reserved: new U32(68),
});
export const RevokeEntry = record('revoke entry', 8, {
  /** A block that was freed. */
  block: new U64(0),
});

export const JournalCommit = record('journal commit', 104, {
  /** `JournalHeader`, of kind `journalCommit`. */
  header: new Bytes(0, HEADER_BYTES),
  /** Blocks of the transaction in the log, this one included. */
  logBlocks: new U32(64),
  /** Entries of its descriptors, … */
  copies: new U32(68),
  /** … and of its revokes, in all. */
  revokes: new U32(72),
  /**
   * CRC-32C over the checksum fields of its descriptor and revoke blocks, as they follow each other
   * in the log.
   */
  recordsChecksum: new U32(76),
  /** When it was committed; for people only. */
  seconds: new I64(80),
  nanoseconds: new U32(88),
  reserved1: new U32(92),
  reserved2: new U64(96),
});
