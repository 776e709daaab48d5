/**
 * Stage `inodes`: fields that make no sense, the contents of files and symbolic links, and the
 * inode bitmaps.
 *
 * What can be saved of all broken files is saved, and its blocks claimed, before the first block is
 * taken for anything new. An inode of which nothing can be told any more is cleared; its name goes
 * in a later stage.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BitmapHeader,
  BlockKind,
  BranchRecord,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  Inode,
  InodeFlag,
  NO_ID,
  NodeHeader,
  OwnerHeader,
  TreeKind,
  UNMAPPED_ID,
  VolumeRoot,
} from '../fs/format/format.ts';
import { attributePlaceFlaw } from './attribute-pass.ts';
import { type SavedFile, saveExtents } from './file-extents.ts';
import {
  bodyBytes,
  bodyOf,
  type FoundInode,
  GENERATION_LIMIT,
  KNOWN_FLAGS,
  NANOSECONDS,
  OWNERS,
  TIMES,
  TYPES,
} from './inode-record.ts';
import { scanForStrays } from './metadata-scan.ts';
import { rewriteFile, rewriteSymlink, setBlocks, setInline } from './repair-contents.ts';
import { clearInode, editInode, type RepairContext } from './repair-context.ts';
import { fillNode, type TreeRecord } from './tree-builder.ts';
import { inspectNode, type NodeBytes, type NodeContents, recordLength } from './tree-node.ts';

/** Problems after which parts of a tree may lie about without a way to them. */
const LOSES_NODES = [
  'tree-header',
  'tree-level',
  'tree-child',
  'block-unreadable',
  'block-magic',
  'block-kind',
  'block-number',
  'block-uuid',
  'block-shared',
  'quota-tree',
] as const;

/**
 * Problems of a single inode after which its size or the way its contents are kept may have to
 * change with them.
 */
const CONCERNS_SHAPE = [
  'inode-size',
  'inode-flags',
  'inode-mode',
  'inode-attributes',
  'inode-blocks',
] as const;

export async function repairInodes(repair: RepairContext): Promise<void> {
  const { check, changes } = repair;
  const suspects = [...check.log.suspects('inodes')].filter((inode) => inode !== 0).sort((a, b) => a - b);
  const strays = await findStrayLeaves(repair, new Set(suspects), BlockKind.extentNode);
  const saved = new Map<number, SavedFile>();
  for (const inode of suspects) {
    const found = await editInode(repair, inode);
    if (!found) continue;
    if (repair.isCoarse || !repairFields(repair, found)) {
      await clearInode(repair, inode);
      continue;
    }
    if (holdsExtents(found) && needsContents(repair, inode))
      saved.set(inode, await saveExtents(check, inode, bodyOf(found), strays.get(inode) ?? []));
    await changes.settle();
  }
  for (const inode of suspects) {
    const found = check.inodes.mode(inode) === 0 ? undefined : await editInode(repair, inode);
    if (!found) continue;
    await repairContents(repair, found, saved.get(inode));
    saved.delete(inode);
    await changes.settle();
  }
  await clearInodeZero(repair);
  await repairGeneration(repair);
  await repairBitmaps(repair);
}

function needsContents({ check: { log } }: RepairContext, inode: number): boolean {
  return log.brokenContents.has(inode) || CONCERNS_SHAPE.some((code) => log.codes.has(code));
}

/**
 * The leaves of these inodes to which no way leads. They are claimed, so that nothing new goes
 * there.
 */
export async function findStrayLeaves(
  { check }: RepairContext,
  inodes: ReadonlySet<number>,
  kind: number,
): Promise<Map<number, number[]>> {
  const strays = new Map<number, number[]>();
  if (!LOSES_NODES.some((code) => check.log.codes.has(code))) return strays;
  await scanForStrays(check, [kind], (block, _, bytes) => {
    const owner = OwnerHeader.owner.get(viewOf(bytes), 0);
    // Read as a leaf, an inner node would tell of records that never were.
    if (!inodes.has(owner) || NodeHeader.level.get(viewOf(bytes), HEADER_BYTES) !== 0) return;
    check.space.claim(block, 1);
    const known = strays.get(owner);
    if (known) known.push(block);
    else strays.set(owner, [block]);
  });
  return strays;
}

function typeOf({ view, at }: FoundInode): number {
  return Inode.mode.get(view, at) & FILE_TYPE_MASK;
}

