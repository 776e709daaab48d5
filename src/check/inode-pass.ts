/**
 * Pass 5: every chunk of the inode table, its bitmap, and every inode in it.
 *
 * Where a bitmap is missing or unreadable the records speak for themselves: a mode that is not 0 is
 * in use.
 */
import { BitSet } from 'bitset';
import { viewOf } from '../common/bytes.ts';
import {
  BitmapHeader,
  BlockKind,
  HEADER_BYTES,
  INODE_BYTES,
  Inode,
  MAX_INODES,
} from '../fs/format/format.ts';
import { lowestClear } from './claimed-blocks.ts';
import { type CheckContext, forEachConcurrently } from './context.ts';
import type { InodePlaces, TablePiece } from './inode-places.ts';
import { checkInode } from './inode-record.ts';
import type { RootFacts } from './root-pass.ts';

/** Runs of inode blocks looked at together, … */
const WIDTH = 16;
/** … and how long a run is. */
const RUN_BYTES = 65536;

/** One chunk while it is checked. */
interface Chunk {
  readonly number: number;
  /** Bits set for inodes in use; undefined if there is no bitmap to be had. */
  readonly bits: BitSet | undefined;
  /** Bits of inodes whose block was found. */
  readonly present: Uint8Array;
}

/** Runs the pass. */
export async function checkInodes(context: CheckContext, table: InodePlaces, root: RootFacts): Promise<void> {
  const { log } = context;
  log.pass = 'inodes';
  const total = table.blocks;
  let done = 0;
  let firstFree = -1;
  let expectedChunk = 0;
  for (const [number, pieces] of table.chunks()) {
    if (number > expectedChunk && firstFree < 0) firstFree = expectedChunk;
    expectedChunk = number + 1;
    const chunk = await checkChunk(context, number, pieces, root, (blocks) => {
      done += blocks;
      context.progress(done, total);
    });
    if (firstFree < 0 && (!chunk.bits || lowestClear(chunk.bits) < context.layout.bitsPerBlock))
      firstFree = number;
  }
  compareWithRoot(context, root, firstFree < 0 ? expectedChunk : firstFree);
}

function compareWithRoot({ log, inodes }: CheckContext, root: RootFacts, firstFree: number): void {
  if (root.inodeCount !== inodes.count) {
    log.report('root-count', { found: root.inodeCount, expected: inodes.count });
  }
  if (root.firstFreeChunk > firstFree) {
    log.report('root-first-free-chunk', { found: root.firstFreeChunk, expected: firstFree });
  }
}

async function checkChunk(
  context: CheckContext,
  number: number,
  pieces: readonly TablePiece[],
  root: RootFacts,
  progress: (blocks: number) => void,
): Promise<Chunk> {
  const bits = await readChunkBitmap(context, number, pieces[0]);
  const chunk = { number, bits, present: new Uint8Array(context.layout.inodeBlocksPerChunk) };
  const most = Math.max(1, RUN_BYTES / context.layout.blockBytes);
  await forEachConcurrently(inodeRuns(pieces, most), WIDTH, async (run) => {
    await checkInodeRun(context, chunk, run, root);
    progress(run.length);
  });
  checkHoles(context, chunk);
  return chunk;
}

/** The inode blocks of a chunk, in runs of at most `most`. */
function* inodeRuns(pieces: readonly TablePiece[], most: number): Generator<TablePiece> {
  for (const { chunkBlock, block, length } of pieces) {
    for (let from = chunkBlock === 0 ? 1 : 0; from < length; from += most) {
      yield { chunkBlock: chunkBlock + from, block: block + from, length: Math.min(most, length - from) };
    }
  }
}

async function readChunkBitmap(
  context: CheckContext,
  chunk: number,
  piece: TablePiece | undefined,
): Promise<BitSet | undefined> {
  const { log, reader } = context;
  if (piece?.chunkBlock !== 0) {
    log.report('chunk-bitmap-missing', { what: chunk });
    return undefined;
  }
  const bytes = await reader.read(piece.block, {
    kind: BlockKind.inodeBitmap,
    what: `inode bitmap of chunk ${chunk}`,
    stage: 'table',
  });
  if (!bytes) return undefined;
  const bits = new BitSet(bytes.subarray(HEADER_BYTES));
  checkBitmapHeader(context, chunk, viewOf(bytes), bits, piece.block);
  if (chunk === 0 && bits.get(0) === 0) log.report('inode-zero');
  return bits;
}

