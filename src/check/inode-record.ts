/**
 * One inode in use: its fields by themselves, and the extents of files. Trees of directories are
 * left to the pass of directories, which needs the types of all inodes.
 */
import {
  ExtentFlag,
  FILE_TYPE_MASK,
  FileType,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_FLAGS,
  Inode,
  InodeFlag,
  MAX_FILE_BYTES,
  MAX_SYMLINK_BYTES,
  NO_ID,
} from '../fs/format/format.ts';
import { attributePlaceFlaw, hasAttributes } from './attribute-pass.ts';
import type { CheckContext, CheckStatistics } from './context.ts';
import { type Extent, type ExtentWalkResult, walkExtents } from './extent-walk.ts';
import { checkSymlinkBlocks, symlinkBlocks } from './symlink-check.ts';
import type { NodeBytes } from './tree-node.ts';

export const KNOWN_FLAGS = INODE_FLAGS;
export const NANOSECONDS = 1_000_000_000;
/** Generations are counted up by one for each inode made; none comes near this. */
export const GENERATION_LIMIT = 2 ** 52;

/** What an inode of each type may be. */
export interface TypeRules {
  readonly counter: keyof Pick<CheckStatistics, 'files' | 'directories' | 'symlinks' | 'specials'>;
  /** What the body holds where the inlineData flag is not set. */
  readonly body: 'extents' | 'directory' | 'nothing';
  readonly leastSize: number;
  readonly mostSize: number;
}

const SPECIAL: TypeRules = { counter: 'specials', body: 'nothing', leastSize: 0, mostSize: 0 };
export const TYPES: ReadonlyMap<number, TypeRules> = new Map<number, TypeRules>([
  [FileType.regular, { counter: 'files', body: 'extents', leastSize: 0, mostSize: MAX_FILE_BYTES }],
  [FileType.directory, { counter: 'directories', body: 'directory', leastSize: 0, mostSize: 2 ** 52 }],
  [FileType.symlink, { counter: 'symlinks', body: 'extents', leastSize: 1, mostSize: MAX_SYMLINK_BYTES }],
  [FileType.fifo, SPECIAL],
  [FileType.socket, SPECIAL],
  [FileType.characterDevice, SPECIAL],
  [FileType.blockDevice, SPECIAL],
]);

export const TIMES = [
  ['access', Inode.accessNanoseconds],
  ['modify', Inode.modifyNanoseconds],
  ['change', Inode.changeNanoseconds],
  ['birth', Inode.birthNanoseconds],
] as const;

export const OWNERS = [
  ['user', Inode.uid],
  ['group', Inode.gid],
] as const;

/** An inode as it stands in a block. */
export interface FoundInode {
  readonly inode: number;
  readonly view: DataView;
  readonly at: number;
  /** Block that holds it. */
  readonly block: number;
}

/** Bytes of the body that a tree or inline data may use. */
export function bodyBytes(found: FoundInode): number {
  if (attributePlaceFlaw(found) !== undefined) return INODE_BODY_BYTES;
  return INODE_BODY_BYTES - Inode.inlineAttributeBytes.get(found.view, found.at);
}

/** The body, as far as a tree or inline data may use it. */
export function bodyOf(found: FoundInode): NodeBytes {
  return { view: found.view, at: found.at + INODE_BODY_OFFSET, length: bodyBytes(found) };
}

/**
 * Checks the inode and remembers its facts. Its mode is not 0.
 * @returns a promise only where blocks have to be read for it
 */
export function checkInode(
  context: CheckContext,
  found: FoundInode,
  nextGeneration: number,
): Promise<void> | undefined {
  const { view, at, inode } = found;
  const { log, statistics } = context;
  const mode = Inode.mode.get(view, at);
  const rules = TYPES.get(mode & FILE_TYPE_MASK);
  statistics.inodes++;
  rememberInode(context, found, mode);
  if (context.hasQuotas) context.inodes.quotas.add(found);
  if (!rules) {
    log.report('inode-mode', { inode, found: `0${mode.toString(8)}` });
    return undefined;
  }
  statistics[rules.counter]++;
  checkFields(context, found, rules);
  const generation = Inode.generation.get(view, at);
  if (generation >= GENERATION_LIMIT) log.report('inode-generation', { inode, found: generation });
  else context.inodes.highestGeneration = Math.max(context.inodes.highestGeneration, generation);
  if (generation >= nextGeneration && generation < GENERATION_LIMIT) {
    log.report('root-generation', { inode, found: generation, expected: nextGeneration });
  }
  if ((Inode.flags.get(view, at) & InodeFlag.inlineData) !== 0) checkInline(context, found, rules);
  else if (rules.counter === 'symlinks') return checkLongSymlink(context, found);
  else if (rules.body === 'extents') return checkExtents(context, found);
  else if (rules.body === 'nothing') checkBlocks(context, found, 0);
  return undefined;
}

function rememberInode({ inodes }: CheckContext, { view, at, inode }: FoundInode, mode: number): void {
  const linkCount = Inode.linkCount.get(view, at);
  inodes.add(inode, mode, linkCount);
  const next = Inode.nextOrphan.get(view, at);
  const previous = Inode.previousOrphan.get(view, at);
  if (linkCount === 0 || next !== 0 || previous !== 0) inodes.orphans.set(inode, { next, previous });
  if ((mode & FILE_TYPE_MASK) !== FileType.directory) return;
  inodes.directories.set(inode, {
    parent: Inode.parent.get(view, at),
    size: Inode.size.get(view, at),
    blocks: Inode.blocks.get(view, at),
    namedIn: 0,
    namedByParent: false,
    subdirectories: 0,
  });
}

