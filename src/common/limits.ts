/** Sizes and limits that several rooms have in common: each is stated here and nowhere else. */

/** Pages of the kernel, and what aligned memory starts at. */
export const PAGE_BYTES = 4096;
/** The largest sector that a Device may have. */
export const MAX_SECTOR_BYTES = 4096;

/**
 * Longest spin before the event loop sleeps, in nanoseconds: longer would keep timers and signals
 * waiting. The addon takes no more.
 */
export const LONGEST_SPIN_NANOSECONDS = 1_000_000;
/** Some round trips through FUSE or to a fast device; see `native/event_spinner.h`. */
export const DEFAULT_SPIN_NANOSECONDS = 50_000;
