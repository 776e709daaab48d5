/**
 * What a target already holds: the magic numbers of filesystems, partition tables and volume
 * managers, as a table.
 *
 * Sources: the superblock probes of util-linux libblkid, and the on-disk headers of the systems
 * themselves. Many put a copy near the end of the device, or only there, so that a new filesystem
 * at its start does not touch it.
 */

import { viewOf } from '../common/bytes.ts';
import type { ByteRange } from '../fs/erase.ts';
import { backupPlaces } from '../fs/format/backup-places.ts';

/** Reads `lengthBytes` at `offsetBytes` of the target; fewer bytes where the target ends. */
export type ReadBytes = (offsetBytes: number, lengthBytes: number) => Uint8Array;

/** A signature, and what has to be overwritten so that nobody finds it any more. */
export interface FoundSignature extends ByteRange {
  readonly name: string;
}

/** A place by the size of the target: negative where the target is too small to have it. */
type Place = (sizeBytes: number) => number;

interface Signature {
  readonly name: string;
  readonly place: Place;
  readonly magic: Uint8Array;
  /** A further look, where the magic alone is too weak. */
  readonly confirm?: (read: ReadBytes) => boolean;
}

function placeAt(offset: number | Place): Place {
  return typeof offset === 'number' ? () => offset : offset;
}

function text(name: string, offset: number | Place, magic: string): Signature {
  return { name, place: placeAt(offset), magic: Buffer.from(magic, 'latin1') };
}

function bytes(name: string, offset: number | Place, ...magic: number[]): Signature {
  return { name, place: placeAt(offset), magic: Uint8Array.from(magic) };
}

/** So many bytes before the end of a device whose size is cut to a multiple of `unitBytes`. */
function fromEnd(bytesBack: number, unitBytes = 1): Place {
  return (sizeBytes) => Math.floor(sizeBytes / unitBytes) * unitBytes - bytesBack;
}

const KIB = 1024;
/** A label, and the ring of uberblocks in its second half. */
const ZFS_LABEL_BYTES = 256 * KIB;
const ZFS_RING_OFFSET = 128 * KIB;
const ZFS_RING_BYTES = 128 * KIB;
const ZFS_UBERBLOCK = 0x00bab10cn;
/** How much of each end of the target is looked at, and in what units. */
const EDGE_BYTES = 1024 * KIB;
const EDGE_UNIT_BYTES = 4 * KIB;
const SWAP_PAGE_BYTES = [4 * KIB, 8 * KIB, 16 * KIB, 64 * KIB];
const LVM_SECTORS = [0, 512, 1024, 1536];
const MIB = 1024 * KIB;
/** Where Quarry volumes have backups of their superblocks. */
const QUARRY_BACKUPS = backupPlaces(Number.MAX_SAFE_INTEGER).map(({ offsetBytes }) => offsetBytes);
/** The second header of LUKS2 follows the first, which has one of these sizes. */
const LUKS2_HEADERS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((size) => size * KIB);
/** Copies of the superblock of Btrfs. */
const BTRFS_SUPERBLOCKS = [64 * KIB, 64 * MIB, 256 * 1024 * MIB];

