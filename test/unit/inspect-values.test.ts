/** Values of the format as texts, and records as rows of fields. */
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/common/bytes.ts';
import { setFeatures } from '../../src/fs/format/features.ts';
import {
  BlockHeader,
  BlockKind,
  FileType,
  HEADER_BYTES,
  Inode,
  InodeFlag,
  JournalHeader,
  Superblock,
} from '../../src/fs/format/format.ts';
import { type FieldRow, fieldRows, headerRows, jsonValue } from '../../src/inspect/field-rows.ts';
import { formatUuid, nameText, timeText, utf8Text } from '../../src/inspect/value-text.ts';

const encoder = new TextEncoder();

function rowOf(rows: readonly FieldRow[], name: string): FieldRow {
  const row = rows.find((one) => one.name === name);
  if (row === undefined) throw new Error(`no row ${name}`);
  return row;
}

describe('values', () => {
  test('ids', () => {
    const uuid = new Uint8Array(16).map((_, i) => 17 * i);
    expect(formatUuid(uuid)).toBe('00112233-4455-6677-8899-aabbccddeeff');
  });

  test('times', () => {
    expect(timeText(0)).toBeUndefined();
    expect(timeText(1e9)).toBe('2001-09-09T01:46:40Z');
    expect(timeText(1e300)).toBeUndefined();
  });

  test.each([
    [encoder.encode('größe'), 'größe', '"größe"'],
    [encoder.encode('a\x1b"'), 'a\x1b"', '"a\\u001b\\""'],
    [new Uint8Array([0xff, 0x41]), undefined, 'bytes ff41'],
    [new Uint8Array(), '', '""'],
  ])('the name %j', (name, text, shown) => {
    expect(utf8Text(name)).toBe(text);
    expect(nameText(name)).toBe(shown);
  });
});

describe('rows of fields', () => {
  const bytes = new Uint8Array(1024);
  const view = viewOf(bytes);

  test('have a place, a value, and what it means', () => {
    Inode.mode.set(view, 256, FileType.directory | 0o755);
    Inode.flags.set(view, 256, InodeFlag.inlineData);
    Inode.accessSeconds.set(view, 256, 1e9);
    const rows = fieldRows(Inode, bytes, 256, ['body']);
    expect(rowOf(rows, 'mode')).toMatchObject({
      offset: 256 + Inode.mode.offset,
      value: FileType.directory | 0o755,
      meaning: 'directory, 0755',
    });
    expect(rowOf(rows, 'flags').meaning).toBe('inlineData');
    expect(rowOf(rows, 'accessSeconds').meaning).toBe('2001-09-09T01:46:40Z');
    expect(rowOf(rows, 'modifySeconds').meaning).toBeUndefined();
    expect(rows.some(({ name }) => name === 'body')).toBe(false);
  });

  test('numbers beyond 2^53 are exact, and texts in JSON', () => {
    view.setBigUint64(BlockHeader.block.offset, 2n ** 64n - 1n, true);
    const row = rowOf(fieldRows(BlockHeader, bytes, 0), 'block');
    expect(row.value).toBe(2n ** 64n - 1n);
    expect(jsonValue(row)).toBe('18446744073709551615');
  });

  test('labels, features and secrets of a superblock', () => {
    const superblock = new Uint8Array(1024);
    Superblock.label.of(superblock, 0).set(encoder.encode('disk'));
    Superblock.nameSecret.of(superblock, 0).fill(0xab);
    setFeatures(viewOf(superblock), new Set(['unwritten']));
    const rows = fieldRows(Superblock, superblock, 0, ['header']);
    expect(rowOf(rows, 'label').meaning).toBe('"disk"');
    expect(jsonValue(rowOf(rows, 'label'))).toBe('disk');
    expect(rowOf(rows, 'incompatibleFeatures').meaning).toBe('unwritten');
    expect(rowOf(rows, 'nameSecret').meaning).toBe('ab'.repeat(16));
  });

  test('reserved bytes are shown where they hold something', () => {
    const block = new Uint8Array(1024);
    const isShown = () => fieldRows(BlockHeader, block, 0).some(({ name }) => name === 'reserved');
    expect(isShown()).toBe(false);
    BlockHeader.reserved.set(viewOf(block), 0, 1);
    expect(isShown()).toBe(true);
  });

  test('the end of a header is what the kind of block says', () => {
    const block = new Uint8Array(1024);
    BlockHeader.kind.set(viewOf(block), 0, BlockKind.journalHead);
    const names = headerRows(block, JournalHeader).map(({ name }) => name);
    expect(names).toContain('salt');
    expect(names).not.toContain('special');
    expect(headerRows(block, undefined).map(({ name }) => name)).not.toContain('salt');
    expect(JournalHeader.sizeBytes).toBe(HEADER_BYTES);
    expect(() => headerRows(block, Inode)).toThrow('inode is no header');
  });
});
