/**
 * The clock that the kernel stamps its own files with: a tick behind the exact time, but never
 * behind a time that any file of this machine has, nor ahead of one that the next will get. So
 * times from us, times that the kernel keeps for cached writes, and those of other filesystems come
 * in the order of events. Two system calls, read once per change.
 */
import type { Clock } from '../fs/base/clock.ts';
import { native } from '../native.ts';

export class KernelClock implements Clock {
  seconds = 0;
  nanoseconds = 0;
  readonly #descriptor = native.openFileClock();
  readonly #now = new Float64Array(2);

  read(): void {
    native.readFileClock(this.#descriptor, this.#now);
    this.seconds = this.#now[0] as number;
    this.nanoseconds = this.#now[1] as number;
  }

  roughSeconds(): number {
    return Date.now() / 1000;
  }
}
