/**
 * The extents of one inode for a repair: saved from its tree, put in order, cut to what is
 * possible, and parted from what belongs to others. Pure list work, but for claiming and copying
 * blocks.
 */
import { viewOf } from '../common/bytes.ts';
import { ExtentFlag, ExtentRecord, MAX_FILE_BYTES, TreeKind } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import type { Range } from './claimed-blocks.ts';
import type { CheckContext } from './context.ts';
import type { RepairContext } from './repair-context.ts';
import { type SalvagedTree, salvageTree, type Trust } from './salvage.ts';
import type { TreeRecord } from './tree-builder.ts';
import type { NodeBytes } from './tree-node.ts';

export interface SavedExtent {
  fileBlock: number;
  block: number;
  length: number;
  flags: number;
  trust: Trust;
}

export interface SavedFile extends SalvagedTree {
  /** In order of file blocks, without overlap, all inside the space. */
  extents: SavedExtent[];
}

const KNOWN_FLAGS = ExtentFlag.unwritten;

/**
 * Saves the extents of an inode. Blocks that the check did not count as its own are claimed for it;
 * what a stray leaf says about blocks of others is not believed.
 */
export async function saveExtents(
  context: CheckContext,
  inode: number,
  root: NodeBytes,
  strayLeaves: readonly number[],
): Promise<SavedFile> {
  const found: SavedExtent[] = [];
  const tree = await salvageTree(context, {
    inode,
    kind: TreeKind.extents,
    root,
    strayLeaves,
    visit: (view, at, key, trust) =>
      found.push({
        fileBlock: key,
        block: ExtentRecord.block.get(view, at),
        length: ExtentRecord.length.get(view, at),
        flags: ExtentRecord.flags.get(view, at) & KNOWN_FLAGS,
        trust,
      }),
  });
  const extents = arrange(context, found).flatMap((extent) => claimNew(context, inode, extent));
  return { ...tree, extents };
}

/**
 * Cuts extents to the space and the largest file, and lets of two at the same file blocks the one
 * before win.
 */
function arrange({ layout, space }: CheckContext, found: readonly SavedExtent[]): SavedExtent[] {
  const limit = MAX_FILE_BYTES / layout.blockBytes;
  const inside = found.map((extent) => {
    const trusted = extent.trust === 'checked' && space.contains(extent.block, extent.length);
    const trust: Trust = extent.trust === 'checked' && !trusted ? 'reached' : extent.trust;
    return cutToSpace({ ...extent, trust }, layout, limit);
  });
  inside.sort(
    (a, b) => a.fileBlock - b.fileBlock || Number(b.trust === 'checked') - Number(a.trust === 'checked'),
  );
  const arranged: SavedExtent[] = [];
  let end = 0;
  for (const extent of inside) {
    const overlap = Math.max(0, end - extent.fileBlock);
    const rest = part(extent, overlap, extent.length);
    if (rest.length <= 0) continue;
    arranged.push(rest);
    end = rest.fileBlock + rest.length;
  }
  return arranged;
}

function cutToSpace(extent: SavedExtent, layout: Layout, limit: number): SavedExtent {
  const { spaceStart, spaceBlocks } = layout;
  const from = Math.max(0, spaceStart - extent.block);
  const until = Math.min(extent.length, spaceStart + spaceBlocks - extent.block, limit - extent.fileBlock);
  return part(extent, from, until);
}

/** The blocks `from` to `until` − 1 of an extent. */
export function part(extent: SavedExtent, from: number, until: number): SavedExtent {
  const { fileBlock, block } = extent;
  return { ...extent, fileBlock: fileBlock + from, block: block + from, length: until - from };
}

function claimNew({ shared, space }: CheckContext, inode: number, extent: SavedExtent): SavedExtent[] {
  if (extent.trust === 'checked') return [extent];
  const conflict = space.claim(extent.block, extent.length);
  if (!conflict) return [extent];
  if (extent.trust === 'stray') return partBy(extent, conflict.ranges).filter(({ isShared }) => !isShared);
  shared.add(inode, conflict.ranges);
  return [extent];
}

export interface ExtentPart extends SavedExtent {
  readonly isShared: boolean;
}

/** Parts an extent at the borders of ranges of blocks, which are in order. */
export function partBy(extent: SavedExtent, ranges: readonly Range[]): ExtentPart[] {
  const parts: ExtentPart[] = [];
  const end = extent.block + extent.length;
  let at = extent.block;
  for (const { from, until } of ranges) {
    if (until <= at) continue;
    if (from >= end) break;
    if (from > at) parts.push({ ...part(extent, at - extent.block, from - extent.block), isShared: false });
    const start = Math.max(at, from);
    const stop = Math.min(end, until);
    parts.push({ ...part(extent, start - extent.block, stop - extent.block), isShared: true });
    at = stop;
  }
  if (at < end) parts.push({ ...part(extent, at - extent.block, extent.length), isShared: false });
  return parts;
}

/**
 * Gives an inode its own copy of what it shares with others; a hole where there is no room for one.
 * @returns the extents that are its own now
 */
export async function copyShared(
  repair: RepairContext,
  inode: number,
  extents: readonly SavedExtent[],
): Promise<SavedExtent[]> {
  const ranges = joined(repair.check.shared.of(inode));
  if (ranges.length === 0) return [...extents];
  const own: SavedExtent[] = [];
  for (const extent of extents) {
    for (const piece of partBy(extent, ranges)) {
      if (piece.isShared) own.push(...(await copyPart(repair, piece)));
      else own.push(piece);
    }
  }
  return own;
}

/** Ranges in order, those that touch or overlap as one. */
function joined(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (last && range.from <= last.until) last.until = Math.max(last.until, range.until);
    else result.push({ ...range });
  }
  return result;
}

async function copyPart(repair: RepairContext, extent: SavedExtent): Promise<SavedExtent[]> {
  const copies: SavedExtent[] = [];
  if (repair.isCoarse) return copies;
  for (let done = 0; done < extent.length; ) {
    const run = await repair.vacant.take(extent.length - done);
    if (!run) break;
    for (let i = 0; i < run.length; i++) await repair.changes.copy(extent.block + done + i, run.block + i);
    copies.push({ ...part(extent, done, done + run.length), block: run.block });
    done += run.length;
  }
  return copies;
}

/** Records for a tree, neighbours that continue each other as one. */
export function extentRecords(extents: readonly SavedExtent[]): TreeRecord[] {
  const merged: SavedExtent[] = [];
  for (const extent of extents) {
    const last = merged.at(-1);
    const continues =
      last &&
      last.fileBlock + last.length === extent.fileBlock &&
      last.block + last.length === extent.block &&
      last.flags === extent.flags &&
      last.length + extent.length < 2 ** 31;
    if (continues) last.length += extent.length;
    else merged.push({ ...extent });
  }
  return merged.map(({ fileBlock, block, length, flags }) => {
    const bytes = new Uint8Array(ExtentRecord.sizeBytes);
    const view = viewOf(bytes);
    ExtentRecord.key.set(view, 0, fileBlock);
    ExtentRecord.block.set(view, 0, block);
    ExtentRecord.flags.set(view, 0, flags);
    ExtentRecord.length.set(view, 0, length);
    return { key: fileBlock, bytes };
  });
}

/** Blocks that extents cover. */
export function blocksOf(extents: readonly SavedExtent[]): number {
  return extents.reduce((sum, { length }) => sum + length, 0);
}
