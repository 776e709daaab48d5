/**
 * The parts of the command that are pure: sizes, ids, signatures, words of the aliases, judged
 * command lines, records.
 */

import { describe, expect, test } from 'vitest';
import { PROBLEMS } from '../../src/check/problem.ts';
import { fsckWords, mountStatus, mountWords, programWords } from '../../src/cli/alias-words.ts';
import { deviceNumbersOf } from '../../src/cli/block-devices.ts';
import type { OptionValues, Terminal } from '../../src/cli/command.ts';
import { failureLine, targetError, UsageError } from '../../src/cli/failure.ts';
import { fsckJson, fsckMode, fsckStatus, fsckText, reportOfCheck } from '../../src/cli/fsck-command.ts';
import { logName } from '../../src/cli/log-file.ts';
import { planVolume } from '../../src/cli/making.ts';
import { mkfsRequest } from '../../src/cli/mkfs-command.ts';
import { knownOptions, mountRequest, parseAllocatorOptions } from '../../src/cli/mount-request.ts';
import { COMMAND_NAMES, runCommandLine } from '../../src/cli/program.ts';
import { progressText } from '../../src/cli/progress.ts';
import { findSignatures } from '../../src/cli/signatures.ts';
import { formatSize, parseSize } from '../../src/cli/sizes.ts';
import { flattenCounters } from '../../src/cli/stat-command.ts';
import { swapsOf } from '../../src/cli/storage-users.ts';
import { factLines } from '../../src/cli/table-text.ts';
import { parseUuid } from '../../src/cli/uuids.ts';
import { packageVersion } from '../../src/common/package-version.ts';
import { formatUuid } from '../../src/inspect/value-text.ts';

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['1K', 1024],
    ['1k', 1024],
    ['512KiB', 512 * 1024],
    ['64MB', 64 * 1024 ** 2],
    ['1.5T', 1.5 * 1024 ** 4],
    ['4P', 4 * 1024 ** 5],
  ])('%s is read', (text, bytes) => expect(parseSize(text, '--size')).toBe(bytes));

  test.each(['', '-1', '1X', 'K', '1.5', '1 2', '0x10', '1e3', '1.1K'])('%j is refused', (text) => {
    expect(() => parseSize(text, '--size')).toThrow(UsageError);
    expect(() => parseSize(text, '--size')).toThrow(/--size .* is not a size: write it as/);
  });

  test.each(['8P', '9E', '9007199254740992'])('%s is more than can be worked with', (text) => {
    expect(() => parseSize(text, '--size')).toThrow(/^--size \w+ is too large: it has to be less than 8P$/);
  });

  test.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 ** 3 * 1000, '1000 GiB'],
    [2 ** 60, '1 EiB'],
  ])('%d is printed', (bytes, text) => expect(formatSize(bytes)).toBe(text));
});

describe('ids', () => {
  const text = '0123abcd-4567-89ab-cdef-0123456789ab';
  test('there and back', () => {
    expect(formatUuid(parseUuid(text))).toBe(text);
    expect(formatUuid(parseUuid(text.toUpperCase()))).toBe(text);
    expect(parseUuid(text)).toHaveLength(16);
  });
  test.each(['', 'x', text.replaceAll('-', ''), `${text}0`])('%j is refused', (bad) => {
    expect(() => parseUuid(bad)).toThrow(UsageError);
  });
});

describe('signatures', () => {
  const size = 256 * 1024;
  function namesIn(...marks: [offset: number, bytes: string | number[]][]): string[] {
    const image = new Uint8Array(size);
    for (const [offset, bytes] of marks) image.set(Buffer.from(bytes as string, 'latin1'), offset);
    const read = (offset: number, length: number) => image.subarray(offset, offset + length);
    return findSignatures(read, size).map(({ name }) => name);
  }

  test('nothing in zeros', () => expect(namesIn()).toEqual([]));
  test.each<[string, [number, string | number[]][]]>([
    ['Quarry', [[0, 'QUARRY']]],
    [
      'ext',
      [
        [1080, [0x53, 0xef]],
        [1028, [1]],
        [1048, [2]],
        [1100, [1]],
      ],
    ],
    ['XFS', [[0, 'XFSB']]],
    ['Btrfs', [[65600, '_BHRfS_M']]],
    ['NTFS', [[3, 'NTFS    ']]],
    ['exFAT', [[3, 'EXFAT   ']]],
    ['FAT', [[82, 'FAT32   ']]],
    ['ISO 9660', [[32769, 'CD001']]],
    ['SquashFS', [[0, 'hsqs']]],
    ['F2FS', [[1024, [0x10, 0x20, 0xf5, 0xf2]]]],
    ['swap', [[4086, 'SWAPSPACE2']]],
    ['swap', [[65526, 'SWAPSPACE2']]],
    ['LVM2', [[536, 'LVM2 001']]],
    ['LUKS', [[0, 'LUKS\xba\xbe']]],
    ['RAID', [[4096, [0xfc, 0x4e, 0x2b, 0xa9]]]],
    ['ZFS', [[132 * 1024, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]]]],
    ['GPT', [[512, 'EFI PART']]],
    ['GPT', [[size - 512, 'EFI PART']]],
    ['MBR', [[510, [0x55, 0xaa]]]],
  ])('%s', (name, marks) => expect(namesIn(...marks).join()).toContain(name));

  test('an ext magic alone is too weak', () => expect(namesIn([1080, [0x53, 0xef]])).toEqual([]));
  test('a target shorter than every signature', () => {
    expect(findSignatures(() => new Uint8Array(0), 0)).toEqual([]);
    expect(findSignatures(() => new Uint8Array(0), 5000)).toEqual([]);
  });
});

