/**
 * What others left at the far ends of a device: recognised, refused without --force, and gone after
 * it. The bytes are put where the systems themselves put them; where wipefs(8) is there, it says
 * first that it takes them for what they are, and then that it finds nothing any more.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Not a multiple of 64 or 256 KiB: what is found from the end is found from a rounded one. */
const SIZE_BYTES = 96 * MIB + 100 * KIB;

const directory = mkdtempSync(join(tmpdir(), 'quarry-signatures-'));
afterAll(() => rmSync(directory, { recursive: true }));

type Piece = readonly [offsetBytes: number, bytes: Buffer];

interface Case {
  readonly what: string;
  /** What mkfs calls it, or undefined if it is only wiped. */
  readonly says: RegExp | undefined;
  /** What wipefs calls it, or undefined if that does not look there. */
  readonly wipefs: string | undefined;
  readonly pieces: readonly Piece[];
}

const text = (offsetBytes: number, latin1: string): Piece => [offsetBytes, Buffer.from(latin1, 'latin1')];

/** struct mdp_superblock_1, as far as anybody looks before the checksum. */
function md1(offsetBytes: number): Piece {
  const bytes = Buffer.alloc(256);
  bytes.writeUInt32LE(0xa92b4efc, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.fill(7, 16, 32);
  bytes.writeBigUInt64LE(BigInt(offsetBytes / 512), 144);
  return [offsetBytes, bytes];
}

function md090(offsetBytes: number): Piece {
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt32LE(0xa92b4efc, 0);
  bytes.writeUInt32LE(90, 8);
  bytes.writeUInt32LE(0x1234, 20);
  return [offsetBytes, bytes];
}

/** A ZFS label: uberblocks in its second half. */
function zfsLabel(offsetBytes: number): Piece {
  const bytes = Buffer.alloc(256 * KIB);
  bytes.fill(1, 16 * KIB, 17 * KIB);
  for (let index = 0; index < 128; index++) {
    bytes.writeBigUInt64LE(0x00bab10cn, 128 * KIB + index * KIB);
    bytes.writeBigUInt64LE(5000n, 128 * KIB + index * KIB + 8);
  }
  return [offsetBytes, bytes];
}

/** struct luks2_hdr_disk of the second header. */
function luks2(offsetBytes: number): Piece {
  const bytes = Buffer.alloc(4096);
  bytes.write('SKUL\xba\xbe', 0, 'latin1');
  bytes.writeUInt16BE(2, 6);
  bytes.writeBigUInt64BE(BigInt(offsetBytes), 8);
  bytes.write('6a1ee5a8-9e4a-4a6e-a8a3-3ae0d1e3d3ad', 168);
  bytes.writeBigUInt64BE(BigInt(offsetBytes), 256);
  return [offsetBytes, bytes];
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** The backup of a GPT with no partitions: entries, then the header in the last sector. */
function gptBackup(): Piece[] {
  const last = SIZE_BYTES / 512 - 1;
  const entries = Buffer.alloc(128 * 128);
  const header = Buffer.alloc(512);
  header.write('EFI PART', 0);
  header.writeUInt32LE(0x00010000, 8);
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(BigInt(last), 24);
  header.writeBigUInt64LE(1n, 32);
  header.writeBigUInt64LE(34n, 40);
  header.writeBigUInt64LE(BigInt(last - 33), 48);
  header.fill(9, 56, 72);
  header.writeBigUInt64LE(BigInt(last - 32), 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  header.writeUInt32LE(crc32(entries), 88);
  header.writeUInt32LE(crc32(header.subarray(0, 92)), 16);
  return [
    [(last - 32) * 512, entries],
    [last * 512, header],
  ];
}

const ROUND_64K = Math.floor(SIZE_BYTES / (64 * KIB)) * 64 * KIB;
const ROUND_256K = Math.floor(SIZE_BYTES / (256 * KIB)) * 256 * KIB;
const MD_1_0 = Math.floor((SIZE_BYTES - 8 * KIB) / 4096) * 4096;
const LAST = SIZE_BYTES - 512;

/** `bytes` with numbers of 16 or 32 bits in it, least significant byte first unless said otherwise. */
function numbers(
  lengthBytes: number,
  fields: readonly [at: number, width: 2 | 4, value: number][],
  big = false,
): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (const [at, width, value] of fields) {
    if (big) bytes.writeUIntBE(value, at, width);
    else bytes.writeUIntLE(value, at, width);
  }
  return bytes;
}

/** struct minix_super_block: inodes, zones, blocks of their bitmaps, first zone, largest file, magic. */
function minix(magic: number, big = false): Piece {
  const fields: [number, 2 | 4, number][] = [
    [0, 2, 672],
    [2, 2, 2000],
    [4, 2, 1],
    [6, 2, 1],
    [8, 2, 25],
    [12, 4, 0x10081c00],
    [16, 2, magic],
    [18, 2, 1],
    [20, 4, 2000],
  ];
  return [KIB, numbers(32, fields, big)];
}

/** struct minix3_super_block. */
const MINIX3: Piece = [
  KIB,
  numbers(32, [
    [0, 4, 672],
    [6, 2, 1],
    [8, 2, 1],
    [10, 2, 25],
    [16, 4, 0x7fffffff],
    [20, 4, 2000],
    [24, 2, 0x4d5a],
    [28, 2, 1024],
  ]),
];

/** A label of Sun: geometry, the magic, and what makes the XOR of all its words zero. */
function sunLabel(): Piece {
  const bytes = numbers(
    512,
    [
      [436, 2, 63],
      [438, 2, 255],
      [508, 2, 0xdabe],
    ],
    true,
  );
  let sum = 0;
  for (let at = 0; at < 510; at += 2) sum ^= bytes.readUInt16BE(at);
  bytes.writeUInt16BE(sum, 510);
  return [0, bytes];
}

function plain(what: string, says: RegExp, wipefs: string | undefined, ...pieces: Piece[]): Case {
  return { what, says, wipefs, pieces };
}

const RARE: readonly Case[] = [
  ...[0x137f, 0x138f, 0x2468, 0x2478].flatMap((magic) => [
    plain(`Minix ${magic.toString(16)}`, /Minix/, 'minix', minix(magic)),
    plain(`Minix ${magic.toString(16)} of a big-endian machine`, /Minix/, 'minix', minix(magic, true)),
  ]),
  plain('Minix 3', /Minix/, 'minix', MINIX3),
  plain('SCO BFS', /BFS/, 'bfs', text(0, '\xce\xfa\xad\x1b')),
  plain('cramfs', /cramfs/, undefined, text(0, '\x45\x3d\xcd\x28')),
  plain('romfs', /romfs/, 'romfs', text(0, '-rom1fs-')),
  plain('SquashFS of old', /SquashFS/, undefined, text(0, 'sqsh')),
  plain('GFS2', /GFS2/, undefined, text(64 * KIB, '\x01\x16\x19\x70')),
  ...[1, 2, 4, 8].map((size) => plain(`OCFS2 at ${size} KiB`, /OCFS2/, 'ocfs2', text(size * KIB, 'OCFSV2'))),
  ...[0, 8, 64, 256].map((start) =>
    plain(`UFS at ${start} KiB`, /UFS/, 'ufs', text(start * KIB + 0x55c, '\x19\x01\x54\x19')),
  ),
  plain('UFS1', /UFS/, 'ufs', text(8 * KIB + 0x55c, '\x54\x19\x01\x00')),
  plain('BeFS', /BeFS/, undefined, text(544, '1SFB')),
  plain('VxFS', /VxFS/, 'vxfs', text(KIB, '\xf5\xfc\x01\xa5')),
  plain('HPFS', /HPFS/, undefined, text(8 * KIB, '\x49\xe8\x95\xf9')),
  plain('HFS', /HFS/, 'hfs', [
    KIB,
    numbers(
      64,
      [
        [0, 2, 0x4244],
        [20, 4, 4096],
      ],
      true,
    ),
  ]),
  plain('HFSX', /HFS/, undefined, text(KIB, 'HX')),
  plain('ReiserFS of old', /ReiserFS/, undefined, text(8 * KIB + 52, 'ReIsErFs')),
  plain('Reiser4', /Reiser4/, 'reiser4', text(64 * KIB, 'ReIsEr4')),
  plain('ReFS', /ReFS/, 'ReFS', text(0, '\0\0\0ReFS\0')),
  plain('UBI', /UBI/, undefined, text(0, 'UBI#')),
  plain('UBIFS', /UBIFS/, undefined, text(0, '\x31\x18\x10\x06')),
  plain('VMFS', /VMFS/, 'VMFS_volume_member', text(MIB, '\x0d\xd0\x01\xc0')),
  plain('the filesystem in VMFS', /VMFS/, 'VMFS', text(2 * MIB, '\x5e\xf1\xab\x2f')),
  plain('Stratis', /Stratis/, undefined, text(516, '!Stra0tis\x86\xff\x02^\x41rh')),
  plain('VDO', /VDO/, 'vdo', text(0, 'dmvdo001')),
  plain('BlueStore', /BlueStore/, 'ceph_bluestore', text(0, 'bluestore block device')),
  plain('Oracle ASM', /Oracle/, 'oracleasm', text(32, 'ORCLDISK')),
  plain('a BSD disklabel', /BSD/, undefined, text(512, '\x57\x45\x56\x82')),
  plain('an SGI disklabel', /SGI/, undefined, text(0, '\x0b\xe5\xa9\x41')),
  plain('a Sun disklabel', /Sun/, 'sun', sunLabel()),
];

const CASES: readonly Case[] = [
  ...RARE,
  { what: 'md 0.90', says: /RAID/, wipefs: 'linux_raid_member', pieces: [md090(ROUND_64K - 64 * KIB)] },
  { what: 'md 1.0', says: /RAID/, wipefs: 'linux_raid_member', pieces: [md1(MD_1_0)] },
  { what: 'md 1.1', says: /RAID/, wipefs: 'linux_raid_member', pieces: [md1(0)] },
  { what: 'md 1.2', says: /RAID/, wipefs: 'linux_raid_member', pieces: [md1(4 * KIB)] },
  {
    what: 'the four labels of ZFS',
    says: /ZFS/,
    wipefs: 'zfs_member',
    pieces: [0, 256 * KIB, ROUND_256K - 512 * KIB, ROUND_256K - 256 * KIB].map(zfsLabel),
  },
  {
    what: 'the last two labels of ZFS',
    says: /ZFS/,
    wipefs: 'zfs_member',
    pieces: [ROUND_256K - 512 * KIB, ROUND_256K - 256 * KIB].map(zfsLabel),
  },
  ...[16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map((kibibytes) => ({
    what: `the second header of LUKS2 at ${kibibytes} KiB`,
    says: /LUKS/,
    wipefs: 'crypto_LUKS',
    pieces: [luks2(kibibytes * KIB)],
  })),
  { what: 'the backup of a GPT', says: /GPT/, wipefs: 'gpt', pieces: gptBackup() },
  {
    what: 'the second superblock of Btrfs',
    says: /Btrfs/,
    wipefs: undefined,
    pieces: [text(64 * MIB + 64, '_BHRfS_M')],
  },
  {
    what: 'Intel RAID',
    says: /RAID/,
    wipefs: 'isw_raid_member',
    pieces: [text(SIZE_BYTES - 1024, 'Intel Raid ISM Cfg Sig. 1.3.00')],
  },
  {
    what: 'DDF RAID',
    says: /RAID/,
    wipefs: 'ddf_raid_member',
    pieces: [text(LAST, '\xde\x11\xde\x11'), text(LAST + 32, '01.02.00')],
  },
  {
    what: 'LSI RAID',
    says: undefined,
    wipefs: 'lsi_mega_raid_member',
    pieces: [text(LAST, '$XIDE$')],
  },
  {
    what: 'JMicron RAID, of which nothing is known here',
    says: undefined,
    wipefs: 'jmicron_raid_member',
    pieces: [text(LAST, `JM\x01\x00${'\0'.repeat(124)}`)],
  },
  {
    what: 'nothing that anybody knows',
    says: undefined,
    wipefs: undefined,
    pieces: [text(LAST, 'whatever')],
  },
];

function wipefs(image: string): string | undefined {
  try {
    return execFileSync('wipefs', ['-n', image], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  } catch {
    return undefined;
  }
}

async function quarry(...words: string[]): Promise<{ status: number; err: string }> {
  let err = '';
  const terminal = {
    out: () => {},
    err: (said: string) => {
      err += said;
    },
    interactive: false,
  };
  return { status: await runCommandLine(words, terminal), err };
}

function imageWith(name: string, pieces: readonly Piece[], sizeBytes = SIZE_BYTES): string {
  const image = join(directory, `${name.replaceAll(/\W/g, '-')}.img`);
  const descriptor = openSync(image, 'w');
  ftruncateSync(descriptor, sizeBytes);
  for (const [offsetBytes, bytes] of pieces) writeSync(descriptor, bytes, 0, bytes.length, offsetBytes);
  closeSync(descriptor);
  return image;
}

describe('signatures of others', () => {
  test.each(CASES)('$what', async ({ what, says, wipefs: name, pieces }) => {
    const image = imageWith(what, pieces);
    const before = wipefs(image);
    if (name !== undefined && before !== undefined) expect(before).toContain(name);
    if (says) {
      expect(await quarry('mkfs', image)).toMatchObject({ status: 1, err: expect.stringMatching(says) });
      expect(wipefs(image)).toBe(before);
    }
    expect(await quarry('mkfs', '--force', image)).toEqual({ status: 0, err: '' });
    if (before !== undefined) expect(wipefs(image)).toBe('');
    expect(await quarry('fsck', '-n', image)).toMatchObject({ status: 0 });
    rmSync(image);
  });

  // What the programs themselves make, as far as they are here.
  test.each([
    ['mkfs.minix', '-1', /a Minix filesystem/],
    ['mkfs.minix', '-2', /a Minix filesystem/],
    ['mkfs.minix', '-3', /a Minix filesystem/],
    ['mkfs.bfs', '-v', /an SCO BFS/],
  ])('%s %s', async (program, option, says) => {
    const image = imageWith(`${program}${option}`, [], 8 * MIB);
    const made = spawnSync(program, [option, image]);
    if (made.error === undefined) {
      expect(made.status).toBe(0);
      const before = readFileSync(image);
      expect(await quarry('mkfs', image)).toMatchObject({ status: 1, err: expect.stringMatching(says) });
      expect(readFileSync(image).equals(before)).toBe(true);
    }
    rmSync(image);
  });

  test.each([
    ['of which only the bytes of the magic are there', [text(1040, '\x7f\x13')]],
    [
      'whose bitmap is too small',
      [
        [
          KIB,
          numbers(32, [
            [0, 2, 60_000],
            [4, 2, 1],
            [16, 2, 0x137f],
          ]),
        ],
      ],
    ],
  ] as [string, Piece[]][])('no Minix filesystem: one %s', async (what, pieces) => {
    const image = imageWith(what, pieces);
    expect(await quarry('mkfs', image)).toEqual({ status: 0, err: '' });
    rmSync(image);
  });

  test('a Quarry volume of which only the backup is left', async () => {
    for (const blockSize of ['1K', '4K', '64K']) {
      const image = imageWith(blockSize, []);
      expect(await quarry('mkfs', '--block-size', blockSize, image)).toMatchObject({ status: 0 });
      const descriptor = openSync(image, 'r+');
      writeSync(descriptor, Buffer.alloc(4096), 0, 4096, 0);
      closeSync(descriptor);
      expect(await quarry('mkfs', image)).toMatchObject({
        status: 1,
        err: expect.stringMatching(/a Quarry volume.*--force/),
      });
      rmSync(image);
    }
  });

  test('a new image takes no room for it', async () => {
    const image = join(directory, 'new.img');
    expect(await quarry('mkfs', '--size', '1T', image)).toMatchObject({ status: 0 });
    const kibibytes = execFileSync('du', ['-k', image], { encoding: 'utf8' });
    expect(Number.parseInt(kibibytes, 10)).toBeLessThan(512);
  });
});
