/**
 * What happens to a volume, as data: its shape, and a list of operations.
 *
 * Operations speak of files by their number and of places by what is there, never of what a policy
 * has answered. So a list means something for any policy, and goes on meaning something when parts
 * of it are left out, which is how the shortest one is found. An operation that finds nothing to do
 * does nothing.
 */
import type { AllocationKind, Run } from '../../alloc/allocator.ts';
import { plural } from '../../common/words.ts';

export interface VolumeShape {
  readonly groupBlocks: number;
  readonly blockCount: number;
  /** Blocks at the start of each group that are in use for ever. */
  readonly metadataBlocks: number;
  /** Memory for maps of groups; two are always kept. */
  readonly mapBudgetBytes: number;
}

/**
 * The block after the last one of the file; the block after the last answer, whoever got it; a
 * block; or no wish.
 */
export type Goal = 'end of file' | 'after the last' | 'none' | number;

export interface AllocateOperation {
  readonly does: 'allocate';
  readonly file: number;
  readonly length: number;
  readonly minimum: number;
  readonly goal: Goal;
  readonly kind: AllocationKind;
  readonly stream: boolean;
  /** It stays reserved, its data is still being written, until it is committed or rolled back. */
  readonly held: boolean;
  /** The volume is nearly empty: the full length is expected. */
  readonly full: boolean;
}

export type SpaceOperation =
  | AllocateOperation
  /** Allocates pieces for seven files in turn until nothing is free. */
  | { readonly does: 'fill'; readonly length: number }
  /** What is held of the file becomes used. */
  | { readonly does: 'commit'; readonly file: number }
  /** What is held of the file is free again: its transaction was rolled back. */
  | { readonly does: 'roll back'; readonly file: number }
  /**
   * The last run of the file is taken back as a transaction does that is rolled back after its
   * commit in memory; its first one is freed, and that is taken back too.
   */
  | { readonly does: 'undo'; readonly file: number }
  /** Blocks of the file are freed, from its end or from its front; not yet durable. */
  | {
      readonly does: 'cut';
      readonly file: number;
      readonly from: 'end' | 'front';
      readonly blocks: number;
    }
  /** The whole file is freed and forgotten; not yet durable. */
  | { readonly does: 'delete'; readonly file: number }
  /** Blocks are freed, whosever they are; not yet durable. */
  | { readonly does: 'punch'; readonly start: number; readonly blocks: number }
  /** What was freed is durable: it may be handed out again. */
  | { readonly does: 'settle' }
  /** No bitmap is in memory any more: questions throw until it is fetched. */
  | { readonly does: 'evict' }
  /** The volume becomes longer. */
  | { readonly does: 'grow'; readonly blocks: number };

export interface History {
  readonly shape: VolumeShape;
  readonly operations: readonly SpaceOperation[];
  /**
   * Every question of `create` and `allocate` fails once, and the answers are compared with those
   * of a policy whose questions never fail.
   */
  readonly askedAgain: boolean;
}

/** An operation as a step for people, without what came of it. */
export function stepText(operation: SpaceOperation): string {
  switch (operation.does) {
    case 'allocate':
      return allocateText(operation);
    case 'fill':
      return `fill the volume: ${plural(operation.length, 'block')} at a time for inodes 1 to 7 in turn`;
    case 'commit':
      return `inode ${operation.file}: what it holds is committed`;
    case 'roll back':
      return `inode ${operation.file}: what it holds is rolled back`;
    case 'undo':
      return `inode ${operation.file}: its last allocation is rolled back after the commit`;
    case 'cut':
      return `inode ${operation.file}: free ${plural(operation.blocks, 'block')} from its ${operation.from}`;
    case 'delete':
      return `inode ${operation.file}: delete it`;
    case 'punch':
      return `free what is used of ${blocksText({ start: operation.start, length: operation.blocks })}`;
    case 'settle':
      return 'what was freed is durable, and may be handed out again';
    case 'evict':
      return 'no bitmap is in memory any more';
    case 'grow':
      return `the volume grows by ${plural(operation.blocks, 'block')}`;
  }
}

function allocateText({ file, length, minimum, goal, kind, stream, held }: AllocateOperation): string {
  const count = minimum === length ? plural(length, 'block') : `${minimum} to ${plural(length, 'block')}`;
  const place =
    goal === 'none' ? '' : typeof goal === 'number' ? `, best at ${goal}` : `, best ${PLACES[goal]}`;
  const what = kind === 'data' ? '' : ` of kind ${kind}`;
  return `inode ${file}: allocate ${count}${what}${place}${stream ? ', in a stream' : ''}${held ? ', and hold it' : ''}`;
}

const PLACES = { 'end of file': 'where the file ends', 'after the last': 'after the last answer' } as const;

/** `blocks 4 to 7`, or `block 4`. */
export function blocksText({ start, length }: Run): string {
  return length === 1 ? `block ${start}` : `blocks ${start} to ${start + length - 1}`;
}

/** That these blocks are free, as the reason why something is wrong. */
export function freeText(run: Run): string {
  return run.length === 1
    ? `${blocksText(run)} is free`
    : `${blocksText(run)} are free, a run of ${run.length}`;
}
