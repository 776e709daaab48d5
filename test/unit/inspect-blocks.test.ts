/** Blocks taken apart: every kind, and those whose counts and offsets lead out of them. */
import { beforeAll, describe, expect, test } from 'vitest';
import { hasMagic } from '../../src/check/metadata-block.ts';
import { viewOf } from '../../src/common/bytes.ts';
import {
  BlockHeader,
  BlockKind,
  EntryRecord,
  HEADER_BYTES,
  Inode,
  InodeFlag,
  JournalDescriptor,
  MAGIC_BYTES,
  NodeHeader,
  SLOT_BYTES,
  SummaryHeader,
  TreeKind,
} from '../../src/fs/format/format.ts';
import { blockParts, hexLines, inodeParts, type Part } from '../../src/inspect/block-parts.ts';
import { entryName, nodeRecords } from '../../src/inspect/node-records.ts';
import { BLOCK_BYTES, makeSample, type Sample } from './inspect-sample.ts';

let sample: Sample;
beforeAll(async () => {
  sample = await makeSample();
});

function blockOf(kind: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  bytes.set(MAGIC_BYTES);
  BlockHeader.kind.set(viewOf(bytes), 0, kind);
  return bytes;
}

function partsOf(bytes: Uint8Array): Part[] {
  const parts = blockParts(bytes);
  if (parts === undefined) throw new Error('the kind of the block is not known');
  return parts;
}

function notesOf(bytes: Uint8Array): string[] {
  return partsOf(bytes).flatMap(({ notes = [] }) => [...notes]);
}

describe('blocks', () => {
  test('every block of metadata of a volume is taken apart', () => {
    const titles = new Set<string>();
    for (let block = 0; block < sample.clean.sizeBytes / BLOCK_BYTES; block++) {
      const bytes = sample.clean.peek(block * BLOCK_BYTES, BLOCK_BYTES);
      if (!hasMagic(bytes)) continue;
      const [header, ...rest] = partsOf(bytes);
      expect(header?.title).toBe('block header');
      for (const { title } of rest) titles.add(title.replace(/ \d+/, ''));
    }
    expect([...titles]).toEqual(
      expect.arrayContaining(['superblock', 'volume root', 'bits that are set', 'node header', 'inode']),
    );
  });

  test.each(Object.entries(BlockKind))('an empty one of kind %s', (_, kind) => {
    expect(partsOf(blockOf(kind))[0]?.title).toBe('block header');
  });

  test('of no known kind', () => {
    expect(blockParts(blockOf(999))).toBeUndefined();
    expect(hasMagic(blockOf(999))).toBe(true);
    expect(hasMagic(new Uint8Array(BLOCK_BYTES))).toBe(false);
  });

  test('the bits of a bitmap, as ranges', () => {
    const bytes = blockOf(BlockKind.groupBitmap);
    expect(notesOf(bytes)).toEqual(['none']);
    bytes.set([0b0011_1111, 0b0000_0010], HEADER_BYTES);
    bytes[BLOCK_BYTES - 1] = 0x80;
    expect(notesOf(bytes)).toEqual([`0-5, 9, ${(BLOCK_BYTES - HEADER_BYTES) * 8 - 1}`]);
  });

  test('a list that does not fit ends with a note', () => {
    const summary = blockOf(BlockKind.summary);
    SummaryHeader.entryCount.set(viewOf(summary), 0, 65535);
    expect(notesOf(summary)).toEqual(['65535 do not fit into the block']);
    const descriptor = blockOf(BlockKind.journalDescriptor);
    JournalDescriptor.count.set(viewOf(descriptor), 0, 2 ** 20);
    expect(notesOf(descriptor)).toEqual([`${2 ** 20} do not fit into the block`]);
  });

  test('the target of a symbolic link, whatever its bytes', () => {
    const bytes = blockOf(BlockKind.symlink);
    bytes.set(new TextEncoder().encode('a/b\x1b'), HEADER_BYTES);
    expect(notesOf(bytes)).toEqual(['"a/b\\u001b"']);
    bytes.set([0xff, 0xfe, 0, 0x41], HEADER_BYTES);
    expect(notesOf(bytes)).toEqual(['bytes fffe']);
  });
});

describe('tree nodes', () => {
  function leaf(count: number, ...slots: number[]): Uint8Array {
    const bytes = new Uint8Array(256);
    const view = viewOf(bytes);
    NodeHeader.kind.set(view, 0, TreeKind.directory);
    NodeHeader.count.set(view, 0, count);
    for (const [i, slot] of slots.entries())
      view.setUint16(NodeHeader.sizeBytes + i * SLOT_BYTES, slot, true);
    return bytes;
  }

  test('records are found in the order of their slots', () => {
    const bytes = leaf(2, 200, 150);
    const view = viewOf(bytes);
    EntryRecord.nameBytes.set(view, 200, 3);
    bytes.set(new TextEncoder().encode('abc'), 200 + EntryRecord.sizeBytes);
    expect(nodeRecords(bytes, 0, 256)).toEqual({
      record: EntryRecord,
      offsets: [200, 150],
      fault: undefined,
    });
    expect(entryName(bytes, 200)).toEqual(new TextEncoder().encode('abc'));
  });

  test('those before one that leads out of the node are kept', () => {
    const fault = 'slot 1 leads out of the node';
    expect(nodeRecords(leaf(2, 200, 1), 0, 256)).toMatchObject({ offsets: [200], fault });
    expect(nodeRecords(leaf(2, 200, 256), 0, 256)).toMatchObject({ offsets: [200], fault });
    expect(nodeRecords(leaf(2, 200, 65535), 0, 256)).toMatchObject({ offsets: [200], fault });
    const long = leaf(2, 200, 210);
    EntryRecord.nameBytes.set(viewOf(long), 210, 255);
    expect(nodeRecords(long, 0, 256)).toMatchObject({ offsets: [200], fault });
  });

  test('more slots than there is room for are none', () => {
    expect(nodeRecords(leaf(500), 0, 256)).toMatchObject({
      offsets: [],
      fault: '500 slots do not fit into the node',
    });
  });
});

describe('inodes', () => {
  test('data in the body, no more than fits it', () => {
    const bytes = new Uint8Array(BLOCK_BYTES);
    Inode.number.set(viewOf(bytes), 0, 5);
    Inode.flags.set(viewOf(bytes), 0, InodeFlag.inlineData);
    Inode.size.set(viewOf(bytes), 0, 2 ** 40);
    const parts = inodeParts(bytes, 0, 'inode 5');
    expect(parts.map(({ title }) => title)).toEqual(['inode 5', 'inode 5, data in its body']);
    expect(parts[1]?.notes?.at(-1)).toMatch(/^000140 /);
  });
});

describe('bytes as lines', () => {
  test('lines that repeat the one before are a star', () => {
    const bytes = new Uint8Array(80).fill(0x51);
    bytes[79] = 0;
    const same = `51 ${'51 '.repeat(14)}51  ${'Q'.repeat(16)}`;
    expect(hexLines(bytes)).toEqual([
      `000000  ${same}`,
      '*',
      `000040  ${'51 '.repeat(15)}00  ${'Q'.repeat(15)}.`,
    ]);
    expect(hexLines(new Uint8Array())).toEqual([]);
    expect(hexLines(new Uint8Array([0x41]))).toEqual([`000000  ${'41'.padEnd(47)}  A`]);
  });
});
