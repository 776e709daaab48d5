/**
 * What a daemon says of its mount at one moment, as it comes in an answer (mount-watch.ts).
 *
 * It is the word of whoever serves the mount: every number is looked at, every text is made
 * printable and cut, and what is missing is 0 or not there. A server of ours that is older does not
 * know the question at all.
 */
import { printable } from '../common/printable.ts';
import type { AllocationCounters } from '../fs/transaction/allocation-counts.ts';
import type { FreeRunCounts } from '../fs/transaction/space-survey.ts';
import type { MeteredKind, MeterReading } from '../fuse/request-meter.ts';
import type { CommitFigures } from '../page/messages.ts';

/** More than this nobody counts: kinds of requests, figures of a policy, classes of runs. */
const MOST_KINDS = 100;
const MOST_FIGURES = 64;
const MOST_RUN_CLASSES = 64;
const MOST_TEXT = 200;
const MOST_NAME = 40;
const MOST_BUCKETS = 1000;
const MOST_CELLS = 65536;

export interface SurveySample {
  /** What to say in the next question. */
  readonly revision: number;
  readonly blocksPerCell: number;
  readonly cellCount: number;
  readonly groupCount: number;
  /** Groups that were never looked at. */
  readonly unknownGroups: number;
  readonly freeRuns: FreeRunCounts;
  /** A cell that changed, its free blocks, the next, …; undefined if the map was not asked for. */
  readonly cells: readonly number[] | undefined;
}

export interface PolicySample {
  readonly name: string;
  readonly fault: string;
  readonly passedOver: number;
  readonly figures: Readonly<Record<string, number>>;
}

export interface MountSample {
  readonly epoch: number;
  /** By the daemon's clock that never goes back. */
  readonly milliseconds: number;
  readonly blockBytes: number;
  readonly blockCount: number;
  /** Undefined where the FUSE layer does not count them. */
  readonly requests: MeterReading | undefined;
  readonly allocations: AllocationCounters;
  readonly commits: CommitFigures;
  readonly readOnly: boolean;
  readonly failure: string;
  readonly allocator: PolicySample;
  /** Undefined where the volume is too large for one. */
  readonly survey: SurveySample | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return Object(value) as Fields;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** A count; what is no whole number from 0 up is 0. */
export function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? printable(value.slice(0, MOST_TEXT)) : '';
}

function countsOf(value: unknown, most: number): number[] {
  return Array.isArray(value) ? value.slice(0, most).map(countOf) : [];
}

function entriesOf(value: unknown, most: number): [name: string, value: unknown][] {
  const entries = Object.entries(fieldsOf(value)).slice(0, most);
  return entries.map(([name, inner]) => [printable(name.slice(0, MOST_NAME)), inner]);
}

/** By whatever names: without a prototype, nothing is there that was not said. */
function recordOf<T>(entries: readonly (readonly [name: string, value: T])[]): Record<string, T> {
  const record: Record<string, T> = Object.create(null);
  for (const [name, value] of entries) record[name] = value;
  return record;
}

/** Of one kind of requests. */
function kindOf(value: unknown): MeteredKind {
  const { requests, errors, latencies } = fieldsOf(value);
  return {
    requests: countOf(requests),
    errors: countOf(errors),
    latencies: countsOf(latencies, 2 * MOST_BUCKETS),
  };
}

/** Undefined where nothing counts them. */
export function requestsOf(value: unknown): MeterReading | undefined {
  if (value === undefined || value === null) return undefined;
  const { bytesRead, bytesWritten, kinds } = fieldsOf(value);
  return {
    bytesRead: countOf(bytesRead),
    bytesWritten: countOf(bytesWritten),
    kinds: recordOf(entriesOf(kinds, MOST_KINDS).map(([name, kind]) => [name, kindOf(kind)])),
  };
}

function allocationsOf(value: unknown): AllocationCounters {
  const found = fieldsOf(value);
  return {
    runs: countOf(found.runs),
    blocks: countOf(found.blocks),
    dataRuns: countOf(found.dataRuns),
    dataBlocks: countOf(found.dataBlocks),
    dataGoals: countOf(found.dataGoals),
    dataGoalHits: countOf(found.dataGoalHits),
    returnedBlocks: countOf(found.returnedBlocks),
    freedBlocks: countOf(found.freedBlocks),
  };
}

function commitsOf(value: unknown): CommitFigures {
  const found = fieldsOf(value);
  return {
    commits: countOf(found.commits),
    checkpoints: countOf(found.checkpoints),
    flushes: countOf(found.flushes),
    metadataBlocksLogged: countOf(found.metadataBlocksLogged),
    metadataBlocksWritten: countOf(found.metadataBlocksWritten),
  };
}

function policyOf(value: unknown): PolicySample {
  const { name, fault, passedOver, figures } = fieldsOf(value);
  const numbers = entriesOf(figures, MOST_FIGURES).filter(([, figure]) => typeof figure === 'number');
  return {
    name: textOf(name),
    fault: textOf(fault),
    passedOver: countOf(passedOver),
    figures: recordOf(numbers.map(([figureName, figure]) => [figureName, numberOf(figure)])),
  };
}

function surveyOf(value: unknown): SurveySample | undefined {
  if (value === undefined || value === null) return undefined;
  const found = fieldsOf(value);
  const freeRuns = fieldsOf(found.freeRuns);
  const cellCount = Math.min(countOf(found.cellCount), MOST_CELLS);
  return {
    revision: countOf(found.revision),
    blocksPerCell: Math.max(1, countOf(found.blocksPerCell)),
    cellCount,
    groupCount: countOf(found.groupCount),
    unknownGroups: countOf(found.unknownGroups),
    freeRuns: {
      runs: countsOf(freeRuns.runs, MOST_RUN_CLASSES),
      blocks: countsOf(freeRuns.blocks, MOST_RUN_CLASSES),
      largestRunBlocks: countOf(freeRuns.largestRunBlocks),
    },
    cells: found.cells === undefined ? undefined : cellsOf(found.cells, cellCount),
  };
}

/** Pairs of a cell that there is, and a count. */
function cellsOf(value: unknown, cellCount: number): number[] {
  const numbers = countsOf(value, 2 * cellCount);
  const cells: number[] = [];
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const [cell = 0, free = 0] = numbers.slice(i, i + 2);
    if (cell < cellCount) cells.push(cell, free);
  }
  return cells;
}

/** @returns undefined for what is no sample at all */
export function decodeSample(answer: unknown): MountSample | undefined {
  const found = fieldsOf(answer);
  if (countOf(found.epoch) === 0 || countOf(found.blockBytes) === 0) return undefined;
  return {
    epoch: countOf(found.epoch),
    milliseconds: numberOf(found.milliseconds),
    blockBytes: countOf(found.blockBytes),
    blockCount: countOf(found.blockCount),
    requests: requestsOf(found.requests),
    allocations: allocationsOf(found.allocations),
    commits: commitsOf(found.commits),
    readOnly: found.readOnly === true,
    failure: textOf(found.failure),
    allocator: policyOf(found.allocator),
    survey: surveyOf(found.survey),
  };
}