describe('words of the aliases', () => {
  test.each([
    [
      ['/dev/x', '/mnt'],
      ['mount', '/dev/x', '/mnt'],
    ],
    [
      ['/dev/x', '/mnt', '-o', 'rw,nofail'],
      ['mount', '/dev/x', '/mnt', '-o', 'rw,nofail'],
    ],
    [
      ['/dev/x', '/mnt', '-sfnv'],
      ['mount', '/dev/x', '/mnt', '--sloppy', '--fake'],
    ],
    [
      ['/dev/x', '/mnt', '-t', 'quarry', '-N', '/proc/1/ns', '-v'],
      ['mount', '/dev/x', '/mnt'],
    ],
  ])('mount.quarry %j', (given, words) => expect(mountWords(given)).toEqual(words));

  test('quarry itself, as mount.fuse calls the program of a type', () => {
    const given = ['/dev/x', '/mnt', '-o', 'ro,remount,dev'];
    expect(programWords(given)).toEqual(['mount', ...given]);
    for (const own of [['mount', '/dev/x', '/mnt'], ['/dev/x'], ['--help'], []])
      expect(programWords(own)).toEqual(own);
  });

  test.each([
    [
      ['-a', '-C0', '/dev/x'],
      ['fsck', '-a', '--progress', '/dev/x'],
    ],
    [
      ['-T', '-p', '/dev/x'],
      ['fsck', '-p', '/dev/x'],
    ],
    [
      ['-n', '-f', '-V', '/dev/x'],
      ['fsck', '-n', '-f', '/dev/x'],
    ],
  ])('fsck.quarry %j', (given, words) => expect(fsckWords(given)).toEqual(words));

  test('statuses of mount(8)', () => expect([0, 1, 2].map(mountStatus)).toEqual([0, 32, 1]));
});

describe('mkfs', () => {
  const request = (options: OptionValues) => mkfsRequest(['t.img'], options);

  test('what is left out', () => {
    expect(request({})).toMatchObject({ target: 't.img', blockBytes: 4096, label: '', force: false });
    expect(request({}).uuid).not.toEqual(request({}).uuid);
    expect(formatUuid(request({}).uuid)).toMatch(/^.{8}-.{4}-4.{3}-[89ab].{3}-/);
  });
  test('what is given', () => {
    const uuid = '0123abcd-4567-89ab-cdef-0123456789ab';
    const given = request({ size: '1G', blockSize: '1K', label: 'ü', uuid, journalSize: '1M', force: true });
    expect(given).toMatchObject({ sizeBytes: 2 ** 30, blockBytes: 1024, journalBytes: 2 ** 20, force: true });
    expect(formatUuid(given.uuid)).toBe(uuid);
  });
  test('labels have 64 bytes', () => {
    expect(request({ label: 'ü'.repeat(32) }).label).toBe('ü'.repeat(32));
    expect(() => request({ label: 'ü'.repeat(33) })).toThrow(/66 bytes/);
  });
  test('a plan, or why there is none', () => {
    expect(planVolume(request({}), 2 ** 30)).toMatchObject({ blockCount: 262144, journalBlocks: 4096 });
    expect(planVolume(request({ journalSize: '1M' }), 2 ** 30)).toMatchObject({ journalBlocks: 256 });
    expect(() => planVolume(request({}), 4096)).toThrow(/too small: .* a volume needs 524 KiB/);
    expect(() => planVolume(request({ blockSize: '3000' }), 2 ** 30)).toThrow(/power of two/);
    expect(() => planVolume(request({ blockSize: '1M' }), 2 ** 30)).toThrow(/power of two/);
    expect(() => planVolume(request({ journalSize: '1000' }), 2 ** 30)).toThrow(/multiple/);
    expect(() => planVolume(request({ journalSize: '10T' }), 2 ** 50)).toThrow(/journal/);
  });
});

