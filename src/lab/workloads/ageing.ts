/**
 * Ageing by a profile, after Geriatrix: whole files are created and removed, sizes and depths drawn
 * from the profile, and who goes is chosen so that the ages of those who stay come to spread as in
 * the study. Filled means: as full as wanted, and the ages are near those of the study (χ²).
 */
import { Histogram } from '../distributions.ts';
import type { LabOperation } from '../operation.ts';
import { AgeCohorts } from './age-cohorts.ts';
import { AGEING_PROFILES, type AgeingProfile } from './ageing-profiles.ts';
import { DirectoryTree } from './directory-tree.ts';
import { Population } from './population.ts';
import { defineWorkload, type Workload, type WorkloadPlace } from './workload.ts';

/** Near enough to the study's ages, … */
const DISTANCE = 0.05;
/** … or so many overwrites of the capacity, for a profile that growth alone can give. */
const MOST_TURNOVERS = 3;
/** A file that takes a larger share of the volume says more of the volume than of the policy. */
const LARGEST_SHARE = 1 / 50;
const FILES_PER_DIRECTORY = 20;
const MOST_DIRECTORIES = 5000;

class Ageing {
  readonly #population: Population;
  readonly #tree = new DirectoryTree();
  readonly #sizes: Histogram;
  readonly #depths: Histogram;
  readonly #cohorts: AgeCohorts;
  readonly #largestBytes: number;
  #writtenBytes = 0;

  constructor(profile: AgeingProfile, place: WorkloadPlace) {
    this.#population = new Population(place);
    this.#sizes = new Histogram(profile.sizes);
    this.#depths = new Histogram(profile.depths);
    this.#cohorts = new AgeCohorts(new Histogram(profile.ages), this.#population.targetBytes);
    this.#largestBytes = Math.max(place.blockBytes, Math.floor(place.capacityBytes * LARGEST_SHARE));
  }

  *operations(): Generator<LabOperation | 'filled'> {
    const population = this.#population;
    const { targetBytes } = population;
    yield* this.#tree.make(population, this.#depths, this.#directoryCount());
    let nextLook = targetBytes;
    let filled = false;
    for (;;) {
      const sizeBytes = this.#drawSize();
      while (population.live.length > 0 && population.isFullFor(sizeBytes)) {
        yield population.remove(this.#cohorts.take(population.place.random, this.#writtenBytes));
      }
      yield* this.#create(sizeBytes);
      if (filled || this.#writtenBytes < nextLook) continue;
      filled =
        this.#writtenBytes >= MOST_TURNOVERS * targetBytes ||
        this.#cohorts.distance(this.#writtenBytes) <= DISTANCE;
      if (filled) yield 'filled';
      nextLook += targetBytes / 8;
    }
  }

  *#create(sizeBytes: number): Generator<LabOperation> {
    const directory = this.#tree.draw(this.#population.place.random, this.#depths);
    const file = yield* this.#population.createWhole(directory, sizeBytes);
    this.#cohorts.add(file, this.#writtenBytes);
    this.#writtenBytes += sizeBytes;
  }

  #drawSize(): number {
    for (;;) {
      const sizeBytes = this.#sizes.draw(this.#population.place.random);
      if (sizeBytes <= this.#largestBytes) return sizeBytes;
    }
  }

  #directoryCount(): number {
    const { shares } = this.#sizes;
    const mean = shares.reduce((sum, share, index) => {
      const upper = this.#sizes.upper(index);
      return upper > this.#largestBytes ? sum : sum + share * upper * 0.75;
    }, 1);
    const files = this.#population.targetBytes / (mean + this.#population.place.blockBytes / 2);
    return Math.max(1, Math.min(MOST_DIRECTORIES, Math.round(files / FILES_PER_DIRECTORY)));
  }
}

export const AGEING_WORKLOADS: readonly Workload[] = AGEING_PROFILES.map((profile) =>
  defineWorkload({
    name: profile.name,
    says: 'whole files come and go; sizes, ages and depths as a study found them',
    source: profile.study,
    operations: (place) => new Ageing(profile, place).operations(),
  }),
);
