/**
 * A kernel queue that misbehaves on purpose: stops transfers early, fails them, has no room, or
 * takes its time.
 *
 * It stands where a native queue would, and passes on to a real one what it does not spoil. A short
 * transfer is a real one of fewer bytes, so the bytes that should have moved did, and no others.
 */

import type { LeaseQueue } from '../../src/aio/file/file-queues.ts';
import type { FileRequest } from '../../src/aio/file/file-request.ts';
import { SubmissionQueue } from '../../src/aio/submission-queue.ts';
import {
  type IoQueueHandle,
  native,
  QUEUE_ENTRY_NUMBERS,
  QUEUE_SEGMENT_NUMBERS,
  QueueOperation,
} from '../../src/native.ts';

/** What the faults are decided by. */
export interface SeenEntry {
  readonly operation: number;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly segmentCount: number;
}

/** What happens to an entry; undefined: nothing bad. */
export type Fault =
  /** The kernel moves only so many bytes, at least 1 and fewer than asked for. */
  | { readonly kind: 'short'; readonly bytes: number }
  /** All bytes move, but it says that only so many did. */
  | { readonly kind: 'lie'; readonly bytes: number }
  /** It ends with a negative errno, or with 0, and moves nothing. */
  | { readonly kind: 'result'; readonly result: number }
  /**
   * It is handed over only after so many turns of the event loop, at least one, as the rest of a
   * partial io_submit is.
   */
  | { readonly kind: 'late'; readonly turns: number };

export type FaultPlan = (entry: SeenEntry) => Fault | undefined;

const SEGMENTS = 4096;

export class FaultyQueue implements IoQueueHandle {
  readonly entries: Float64Array;
  readonly segments = new Float64Array(SEGMENTS * QUEUE_SEGMENT_NUMBERS);
  readonly completions: Float64Array;
  /** Everything that was submitted, in order. */
  readonly seen: SeenEntry[] = [];
  /** Entries per call of `submit`. */
  readonly batches: number[] = [];
  readonly #real: IoQueueHandle;
  readonly #plan: FaultPlan;
  readonly #onCompletions: (count: number) => void;
  #ended: [token: number, result: number][] = [];
  readonly #lies = new Map<number, number>();

  constructor(
    open: (onCompletions: (count: number) => void) => IoQueueHandle,
    depth: number,
    plan: FaultPlan,
    onCompletions: (count: number) => void,
  ) {
    this.entries = new Float64Array(depth * QUEUE_ENTRY_NUMBERS);
    this.completions = new Float64Array(depth * 2);
    this.#plan = plan;
    this.#onCompletions = onCompletions;
    this.#real = open((count) => {
      for (let at = 0; at < count * 2; at += 2) {
        const token = this.#real.completions[at] as number;
        this.completions[at] = token;
        this.completions[at + 1] = this.#lies.get(token) ?? (this.#real.completions[at + 1] as number);
        this.#lies.delete(token);
      }
      onCompletions(count);
    });
  }

  submit(count: number): void {
    this.batches.push(count);
    let passed = 0;
    for (let at = 0; at < count; at++) {
      const entry = this.entries.slice(at * QUEUE_ENTRY_NUMBERS, (at + 1) * QUEUE_ENTRY_NUMBERS);
      const segments = this.#segmentsOf(entry);
      const fault = this.#faultOf(entry);
      if (fault?.kind === 'result') this.#end(entry[6] as number, fault.result);
      else if (fault?.kind === 'late') this.#passLater(entry, segments, fault.turns);
      else {
        if (fault?.kind === 'lie') this.#lies.set(entry[6] as number, fault.bytes);
        else if (fault) shorten(entry, segments, fault.bytes);
        this.#place(entry, segments, passed++);
      }
    }
    if (passed > 0) this.#real.submit(passed);
  }

  setSpin(nanoseconds: number): void {
    this.#real.setSpin(nanoseconds);
  }

  close(): void {
    this.#real.close();
  }

  statistics(): ReturnType<IoQueueHandle['statistics']> {
    return this.#real.statistics();
  }

  #faultOf(entry: Float64Array): Fault | undefined {
    if (entry[0] === QueueOperation.cancel) return undefined;
    const seen: SeenEntry = {
      operation: entry[0] as number,
      offset: entry[5] as number,
      lengthBytes: entry[4] as number,
      segmentCount: entry[7] as number,
    };
    this.seen.push(seen);
    return this.#plan(seen);
  }

  #segmentsOf(entry: Float64Array): Float64Array {
    const from = (entry[3] as number) * QUEUE_SEGMENT_NUMBERS;
    const count = entry[7] as number;
    return count === 0
      ? new Float64Array(0)
      : this.segments.slice(from, from + count * QUEUE_SEGMENT_NUMBERS);
  }

  #place(entry: Float64Array, segments: Float64Array, at: number): void {
    if (segments.length > 0) this.#real.segments.set(segments, (entry[3] as number) * QUEUE_SEGMENT_NUMBERS);
    this.#real.entries.set(entry, at * QUEUE_ENTRY_NUMBERS);
  }

  #passLater(entry: Float64Array, segments: Float64Array, turns: number): void {
    setImmediate(() => {
      if (turns > 1) {
        this.#passLater(entry, segments, turns - 1);
        return;
      }
      this.#place(entry, segments, 0);
      this.#real.submit(1);
    });
  }

  #end(token: number, result: number): void {
    if (this.#ended.length === 0) {
      setImmediate(() => {
        const ended = this.#ended;
        this.#ended = [];
        this.completions.set(ended.flat());
        this.#onCompletions(ended.length);
      });
    }
    this.#ended.push([token, result]);
  }
}

function shorten(entry: Float64Array, segments: Float64Array, bytes: number): void {
  entry[4] = bytes;
  let left = bytes;
  let count = 0;
  for (let at = 0; at < segments.length && left > 0; at += QUEUE_SEGMENT_NUMBERS, count++) {
    segments[at + 2] = Math.min(left, segments[at + 2] as number);
    left -= segments[at + 2] as number;
  }
  if (segments.length > 0) entry[7] = count;
}

/**
 * A source of queues for a FileGroup, each of them faulty; the queues are in `queues` as they are
 * made.
 */
export function faultyLeases(plan: FaultPlan): { lease: LeaseQueue; queues: FaultyQueue[] } {
  const queues: FaultyQueue[] = [];
  const lease: LeaseQueue = ({ kind, depth }) => {
    const most = kind === 'threads' ? 4 : depth;
    const Native = { aio: native.AioQueue, uring: native.UringQueue, threads: native.ThreadQueue }[kind];
    const queue = new SubmissionQueue<FileRequest>((onCompletions) => {
      const faulty = new FaultyQueue((tell) => new Native(most, tell), most, plan, onCompletions);
      queues.push(faulty);
      return faulty;
    }, most);
    return { queue, registerMemory: () => false, unregisterMemory: () => {}, release: () => queue.close() };
  };
  return { lease, queues };
}
