/**
 * The clock that the kernel stamps its own files with (CLOCK_REALTIME_COARSE): a tick behind the exact time, but never
 * ahead of it, so times from us and times that the kernel keeps for cached writes come in the order of events.
 */
import type { Clock } from '../fs/clock.ts';
import { native } from '../native.ts';

export class KernelClock implements Clock {
  seconds = 0;
  nanoseconds = 0;
  readonly #now = new Float64Array(2);

  read(): void {
    native.clockRealtimeCoarse(this.#now);
    this.seconds = this.#now[0] as number;
    this.nanoseconds = this.#now[1] as number;
  }

  roughSeconds(): number {
    return Date.now() / 1000;
  }
}
