/**
 * Turns: how long work may hold the event loop before others have theirs.
 *
 * A turn is what runs between two looks of the loop at its events. Work of any length is cut into
 * steps (operation-runner.ts), and a turn takes steps until its budget is spent; the rest comes in
 * a later turn, with requests that have arrived meanwhile in between. `TurnLengths` counts how long
 * turns were, for `quarry stat` and the tests.
 */

import { TURN_BUDGET_MILLISECONDS } from './limits.ts';

/** The clock and the loop; tests put their own in their place. */
export interface TurnSource {
  /** Milliseconds from any moment on, never going back. */
  now(): number;
  /** Calls back in a later turn, after events that are at hand. */
  later(goOn: () => void): void;
}

export const EVENT_LOOP: TurnSource = {
  now: () => performance.now(),
  later: (goOn) => {
    setImmediate(goOn);
  },
};

/** Turns as one volume takes them. */
export class Turns {
  readonly lengths = new TurnLengths();

  constructor(private readonly source: TurnSource = EVENT_LOOP) {}

  /** In milliseconds. */
  now(): number {
    return this.source.now();
  }

  /** Calls back in a later turn, which is counted. */
  later(goOn: () => void): void {
    this.source.later(() => this.count(goOn));
  }

  /** Does the work of a turn that begins here, and counts it. */
  count(work: () => void): void {
    const began = this.now();
    try {
      work();
    } finally {
      this.lengths.note(this.now() - began);
    }
  }

  /**
   * Calls `step` until it returns true, now and, when the budget of a turn is spent, in later ones.
   * @returns undefined when that was all done now
   */
  inSteps(step: () => boolean): Promise<void> | undefined {
    return this.#someSteps(step) ? undefined : this.#laterSteps(step);
  }

  async #laterSteps(step: () => boolean): Promise<void> {
    let done = false;
    while (!done) {
      await new Promise<void>((resolve, reject) => {
        this.later(() => {
          try {
            done = this.#someSteps(step);
            resolve();
          } catch (thrown) {
            reject(thrown);
          }
        });
      });
    }
  }

  #someSteps(step: () => boolean): boolean {
    const ends = this.now() + TURN_BUDGET_MILLISECONDS;
    while (!step()) if (this.now() >= ends) return false;
    return true;
  }
}

/**
 * Buckets of a histogram: number i counts turns shorter than 2^i µs that are in none before it; the
 * last one all others.
 */
export const TURN_BUCKETS = 24;

/**
 * Work that awaits each of its steps, which may all be done at once: in between it lets others have
 * their turn when its own has been long enough.
 */
export class Pace {
  readonly #turns: Turns;
  #began: number;

  constructor(turns: Turns) {
    this.#turns = turns;
    this.#began = turns.now();
  }

  /** Resolves at once, or in a later turn. */
  async pause(): Promise<void> {
    if (this.#turns.now() - this.#began < TURN_BUDGET_MILLISECONDS) return;
    await new Promise<void>((resolve) => this.#turns.later(resolve));
    this.#began = this.#turns.now();
  }
}

/** The lengths of turns as `quarry stat` shows them. */
export interface TurnSummary {
  readonly count: number;
  readonly longestMilliseconds: number;
  /**
   * Turns by their length: those shorter than so many µs, and as long as the number before it. Only
   * those that are.
   */
  readonly shorterThanMicroseconds: Record<string, number>;
}

export class TurnLengths {
  readonly #counts = new Float64Array(TURN_BUCKETS);
  #longestMilliseconds = 0;

  note(milliseconds: number): void {
    const bucket = Math.min(TURN_BUCKETS - 1, 32 - Math.clz32(milliseconds * 1000));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    if (milliseconds > this.#longestMilliseconds) this.#longestMilliseconds = milliseconds;
  }

  /**
   * Of these turns, and of others that were counted elsewhere: `[longest in ms, count of each
   * bucket …]`.
   */
  summary(others: ArrayLike<number> = []): TurnSummary {
    const shorterThanMicroseconds: Record<string, number> = {};
    let count = 0;
    for (const [bucket, own] of this.#counts.entries()) {
      const here = own + (others[bucket + 1] ?? 0);
      if (here > 0) shorterThanMicroseconds[String(2 ** bucket)] = here;
      count += here;
    }
    const longestMilliseconds = Math.max(this.#longestMilliseconds, others[0] ?? 0);
    return { count, longestMilliseconds, shorterThanMicroseconds };
  }
}
