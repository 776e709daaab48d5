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
/** The superblock of OCFS2 is its block 2, of 512 bytes to 4 KiB. */
const OCFS2_SUPERBLOCKS = [1, 2, 4, 8].map((size) => size * KIB);
/** Where the superblocks of the kinds of UFS are, and how far from there their magic. */
const UFS_SUPERBLOCKS = [0, 8, 64, 256].map((start) => start * KIB);
const UFS_MAGIC_OFFSET = 0x55c;
/** Magics of the Minix filesystem, versions 1 and 2: names of 14 and of 30 bytes. */
const MINIX_MAGICS = [0x137f, 0x138f, 0x2468, 0x2478];
const MINIX3_MAGIC = 0x4d5a;
/** Copies of the superblock of Btrfs. */
const BTRFS_SUPERBLOCKS = [64 * KIB, 64 * MIB, 256 * 1024 * MIB];

const SIGNATURES: readonly Signature[] = [
  text('a Quarry volume', 0, 'QUARRY'),
  text('a stream of quarry clone', 0, 'QRYCLONE'),
  ...QUARRY_BACKUPS.map((offset) => text('a Quarry volume', offset, 'QUARRY\x01\0')),
  { ...bytes('an ext2, ext3 or ext4 filesystem', 1080, 0x53, 0xef), confirm: looksLikeExt },
  text('an XFS filesystem', 0, 'XFSB'),
  text('an XFS filesystem', 0, 'EXFS'),
  ...BTRFS_SUPERBLOCKS.map((offset) => text('a Btrfs filesystem', offset + 64, '_BHRfS_M')),
  text('an NTFS filesystem', 3, 'NTFS    '),
  text('an exFAT filesystem', 3, 'EXFAT   '),
  text('a FAT filesystem', 54, 'FAT12   '),
  text('a FAT filesystem', 54, 'FAT16   '),
  text('a FAT filesystem', 54, 'FAT     '),
  text('a FAT filesystem', 82, 'FAT32   '),
  text('an ISO 9660 filesystem', 32 * KIB + 1, 'CD001'),
  text('an ISO 9660 filesystem', 32 * KIB + 9, 'CDROM'),
  text('a UDF filesystem', 32 * KIB + 1, 'BEA01'),
  text('a UDF filesystem', 32 * KIB + 1, 'NSR02'),
  text('a UDF filesystem', 32 * KIB + 1, 'NSR03'),
  text('a SquashFS filesystem', 0, 'hsqs'),
  text('a SquashFS filesystem', 0, 'sqsh'),
  bytes('a cramfs', 0, 0x45, 0x3d, 0xcd, 0x28),
  bytes('a cramfs', 0, 0x28, 0xcd, 0x3d, 0x45),
  text('a romfs', 0, '-rom1fs-'),
  ...MINIX_MAGICS.flatMap((magic) => minix(magic, 1040, minixBitmap)),
  ...minix(MINIX3_MAGIC, 1048, minix3Bitmap),
  bytes('an SCO BFS', 0, 0xce, 0xfa, 0xad, 0x1b),
  bytes('a GFS or GFS2 filesystem', 64 * KIB, 0x01, 0x16, 0x19, 0x70),
  ...OCFS2_SUPERBLOCKS.map((offset) => text('an OCFS2 filesystem', offset, 'OCFSV2')),
  ...UFS_SUPERBLOCKS.flatMap((start) => [
    bytes('a UFS filesystem', start + UFS_MAGIC_OFFSET, 0x54, 0x19, 0x01, 0x00),
    bytes('a UFS filesystem', start + UFS_MAGIC_OFFSET, 0x00, 0x01, 0x19, 0x54),
    bytes('a UFS filesystem', start + UFS_MAGIC_OFFSET, 0x19, 0x01, 0x54, 0x19),
    bytes('a UFS filesystem', start + UFS_MAGIC_OFFSET, 0x19, 0x54, 0x01, 0x19),
  ]),
  text('a BeFS filesystem', 32, 'BFS1'),
  text('a BeFS filesystem', 32, '1SFB'),
  text('a BeFS filesystem', 544, 'BFS1'),
  text('a BeFS filesystem', 544, '1SFB'),
  bytes('a VxFS filesystem', KIB, 0xf5, 0xfc, 0x01, 0xa5),
  bytes('a VxFS filesystem', 8 * KIB, 0xa5, 0x01, 0xfc, 0xf5),
  bytes('an HPFS filesystem', 8 * KIB, 0x49, 0xe8, 0x95, 0xf9),
  text('a ReFS filesystem', 0, '\0\0\0ReFS\0'),
  text('a zonefs', 0, 'SFOZ'),
  text('an UBI volume', 0, 'UBI#'),
  bytes('an UBIFS', 0, 0x31, 0x18, 0x10, 0x06),
  bytes('a VMFS volume', MIB, 0x0d, 0xd0, 0x01, 0xc0),
  bytes('a VMFS filesystem', 2 * MIB, 0x5e, 0xf1, 0xab, 0x2f),
  text('an EROFS filesystem', 1024, '\xe2\xe1\xf5\xe0'),
  bytes('an F2FS filesystem', 1024, 0x10, 0x20, 0xf5, 0xf2),
  text(
    'a bcachefs or bcache device',
    4120,
    '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81',
  ),
  text('a bcachefs filesystem', 4120, '\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef'),
  text('a ReiserFS filesystem', 64 * KIB + 52, 'ReIsEr'),
  text('a ReiserFS filesystem', 8 * KIB + 52, 'ReIsEr'),
  text('a Reiser4 filesystem', 64 * KIB, 'ReIsEr4'),
  text('a JFS filesystem', 32 * KIB, 'JFS1'),
  text('an HFS+ filesystem', 1024, 'H+'),
  text('an HFS+ filesystem', 1024, 'HX'),
  { ...text('an HFS filesystem', 1024, 'BD'), confirm: looksLikeHfs },
  text('an APFS container', 32, 'NXSB'),
  bytes('a NILFS2 filesystem', 1030, 0x34, 0x34),
  ...SWAP_PAGE_BYTES.map((page) => text('swap space', page - 10, 'SWAPSPACE2')),
  ...SWAP_PAGE_BYTES.map((page) => text('a hibernation image', page - 10, 'S1SUSPEND')),
  ...LVM_SECTORS.map((sector) => text('an LVM2 physical volume', sector + 24, 'LVM2 001')),
  text('a Stratis pool member', 516, '!Stra0tis\x86\xff\x02^\x41rh'),
  text('a Stratis pool member', 4612, '!Stra0tis\x86\xff\x02^\x41rh'),
  text('a VDO volume', 0, 'dmvdo001'),
  text('a BlueStore device', 0, 'bluestore block device'),
  text('an Oracle ASM disk', 32, 'ORCLDISK'),
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
  bytes('a BSD disklabel', 512, 0x57, 0x45, 0x56, 0x82),
  bytes('a BSD disklabel', 64, 0x57, 0x45, 0x56, 0x82),
  bytes('an SGI disklabel', 0, 0x0b, 0xe5, 0xa9, 0x41),
  { ...bytes('a Sun disklabel', 508, 0xda, 0xbe), confirm: looksLikeSunLabel },
  bytes('an MBR partition table or boot sector', 510, 0x55, 0xaa),
];

