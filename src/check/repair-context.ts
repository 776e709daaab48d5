/**
 * What the stages of a repair share, and the steps that several of them need: finding, clearing and
 * marking inodes.
 */
import { viewOf } from '../common/bytes.ts';
import { BitmapHeader, HEADER_BYTES, INODE_BYTES } from '../fs/format/format.ts';
import type { CheckContext } from './context.ts';
import type { InodePlaces } from './inode-places.ts';
import type { FoundInode } from './inode-record.ts';
import type { RepairedBlocks } from './repaired-blocks.ts';
import type { RootFacts } from './root-pass.ts';
import type { VacantBlocks } from './vacant-blocks.ts';

export interface RepairContext {
  readonly check: CheckContext;
  readonly root: RootFacts | undefined;
  readonly table: InodePlaces;
  readonly changes: RepairedBlocks;
  readonly vacant: VacantBlocks;
  /** Finer repair was tried before and did not hold: give up rather than save. */
  readonly isCoarse: boolean;
}

/** The inode in its block, to be changed in its place; undefined where the table has none. */
export async function editInode(repair: RepairContext, inode: number): Promise<FoundInode | undefined> {
  const place = repair.table.locate(inode);
  if (!place) return undefined;
  const bytes = await repair.changes.edit(place.block);
  return { inode, view: viewOf(bytes), at: place.offset, block: place.block };
}

/** Takes an inode out of use. What it held belongs to nobody from then on. */
export async function clearInode(repair: RepairContext, inode: number): Promise<void> {
  const found = await editInode(repair, inode);
  if (found) bytesOf(found).fill(0);
  repair.check.inodes.remove(inode);
  await markInode(repair, inode, false);
}

/** The bytes of the record. */
export function bytesOf({ view, at }: FoundInode): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, INODE_BYTES);
}

/** Sets or clears the bit of an inode in the bitmap of its chunk. */
export async function markInode(repair: RepairContext, inode: number, inUse: boolean): Promise<void> {
  const { bitsPerBlock } = repair.check.layout;
  const block = repair.table.bitmapOf(Math.floor(inode / bitsPerBlock));
  if (block === undefined) return;
  const bytes = await repair.changes.edit(block);
  const index = inode % bitsPerBlock;
  const at = HEADER_BYTES + (index >>> 3);
  const before = bytes[at] ?? 0;
  const after = inUse ? before | (1 << (index & 7)) : before & ~(1 << (index & 7));
  if (before === after) return;
  bytes[at] = after;
  const view = viewOf(bytes);
  BitmapHeader.used.set(view, 0, Math.max(0, BitmapHeader.used.get(view, 0) + (inUse ? 1 : -1)));
  BitmapHeader.firstFree.set(view, 0, Math.min(index, BitmapHeader.firstFree.get(view, 0)));
}
