/**
 * What requests take: how many of each kind, how long from their arrival in the daemon to the
 * reply, and how many bytes READ and WRITE moved.
 *
 * All counts go up from 0 when the mount begins; whoever wants rates subtracts. A request counts
 * when it is answered. Questions to the mount do not: watchers ask them.
 *
 * It stands in the way of every request, and costs two looks at the clock (75 ns each) and a few
 * additions.
 */
import { LatencyHistogram } from '../common/latency-histogram.ts';
import { OPCODE_LIMIT, Opcode } from './abi.ts';
import { handlerOf } from './operations.ts';
import { QUESTION_COMMAND } from './questions.ts';
import type { FuseRequest } from './request.ts';

/** Times are off by 12 % at most: an answer with some ten kinds is short then. */
export const METER_SUB_BITS = 3;

/** Requests of one kind. */
export interface MeteredKind {
  readonly requests: number;
  /** Refusals that are no agreement. */
  readonly errors: number;
  /** Bucket of a LatencyHistogram with METER_SUB_BITS, its count, the next bucket, … */
  readonly latencies: readonly number[];
}

export interface MeterReading {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** By name of operation, those that there were. */
  readonly kinds: Readonly<Record<string, MeteredKind>>;
}

/** Requests of one kind, for people. */
export interface OperationCount {
  readonly requests: number;
  readonly errors: number;
  /**
   * Refusals by which the kernel learns what it need not ask, and answers that there is no such
   * attribute; see `Handler.agreements`.
   */
  readonly agreed?: number;
  readonly meanMicroseconds: number;
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  readonly maxMicroseconds: number;
}

interface Count {
  errors: number;
  agreed: number;
  readonly latencies: LatencyHistogram;
}

/** To a tenth. */
function inMicroseconds(nanoseconds: number): number {
  return Math.round(nanoseconds / 100) / 10;
}

function isQuestion({ opcode, passed }: FuseRequest): boolean {
  return opcode === Opcode.IOCTL && passed.command === QUESTION_COMMAND;
}

export class RequestMeter {
  /** When the request in each slot arrived, in milliseconds. */
  readonly #arrived: Float64Array;
  readonly #counts = new Array<Count | undefined>(OPCODE_LIMIT + 1).fill(undefined);
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(slotCount: number) {
    this.#arrived = new Float64Array(slotCount);
  }

  arrived(slot: number, milliseconds: number): void {
    this.#arrived[slot] = milliseconds;
  }

  /**
   * The reply is on its way.
   * @param errno what it was refused with, 0 on success
   */
  ended(request: FuseRequest, errno: number, milliseconds: number): void {
    const { slot, opcode } = request;
    if (isQuestion(request)) return;
    const count = this.#countOf(opcode);
    count.latencies.record((milliseconds - (this.#arrived[slot] as number)) * 1e6);
    if (errno !== 0) this.#refused(count, request, errno);
    else if (opcode === Opcode.READ) this.#bytesRead += request.transfer.resultBytes;
    else if (opcode === Opcode.WRITE) this.#bytesWritten += request.transfer.lengthBytes;
  }

  #refused(count: Count, { handler }: FuseRequest, errno: number): void {
    if (handler.agreements.includes(errno)) count.agreed++;
    else count.errors++;
  }

  /** By name of operation, those that there were. */
  operations(): Record<string, OperationCount> {
    const operations: Record<string, OperationCount> = {};
    for (const [opcode, count] of this.#counts.entries()) {
      if (count === undefined) continue;
      const { errors, agreed, latencies } = count;
      operations[handlerOf(opcode).name] = {
        requests: latencies.count,
        errors,
        ...(agreed > 0 ? { agreed } : {}),
        meanMicroseconds: inMicroseconds(latencies.meanNanoseconds),
        p50Microseconds: inMicroseconds(latencies.percentile(0.5)),
        p99Microseconds: inMicroseconds(latencies.percentile(0.99)),
        maxMicroseconds: inMicroseconds(latencies.maxNanoseconds),
      };
    }
    return operations;
  }

  reading(): MeterReading {
    const kinds: Record<string, MeteredKind> = {};
    for (const [opcode, count] of this.#counts.entries()) {
      if (count === undefined) continue;
      const { errors, latencies } = count;
      kinds[handlerOf(opcode).name] = {
        requests: latencies.count,
        errors,
        latencies: [...latencies.buckets()].flat(),
      };
    }
    return { bytesRead: this.#bytesRead, bytesWritten: this.#bytesWritten, kinds };
  }

  /** Opcodes beyond the table share the last one. */
  #countOf(opcode: number): Count {
    const index = Math.min(opcode, OPCODE_LIMIT);
    const known = this.#counts[index];
    if (known !== undefined) return known;
    const made = { errors: 0, agreed: 0, latencies: new LatencyHistogram(METER_SUB_BITS) };
    this.#counts[index] = made;
    return made;
  }
}