/**
 * A Minix magic of 16 bits, in the byte order of either kind of machine, whose bitmap of inodes is
 * large enough for them.
 */
function minix(magic: number, offset: number, bitmapOf: ReadMinixBitmap): Signature[] {
  return [true, false].map((isLittle) => ({
    ...bytes(
      'a Minix filesystem',
      offset,
      isLittle ? magic & 0xff : magic >> 8,
      isLittle ? magic >> 8 : magic & 0xff,
    ),
    confirm: (read) => {
      const head = read(KIB, 32);
      if (head.length < 32) return false;
      const { inodes, bitmapBlocks, blockBytes } = bitmapOf(viewOf(head), isLittle);
      return inodes > 0 && bitmapBlocks * blockBytes * 8 > inodes;
    },
  }));
}

interface MinixBitmap {
  readonly inodes: number;
  readonly bitmapBlocks: number;
  readonly blockBytes: number;
}

type ReadMinixBitmap = (superblock: DataView, isLittle: boolean) => MinixBitmap;

/** struct minix_super_block */
function minixBitmap(superblock: DataView, isLittle: boolean): MinixBitmap {
  const inodes = superblock.getUint16(0, isLittle);
  return { inodes, bitmapBlocks: superblock.getUint16(4, isLittle), blockBytes: KIB };
}

/** struct minix3_super_block */
function minix3Bitmap(superblock: DataView, isLittle: boolean): MinixBitmap {
  const inodes = superblock.getUint32(0, isLittle);
  const bitmapBlocks = superblock.getUint16(6, isLittle);
  return { inodes, bitmapBlocks, blockBytes: superblock.getUint16(28, isLittle) };
}

/** The size of an allocation block is a multiple of 512 (struct HFS master directory block). */
function looksLikeHfs(read: ReadBytes): boolean {
  const head = read(KIB, 64);
  if (head.length < 64) return false;
  const blockBytes = viewOf(head).getUint32(20, false);
  return blockBytes > 0 && blockBytes % 512 === 0;
}

/** The words of 16 bits of the label, its checksum among them, cancel each other out. */
function looksLikeSunLabel(read: ReadBytes): boolean {
  const label = read(0, 512);
  let sum = 0;
  for (let at = 0; at + 2 <= label.length; at += 2) sum ^= viewOf(label).getUint16(at, false);
  return label.length === 512 && sum === 0;
}

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
  const zeros = Buffer.alloc(EDGE_UNIT_BYTES);
  for (const start of new Set([0, tail])) {
    const edge = read(start, EDGE_BYTES);
    for (let at = 0; at < edge.length; at += EDGE_UNIT_BYTES) {
      const unit = edge.subarray(at, at + EDGE_UNIT_BYTES);
      if (zeros.compare(unit, 0, unit.length, 0, unit.length) !== 0)
        found.push({ offsetBytes: start + at, lengthBytes: unit.length });
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
