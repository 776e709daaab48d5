/** Records of mounts as files: what is written is read, a torn end is left out, foreign bytes are. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { RecordReader } from '../../src/record/record-reader.ts';
import { RecordWriter } from '../../src/record/record-writer.ts';
import {
  emptyOperation,
  RECORDED_SHAPES,
  type RecordedOperation,
  RecordKind,
  type RecordKindNumber,
} from '../../src/record/recorded-operation.ts';

const directory = mkdtempSync(join(tmpdir(), 'quarry-record-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, 'one.quarry-record');

const DESCRIPTION = {
  blockBytes: 4096,
  volumeBytes: 2 ** 40,
  usedBytes: 12345,
  names: 'plain' as const,
  began: '2026-11-27T14:00:00.000Z',
};

type Plain = Partial<RecordedOperation> & { kind: RecordKindNumber };

/** Only the fields that the kind has. */
function plainOf(operation: RecordedOperation): Plain {
  const { numbers, hasName } = RECORDED_SHAPES[operation.kind];
  const fields = numbers.map((field) => [field, operation[field]]);
  const name = hasName ? { name: Buffer.from(operation.name).toString('hex') } : {};
  return {
    kind: operation.kind,
    microseconds: operation.microseconds,
    ...Object.fromEntries(fields),
    ...name,
  };
}

class MemoryTarget {
  readonly parts: Uint8Array[] = [];
  closed = 0;
  async write(bytes: Uint8Array): Promise<void> {
    this.parts.push(bytes);
  }
  async close(): Promise<void> {
    this.closed++;
  }
  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

interface Written {
  readonly plain: Plain[];
  readonly target: MemoryTarget;
}

async function write(
  operations: readonly { after: number; operation: RecordedOperation }[],
): Promise<Written> {
  const target = new MemoryTarget();
  let now = 777;
  const writer = new RecordWriter(target, { description: DESCRIPTION, now: () => now, failed: () => {} });
  const plain = operations.map(({ after, operation }) => {
    now += after;
    writer.add(operation);
    return plainOf(operation);
  });
  await writer.end();
  expect(writer.operations).toBe(operations.length);
  expect(target.closed).toBe(1);
  writeFileSync(file, target.bytes);
  return { plain, target };
}

function read(): { plain: Plain[]; isWhole: boolean; tornBytes: number } {
  const reader = new RecordReader(file);
  try {
    const plain = Array.from(reader.operations(), plainOf);
    return { plain, isWhole: reader.isWhole, tornBytes: reader.tornBytes };
  } finally {
    reader.close();
  }
}

const KINDS = Object.values(RecordKind).filter((kind) => kind !== RecordKind.end);
const wholeNumber = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeInteger().map(Math.abs));
const anyOperation = fc
  .record({
    after: fc.oneof(fc.nat(1000), fc.nat(2 ** 31)),
    kind: fc.constantFrom(...KINDS),
    numbers: fc.array(wholeNumber, { minLength: 6, maxLength: 6 }),
    name: fc.uint8Array({ maxLength: 255 }),
    goesOn: fc.boolean(),
  })
  .map(({ after, kind, numbers, name, goesOn }) => {
    const operation = { ...emptyOperation(), kind, name };
    for (const [index, field] of RECORDED_SHAPES[kind].numbers.entries())
      operation[field] = numbers[index] ?? 0;
    return { after, operation, goesOn };
  });

describe('a record', () => {
  test('says what was written, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyOperation, { maxLength: 60 }), async (operations) => {
        let last: RecordedOperation | undefined;
        for (const { operation, goesOn } of operations) {
          if (operation.kind !== RecordKind.write) continue;
          operation.offsetBytes %= 2 ** 50;
          operation.lengthBytes %= 2 ** 30;
          if (goesOn && last !== undefined) {
            operation.inode = last.inode;
            operation.offsetBytes = last.offsetBytes + last.lengthBytes;
          }
          last = operation;
        }
        const { plain } = await write(operations);
        expect(read()).toEqual({ plain, isWhole: true, tornBytes: 0 });
      }),
      { numRuns: 60 },
    );
  });

  test('describes itself, to people too', async () => {
    await write([]);
    const reader = new RecordReader(file);
    expect(reader.description).toEqual(DESCRIPTION);
    reader.close();
    expect(readFileSync(file, 'latin1')).toContain('"volumeBytes":1099511627776');
  });

  test('writes that follow each other take a few bytes', async () => {
    const operations = Array.from({ length: 100_000 }, (_, index) => ({
      after: 90 + ((index * 7919) % 20),
      operation: {
        ...emptyOperation(),
        kind: RecordKind.write,
        inode: 70_000,
        offsetBytes: index * 131_072,
        lengthBytes: 131_072,
      },
    }));
    const { plain, target } = await write(operations);
    expect(target.bytes.length).toBeLessThan(300_000);
    expect(read().plain).toEqual(plain);
  });
});

/** Some chunks of made-up operations. */
async function manyChunks(): Promise<Written> {
  const operations = Array.from({ length: 12_000 }, (_, index) => ({
    after: index % 5000,
    operation: {
      ...emptyOperation(),
      kind: RecordKind.create,
      inode: index,
      parent: index % 7,
      type: 1,
      name: Buffer.from(`name-${(index * 48_271) % 65_537}`),
    },
  }));
  return await write(operations);
}

