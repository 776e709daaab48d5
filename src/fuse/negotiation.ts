/**
 * The first exchange: which protocol version, which features, which limits.
 *
 * The kernel offers flags in INIT; `wanted` says which of them Quarry takes and why. A flag is
 * taken only where it is offered. What was agreed is a plain object that the session keeps.
 */
import { PAGE_BYTES } from '../common/limits.ts';
import { type ErrnoName, fsError } from '../fs/base/errors.ts';
import {
  FUSE_MAJOR,
  FUSE_MINOR_LEAST,
  FUSE_MINOR_MOST,
  InitFlag,
  InitFlag2,
  InitIn,
  InitOut,
  type Wire,
} from './abi.ts';
import { CONGESTION_THRESHOLD, MAX_BACKGROUND, MAX_READAHEAD_BYTES, MAX_TRANSFER_BYTES } from './limits.ts';

const MAX_PAGES = MAX_TRANSFER_BYTES / PAGE_BYTES;

/** Nanosecond timestamps. */
const TIME_GRANULARITY = 1;

/**
 * Attributes with the entries: with AUTO the kernel asks for them when the names are looked up
 * afterwards (ls -l, find, rm -r) and takes plain READDIR otherwise, which reads no inode.
 */
const ADAPTIVE_READDIRPLUS = true;

const wanted: readonly [flag: number, reason: string][] = [
  [InitFlag.ASYNC_READ, 'several reads of one file at once'],
  [InitFlag.EXPORT_SUPPORT, "'.' and '..' are answered by lookup, so NFS can serve the mount"],
  [InitFlag.BIG_WRITES, 'writes of more than a page'],
  [InitFlag.DONT_MASK, 'the umask is applied by the volume, which knows default ACLs'],
  [InitFlag.DO_READDIRPLUS, 'a listing brings the attributes along'],
  [ADAPTIVE_READDIRPLUS ? InitFlag.READDIRPLUS_AUTO : 0, 'see ADAPTIVE_READDIRPLUS'],
  [InitFlag.ASYNC_DIO, 'direct I/O of one process at depth'],
  [InitFlag.WRITEBACK_CACHE, 'small writes are gathered in the page cache'],
  [InitFlag.NO_OPEN_SUPPORT, 'no open-file state is kept, so OPEN is never sent again'],
  [InitFlag.PARALLEL_DIROPS, 'lookups in one directory at once'],
  [InitFlag.POSIX_ACL, 'the kernel judges by ACLs, and keeps them'],
  [InitFlag.MAX_PAGES, 'requests of MAX_TRANSFER_BYTES'],
  [InitFlag.CACHE_SYMLINKS, 'symlink targets never change'],
  [InitFlag.NO_OPENDIR_SUPPORT, 'as NO_OPEN_SUPPORT, and directories are cached'],
  [InitFlag.SETXATTR_EXT, 'set-group-id goes with a new ACL, where the kernel says so'],
  [InitFlag.HANDLE_KILLPRIV_V2, 'set-user-id bits are cleared in the same transaction as the write'],
];
const wantedFlags = wanted.reduce((flags, [flag]) => flags | flag, 0);

/**
 * The second word. With idmapped mounts allowed the kernel says who asks only where an inode is
 * made, as his numbers are on that mount; who else wants to know looks at the thread
 * (`FuseRequest.asker`). It wants `default_permissions`, which every mount here has.
 */
const wantedFlags2 = InitFlag2.ALLOW_IDMAP;

/** What the kernel and Quarry agreed on. */
export interface Agreement {
  readonly minor: number;
  readonly flags: number;
  /** Bits 32 and up. */
  readonly flags2: number;
  readonly maxReadaheadBytes: number;
}

export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  readonly maxReadaheadBytes: number;
  readonly flags: number;
  /** 0 without INIT_EXT. */
  readonly flags2: number;
}

/** @param lengthBytes of what the kernel sent: older ones send less than the struct */
export function decodeInit(wire: Wire, at: number, lengthBytes: number): InitRequest {
  const flags = InitIn.flags.get(wire.view, at);
  const isLong = lengthBytes >= InitIn.sizeBytes;
  return {
    major: InitIn.major.get(wire.view, at),
    minor: InitIn.minor.get(wire.view, at),
    maxReadaheadBytes: InitIn.max_readahead.get(wire.view, at),
    flags,
    flags2: isLong && (flags & InitFlag.INIT_EXT) !== 0 ? InitIn.flags2.get(wire.view, at) : 0,
  };
}

const TOO_OLD: ErrnoName = 'EPROTO';

/**
 * What both sides can do.
 *
 * @param unwanted flags that this mount does without: WRITEBACK_CACHE to have every write(2) at
 * once, POSIX_ACL where ACLs are not heeded.
 * @throws FsError EPROTO if the kernel is older than 7.31.
 */
export function agree(offer: InitRequest, unwanted = 0): Agreement {
  if (offer.major < FUSE_MAJOR) throw fsError(TOO_OLD);
  if (offer.major === FUSE_MAJOR && offer.minor < FUSE_MINOR_LEAST) throw fsError(TOO_OLD);
  const flags2 = offer.flags2 & wantedFlags2;
  const extension = flags2 === 0 ? 0 : InitFlag.INIT_EXT;
  return {
    minor: offer.major > FUSE_MAJOR ? FUSE_MINOR_MOST : Math.min(offer.minor, FUSE_MINOR_MOST),
    flags: (offer.flags & (wantedFlags | extension) & ~unwanted) >>> 0,
    flags2,
    // The kernel takes it down to the read_ahead_kb of the mount, which is raised after mounting.
    maxReadaheadBytes: Math.min(offer.maxReadaheadBytes, MAX_READAHEAD_BYTES),
  };
}

export function agreedOn(agreement: Agreement, flag: number): boolean {
  return (agreement.flags & flag) !== 0;
}

/** Writes fuse_init_out; returns its length. */
export function encodeInitOut(wire: Wire, at: number, agreement: Agreement): number {
  wire.clear(at, InitOut.sizeBytes);
  InitOut.major.set(wire.view, at, FUSE_MAJOR);
  InitOut.minor.set(wire.view, at, agreement.minor);
  InitOut.max_readahead.set(wire.view, at, agreement.maxReadaheadBytes);
  InitOut.flags.set(wire.view, at, agreement.flags);
  InitOut.flags2.set(wire.view, at, agreement.flags2);
  InitOut.max_background.set(wire.view, at, MAX_BACKGROUND);
  InitOut.congestion_threshold.set(wire.view, at, CONGESTION_THRESHOLD);
  InitOut.max_write.set(wire.view, at, MAX_TRANSFER_BYTES);
  InitOut.time_gran.set(wire.view, at, TIME_GRANULARITY);
  InitOut.max_pages.set(wire.view, at, MAX_PAGES);
  return InitOut.sizeBytes;
}