const SIGNATURES: readonly Signature[] = [
  text('a Quarry volume', 0, 'QUARRY'),
  text('a stream of quarry clone', 0, 'QRYCLONE'),
  ...QUARRY_BACKUPS.map((offset) => text('a Quarry volume', offset, 'QUARRY\x01\0')),
  { ...bytes('an ext2, ext3 or ext4 filesystem', 1080, 0x53, 0xef), confirm: looksLikeExt },
  text('an XFS filesystem', 0, 'XFSB'),
  ...BTRFS_SUPERBLOCKS.map((offset) => text('a Btrfs filesystem', offset + 64, '_BHRfS_M')),
  text('an NTFS filesystem', 3, 'NTFS    '),
  text('an exFAT filesystem', 3, 'EXFAT   '),
  text('a FAT filesystem', 54, 'FAT12   '),
  text('a FAT filesystem', 54, 'FAT16   '),
  text('a FAT filesystem', 54, 'FAT     '),
  text('a FAT filesystem', 82, 'FAT32   '),
  text('an ISO 9660 filesystem', 32 * KIB + 1, 'CD001'),
  text('a UDF filesystem', 32 * KIB + 1, 'BEA01'),
  text('a SquashFS filesystem', 0, 'hsqs'),
  text('an EROFS filesystem', 1024, '\xe2\xe1\xf5\xe0'),
  bytes('an F2FS filesystem', 1024, 0x10, 0x20, 0xf5, 0xf2),
  text(
    'a bcachefs or bcache device',
    4120,
    '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81',
  ),
  text('a bcachefs filesystem', 4120, '\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef'),
  text('a ReiserFS filesystem', 64 * KIB + 52, 'ReIsEr'),
  text('a JFS filesystem', 32 * KIB, 'JFS1'),
  text('an HFS+ filesystem', 1024, 'H+'),
  text('an APFS container', 32, 'NXSB'),
  bytes('a NILFS2 filesystem', 1030, 0x34, 0x34),
  ...SWAP_PAGE_BYTES.map((page) => text('swap space', page - 10, 'SWAPSPACE2')),
  ...SWAP_PAGE_BYTES.map((page) => text('a hibernation image', page - 10, 'S1SUSPEND')),
  ...LVM_SECTORS.map((sector) => text('an LVM2 physical volume', sector + 24, 'LVM2 001')),
  text('a LUKS encrypted volume', 0, 'LUKS\xba\xbe'),
  ...LUKS2_HEADERS.map((offset) => text('a LUKS encrypted volume', offset, 'SKUL\xba\xbe')),
  text('a BitLocker volume', 3, '-FVE-FS-'),
  bytes('a Linux RAID member', 0, 0xfc, 0x4e, 0x2b, 0xa9),
  bytes('a Linux RAID member', 4 * KIB, 0xfc, 0x4e, 0x2b, 0xa9),
  // Version 0.90 in the last 64 KiB that are whole, 1.0 in the last 8 KiB on a boundary of 4 KiB.
  bytes('a Linux RAID member', fromEnd(64 * KIB, 64 * KIB), 0xfc, 0x4e, 0x2b, 0xa9),
  bytes('a Linux RAID member', fromEnd(64 * KIB, 64 * KIB), 0xa9, 0x2b, 0x4e, 0xfc),
  bytes('a Linux RAID member', fromEnd(8 * KIB, 4 * KIB), 0xfc, 0x4e, 0x2b, 0xa9),
  text('an Intel RAID member', fromEnd(1024, 512), 'Intel Raid ISM Cfg Sig. '),
  bytes('a DDF RAID member', fromEnd(512, 512), 0xde, 0x11, 0xde, 0x11),
  bytes('a DDF RAID member', fromEnd(512, 512), 0x11, 0xde, 0x11, 0xde),
  text('a GPT partition table', 512, 'EFI PART'),
  text('a GPT partition table', 4 * KIB, 'EFI PART'),
  text('a GPT partition table', fromEnd(512), 'EFI PART'),
  text('a GPT partition table', fromEnd(4 * KIB), 'EFI PART'),
  bytes('an MBR partition table or boot sector', 510, 0x55, 0xaa),
];

/** The revision is 0 or 1 and the block size sane (struct ext2_super_block). */
function looksLikeExt(read: ReadBytes): boolean {
  const head = read(1024, 128);
  if (head.length < 128) return false;
  const view = viewOf(head);
  return view.getUint32(76, true) <= 1 && view.getUint32(24, true) <= 6 && view.getUint32(4, true) > 0;
}

function matches(found: Uint8Array, magic: Uint8Array): boolean {
  return found.length >= magic.length && magic.every((byte, index) => found[index] === byte);
}

/**
 * The two labels at the start and the two at the end of a ZFS member, as far as they have an
 * uberblock of either byte order.
 */
function findZfsLabels(read: ReadBytes, sizeBytes: number): FoundSignature[] {
  const last = Math.floor(sizeBytes / ZFS_LABEL_BYTES) * ZFS_LABEL_BYTES;
  const places = new Set([0, ZFS_LABEL_BYTES, last - 2 * ZFS_LABEL_BYTES, last - ZFS_LABEL_BYTES]);
  return [...places]
    .filter((offset) => offset >= 0 && hasUberblock(read(offset + ZFS_RING_OFFSET, ZFS_RING_BYTES)))
    .map((offsetBytes) => ({ name: 'a ZFS pool member', offsetBytes, lengthBytes: ZFS_LABEL_BYTES }));
}

function hasUberblock(ring: Uint8Array): boolean {
  const view = viewOf(ring);
  for (let at = 0; at + 8 <= ring.length; at += KIB) {
    const isLittle = view.getBigUint64(at, true) === ZFS_UBERBLOCK;
    if (isLittle || view.getBigUint64(at, false) === ZFS_UBERBLOCK) return true;
  }
  return false;
}

/**
 * Stretches of either end of the target that are not zero. Makers of RAID keep records of many
 * kinds there, and more than any table knows.
 */
export function findEdges(read: ReadBytes, sizeBytes: number): ByteRange[] {
  const tail = Math.max(0, sizeBytes - EDGE_BYTES);
  const found: ByteRange[] = [];
  for (const start of new Set([0, tail])) {
    const edge = read(start, EDGE_BYTES);
    for (let at = 0; at < edge.length; at += EDGE_UNIT_BYTES) {
      const unit = edge.subarray(at, at + EDGE_UNIT_BYTES);
      if (unit.some((byte) => byte !== 0)) found.push({ offsetBytes: start + at, lengthBytes: unit.length });
    }
  }
  return found;
}

/** All that is recognised, in the order of the table: what is most telling comes first. */
export function findSignatures(read: ReadBytes, sizeBytes: number): FoundSignature[] {
  const found: FoundSignature[] = findZfsLabels(read, sizeBytes);
  for (const { name, place, magic, confirm } of SIGNATURES) {
    const offsetBytes = place(sizeBytes);
    if (offsetBytes < 0 || offsetBytes + magic.length > sizeBytes) continue;
    if (!matches(read(offsetBytes, magic.length), magic) || confirm?.(read) === false) continue;
    found.push({ name, offsetBytes, lengthBytes: magic.length });
  }
  return found;
}
