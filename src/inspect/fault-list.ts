/**
 * What could not be read while a volume was measured: counted, and the first of it kept. Each part
 * that is damaged is left out of the figures, and the rest goes on.
 */
import { InspectError } from './inspect-error.ts';

const KEPT = 20;

export class FaultList {
  readonly #first: string[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Sentences for people, at most `KEPT`. */
  get first(): readonly string[] {
    return this.#first;
  }

  readonly report = (fault: InspectError, where = ''): void => {
    this.#count++;
    if (this.#first.length < KEPT) this.#first.push(where + fault.message);
  };

  /** Runs a part of the work. @returns undefined, after a report, if damage ends it */
  async guard<T>(work: () => Promise<T>, where = ''): Promise<T | undefined> {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof InspectError)) throw thrown;
      this.report(thrown, where);
      return undefined;
    }
  }
}

/** Told how far a part of the work is. */
export type ProgressListener = (stage: string, done: number, total: number) => void;
