/**
 * Stage `quotas`: the tree of quotas is written anew. Usage is what was counted; limits are kept of
 * every record that can still be read and makes sense.
 *
 * By now everything else is sound, so the count is right, unless the check that made it found an
 * inode that counts its blocks wrong, which an earlier stage mends. Without room for the tree the
 * volume has no quotas.
 */
import { viewOf } from '../common/bytes.ts';
import { BlockKind, HEADER_BYTES, QuotaRecord, TreeKind, VolumeRoot } from '../fs/format/format.ts';
import { bitOf } from './quota-facts.ts';
import { DEADLINES, KNOWN_KINDS, recordFlaw } from './quota-pass.ts';
import type { RepairContext } from './repair-context.ts';
import { findStrayLeaves } from './repair-inodes.ts';
import { salvageTree } from './salvage.ts';
import { buildTree, type TreeRecord } from './tree-builder.ts';

export async function repairQuotas(repair: RepairContext): Promise<void> {
  const { check, changes, root } = repair;
  if (!root) return;
  const view = viewOf(await changes.edit(check.layout.volumeRootBlock));
  if (!check.hasQuotas) {
    setRoot(view, 0, 0);
    return;
  }
  const block = VolumeRoot.quotaBlock.get(view, 0);
  const kinds = VolumeRoot.quotaKinds.get(view, 0) & KNOWN_KINDS;
  const { records, nodes } = await savedRecords(repair, block);
  const built = await writeTree(repair, mergedRecords(repair, records, kinds), nodes);
  setRoot(view, built, built === 0 ? 0 : kinds);
}

function setRoot(view: DataView, block: number, kinds: number): void {
  VolumeRoot.quotaBlock.set(view, 0, block);
  VolumeRoot.quotaKinds.set(view, 0, kinds);
}

interface SavedRecords {
  readonly records: Map<number, Uint8Array>;
  /** Blocks of the old tree that are its own. */
  readonly nodes: number[];
}

/** What can be read of the old tree, by key. */
async function savedRecords(repair: RepairContext, block: number): Promise<SavedRecords> {
  const records = new Map<number, Uint8Array>();
  const strays = await findStrayLeaves(repair, new Set([0]), BlockKind.quotaNode);
  const visit = (view: DataView, at: number, key: number) => {
    if (recordFlaw({ view, at }, key) !== undefined || records.has(key)) return;
    records.set(key, new Uint8Array(view.buffer, view.byteOffset + at, QuotaRecord.sizeBytes).slice());
  };
  const strayLeaves = strays.get(0) ?? [];
  const tree = { inode: 0, kind: TreeKind.quotas, root: block, strayLeaves, visit };
  const { nodes } = await salvageTree(repair.check, tree);
  return { records, nodes };
}

/** Usage as counted, limits as saved, in order of keys. */
function mergedRecords(
  { check, isCoarse }: RepairContext,
  saved: ReadonlyMap<number, Uint8Array>,
  kinds: number,
): TreeRecord[] {
  const { quotas } = check.inodes;
  const counted = quotas.keys().filter((key) => (kinds & bitOf(key)) !== 0);
  const limited = isCoarse ? [] : [...saved.keys()];
  const keys = [...new Set([...counted, ...limited])].sort((a, b) => a - b);
  return keys
    .map((key) => {
      const bytes = (isCoarse ? undefined : saved.get(key)) ?? new Uint8Array(QuotaRecord.sizeBytes);
      const view = viewOf(bytes);
      QuotaRecord.key.set(view, 0, key);
      if ((kinds & bitOf(key)) !== 0) setUsage(view, quotas.of(key));
      return { key, bytes };
    })
    .filter(({ bytes }) => bytes.subarray(QuotaRecord.blocks.offset).some((byte) => byte !== 0));
}

function setUsage(view: DataView, { blocks, inodes }: { blocks: number; inodes: number }): void {
  QuotaRecord.blocks.set(view, 0, blocks);
  QuotaRecord.inodes.set(view, 0, inodes);
  // A time of grace that has not begun begins with the next change.
  for (const [, used, soft, deadline] of DEADLINES) {
    const isPassed = soft.get(view, 0) > 0 && used.get(view, 0) > soft.get(view, 0);
    if (!isPassed) deadline.set(view, 0, 0);
  }
}

/** @returns the block of the root; 0 if there is no room */
async function writeTree(
  repair: RepairContext,
  records: readonly TreeRecord[],
  oldNodes: readonly number[],
): Promise<number> {
  const { changes, vacant } = repair;
  const old = [...oldNodes];
  const taken = await vacant.takeOne();
  const block = taken ?? old.pop();
  if (block === undefined) return 0;
  const bytes =
    taken === undefined
      ? changes.replace(block, BlockKind.quotaNode)
      : changes.create(block, BlockKind.quotaNode);
  const root = { view: viewOf(bytes), at: HEADER_BYTES, length: bytes.length - HEADER_BYTES };
  const built = await buildTree(repair, { inode: 0, kind: TreeKind.quotas, root, records, oldNodes: old });
  return built === undefined ? 0 : block;
}

/**
 * Kinds to be counted where the volume root is lost: all, if any was counted, since nobody knows
 * which.
 */
export async function lostKinds(repair: RepairContext): Promise<number> {
  const strays = await findStrayLeaves(repair, new Set([0]), BlockKind.quotaNode);
  return strays.size > 0 ? KNOWN_KINDS : 0;
}
