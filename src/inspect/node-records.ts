/**
 * The records of a tree node as far as they can be found: what is sound before a slot that is not
 * is shown all the same. Order, overlaps and garbage are the checker's to judge
 * (check/tree-node.ts).
 */

import { recordLength } from '../check/tree-node.ts';
import { viewOf } from '../common/bytes.ts';
import {
  AttributeRecord,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  Inode,
  MAX_INLINE_ATTRIBUTE_BYTES,
  NodeHeader,
  QuotaRecord,
  SLOT_BYTES,
  TreeKind,
} from '../fs/format/format.ts';

export interface NodeRecords {
  readonly record:
    | typeof BranchRecord
    | typeof EntryRecord
    | typeof ExtentRecord
    | typeof AttributeRecord
    | typeof QuotaRecord;
  /** Where each record is, in order of keys. */
  readonly offsets: readonly number[];
  /** Why there are no more of them. */
  readonly fault: string | undefined;
}

/** Of which kind a tree is: what is of none is read as extents. */
function knownKind(kind: number): TreeKind {
  return KINDS.find((known) => known === kind) ?? TreeKind.extents;
}

const KINDS = Object.values(TreeKind);
const LEAF_RECORDS = {
  [TreeKind.extents]: ExtentRecord,
  [TreeKind.directory]: EntryRecord,
  [TreeKind.attributes]: AttributeRecord,
  [TreeKind.quotas]: QuotaRecord,
} as const;

/** The records of the node whose region is `size` bytes at `base`. */
export function nodeRecords(bytes: Uint8Array, base: number, size: number): NodeRecords {
  const view = viewOf(bytes);
  const level = NodeHeader.level.get(view, base);
  const kind = knownKind(NodeHeader.kind.get(view, base));
  const record = level > 0 ? BranchRecord : LEAF_RECORDS[kind];
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

/** Bytes of an inode's body that are the root node of its attributes; 0 where they cannot be. */
export function inlineAttributeBytes(bytes: Uint8Array, at: number): number {
  const inline = Inode.inlineAttributeBytes.get(viewOf(bytes), at);
  return inline > MAX_INLINE_ATTRIBUTE_BYTES ? 0 : inline;
}

/** What the record at `at` of an extended attribute says and holds. */
export function attributeAt(
  bytes: Uint8Array,
  at: number,
): { key: number; name: Uint8Array; part: Uint8Array; valueBytes: number } {
  const view = viewOf(bytes);
  const nameAt = at + AttributeRecord.sizeBytes;
  const partAt = nameAt + AttributeRecord.nameBytes.get(view, at);
  return {
    key: AttributeRecord.key.get(view, at),
    name: bytes.subarray(nameAt, partAt),
    part: bytes.subarray(partAt, partAt + AttributeRecord.partBytes.get(view, at)),
    valueBytes: AttributeRecord.valueBytes.get(view, at),
  };
}

/** The name of the directory entry at `at`. */
export function entryName(bytes: Uint8Array, at: number): Uint8Array {
  const from = at + EntryRecord.sizeBytes;
  return bytes.subarray(from, from + EntryRecord.nameBytes.get(viewOf(bytes), at));
}
