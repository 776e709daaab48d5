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
  context.log.pass = 'inodes';
  await new InodePass(context, table, root).run();
}

class InodePass {
  /** Blocks looked at. */
  #done = 0;

  constructor(
    private readonly context: CheckContext,
    private readonly table: InodePlaces,
    private readonly root: RootFacts,
  ) {}

  async run(): Promise<void> {
    let firstFree = -1;
    let expectedChunk = 0;
    for (const [number, pieces] of this.table.chunks()) {
      if (number > expectedChunk && firstFree < 0) firstFree = expectedChunk;
      expectedChunk = number + 1;
      const { bits } = await this.#checkChunk(number, pieces);
      if (firstFree < 0 && (!bits || lowestClear(bits) < this.context.layout.bitsPerBlock))
        firstFree = number;
    }
    compareWithRoot(this.context, this.root, firstFree < 0 ? expectedChunk : firstFree);
  }

  async #checkChunk(number: number, pieces: readonly TablePiece[]): Promise<Chunk> {
    const { context } = this;
    const bits = await readChunkBitmap(context, number, pieces[0]);
    const chunk = { number, bits, present: new Uint8Array(context.layout.inodeBlocksPerChunk) };
    const most = Math.max(1, RUN_BYTES / context.layout.blockBytes);
    await forEachConcurrently(inodeRuns(pieces, most), WIDTH, async (run) => {
      await this.#checkRun(chunk, run);
      this.#done += run.length;
      context.progress(this.#done, this.table.blocks);
    });
    checkHoles(context, chunk);
    return chunk;
  }

  async #checkRun(chunk: Chunk, run: TablePiece): Promise<void> {
    const { layout, reader } = this.context;
    const base = (index: number) =>
      chunk.number * layout.bitsPerBlock + (run.chunkBlock - 1 + index) * layout.inodesPerBlock;
    const blocks = await reader.readRun(run.block, run.length, (index) => ({
      kind: BlockKind.inodes,
      what: `inodes ${base(index)} and on`,
      stage: 'table',
    }));
    for (const [index, bytes] of blocks.entries()) {
      chunk.present[run.chunkBlock - 1 + index] = 1;
      if (bytes) await this.#checkBlock(chunk, base(index), run.block + index, bytes);
    }
  }

  /** @param base the number of the first inode in the block */
  async #checkBlock(chunk: Chunk, base: number, block: number, bytes: Uint8Array): Promise<void> {
    const { context } = this;
    const { layout } = context;
    const view = viewOf(bytes);
    const found = firstInodeOf(view, layout.inodesPerBlock);
    if (found !== undefined && found !== base) {
      context.log.report('table-inode-block', { inode: found, expected: base, block });
      return;
    }
    for (let i = 0; i < layout.inodesPerBlock; i++) {
      const inode = base + i;
      const at = HEADER_BYTES + i * INODE_BYTES;
      if (!isInUse(context, chunk, inode, Inode.mode.get(view, at))) continue;
      const checked = checkInode(context, { inode, view, at, block }, this.root.nextGeneration);
      if (checked) await checked;
    }
  }
}

function compareWithRoot({ log, inodes }: CheckContext, root: RootFacts, firstFree: number): void {
  if (root.inodeCount !== inodes.count) {
    log.report('root-count', { found: root.inodeCount, expected: inodes.count });
  }
  if (root.firstFreeChunk > firstFree) {
    log.report('root-first-free-chunk', { found: root.firstFreeChunk, expected: firstFree });
  }
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
  const bits = checkedBits(context, chunk, piece.block, bytes);
  if (chunk === 0 && bits.get(0) === 0) log.report('inode-zero');
  return bits;
}

/** The bits of a chunk's bitmap, with which its header is compared. */
function checkedBits({ log }: CheckContext, chunk: number, block: number, bytes: Uint8Array): BitSet {
  const view = viewOf(bytes);
  const bits = new BitSet(bytes.subarray(HEADER_BYTES));
  const used = BitmapHeader.used.get(view, 0);
  const expected = bits.cardinality();
  if (used !== expected) log.report('chunk-used', { what: chunk, found: used, expected, block });
  const firstFree = BitmapHeader.firstFree.get(view, 0);
  const lowest = lowestClear(bits);
  if (firstFree > lowest)
    log.report('chunk-first-free', { what: chunk, found: firstFree, expected: lowest, block });
  return bits;
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
function isInUse({ log, layout }: CheckContext, chunk: Chunk, inode: number, mode: number): boolean {
  const index = inode - chunk.number * layout.bitsPerBlock;
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
