/**
 * The structs of the protocol against the header of the kernel that this machine was installed
 * with. What that does not know yet, or names otherwise, is passed over.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { offsetOf, type RecordInfo, record, U16, U32 } from '../../src/common/record.ts';
import * as abi from '../../src/fuse/abi.ts';
import { exact, SetattrIn } from '../../src/fuse/abi.ts';

const HEADER = '/usr/include/linux/fuse.h';

function isRecord(value: unknown): value is RecordInfo {
  return typeof value === 'object' && value !== null && 'recordName' in value;
}

/** A C program that prints the name of each field that stands elsewhere. */
function programFor(records: readonly RecordInfo[], header: string): string {
  const checks = records.flatMap(({ recordName, fields }) => {
    const body = header.split(`struct ${recordName} {`)[1]?.split('\n};')[0] ?? '';
    const known = Object.entries(fields).filter(([name]) => new RegExp(`\\b${name};`).test(body));
    return known.map(([name, { offset, lengthBytes }]) => {
      const place = `offsetof(struct ${recordName}, ${name}) != ${offset}`;
      const length = `sizeof ((struct ${recordName} *)0)->${name} != ${lengthBytes}`;
      return `if (${place} || ${length}) puts("${recordName}.${name}");`;
    });
  });
  const includes = ['stddef.h', 'stdint.h', 'stdio.h', 'linux/fuse.h'].map((name) => `#include <${name}>`);
  return `${includes.join('\n')}\nint main(void) { ${checks.join('\n')} printf("%d fields\\n", ${checks.length}); return 0; }\n`;
}

test('the structs are those of linux/fuse.h', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-abi-'));
  try {
    const records = Object.values<unknown>(abi).filter(isRecord);
    const source = join(folder, 'fields.c');
    writeFileSync(source, programFor(records, readFileSync(HEADER, 'utf8')));
    execFileSync('cc', ['-o', join(folder, 'fields'), source]);
    const lines = execFileSync(join(folder, 'fields')).toString().trim().split('\n');
    expect(lines).toEqual([expect.stringMatching(/^\d{3} fields$/)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a number that is not exact is refused, and one that is read', () => {
  const view = new DataView(new ArrayBuffer(SetattrIn.sizeBytes));
  SetattrIn.size.set(view, 0, Number.MAX_SAFE_INTEGER);
  expect(exact(SetattrIn.size, view, 0, 'EFBIG')).toBe(Number.MAX_SAFE_INTEGER);
  view.setBigUint64(SetattrIn.size.offset, 2n ** 53n, true);
  expect(() => exact(SetattrIn.size, view, 0, 'EFBIG')).toThrow(expect.objectContaining({ code: 'EFBIG' }));
});

test('a record with a gap is refused, and an offset of another type', () => {
  expect(() => record('r', 8, { a: new U16(0), b: new U32(4) })).toThrow('field b stands at 4, expected 2');
  expect(() => record('r', 8, { a: new U32(0) })).toThrow('the fields end at 4, the size is 8');
  expect(() => offsetOf(new U32(4), 'u16')).toThrow('the field at 4 is u32, not u16');
  expect(offsetOf(new U32(4), 'u32')).toBe(4);
});