function isInline({ view, at }: FoundInode): boolean {
  return (Inode.flags.get(view, at) & InodeFlag.inlineData) !== 0;
}

/** Whether the body is the root of an extent tree. */
export function holdsExtents(found: FoundInode): boolean {
  const type = typeOf(found);
  return (type === FileType.regular || type === FileType.symlink) && !isInline(found);
}

/**
 * Makes the fields of an inode possible, each by itself.
 * @returns false if nobody can tell what it was
 */
function repairFields(repair: RepairContext, found: FoundInode): boolean {
  const { check } = repair;
  const { view, at, inode } = found;
  const isUnknown = !TYPES.has(typeOf(found));
  if ((isUnknown || contradictsBody(found)) && !guessType(found)) return false;
  const rules = TYPES.get(typeOf(found));
  if (!rules) return false;
  Inode.number.set(view, at, inode);
  if (!check.hasAttributes || attributePlaceFlaw(found) !== undefined) dropAttributes(found);
  const flags = Inode.flags.get(view, at) & KNOWN_FLAGS;
  Inode.flags.set(view, at, rules.body === 'extents' ? flags : flags & ~InodeFlag.inlineData);
  if (Inode.generation.get(view, at) >= GENERATION_LIMIT) Inode.generation.set(view, at, 0);
  for (const [, field] of OWNERS) if (field.get(view, at) === NO_ID) field.set(view, at, UNMAPPED_ID);
  for (const [, field] of TIMES) if (field.get(view, at) >= NANOSECONDS) field.set(view, at, 0);
  if (rules.body === 'extents') chooseShape(found, check.inodes.blocksOfAttributes(found.inode) ?? 0);
  else repairSize(repair, found, rules.mostSize);
  check.inodes.changeMode(inode, Inode.mode.get(view, at));
  return true;
}

/** An inode without attributes; the root node in its body has all of the body. */
function dropAttributes(found: FoundInode): void {
  const { view, at } = found;
  const body = bodyOf(found);
  const kind = NodeHeader.kind.get(view, body.at) as TreeKind;
  const isTree = !isInline(found) && KINDS.includes(kind);
  const contents = isTree ? inspectNode(body, kind) : 'none';
  const records = typeof contents === 'string' ? [] : recordsOf(body, kind, contents);
  const after = { ...body, length: INODE_BODY_BYTES };
  new Uint8Array(view.buffer, view.byteOffset + body.at + body.length, after.length - body.length).fill(0);
  if (typeof contents !== 'string') fillNode(after, kind, contents.level, records);
  Inode.attributeBlock.set(view, at, 0);
  Inode.inlineAttributeBytes.set(view, at, 0);
}

const KINDS: readonly number[] = [TreeKind.extents, TreeKind.directory];

function recordsOf(region: NodeBytes, kind: TreeKind, { level, records }: NodeContents): TreeRecord[] {
  const { view } = region;
  return records.map((at) => {
    const length = recordLength(region, at, kind, level) ?? 0;
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, length).slice();
    return { key: BranchRecord.key.get(view, at), bytes };
  });
}

/** A file that holds no extents but the entries of a directory is a directory. */
function contradictsBody(found: FoundInode): boolean {
  if (!holdsExtents(found)) return false;
  const body = bodyOf(found);
  const isTree = (kind: TreeKind) => typeof inspectNode(body, kind) !== 'string';
  return isTree(TreeKind.directory) && !isTree(TreeKind.extents);
}

/** Takes the type from the tree that the body holds. */
function guessType(found: FoundInode): boolean {
  const body = bodyOf(found);
  const mode = Inode.mode.get(found.view, found.at) & ~FILE_TYPE_MASK;
  for (const [kind, type] of [
    [TreeKind.directory, FileType.directory],
    [TreeKind.extents, FileType.regular],
  ] as const) {
    if (typeof inspectNode(body, kind) === 'string') continue;
    Inode.mode.set(found.view, found.at, mode | type);
    return true;
  }
  return false;
}

function repairSize(repair: RepairContext, found: FoundInode, most: number): void {
  const { view, at } = found;
  if (Inode.size.get(view, at) > most) Inode.size.set(view, at, 0);
  if (most === 0) setBlocks(repair, found, 0);
}

