/**
 * The time of day as the filesystem stamps it; `read` fills the two fields, so that a time stamp
 * costs no object.
 */
export interface Clock {
  /** Seconds since 1970. */
  seconds: number;
  nanoseconds: number;
  read(): void;
  /** Seconds since 1970, for what counts in days: cheap, and leaves the fields alone. */
  roughSeconds(): number;
}

/**
 * Time from Date: milliseconds only, but everywhere. The mount passes one with the kernel's own
 * granularity.
 */
export class DateClock implements Clock {
  seconds = 0;
  nanoseconds = 0;

  read(): void {
    const now = Date.now();
    this.seconds = Math.floor(now / 1000);
    this.nanoseconds = (now - this.seconds * 1000) * 1_000_000;
  }

  roughSeconds(): number {
    return Date.now() / 1000;
  }
}
