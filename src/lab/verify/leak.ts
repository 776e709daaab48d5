/**
 * Whether a policy keeps something for files that are gone: many files are written and deleted, and
 * the heap is looked at in between.
 */
import type { AllocatorDefinition } from '../../alloc/allocator.ts';
import type { History, SpaceOperation } from './history.ts';
import { type HistoryObserver, type Performed, performHistory } from './performer.ts';
import { allocation } from './scenarios.ts';

/** Before the first look, and between two. */
const FILES_BETWEEN = 8000;
const LOOKS = 3;
const OPERATIONS_OF_A_FILE = 4;
/** Of that many operations the one before which the heap is looked at: it asks nothing. */
const LOOK_AT = FILES_BETWEEN * OPERATIONS_OF_A_FILE - 1;
/** Less is noise: what stays of a file in any collection is more. */
const LEAST_BYTES = 12;

/** Files, one after the other: written in two pieces, deleted, and the deletion is durable. */
export const MANY_FILES: History = {
  shape: { groupBlocks: 64, blockCount: 250, metadataBlocks: 1, mapBudgetBytes: 1_000_000 },
  operations: Array.from({ length: LOOKS * FILES_BETWEEN }, (_, index): SpaceOperation[] => {
    const file = 1 + index;
    const kind = index % 8 === 0 ? 'directory' : 'data';
    const piece = allocation({ file, kind, length: 4, goal: 'end of file', stream: true });
    return [piece, piece, { does: 'delete', file }, { does: 'settle' }];
  }).flat(),
  askedAgain: false,
};

export interface LeakMeasurement extends Performed {
  /** Bytes that stay for each file that is gone; 0 if none do. */
  readonly bytesOfAFile: number;
}

/** @param heapBytes collects what is garbage, and says what is left */
export function measureLeak(
  definition: AllocatorDefinition,
  observer: HistoryObserver,
  heapBytes: () => number,
): LeakMeasurement {
  const looks: number[] = [];
  const performed = performHistory(definition, MANY_FILES, {
    enter: (hook) => observer.enter(hook),
    leave: () => observer.leave(),
    at: (operation, request) => {
      observer.at(operation, request);
      if (request === 0 && operation % (FILES_BETWEEN * OPERATIONS_OF_A_FILE) === LOOK_AT) {
        looks.push(heapBytes());
      }
    },
  });
  // A table that grows doubles now and then: what counts is the whole way.
  const grown = (looks.at(-1) ?? 0) - (looks[0] ?? 0);
  const bytesOfAFile = Math.round(grown / ((LOOKS - 1) * FILES_BETWEEN));
  return { ...performed, bytesOfAFile: bytesOfAFile < LEAST_BYTES ? 0 : bytesOfAFile };
}
