/**
 * Whether a policy keeps something for files that are gone: many files are written and deleted, and
 * the heap is looked at in between.
 */
import type { AllocatorDefinition } from '../../alloc/allocator.ts';
import type { History, SpaceOperation } from './history.ts';
import { type HistoryObserver, type Performed, performHistory } from './performer.ts';
import { allocation } from './scenarios.ts';

/** Before the first look, and between two. */
const FILES_BETWEEN = 2000;
const LOOKS = 5;
/** Before this one the engine still settles: code is compiled, and what it replaces is dropped. */
const FIRST_LOOK = 2;
const OPERATIONS_OF_A_FILE = 4;
/** Of that many operations the one before which the heap is looked at: it asks nothing. */
const LOOK_AT = FILES_BETWEEN * OPERATIONS_OF_A_FILE - 1;
/** Less is noise: what stays of a file in any collection is more. */
const LEAST_BYTES = 12;

/** Files, one after the other: written in two pieces, deleted, and the deletion is durable. */
export function manyFiles(): History {
  const operations = Array.from({ length: LOOKS * FILES_BETWEEN }, (_, index): SpaceOperation[] => {
    const file = 1 + index;
    const kind = index % 8 === 0 ? 'directory' : 'data';
    const piece = allocation({ file, kind, length: 4, goal: 'end of file', stream: true });
    return [piece, piece, { does: 'delete', file }, { does: 'settle' }];
  });
  const shape = { groupBlocks: 64, blockCount: 250, metadataBlocks: 1, mapBudgetBytes: 1_000_000 };
  return { shape, operations: operations.flat(), askedAgain: false };
}

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
  const performed = performHistory(definition, manyFiles(), {
    enter: (hook) => observer.enter(hook),
    leave: () => observer.leave(),
    at: (operation, request) => {
      observer.at(operation, request);
      if (request === 0 && operation % (FILES_BETWEEN * OPERATIONS_OF_A_FILE) === LOOK_AT) {
        looks.push(heapBytes());
      }
    },
  });
  // A table that grows doubles now and then, the last time at 8192 files: what counts is the whole
  // way.
  const grown = (looks.at(-1) ?? 0) - (looks[FIRST_LOOK] ?? 0);
  const bytesOfAFile = Math.round(grown / ((LOOKS - 1 - FIRST_LOOK) * FILES_BETWEEN));
  return { ...performed, bytesOfAFile: bytesOfAFile < LEAST_BYTES ? 0 : bytesOfAFile };
}