describe('mount', () => {
  const request = (options: OptionValues) => mountRequest(['t.img', '/mnt'], options, true);

  test('options are read together, in order', () => {
    const { options } = request({ options: ['ro,cache=8M', 'rw', 'nofail'] });
    expect(options).toMatchObject({ readOnly: false, cacheBytes: 8 * 2 ** 20 });
    expect(request({ readOnly: true, options: ['rw'] }).options.readOnly).toBe(true);
  });
  test('unknown options are refused, or passed over where mount(8) says so', () => {
    expect(() => request({ options: ['bogus'] })).toThrow(/unknown mount option 'bogus'/);
    expect(request({ options: ['bogus,ro'], sloppy: true }).options.readOnly).toBe(true);
    expect(knownOptions('a,ro,b=1,nosuid', true)).toBe('ro,nosuid');
  });
  test('the allocator of the command line wins over -o', () => {
    expect(request({ options: ['allocator=next-fit'] }).allocator).toBe('next-fit');
    expect(request({ options: ['allocator=next-fit'], allocator: './mine.js' }).allocator).toBe('./mine.js');
  });
  test('options of the allocator', () => {
    expect(parseAllocatorOptions('a=1,b=x=y')).toEqual({ a: '1', b: 'x=y' });
    expect(parseAllocatorOptions('')).toEqual({});
    expect(() => parseAllocatorOptions('a')).toThrow(/key=value/);
    expect(() => parseAllocatorOptions('=1')).toThrow(/key=value/);
  });
});

describe('fsck', () => {
  const statistics = {
    blockBytes: 4096,
    blocks: 1000,
    blocksUsed: 10,
    blocksFree: 900,
    inodes: 3,
    files: 1,
    directories: 2,
    symlinks: 0,
    specials: 0,
    orphans: 0,
    entries: 2,
    extents: 1,
    dataBlocks: 1,
  };
  const sound = {
    clean: true,
    state: 'clean',
    journal: { transactions: 0, blocks: 0 },
    problems: [],
    problemCount: 0,
    statistics,
  } as const;
  const problem = {
    code: 'root-count',
    pass: 'inodes',
    message: 'm',
    repair: PROBLEMS['root-count'].repair,
    remedy: PROBLEMS['root-count'].remedy,
    block: undefined,
    inode: undefined,
  } as const;

  test('a clean volume', () => {
    const report = reportOfCheck(sound);
    expect(fsckStatus(report)).toBe(0);
    expect(fsckText('x', report)).toBe('x: clean; 3 inodes (1 files, 2 directories), 10/1000 blocks\n');
  });
  test('problems', () => {
    const result = { ...sound, clean: false, state: 'dirty', problems: [problem], problemCount: 5 } as const;
    const report = reportOfCheck(result);
    expect(fsckStatus(report)).toBe(4);
    expect(fsckText('x', report).split('\n')).toEqual([
      'm [root-count]',
      '… and 4 more problems',
      'x: 5 problems, was not unmounted in order; 3 inodes (1 files, 2 directories), 10/1000 blocks',
      '',
    ]);
  });
  test('a journal to replay, and one that was', () => {
    const dirty = { ...sound, state: 'dirty', journal: { transactions: 1, blocks: 3 } } as const;
    expect(fsckStatus(reportOfCheck(dirty))).toBe(0);
    expect(fsckText('x', reportOfCheck(dirty))).toMatch(/^journal: 1 transaction to replay \(3 blocks\)/);
    const replayed = { ...reportOfCheck(sound), replayed: 2, orphans: 1 };
    expect(fsckText('x', replayed)).toMatch(/^journal: 2 transactions replayed\norphans: 1 inode freed/);
  });
  test('problems that were repaired, and that were not', () => {
    const report = { ...reportOfCheck(sound), problems: [problem], problemCount: 1 };
    const corrected = { ...report, outcome: 'corrected' } as const;
    expect(fsckStatus(corrected)).toBe(1);
    expect(fsckText('x', corrected)).toMatch(/^m: counted anew \[root-count\]\nx: 1 problem, all corrected;/);
    expect(fsckJson('x', corrected)).toMatchObject({ status: 1, problems: [{ repaired: true }] });
    const refused = { ...report, outcome: 'refused' } as const;
    expect(fsckStatus(refused)).toBe(4);
    expect(fsckJson('x', refused)).toMatchObject({
      status: 4,
      clean: false,
      problems: [{ repaired: false }],
    });
  });
  test('what is to be done', () => {
    expect(fsckMode({})).toBeUndefined();
    expect(fsckMode({ no: true })).toBeUndefined();
    expect(fsckMode({ preen: true })).toBe('safe');
    expect(fsckMode({ automatic: true, preen: true })).toBe('safe');
    expect(fsckMode({ yes: true })).toBe('all');
    expect(() => fsckMode({ no: true, yes: true })).toThrow(UsageError);
  });
});