/** Whether the body holds data or a tree, where the flag cannot be right. */
function chooseShape(found: FoundInode, attributeBlocks: number): void {
  const { view, at } = found;
  const body = bodyOf(found);
  const isTree = typeof inspectNode(body, TreeKind.extents) !== 'string';
  const size = Inode.size.get(view, at);
  const room = bodyBytes(found);
  const blocks = Inode.blocks.get(view, at);
  if (isInline(found) && size > room && isTree) setInline(found, false);
  else if (!isInline(found) && !isTree && size <= room && blocks === attributeBlocks) setInline(found, true);
}

async function repairContents(
  repair: RepairContext,
  found: FoundInode,
  saved: SavedFile | undefined,
): Promise<void> {
  const type = typeOf(found);
  if (type === FileType.symlink) {
    if (saved || isInline(found)) await rewriteSymlink(repair, found, saved);
  } else if (type === FileType.regular) {
    if (isInline(found)) repairInline(repair, found);
    else if (saved) await rewriteFile(repair, found, saved, 'keep-size');
  }
}

/** Inline data of a file: the size is at most the room, and what follows is zero. */
function repairInline(repair: RepairContext, found: FoundInode): void {
  const { view, at } = found;
  const size = Math.min(Inode.size.get(view, at), bodyBytes(found));
  Inode.size.set(view, at, size);
  setBlocks(repair, found, 0);
  const body = bodyOf(found);
  new Uint8Array(view.buffer, view.byteOffset + body.at + size, body.length - size).fill(0);
}

/** There is no inode 0; its record is empty. */
async function clearInodeZero(repair: RepairContext): Promise<void> {
  if (!repair.check.log.suspects('inodes').has(0)) return;
  const place = repair.table.locate(0);
  if (!place) return;
  const bytes = await repair.changes.edit(place.block);
  bytes.fill(0, place.offset, place.offset + Inode.sizeBytes);
}

async function repairGeneration({ check, changes, root }: RepairContext): Promise<void> {
  const next = check.inodes.highestGeneration + 1;
  if (!root || root.nextGeneration >= next) return;
  const bytes = await changes.edit(check.layout.volumeRootBlock);
  VolumeRoot.nextGeneration.set(viewOf(bytes), 0, next);
}

/** Makes every inode bitmap anew where it does not say what the records say. */
async function repairBitmaps(repair: RepairContext): Promise<void> {
  const { check, changes, table } = repair;
  for (const [chunk] of table.chunks()) {
    const block = table.bitmapOf(chunk);
    if (block === undefined) continue;
    const before = await check.reader.peek(block, BlockKind.inodeBitmap);
    const after = chunkBitmap(repair, chunk);
    if (before && sameBits(before, after)) continue;
    const bytes = before ? await changes.edit(block) : changes.replace(block, BlockKind.inodeBitmap);
    bytes.set(after.subarray(HEADER_BYTES), HEADER_BYTES);
    const view = viewOf(bytes);
    BitmapHeader.used.set(view, 0, BitmapHeader.used.get(viewOf(after), 0));
    BitmapHeader.firstFree.set(view, 0, BitmapHeader.firstFree.get(viewOf(after), 0));
    await changes.settle();
  }
}

function sameBits(before: Uint8Array, after: Uint8Array): boolean {
  const same = Buffer.compare(before.subarray(HEADER_BYTES), after.subarray(HEADER_BYTES)) === 0;
  const used = BitmapHeader.used.get(viewOf(before), 0) === BitmapHeader.used.get(viewOf(after), 0);
  const firstFree = BitmapHeader.firstFree.get(viewOf(before), 0);
  return same && used && firstFree <= BitmapHeader.firstFree.get(viewOf(after), 0);
}

/** The bitmap of a chunk as the inodes that are in use would have it. */
function chunkBitmap({ check }: RepairContext, chunk: number): Uint8Array {
  const { blockBytes, bitsPerBlock } = check.layout;
  const bytes = new Uint8Array(blockBytes);
  let used = 0;
  let firstFree = bitsPerBlock;
  for (let index = 0; index < bitsPerBlock; index++) {
    const inode = chunk * bitsPerBlock + index;
    if (inode === 0 || check.inodes.mode(inode) !== 0) {
      const at = HEADER_BYTES + (index >>> 3);
      bytes[at] = (bytes[at] ?? 0) | (1 << (index & 7));
      used++;
    } else firstFree = Math.min(firstFree, index);
  }
  BitmapHeader.used.set(viewOf(bytes), 0, used);
  BitmapHeader.firstFree.set(viewOf(bytes), 0, firstFree);
  return bytes;
}
