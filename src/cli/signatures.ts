/**
 * What a target already holds: the magic numbers of filesystems, partition tables and volume managers, as a table.
 *
 * Sources: the superblock probes of util-linux libblkid, and the on-disk headers of the systems themselves. A
 * negative offset counts from the end of the target.
 */

/** Reads `lengthBytes` at `offsetBytes` of the target; fewer bytes where the target ends. */
export type ReadBytes = (offsetBytes: number, lengthBytes: number) => Uint8Array;

export interface FoundSignature {
  readonly name: string;
  /** Where it stands, from the start of the target. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

interface Signature {
  readonly name: string;
  readonly offset: number;
  readonly magic: Uint8Array;
  /** A further look, where the magic alone is too weak. */
  readonly confirm?: (read: ReadBytes) => boolean;
}

function text(name: string, offset: number, magic: string): Signature {
  return { name, offset, magic: Buffer.from(magic, 'latin1') };
}

function bytes(name: string, offset: number, ...magic: number[]): Signature {
  return { name, offset, magic: Uint8Array.from(magic) };
}

const KIB = 1024;
const SWAP_PAGE_BYTES = [4 * KIB, 8 * KIB, 16 * KIB, 64 * KIB];
const LVM_SECTORS = [0, 512, 1024, 1536];
/** A ZFS label keeps its ring of uberblocks in its second half. */
const ZFS_UBERBLOCKS = Array.from({ length: 128 }, (_, index) => 128 * KIB + index * KIB);

const SIGNATURES: readonly Signature[] = [
  text('a Quarry volume', 0, 'QUARRY'),
  { ...bytes('an ext2, ext3 or ext4 filesystem', 1080, 0x53, 0xef), confirm: looksLikeExt },
  text('an XFS filesystem', 0, 'XFSB'),
  text('a Btrfs filesystem', 64 * KIB + 64, '_BHRfS_M'),
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
  text('a BitLocker volume', 3, '-FVE-FS-'),
  bytes('a Linux RAID member', 0, 0xfc, 0x4e, 0x2b, 0xa9),
  bytes('a Linux RAID member', 4 * KIB, 0xfc, 0x4e, 0x2b, 0xa9),
  ...ZFS_UBERBLOCKS.map((offset) => bytes('a ZFS pool member', offset, 0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0)),
  ...ZFS_UBERBLOCKS.map((offset) => bytes('a ZFS pool member', offset, 0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c)),
  text('a GPT partition table', 512, 'EFI PART'),
  text('a GPT partition table', 4 * KIB, 'EFI PART'),
  text('a GPT partition table', -512, 'EFI PART'),
  text('a GPT partition table', -4 * KIB, 'EFI PART'),
  bytes('an MBR partition table or boot sector', 510, 0x55, 0xaa),
];

/** The revision is 0 or 1 and the block size sane (struct ext2_super_block). */
function looksLikeExt(read: ReadBytes): boolean {
  const head = read(1024, 128);
  if (head.length < 128) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(76, true) <= 1 && view.getUint32(24, true) <= 6 && view.getUint32(4, true) > 0;
}

function matches(found: Uint8Array, magic: Uint8Array): boolean {
  return found.length >= magic.length && magic.every((byte, index) => found[index] === byte);
}

/** All that is recognised, in the order of the table: what is most telling comes first. */
export function findSignatures(read: ReadBytes, sizeBytes: number): FoundSignature[] {
  const found: FoundSignature[] = [];
  for (const { name, offset, magic, confirm } of SIGNATURES) {
    const offsetBytes = offset < 0 ? sizeBytes + offset : offset;
    if (offsetBytes < 0 || offsetBytes + magic.length > sizeBytes) continue;
    if (!matches(read(offsetBytes, magic.length), magic) || confirm?.(read) === false) continue;
    found.push({ name, offsetBytes, lengthBytes: magic.length });
  }
  return found;
}
