/**
 * Answers with the attributes of an inode: those of GETATTR, LOOKUP and STATX.
 *
 * Only this daemon changes the volume, so what the kernel learns stays true until it asks for a
 * change, and it may keep it for ever; where that is not so, the answer says so
 * (`attributesValidSeconds`).
 */
import { type Attributes, FileFlag } from '../fs/base/filesystem.ts';
import {
  Attr,
  AttrOut,
  EntryOut,
  STATX_ALL,
  STATX_ATTRIBUTES,
  Statx,
  StatxAttribute,
  StatxOut,
  StatxTime,
  type Wire,
} from './abi.ts';
import { FOREVER_SECONDS, isRegularMode } from './encoding.ts';

// Constants of this file, for speed: see encoding.ts.
const attr = Attr;
const entryOut = EntryOut;
const attrOut = AttrOut;
const statxOut = StatxOut;
const statx = Statx;
const statxTime = StatxTime;

const SET_ID_BITS = 0o6000;
const FIXED_FLAGS = FileFlag.immutable | FileFlag.appendOnly;

/**
 * How long the kernel may believe the attributes. A write clears set-user-id and set-group-id on
 * our side (HANDLE_KILLPRIV_V2), and the kernel goes on with the mode that it has: it must ask
 * again before it lets anybody run such a file. Of a file that not everybody may change who has the
 * right to write, it must ask before it is opened (protected-files.ts). Nor may it keep them where
 * something else forbids it (`mayKeep`).
 */
function attributesValidSeconds({ mode, flags }: Attributes, mayKeep: boolean): number {
  if (!mayKeep) return 0;
  const asksAgain = (mode & SET_ID_BITS) !== 0 || (flags & FIXED_FLAGS) !== 0;
  return asksAgain && isRegularMode(mode) ? 0 : FOREVER_SECONDS;
}

/** Writes to the wire, at a place that each call is given. */
export class AttributeReplies {
  readonly #wire: Wire;
  readonly #preferredBytes: number;

  /** @param preferredBytes st_blksize, of every inode */
  constructor(wire: Wire, preferredBytes: number) {
    this.#wire = wire;
    this.#preferredBytes = preferredBytes;
  }

  /** Writes fuse_attr_out; returns its length. */
  attrOut(at: number, attributes: Attributes, mayKeep: boolean): number {
    const { view } = this.#wire;
    attrOut.attr_valid.set(view, at, attributesValidSeconds(attributes, mayKeep));
    attrOut.attr_valid_nsec.set(view, at, 0);
    attrOut.dummy.set(view, at, 0);
    this.#attr(at + attrOut.attr.offset, attributes);
    return attrOut.sizeBytes;
  }

  /** Writes fuse_entry_out; returns its length. */
  entryOut(at: number, attributes: Attributes, mayKeep: boolean): number {
    const { view } = this.#wire;
    entryOut.nodeid.set(view, at, attributes.inode);
    entryOut.generation.set(view, at, attributes.generation);
    entryOut.entry_valid.set(view, at, FOREVER_SECONDS);
    entryOut.attr_valid.set(view, at, attributesValidSeconds(attributes, mayKeep));
    entryOut.entry_valid_nsec.set(view, at, 0);
    entryOut.attr_valid_nsec.set(view, at, 0);
    this.#attr(at + entryOut.attr.offset, attributes);
    return entryOut.sizeBytes;
  }

  /** Writes fuse_statx_out, with the birth time; returns its length. */
  statxOut(at: number, attributes: Attributes, mayKeep: boolean): number {
    const { view } = this.#wire;
    this.#wire.clear(at, statxOut.sizeBytes);
    statxOut.attr_valid.set(view, at, attributesValidSeconds(attributes, mayKeep));
    const stat = at + statxOut.stat.offset;
    statx.mask.set(view, stat, STATX_ALL);
    statx.blksize.set(view, stat, this.#preferredBytes);
    statx.nlink.set(view, stat, attributes.linkCount);
    statx.uid.set(view, stat, attributes.uid);
    statx.gid.set(view, stat, attributes.gid);
    statx.mode.set(view, stat, attributes.mode);
    statx.ino.set(view, stat, attributes.inode);
    statx.size.set(view, stat, attributes.sizeBytes);
    statx.blocks.set(view, stat, attributes.sectors);
    encodeStatxTime(view, stat + statx.atime.offset, attributes.accessSeconds, attributes.accessNanoseconds);
    encodeStatxTime(view, stat + statx.btime.offset, attributes.birthSeconds, attributes.birthNanoseconds);
    encodeStatxTime(view, stat + statx.ctime.offset, attributes.changeSeconds, attributes.changeNanoseconds);
    encodeStatxTime(view, stat + statx.mtime.offset, attributes.modifySeconds, attributes.modifyNanoseconds);
    statx.attributes.set(view, stat, statxAttributes(attributes.flags));
    statx.attributes_mask.set(view, stat, STATX_ATTRIBUTES);
    statx.rdev_major.set(view, stat, majorOf(attributes.deviceNumber));
    statx.rdev_minor.set(view, stat, minorOf(attributes.deviceNumber));
    return statxOut.sizeBytes;
  }

  #attr(at: number, attributes: Attributes): void {
    const { view } = this.#wire;
    attr.ino.set(view, at, attributes.inode);
    attr.size.set(view, at, attributes.sizeBytes);
    attr.blocks.set(view, at, attributes.sectors);
    attr.atime.set(view, at, attributes.accessSeconds);
    attr.mtime.set(view, at, attributes.modifySeconds);
    attr.ctime.set(view, at, attributes.changeSeconds);
    attr.atimensec.set(view, at, attributes.accessNanoseconds);
    attr.mtimensec.set(view, at, attributes.modifyNanoseconds);
    attr.ctimensec.set(view, at, attributes.changeNanoseconds);
    attr.mode.set(view, at, attributes.mode);
    attr.nlink.set(view, at, attributes.linkCount);
    attr.uid.set(view, at, attributes.uid);
    attr.gid.set(view, at, attributes.gid);
    attr.rdev.set(view, at, attributes.deviceNumber);
    attr.blksize.set(view, at, this.#preferredBytes);
    attr.flags.set(view, at, 0);
  }
}

function encodeStatxTime(view: DataView, at: number, seconds: number, nanoseconds: number): void {
  statxTime.tv_sec.set(view, at, seconds);
  statxTime.tv_nsec.set(view, at, nanoseconds);
}

/** STATX_ATTR_IMMUTABLE and its like. */
function statxAttributes(flags: number): number {
  let attributes = 0;
  if ((flags & FileFlag.immutable) !== 0) attributes |= StatxAttribute.IMMUTABLE;
  if ((flags & FileFlag.appendOnly) !== 0) attributes |= StatxAttribute.APPEND;
  if ((flags & FileFlag.noDump) !== 0) attributes |= StatxAttribute.NODUMP;
  return attributes;
}

/** Major and minor of the kernel's 32-bit device number (new_encode_dev in linux/kdev_t.h). */
function majorOf(deviceNumber: number): number {
  return (deviceNumber >>> 8) & 0xfff;
}
function minorOf(deviceNumber: number): number {
  return (deviceNumber & 0xff) | ((deviceNumber >>> 12) & 0xf_ff00);
}
