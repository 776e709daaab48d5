/**
 * The records of a tree node as far as they can be found: what is sound before a slot that is not
 * is shown all the same. Order, overlaps and garbage are the checker's to judge
 * (check/tree-node.ts).
 */

import { recordLength } from '../check/tree-node.ts';
import { viewOf } from '../common/bytes.ts';
import {
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  NodeHeader,
  SLOT_BYTES,
  TreeKind,
} from '../fs/format/format.ts';

export interface NodeRecords {
  readonly record: typeof BranchRecord | typeof EntryRecord | typeof ExtentRecord;
  /** Where each record is, in order of keys. */
  readonly offsets: readonly number[];
  /** Why there are no more of them. */
  readonly fault: string | undefined;
}

/** What the node's records are: what is of neither kind is read as extents. */
function recordOf(level: number, kind: number): NodeRecords['record'] {
  if (level > 0) return BranchRecord;
  return kind === TreeKind.directory ? EntryRecord : ExtentRecord;
}

/** The records of the node whose region is `size` bytes at `base`. */
export function nodeRecords(bytes: Uint8Array, base: number, size: number): NodeRecords {
  const view = viewOf(bytes);
  const level = NodeHeader.level.get(view, base);
  const record = recordOf(level, NodeHeader.kind.get(view, base));
  const kind = record === EntryRecord ? TreeKind.directory : TreeKind.extents;
  const count = NodeHeader.count.get(view, base);
  const slotsEnd = NodeHeader.sizeBytes + count * SLOT_BYTES;
  if (slotsEnd > size) return { record, offsets: [], fault: `${count} slots do not fit into the node` };
  const region = { view, at: base, length: size };
  const offsets: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = view.getUint16(base + NodeHeader.sizeBytes + i * SLOT_BYTES, true);
    if (at < slotsEnd || recordLength(region, base + at, kind, level) === undefined)
      return { record, offsets, fault: `slot ${i} leads out of the node` };
    offsets.push(base + at);
  }
  return { record, offsets, fault: undefined };
}

/** The name of the directory entry at `at`. */
export function entryName(bytes: Uint8Array, at: number): Uint8Array {
  const from = at + EntryRecord.sizeBytes;
  return bytes.subarray(from, from + EntryRecord.nameBytes.get(viewOf(bytes), at));
}