describe('the end of a file', () => {
  test('that is torn anywhere is read up to the last whole chunk', async () => {
    const { plain, target } = await manyChunks();
    let length = 0;
    const ends = target.parts.map((part) => {
      length += part.length;
      return length;
    });
    expect(ends.length).toBeGreaterThan(4);
    const [head = 0, ...chunkEnds] = ends;
    for (const cut of [0, 1, 5, 31, 32, 33, 400, ...chunkEnds.map((end) => target.bytes.length - end)]) {
      const kept = target.bytes.length - cut;
      if (kept < head) continue;
      writeFileSync(file, target.bytes.subarray(0, kept));
      const got = read();
      const whole = ends.filter((end) => end <= kept).at(-1) ?? 0;
      expect(got.tornBytes).toBe(kept - whole);
      expect(got.isWhole).toBe(cut === 0);
      expect(got.plain).toEqual(plain.slice(0, got.plain.length));
      expect(got.plain.length === plain.length).toBe(whole === target.bytes.length);
    }
  });

  test('a byte that was changed ends it at the chunk before', async () => {
    const { plain, target } = await manyChunks();
    const at = (target.parts[0]?.length ?? 0) + (target.parts[1]?.length ?? 0) + 100;
    const bytes = Buffer.from(target.bytes);
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    writeFileSync(file, bytes);
    const got = read();
    expect(got.isWhole).toBe(false);
    expect(got.plain.length).toBeGreaterThan(0);
    expect(got.plain.length).toBeLessThan(plain.length / 2);
    expect(got.plain).toEqual(plain.slice(0, got.plain.length));
  });
});

describe('what is no record is refused in one line', () => {
  test.each([
    ['nothing', Buffer.alloc(0), /no record of a mount/],
    ['text', Buffer.from('8,0 3 11 0.009507758 697 C W 223490 + 8 [kjournald]\n'), /no record of a mount/],
    ['zeros', Buffer.alloc(100_000), /no record of a mount/],
    ['its first bytes', Buffer.from('QUARRYRC'), /head is cut off/],
    ['another version', Buffer.from('QUARRYRC\x63\0\0\0\0\0\0\0\0\0\0\0', 'latin1'), /of version 99/],
    ['a head too long', Buffer.from('QUARRYRC\x01\0\0\0\xff\xff\xff\xff\0\0\0\0', 'latin1'), /damaged/],
    ['a head cut off', Buffer.from('QUARRYRC\x01\0\0\0\x10\0\0\0\0\0\0\0{}', 'latin1'), /damaged/],
  ])('%s', (_, bytes, message) => {
    writeFileSync(file, bytes);
    expect(() => new RecordReader(file)).toThrow(message);
    expect(() => new RecordReader(file)).toThrow(/^[^\n]+$/);
  });

  test('what is not there, or is a directory', () => {
    expect(() => new RecordReader(join(directory, 'none'))).toThrow(/none cannot be read: ENOENT/);
    expect(() => new RecordReader(directory)).toThrow(/is not a file/);
  });

  test('random bytes never do worse than throw one sentence', async () => {
    const { target } = await manyChunks();
    const { bytes } = target;
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, byte, length) => {
        const changed = Buffer.from(bytes.subarray(0, length));
        if (at < length) changed[at] = byte;
        writeFileSync(file, changed);
        try {
          read();
        } catch (thrown) {
          expect(thrown).toMatchObject({ name: 'RecordError', message: expect.stringMatching(/^[^\n]+$/) });
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a target that fails', () => {
  test('ends the record, once, and nothing else', async () => {
    const reasons: string[] = [];
    let written = 0;
    const target = {
      write: async (bytes: Uint8Array) => {
        written += bytes.length;
        if (written > 1000) throw new Error('ENOSPC: no space left on device');
      },
      close: async () => {},
    };
    const writer = new RecordWriter(target, {
      description: DESCRIPTION,
      now: () => 0,
      failed: (reason) => reasons.push(reason),
    });
    const operation = { ...emptyOperation(), kind: RecordKind.create, name: Buffer.alloc(200, 'x') };
    for (let index = 0; index < 20_000; index++) writer.add({ ...operation, inode: index * 1e6 });
    await writer.end();
    expect(reasons).toEqual(['ENOSPC: no space left on device']);
    expect(writer.failure).toBe('ENOSPC: no space left on device');
  });

  test('that never ends a write is too slow before memory is full of it', () => {
    const reasons: string[] = [];
    const target = { write: () => new Promise<void>(() => {}), close: async () => {} };
    const writer = new RecordWriter(target, {
      description: DESCRIPTION,
      now: () => 0,
      failed: (reason) => reasons.push(reason),
    });
    const operation = { ...emptyOperation(), kind: RecordKind.create, name: Buffer.alloc(255, 'x') };
    for (let index = 0; index < 200_000; index++) writer.add(operation);
    expect(reasons).toEqual(['what it lies on is too slow']);
  });
});

test('a file that grows shorter while it is read ends there', async () => {
  const { plain } = await manyChunks();
  const reader = new RecordReader(file);
  const operations = reader.operations();
  operations.next();
  truncateSync(file, 3000);
  const rest = [...operations].length;
  reader.close();
  expect(rest + 1).toBeLessThan(plain.length);
});
