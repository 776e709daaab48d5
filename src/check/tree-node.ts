/**
 * One node of a tree, read without trusting a byte of it.
 *
 *   region:  | NodeHeader | slots: u16 × count … |   free   | records and garbage |
 *                                                           heapStart             end
 *
 * `inspectNode` answers with the offsets of the records in order of their slots, or with what is
 * wrong. After it has answered with offsets, every record lies inside the region and no two
 * overlap.
 */
import {
  AttributeRecord,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  MAX_TREE_LEVEL,
  NodeHeader,
  QuotaRecord,
  SLOT_BYTES,
  TreeKind,
} from '../fs/format/format.ts';

/** A stretch of memory that holds a node: `at` to `at + length` of `view`. */
export interface NodeBytes {
  readonly view: DataView;
  readonly at: number;
  readonly length: number;
}

export interface NodeContents {
  readonly level: number;
  /** Offsets of the records within the view. */
  readonly records: number[];
}

/**
 * Length of the record at `at`, at which at least `room` bytes follow; undefined if it does not
 * fit.
 */
export function recordLength(region: NodeBytes, at: number, kind: number, level: number): number | undefined {
  const room = region.at + region.length - at;
  if (level > 0) return fitting(BranchRecord.sizeBytes, room);
  if (kind === TreeKind.extents) return fitting(ExtentRecord.sizeBytes, room);
  if (kind === TreeKind.quotas) return fitting(QuotaRecord.sizeBytes, room);
  if (kind === TreeKind.attributes) {
    if (room < AttributeRecord.sizeBytes) return undefined;
    const { view } = region;
    const held = AttributeRecord.nameBytes.get(view, at) + AttributeRecord.partBytes.get(view, at);
    return fitting(AttributeRecord.sizeBytes + held, room);
  }
  if (room < EntryRecord.sizeBytes) return undefined;
  return fitting(EntryRecord.sizeBytes + EntryRecord.nameBytes.get(region.view, at), room);
}

function fitting(length: number, room: number): number | undefined {
  return length <= room ? length : undefined;
}

/** @returns the records of the node, or a few words on why it is none. */
export function inspectNode(region: NodeBytes, kind: number): NodeContents | string {
  const { view, at, length } = region;
  if (length < NodeHeader.sizeBytes) return 'there is no room for it';
  const level = NodeHeader.level.get(view, at);
  const count = NodeHeader.count.get(view, at);
  const heapStart = NodeHeader.heapStart.get(view, at);
  if (NodeHeader.kind.get(view, at) !== kind)
    return `it is of kind ${NodeHeader.kind.get(view, at)}, not ${kind}`;
  if (level > MAX_TREE_LEVEL) return `its level is ${level}`;
  const slotsEnd = NodeHeader.sizeBytes + count * SLOT_BYTES;
  if (slotsEnd > length) return `${count} records do not fit`;
  if (heapStart < slotsEnd || heapStart > length) return `its records start at ${heapStart}`;
  return inspectRecords(region, kind, level);
}

/** The header of the node is one that may be. */
function inspectRecords(region: NodeBytes, kind: number, level: number): NodeContents | string {
  const { view, at, length } = region;
  const count = NodeHeader.count.get(view, at);
  const heapStart = NodeHeader.heapStart.get(view, at);
  const records: number[] = [];
  const spans: [number, number][] = [];
  let filled = NodeHeader.garbage.get(view, at);
  for (let slot = 0; slot < count; slot++) {
    const offset = view.getUint16(at + NodeHeader.sizeBytes + slot * SLOT_BYTES, true);
    if (offset < heapStart || offset >= length) return `record ${slot} starts at ${offset}`;
    const bytes = recordLength(region, at + offset, kind, level);
    if (bytes === undefined) return `record ${slot} goes beyond its end`;
    records.push(at + offset);
    spans.push([offset, offset + bytes]);
    filled += bytes;
  }
  if (overlapping(spans)) return 'its records overlap';
  if (filled !== length - heapStart)
    return `records and garbage fill ${filled} of ${length - heapStart} bytes`;
  return { level, records };
}

function overlapping(spans: [number, number][]): boolean {
  const sorted = [...spans].sort((a, b) => a[0] - b[0]);
  let end = 0;
  for (const [from, until] of sorted) {
    if (from < end) return true;
    end = until;
  }
  return false;
}
