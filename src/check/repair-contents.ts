/**
 * Rewrites what a file or symbolic link holds, from what could be saved of it. Used by the stages
 * for inodes and for links.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BlockKind,
  ExtentFlag,
  HEADER_BYTES,
  INODE_BODY_OFFSET,
  Inode,
  InodeFlag,
  MAX_FILE_BYTES,
  MAX_SYMLINK_BYTES,
  OwnerHeader,
  TreeKind,
} from '../fs/format/format.ts';
import {
  blocksOf,
  copyShared,
  extentRecords,
  part,
  type SavedExtent,
  type SavedFile,
} from './file-extents.ts';
import { bodyBytes, bodyOf, type FoundInode } from './inode-record.ts';
import { bytesOf, clearInode, type RepairContext } from './repair-context.ts';
import { buildTree } from './tree-builder.ts';

/**
 * What to do where blocks lie behind the end of the file: `keep-size` leaves them there for a later
 * stage, `grow` moves the end behind those that hold data, `cut` gives all of them up.
 */
export type EndOfFile = 'keep-size' | 'grow' | 'cut';

export function setInline({ view, at }: FoundInode, inline: boolean): void {
  const flags = Inode.flags.get(view, at);
  Inode.flags.set(view, at, inline ? flags | InodeFlag.inlineData : flags & ~InodeFlag.inlineData);
}

function bodyBytesOf(found: FoundInode): Uint8Array {
  return bytesOf(found).subarray(INODE_BODY_OFFSET, INODE_BODY_OFFSET + bodyBytes(found));
}

/**
 * Counts the blocks of an inode: these, and those of its attributes. Where the latter are not known
 * yet a later round sets it right.
 */
export function setBlocks({ check }: RepairContext, { view, at, inode }: FoundInode, blocks: number): void {
  Inode.blocks.set(view, at, blocks + (check.inodes.blocksOfAttributes(inode) ?? 0));
}

/** Gives a file the extents that were saved; blocks of others are copied. */
export async function rewriteFile(
  repair: RepairContext,
  found: FoundInode,
  saved: SavedFile,
  end: EndOfFile,
): Promise<void> {
  const { view, at } = found;
  const { blockBytes } = repair.check.layout;
  let extents = await copyShared(repair, found.inode, saved.extents);
  let size = Inode.size.get(view, at);
  if (end === 'cut') extents = cutAt(extents, Math.ceil(size / blockBytes));
  const last = extents.findLast(({ flags }) => (flags & ExtentFlag.unwritten) === 0);
  const endBytes = last ? (last.fileBlock + last.length) * blockBytes : 0;
  if (size > MAX_FILE_BYTES || end === 'grow') size = Math.max(endBytes, size > MAX_FILE_BYTES ? 0 : size);
  await writeExtents(repair, found, extents, saved.nodes);
  Inode.size.set(view, at, size);
}

/** The extents before a file block. */
function cutAt(extents: readonly SavedExtent[], end: number): SavedExtent[] {
  return extents
    .filter(({ fileBlock }) => fileBlock < end)
    .map((extent) => part(extent, 0, Math.min(extent.length, end - extent.fileBlock)));
}

/**
 * Writes the tree and counts the blocks. Without room for it the file keeps the extents that fit
 * its inode.
 */
async function writeExtents(
  repair: RepairContext,
  found: FoundInode,
  extents: readonly SavedExtent[],
  oldNodes: readonly number[],
): Promise<void> {
  const plan = { inode: found.inode, kind: TreeKind.extents, root: bodyOf(found), oldNodes };
  let kept = extents;
  let nodes = await buildTree(repair, { ...plan, records: extentRecords(kept) });
  while (nodes === undefined) {
    kept = kept.slice(0, Math.floor(kept.length / 2));
    nodes = await buildTree(repair, { ...plan, records: extentRecords(kept) });
  }
  setBlocks(repair, found, blocksOf(kept) + nodes);
}

/**
 * Gives a symbolic link the target that can still be read, up to the first NUL; clears one that has
 * none.
 */
export async function rewriteSymlink(
  repair: RepairContext,
  found: FoundInode,
  saved: SavedFile | undefined,
): Promise<void> {
  const whole = saved ? await savedTarget(repair, found, saved) : bodyBytesOf(found).slice();
  const size = Math.min(Inode.size.get(found.view, found.at), whole.length, MAX_SYMLINK_BYTES);
  const text = upToNul(whole.subarray(0, size === 0 ? MAX_SYMLINK_BYTES : size));
  const written = text.length > 0 && (await writeTarget(repair, found, text));
  if (!written) await clearInode(repair, found.inode);
}

function upToNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** The parts of the target that are there, from the first to the first that is not. */
async function savedTarget(repair: RepairContext, found: FoundInode, saved: SavedFile): Promise<Uint8Array> {
  const { layout, reader } = repair.check;
  const perBlock = layout.blockBytes - HEADER_BYTES;
  const parts: Uint8Array[] = [];
  for (const { fileBlock, block, length } of saved.extents) {
    for (let i = 0; i < length; i++) {
      if (fileBlock + i !== parts.length || parts.length * perBlock >= MAX_SYMLINK_BYTES)
        return joined(parts);
      const bytes = await reader.peek(block + i, BlockKind.symlink);
      if (!bytes || OwnerHeader.owner.get(viewOf(bytes), 0) !== found.inode) return joined(parts);
      parts.push(bytes.subarray(HEADER_BYTES));
    }
  }
  return joined(parts);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const bytes of parts) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

async function writeTarget(repair: RepairContext, found: FoundInode, text: Uint8Array): Promise<boolean> {
  const { view, at } = found;
  const bytes = bodyBytesOf(found);
  if (text.length <= bytes.length) {
    const copy = text.slice();
    bytes.fill(0);
    bytes.set(copy);
    setInline(found, true);
    setBlocks(repair, found, 0);
  } else if (!(await writeTargetBlocks(repair, found, text))) return false;
  Inode.size.set(view, at, text.length);
  return true;
}

async function writeTargetBlocks(
  repair: RepairContext,
  found: FoundInode,
  text: Uint8Array,
): Promise<boolean> {
  const perBlock = repair.check.layout.blockBytes - HEADER_BYTES;
  const extents: SavedExtent[] = [];
  for (let from = 0; from < text.length; from += perBlock) {
    const block = await repair.vacant.takeOne();
    if (block === undefined) return false;
    const bytes = repair.changes.create(block, BlockKind.symlink);
    OwnerHeader.owner.set(viewOf(bytes), 0, found.inode);
    bytes.set(text.subarray(from, from + perBlock), HEADER_BYTES);
    extents.push({ fileBlock: extents.length, block, length: 1, flags: 0, trust: 'checked' });
  }
  setInline(found, false);
  await writeExtents(repair, found, extents, []);
  return true;
}
