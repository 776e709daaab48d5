/**
 * What requests take, while somebody watches: how many of each kind, how long from their arrival in
 * the daemon to the reply, and how many bytes READ and WRITE moved.
 *
 * All counts go up from 0 when the meter is made; whoever wants rates subtracts. A request that was
 * under way by then is not counted, nor are questions to the mount: watchers ask them.
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

interface Count {
  errors: number;
  readonly latencies: LatencyHistogram;
}

function isQuestion({ opcode, passed }: FuseRequest): boolean {
  return opcode === Opcode.IOCTL && passed.command === QUESTION_COMMAND;
}

export class RequestMeter {
  /** When the request in each slot arrived, in milliseconds; 0 where it did before the meter. */
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

  /** The reply is on its way. */
  ended(request: FuseRequest, failed: boolean, milliseconds: number): void {
    const { slot, opcode } = request;
    const arrived = this.#arrived[slot] ?? 0;
    this.#arrived[slot] = 0;
    if (arrived === 0 || isQuestion(request)) return;
    const count = this.#countOf(opcode);
    count.latencies.record((milliseconds - arrived) * 1e6);
    if (failed) count.errors++;
    else if (opcode === Opcode.READ) this.#bytesRead += request.transfer.resultBytes;
    else if (opcode === Opcode.WRITE) this.#bytesWritten += request.transfer.lengthBytes;
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
    const made = { errors: 0, latencies: new LatencyHistogram(METER_SUB_BITS) };
    this.#counts[index] = made;
    return made;
  }
}