function checkBitmapHeader(
  { log }: CheckContext,
  chunk: number,
  view: DataView,
  bits: BitSet,
  block: number,
): void {
  const used = BitmapHeader.used.get(view, 0);
  const expected = bits.cardinality();
  if (used !== expected) log.report('chunk-used', { what: chunk, found: used, expected, block });
  const firstFree = BitmapHeader.firstFree.get(view, 0);
  const lowest = lowestClear(bits);
  if (firstFree > lowest)
    log.report('chunk-first-free', { what: chunk, found: firstFree, expected: lowest, block });
}

async function checkInodeRun(
  context: CheckContext,
  chunk: Chunk,
  run: TablePiece,
  root: RootFacts,
): Promise<void> {
  const { layout, reader } = context;
  const base = (index: number) =>
    chunk.number * layout.bitsPerBlock + (run.chunkBlock - 1 + index) * layout.inodesPerBlock;
  const blocks = await reader.readRun(run.block, run.length, (index) => ({
    kind: BlockKind.inodes,
    what: `inodes ${base(index)} and on`,
    stage: 'table',
  }));
  for (const [index, bytes] of blocks.entries()) {
    chunk.present[run.chunkBlock - 1 + index] = 1;
    if (bytes) await checkInodeBlock(context, chunk, base(index), run.block + index, bytes, root);
  }
}

async function checkInodeBlock(
  context: CheckContext,
  chunk: Chunk,
  base: number,
  block: number,
  bytes: Uint8Array,
  root: RootFacts,
): Promise<void> {
  const { layout } = context;
  const view = viewOf(bytes);
  const found = firstInodeOf(view, layout.inodesPerBlock);
  if (found !== undefined && found !== base) {
    context.log.report('table-inode-block', { inode: found, expected: base, block });
    return;
  }
  const firstIndex = base - chunk.number * layout.bitsPerBlock;
  for (let i = 0; i < layout.inodesPerBlock; i++) {
    const inode = base + i;
    const at = HEADER_BYTES + i * INODE_BYTES;
    if (!isInUse(context, chunk, inode, firstIndex + i, Inode.mode.get(view, at))) continue;
    const checked = checkInode(context, { inode, view, at, block }, root.nextGeneration);
    if (checked) await checked;
  }
}

/**
 * The number of the first inode of a block, as at least two inodes in it agree that it is;
 * undefined if they do not. One alone that has another number is more likely to be wrong itself.
 */
export function firstInodeOf(view: DataView, inodesPerBlock: number): number | undefined {
  let first: number | undefined;
  let votes = 0;
  for (let i = 0; i < inodesPerBlock; i++) {
    const at = HEADER_BYTES + i * INODE_BYTES;
    if (Inode.mode.get(view, at) === 0) continue;
    const base = Inode.number.get(view, at) - i;
    first ??= base;
    if (base !== first || base < 0 || base >= MAX_INODES || base % inodesPerBlock !== 0) return undefined;
    votes++;
  }
  return votes > 1 ? first : undefined;
}

/** Whether to take the record as an inode in use; reports where record and bitmap do not agree. */
function isInUse({ log }: CheckContext, chunk: Chunk, inode: number, index: number, mode: number): boolean {
  const marked = chunk.bits ? chunk.bits.get(index) === 1 : mode !== 0;
  if (inode === 0) {
    if (mode !== 0) log.report('inode-unmarked', { inode });
    return false;
  }
  if (marked && mode === 0) log.report('inode-unused-bit', { inode });
  if (!marked && mode !== 0) log.report('inode-unmarked', { inode });
  return mode !== 0;
}

function checkHoles({ log, layout }: CheckContext, chunk: Chunk): void {
  if (!chunk.bits) return;
  for (const index of chunk.bits.toArray()) {
    const inode = chunk.number * layout.bitsPerBlock + index;
    const blockIndex = Math.floor(index / layout.inodesPerBlock);
    if (inode !== 0 && !chunk.present[blockIndex]) log.report('inode-no-block', { inode });
  }
}
