/**
 * Fixed-layout little-endian records, declared as literal tables of offsets.
 *
 * `record(name, size, table)` checks at load that the fields follow each other without gap or
 * overlap and end at `size`. Every field reads and writes itself: `Inode.mode.get(view, at)`, where
 * `at` is the offset of the record within the view. Nothing is decoded into objects: the bytes are
 * the truth.
 */

import { TWO_32 } from './bytes.ts';

abstract class Field {
  constructor(
    readonly offset: number,
    readonly lengthBytes: number,
    readonly type: string,
  ) {}
}

export class U8 extends Field {
  constructor(offset: number) {
    super(offset, 1, 'u8');
  }
  get(view: DataView, at: number): number {
    return view.getUint8(at + this.offset);
  }
  set(view: DataView, at: number, value: number): void {
    view.setUint8(at + this.offset, value);
  }
}

export class U16 extends Field {
  constructor(offset: number) {
    super(offset, 2, 'u16');
  }
  get(view: DataView, at: number): number {
    return view.getUint16(at + this.offset, true);
  }
  set(view: DataView, at: number, value: number): void {
    view.setUint16(at + this.offset, value, true);
  }
}

export class U32 extends Field {
  constructor(offset: number) {
    super(offset, 4, 'u32');
  }
  get(view: DataView, at: number): number {
    return view.getUint32(at + this.offset, true);
  }
  set(view: DataView, at: number, value: number): void {
    view.setUint32(at + this.offset, value, true);
  }
}

export class U48 extends Field {
  constructor(offset: number) {
    super(offset, 6, 'u48');
  }
  get(view: DataView, at: number): number {
    const from = at + this.offset;
    const high = view.getUint16(from + 4, true);
    const low = view.getUint32(from, true);
    return high === 0 ? low : low + high * TWO_32;
  }
  set(view: DataView, at: number, value: number): void {
    const from = at + this.offset;
    view.setUint32(from, value >>> 0, true);
    view.setUint16(from + 4, highOf(value), true);
  }
}

/**
 * Unsigned 64 bits. Values above 2^53 do not occur in a sound volume; `get` then returns the
 * nearest number, which no range check lets pass.
 */
export class U64 extends Field {
  constructor(offset: number) {
    super(offset, 8, 'u64');
  }
  get(view: DataView, at: number): number {
    const from = at + this.offset;
    const high = view.getUint32(from + 4, true);
    const low = view.getUint32(from, true);
    return high === 0 ? low : low + high * TWO_32;
  }
  set(view: DataView, at: number, value: number): void {
    const from = at + this.offset;
    view.setUint32(from, value >>> 0, true);
    view.setUint32(from + 4, highOf(value), true);
  }
}

export class I32 extends Field {
  constructor(offset: number) {
    super(offset, 4, 'i32');
  }
  get(view: DataView, at: number): number {
    return view.getInt32(at + this.offset, true);
  }
  set(view: DataView, at: number, value: number): void {
    view.setInt32(at + this.offset, value, true);
  }
}

/**
 * Signed 64 bits, for seconds before and after 1970: what is not exact as a number is the last one
 * that is, in either direction.
 */
export class I64 extends Field {
  constructor(offset: number) {
    super(offset, 8, 'i64');
  }
  get(view: DataView, at: number): number {
    const from = at + this.offset;
    const high = view.getInt32(from + 4, true);
    const low = view.getUint32(from, true);
    return high === 0 ? low : nearestExact(low + high * TWO_32);
  }
  set(view: DataView, at: number, value: number): void {
    const from = at + this.offset;
    const exact = nearestExact(value);
    view.setUint32(from, exact >>> 0, true);
    view.setInt32(from + 4, Math.floor(exact / TWO_32), true);
  }
}

/**
 * The high half of a number of more than 32 bits. Nearly all are shorter, and V8 keeps the sum, the
 * product or the quotient of such a number as an object on the heap where it would keep the number
 * itself in the pointer: so the halves are put together only where there are two.
 */
function highOf(value: number): number {
  return value < TWO_32 ? 0 : Math.floor(value / TWO_32);
}

function nearestExact(value: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
}

/** Raw bytes: text padded with NUL, a nested record, or room kept for later. */
export class Bytes extends Field {
  constructor(offset: number, lengthBytes: number) {
    super(offset, lengthBytes, 'bytes');
  }
  /** A view of the field, not a copy. `bytes` must span the same memory as the record's view. */
  of(bytes: Uint8Array, at: number): Uint8Array {
    return bytes.subarray(at + this.offset, at + this.offset + this.lengthBytes);
  }
}

/** Where a record stands. */
export interface RecordPlace {
  readonly view: DataView;
  /** Its offset in the view. */
  readonly at: number;
}

export type RecordTable = Readonly<Record<string, Field>>;

/**
 * The offset of a field, for inner loops that read it by the view itself: a search through a tree
 * node takes twice as long by fields. The type says how they read it.
 * @throws Error at load if the field is of another type
 */
export function offsetOf(field: Field, type: Field['type']): number {
  if (field.type !== type) throw new Error(`the field at ${field.offset} is ${field.type}, not ${type}`);
  return field.offset;
}

/** What every declared record carries beside its fields. */
export interface RecordInfo {
  readonly recordName: string;
  readonly sizeBytes: number;
  readonly fields: RecordTable;
}

/**
 * Declares a record.
 * @throws Error at load if the table has a gap, an overlap, or does not end at `sizeBytes`.
 */
export function record<T extends RecordTable>(
  recordName: string,
  sizeBytes: number,
  fields: T,
): T & RecordInfo {
  let expected = 0;
  for (const [name, field] of Object.entries(fields)) {
    if (field.offset !== expected) {
      throw new Error(`record ${recordName}: field ${name} stands at ${field.offset}, expected ${expected}`);
    }
    expected += field.lengthBytes;
  }
  if (expected !== sizeBytes) {
    throw new Error(`record ${recordName}: the fields end at ${expected}, the size is ${sizeBytes}`);
  }
  return { ...fields, recordName, sizeBytes, fields };
}
