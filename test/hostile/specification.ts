/**
 * What an image is, in one line of text: `base/mutation:seed/mutation:seed/…`. The same line gives
 * the same image as long as the base and the mutations named do what they did; other mutations may
 * come and go. A seed stands for a line: `specificationOf`.
 */
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { BASE_NAMES, baseNamed } from './bases.ts';
import { type Base, Image } from './image.ts';
import { JOURNAL_MUTATIONS } from './journal-mutations.ts';
import { type Mutation, RAW_MUTATIONS } from './raw-mutations.ts';
import { STRUCTURE_MUTATIONS } from './structure-mutations.ts';

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  ...RAW_MUTATIONS,
  ...STRUCTURE_MUTATIONS,
  ...JOURNAL_MUTATIONS,
};
const NAMES = Object.keys(MUTATIONS);
const QUICK_NAMES = BASE_NAMES.filter((name) => name !== 'small-64k' && name !== 'levels-1k');
const MOST_MUTATIONS = 6;

export interface Specification {
  readonly base: string;
  readonly mutations: readonly { readonly name: string; readonly seed: number }[];
}

export function textOf({ base, mutations }: Specification): string {
  return [base, ...mutations.map(({ name, seed }) => `${name}:${seed}`)].join('/');
}

/** @throws Error if the text names no such base or mutation */
export function parseSpecification(text: string): Specification {
  const [base = '', ...parts] = text.split('/');
  if (!BASE_NAMES.includes(base)) throw new Error(`no base '${base}': ${BASE_NAMES.join(', ')}`);
  const mutations = parts.map((part) => {
    const [name = '', seed = ''] = part.split(':');
    if (!(name in MUTATIONS)) throw new Error(`no mutation '${name}': ${NAMES.join(', ')}`);
    return { name, seed: Number(seed) };
  });
  return { base, mutations };
}

/** The image that a seed stands for: a base and one to six mutations, mostly few. */
export function specificationOf(seed: number): Specification {
  const random = new SeededRandom(seed);
  // Large blocks and large volumes are slow, and show little that small ones do not.
  const base = random.chance(0.02) ? random.pick(BASE_NAMES) : random.pick(QUICK_NAMES);
  const count = 1 + Math.min(random.below(MOST_MUTATIONS), random.below(MOST_MUTATIONS));
  const mutations = Array.from({ length: count }, () => ({
    name: random.pick(NAMES),
    seed: random.below(1e6),
  }));
  return { base, mutations };
}

export async function makeImage({ base, mutations }: Specification): Promise<Image> {
  const image = new Image(await baseNamed(base));
  const others = BASE_NAMES.filter((name) => name !== base && name.endsWith(base.slice(base.indexOf('-'))));
  for (const { name, seed } of mutations) {
    const random = new SeededRandom(seed);
    const other = await baseNamed(others.length > 0 ? random.pick(others) : base);
    mutate(MUTATIONS[name], image, random, other);
  }
  return image;
}

/** An edit in the ruins of an earlier one may find nothing to stand on; then it changes nothing. */
function mutate(mutation: Mutation | undefined, image: Image, random: SeededRandom, other: Base): void {
  try {
    mutation?.(image, random, other);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
  }
}
