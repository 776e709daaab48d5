/**
 * Looks through the volume for metadata blocks that nothing leads to any more: they say themselves
 * what they are. Only blocks that the bitmaps say are in use and that nothing claims are looked at,
 * since what was freed may still look alive; where there is no bitmap, every block of the group is.
 */
import { BitSet } from 'bitset';
import { viewOf } from '../common/bytes.ts';
import {
  BlockHeader,
  BlockKind,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
} from '../fs/format/format.ts';
import type { CheckContext } from './context.ts';

/** Blocks that follow each other are read in transfers of this size, … */
const RUN_BYTES = 65536;
/** … so many at a time. */
const RUNS_TOGETHER = 16;

/** Told of each stray block with a right header. Its kind is one of those asked for. */
export type StrayVisitor = (block: number, kind: number, bytes: Uint8Array) => void;

/** Visits the stray blocks of these kinds, in order. */
export async function scanForStrays(
  context: CheckContext,
  kinds: readonly number[],
  visit: StrayVisitor,
): Promise<void> {
  await new StrayScan(context, kinds, visit).scanNode(context.layout.summaryLevels, 0);
}

class StrayScan {
  constructor(
    private readonly context: CheckContext,
    private readonly kinds: readonly number[],
    private readonly visit: StrayVisitor,
  ) {}

  async scanNode(level: number, index: number): Promise<void> {
    const { layout, reader } = this.context;
    const { first, count } = layout.summaryChildren(level, index);
    const bytes = await reader.peek(layout.summaryBlock(level, index), BlockKind.summary);
    for (let child = 0; child < count; child++) {
      const at = HEADER_BYTES + child * SummaryEntry.sizeBytes;
      const flags = bytes ? SummaryEntry.flags.get(viewOf(bytes), at) : SUMMARY_INITIALISED;
      if ((flags & SUMMARY_INITIALISED) === 0) continue;
      if (level === 1) await this.#scanGroup(first + child);
      else await this.scanNode(level - 1, first + child);
    }
  }

  async #scanGroup(group: number): Promise<void> {
    const { layout, reader } = this.context;
    const blocks = await this.#candidates(group);
    const runs = runsOf(blocks, Math.max(1, RUN_BYTES / layout.blockBytes));
    for (let from = 0; from < runs.length; from += RUNS_TOGETHER) {
      const batch = runs.slice(from, from + RUNS_TOGETHER);
      const read = await Promise.all(batch.map(({ block, length }) => reader.rawRun(block, length)));
      for (const [index, run] of batch.entries()) {
        for (const [i, bytes] of (read[index] ?? []).entries()) this.#look(run.block + i, bytes);
      }
    }
  }

  /** The blocks of a group that are in use and that nothing claims. */
  async #candidates(group: number): Promise<number[]> {
    const { layout, reader, space } = this.context;
    const base = layout.bitmapBlock(group);
    const bitmap = await reader.peek(base, BlockKind.groupBitmap);
    const owned = space.isTouched(group) ? space.group(group) : space.pristine(group);
    const used = bitmap ? new BitSet(bitmap.subarray(HEADER_BYTES)).andNot(owned).toArray() : undefined;
    const all = used ?? Array.from({ length: layout.groupLength(group) }, (_, i) => i);
    return all
      .filter((offset) => offset < layout.groupLength(group) && !space.isClaimed(base + offset))
      .map((offset) => base + offset);
  }

  #look(block: number, bytes: Uint8Array | undefined): void {
    if (!bytes) return;
    const kind = BlockHeader.kind.get(viewOf(bytes), 0);
    if (!this.kinds.includes(kind) || !this.context.reader.isOwn(bytes, block, kind)) return;
    this.visit(block, kind, bytes);
  }
}

interface Run {
  readonly block: number;
  length: number;
}

/** Blocks, which are in order, as runs of at most `most`. */
function runsOf(blocks: readonly number[], most: number): Run[] {
  const runs: Run[] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    if (last && last.block + last.length === block && last.length < most) last.length++;
    else runs.push({ block, length: 1 });
  }
  return runs;
}
