/** A clock that stands still until it is told: whatever has its time was stamped since. */
import type { Clock } from '../../src/fs/base/clock.ts';

export class SetClock implements Clock {
  seconds = 1_700_000_000;
  nanoseconds = 123_456_789;

  read(): void {}

  roughSeconds(): number {
    return this.seconds;
  }

  advance(): void {
    this.seconds += 10;
    this.nanoseconds += 7;
  }

  get nowNs(): bigint {
    return BigInt(this.seconds) * 1_000_000_000n + BigInt(this.nanoseconds);
  }
}
