/**
 * What may be asked about a policy, and what is answered: plain data, as it has to cross from one
 * process to another. `performTask` does it.
 */
import type { AllocatorDefinition } from '../../alloc/allocator.ts';
import type { History } from './history.ts';
import { measureLeak } from './leak.ts';
import { type BrokenRule, type HistoryObserver, type Performed, performHistory } from './performer.ts';
import { randomHistory } from './random-history.ts';

export type Task =
  | { readonly does: 'perform'; readonly history: History }
  /** Random histories from the seed on, as many as are wanted or as the time allows. */
  | {
      readonly does: 'random';
      readonly seed: number;
      readonly rounds: number;
      readonly milliseconds: number;
    }
  | { readonly does: 'measure leak' };

export interface TaskResult {
  readonly calls: number;
  /** Histories that were performed. */
  readonly rounds: number;
  readonly broken?: BrokenRule;
  /** Of a single history. */
  readonly outcomes: readonly string[];
  /** The same history was answered in two ways. */
  readonly varies: boolean;
  readonly bytesOfAFile: number;
}

/** Is told which of the rounds is being performed too. */
export interface TaskObserver extends HistoryObserver {
  round(round: number): void;
}

/** @param heapBytes collects what is garbage, and says what is left */
export function performTask(
  definition: AllocatorDefinition,
  task: Task,
  observer: TaskObserver,
  heapBytes: () => number,
): TaskResult {
  switch (task.does) {
    case 'perform':
      return resultOf(performHistory(definition, task.history, observer));
    case 'random':
      return performRounds(definition, task, observer);
    case 'measure leak':
      return { ...resultOf(NOTHING), ...measureLeak(definition, observer, heapBytes) };
  }
}

const NOTHING: Performed = { calls: 0, outcomes: [], varies: false };

function resultOf(performed: Performed): TaskResult {
  return { rounds: 1, bytesOfAFile: 0, ...performed };
}

function performRounds(
  definition: AllocatorDefinition,
  { seed, rounds, milliseconds }: Task & { does: 'random' },
  observer: TaskObserver,
): TaskResult {
  const end = performance.now() + milliseconds;
  let done = 0;
  let calls = 0;
  let varies = false;
  do {
    observer.round(done);
    const performed = performHistory(definition, randomHistory(seed + done), observer);
    done++;
    calls += performed.calls;
    varies ||= performed.varies;
    if (performed.broken !== undefined) return { ...resultOf(performed), rounds: done, calls };
  } while (done < rounds && performance.now() < end);
  return { ...resultOf(NOTHING), rounds: done, calls, varies };
}
