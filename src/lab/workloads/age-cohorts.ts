/**
 * Live files by age, so that those who go can be chosen such that the ages of those who stay come
 * to spread as a study found them.
 *
 * Time is what was written, in bytes. Cohort i holds files no older than its limit, in the order of
 * their birth; as time goes on its oldest move into the next. From the cohort that has most in
 * excess of its share, any file goes.
 */
import { strict as assert } from 'node:assert';
import type { SeededRandom } from '../../sim/seeded-random.ts';
import type { Histogram } from '../distributions.ts';
import type { LabFile } from './population.ts';

interface Dated {
  /** Undefined when the file is gone. */
  file: LabFile | undefined;
  readonly bornAt: number;
}

/** Files of one cohort; those that are gone leave holes, which are closed when they are many. */
class Cohort {
  files: Dated[] = [];
  live = 0;

  add(dated: Dated): void {
    this.files.push(dated);
    this.live++;
  }

  /** The oldest, if it was born before `time`. */
  takeBornBefore(time: number): Dated | undefined {
    const oldest = this.files[this.#first()];
    if (oldest === undefined || oldest.bornAt >= time) return undefined;
    this.#start++;
    this.live--;
    // Nobody else closes the holes of a cohort from which no file ever goes but by age.
    if (this.#start > this.files.length / 2) this.#close();
    return oldest;
  }

  takeAny(random: SeededRandom): LabFile {
    this.#close();
    for (;;) {
      const dated = this.files[this.#start + random.below(this.files.length - this.#start)];
      const file = dated?.file;
      if (dated === undefined || file === undefined) continue;
      dated.file = undefined;
      this.live--;
      return file;
    }
  }

  #start = 0;

  #first(): number {
    while (this.#start < this.files.length && this.files[this.#start]?.file === undefined) this.#start++;
    return this.#start;
  }

  #close(): void {
    if (this.files.length < 16 || this.files.length < 2 * this.live) return;
    this.files = this.files.slice(this.#start).filter(({ file }) => file !== undefined);
    this.#start = 0;
  }
}

export class AgeCohorts {
  readonly #cohorts: Cohort[];
  readonly #limits: number[];
  readonly #shares: readonly number[];
  #live = 0;

  /** @param turnoverBytes what is written while all live files are replaced once: the mean age. */
  constructor(ages: Histogram, turnoverBytes: number) {
    this.#shares = ages.shares;
    this.#cohorts = ages.shares.map(() => new Cohort());
    const middle = (index: number) => (ages.upper(index) + (index === 0 ? 0 : ages.upper(index - 1))) / 2;
    const mean = ages.shares.reduce((sum, share, index) => sum + share * middle(index), 0);
    this.#limits = ages.shares.map((_, index) => (ages.upper(index) / mean) * turnoverBytes);
  }

  add(file: LabFile, now: number): void {
    this.#at(0).add({ file, bornAt: now });
    this.#live++;
  }

  /** Entries of the lists, with those of files that are gone. */
  get listed(): number {
    return this.#cohorts.reduce((sum, { files }) => sum + files.length, 0);
  }

  /** Takes the file out that is to go. */
  take(random: SeededRandom, now: number): LabFile {
    assert(this.#live > 0, 'there are files');
    this.#age(now);
    let chosen = -1;
    let most = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < this.#cohorts.length; index++) {
      const { live } = this.#at(index);
      const excess = live - (this.#shares[index] ?? 0) * this.#live;
      if (live > 0 && excess > most) [chosen, most] = [index, excess];
    }
    this.#live--;
    return this.#at(chosen).takeAny(random);
  }

  /**
   * How far the ages are from those of the study: Pearson's χ² divided by the number of files; 0 is
   * alike.
   */
  distance(now: number): number {
    this.#age(now);
    let sum = 0;
    for (let index = 0; index < this.#cohorts.length; index++) {
      const expected = (this.#shares[index] ?? 0) * this.#live;
      if (expected >= 1) sum += (this.#at(index).live - expected) ** 2 / expected;
    }
    return this.#live === 0 ? Number.POSITIVE_INFINITY : sum / this.#live;
  }

  #age(now: number): void {
    for (let index = 0; index + 1 < this.#cohorts.length; index++) {
      const before = now - (this.#limits[index] ?? 0);
      for (;;) {
        const dated = this.#at(index).takeBornBefore(before);
        if (dated === undefined) break;
        this.#at(index + 1).add(dated);
      }
    }
  }

  #at(index: number): Cohort {
    const cohort = this.#cohorts[index];
    assert(cohort !== undefined, 'a cohort');
    return cohort;
  }
}