describe('the command line', () => {
  async function runWords(...words: string[]): Promise<{ status: number; out: string; err: string }> {
    const said = { out: '', err: '' };
    const terminal: Terminal = {
      out: (text) => {
        said.out += text;
      },
      err: (text) => {
        said.err += text;
      },
      interactive: false,
    };
    return { status: await runCommandLine(words, terminal), ...said };
  }

  test('--version and --help', async () => {
    expect(await runWords('--version')).toEqual({ status: 0, out: `${packageVersion()}\n`, err: '' });
    const { status, out } = await runWords('--help');
    expect(status).toBe(0);
    for (const name of COMMAND_NAMES) expect(out).toContain(`  ${name} `);
  });
  test.each(COMMAND_NAMES)('%s --help', async (name) => {
    const { status, out, err } = await runWords(name, '--help');
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toContain(`Usage: quarry ${name}`);
  });
  test('no command shows the help and fails', async () => {
    const { status, out, err } = await runWords();
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toContain('Usage: quarry');
  });
  test.each([
    [['nonsense'], 2],
    [['mkfs'], 2],
    [['mkfs', 'a', 'b'], 2],
    [['mkfs', '--bogus', 'a'], 2],
    [['mkfs', '--size'], 2],
    [['mount', 'a'], 2],
    [['fsck'], 16],
    [['fsck', '--bogus', 'a'], 16],
    [['fsck', '/nowhere/at/all'], 8],
    [['info', '/nowhere/at/all'], 1],
    [['umount', '/proc/self'], 1],
    [['stat', '/proc'], 1],
  ])('%j is one line and status %i', async (words, expected) => {
    const { status, out, err } = await runWords(...words);
    expect({ status, out }).toEqual({ status: expected, out: '' });
    expect(err).toMatch(/^quarry: [^\n]+\n$/);
  });
});

describe('failures', () => {
  test('codes become words', () => {
    const error = Object.assign(new Error('EBUSY: x'), { code: 'EBUSY' });
    expect(targetError(error, '/dev/x').message).toMatch(/^\/dev\/x is in use: unmount it/);
    expect(targetError(new Error('odd\n  thing'), '/dev/x').message).toBe('/dev/x: odd thing');
    const usage = new UsageError('as it is');
    expect(targetError(usage, '/dev/x')).toBe(usage);
  });
  test('always one line', () => {
    expect(failureLine(new Error(' a\n b \n'))).toBe('a b');
    expect(failureLine('text')).toBe('text');
    expect(failureLine(new Error(''))).not.toBe('');
  });
});

describe('small things', () => {
  test('device numbers', () => {
    expect(deviceNumbersOf(0x700)).toBe('7:0');
    expect(deviceNumbersOf(0x10305)).toBe('259:5');
    expect(deviceNumbersOf(0x100800)).toBe('8:256');
    expect(deviceNumbersOf(2 ** 44 + 7)).toBe('4096:7');
  });
  test('swaps', () => {
    expect(swapsOf('Filename\t\tType\n/dev/sda2   partition\t1\t0\t-2\n')).toEqual(['/dev/sda2']);
    expect(swapsOf('')).toEqual([]);
    expect(swapsOf('Filename\n/swap\\040of\\134mine file 1 0 -2\n')).toEqual(['/swap of\\mine']);
  });
  test('progress', () => {
    expect(progressText('inodes', 1, 2)).toBe(`inodes           [${'='.repeat(15)}${' '.repeat(15)}]  50 %`);
    expect(progressText('space', 5, 0)).toContain('100 %');
  });
  test('facts', () => {
    expect(
      factLines([
        ['a', 1],
        ['long name', 'x'],
        ['gone', undefined],
      ]),
    ).toBe('a:          1\nlong name:  x\n');
    expect(flattenCounters({ volume: { dirtyFrames: 3, none: {} }, pid: 1, gone: undefined })).toEqual([
      ['volume dirty frames', '3'],
      ['pid', '1'],
    ]);
  });
  test('logs', () => {
    expect(logName('/mnt/data')).toBe('mnt-data.log');
    expect(logName('/')).toBe('root.log');
  });
});