function checkFields(context: CheckContext, found: FoundInode, rules: TypeRules): void {
  const { view, at, inode } = found;
  const { log } = context;
  const number = Inode.number.get(view, at);
  if (number !== inode) log.report('inode-number', { inode, found: number });
  const flags = Inode.flags.get(view, at);
  const inlineAllowed = rules.body === 'extents';
  if ((flags & ~KNOWN_FLAGS) !== 0 || ((flags & InodeFlag.inlineData) !== 0 && !inlineAllowed)) {
    log.report('inode-flags', { inode, found: flags });
  }
  const size = Inode.size.get(view, at);
  if (size < rules.leastSize || size > rules.mostSize) {
    log.report('inode-size', {
      inode,
      found: size,
      what: `allowed are ${rules.leastSize} to ${rules.mostSize}`,
    });
  }
  checkAttributePlace(context, found);
  for (const [what, field] of OWNERS) {
    const id = field.get(view, at);
    if (id === NO_ID) log.report('inode-owner', { inode, what, found: id });
  }
  for (const [what, field] of TIMES) {
    const nanoseconds = field.get(view, at);
    if (nanoseconds >= NANOSECONDS) log.report('inode-time', { inode, what, found: nanoseconds });
  }
}

/** Attributes that are somewhere possible are left to their own pass. */
function checkAttributePlace(
  { hasAttributes: areAllowed, inodes, log }: CheckContext,
  found: FoundInode,
): void {
  if (!hasAttributes(found)) return;
  const { inode } = found;
  const flaw = areAllowed ? attributePlaceFlaw(found) : 'by its superblock the volume has none';
  if (flaw !== undefined) log.report('inode-attributes', { inode, what: flaw });
  else inodes.attributed.set(inode, undefined);
}

function checkInline(context: CheckContext, found: FoundInode, rules: TypeRules): void {
  const { view, at, inode } = found;
  const { log } = context;
  checkBlocks(context, found, 0);
  const size = Inode.size.get(view, at);
  const room = bodyBytes(found);
  if (size > room) {
    log.report('inode-size', { inode, found: size, what: `its inline data has room for ${room} bytes` });
    return;
  }
  const body = new Uint8Array(view.buffer, view.byteOffset + at + INODE_BODY_OFFSET, room);
  if (rules.counter === 'symlinks' && body.subarray(0, size).includes(0))
    log.report('symlink-target', { inode });
  if (!isZero(body.subarray(size))) log.report('inode-inline-tail', { inode });
}

const ZEROS = new Uint8Array(INODE_BODY_BYTES);

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

/**
 * Walks the extents of a file or long symbolic link.
 * @returns undefined where a part had to be left out
 */
async function walkBody(
  context: CheckContext,
  found: FoundInode,
  keep?: (extent: Extent) => void,
  knownFlags = 0,
): Promise<ExtentWalkResult | undefined> {
  const { inode, block: rootBlock } = found;
  const walked = await walkExtents(context, { inode, root: bodyOf(found), rootBlock, knownFlags }, keep);
  context.statistics.extents += walked.extents;
  context.statistics.dataBlocks += walked.dataBlocks;
  if (!walked.complete) return undefined;
  checkBlocks(context, found, walked.dataBlocks + walked.nodeBlocks);
  return walked;
}

async function checkExtents(context: CheckContext, found: FoundInode): Promise<void> {
  const knownFlags = context.hasUnwritten ? ExtentFlag.unwritten : 0;
  const walked = await walkBody(context, found, undefined, knownFlags);
  if (!walked) return;
  const { view, at, inode } = found;
  const expected = Math.ceil(Inode.size.get(view, at) / context.layout.blockBytes);
  // Allowed while a truncation is under way, which only the orphan list can tell.
  if (walked.dataEnd > expected) context.inodes.beyondEnd.set(inode, { found: walked.dataEnd, expected });
}

async function checkLongSymlink(context: CheckContext, found: FoundInode): Promise<void> {
  const { view, at, inode } = found;
  const size = Inode.size.get(view, at);
  const extents: Extent[] = [];
  const walked = await walkBody(context, found, (extent) => extents.push(extent));
  if (!walked || size > MAX_SYMLINK_BYTES) return;
  const expected = symlinkBlocks(size, context.layout.blockBytes);
  if (walked.dataEnd <= expected) await checkSymlinkBlocks(context, inode, size, extents);
  else if (Inode.linkCount.get(view, at) > 0)
    context.log.report('symlink-end', { inode, found: walked.dataEnd, expected });
}

/** Of an inode with attributes the pass of those compares what it counts. */
function checkBlocks({ inodes, log }: CheckContext, { view, at, inode }: FoundInode, expected: number): void {
  if (inodes.attributed.has(inode)) {
    inodes.attributed.set(inode, expected);
    return;
  }
  const found = Inode.blocks.get(view, at);
  if (found !== expected) log.report('inode-blocks', { inode, found, expected });
}
