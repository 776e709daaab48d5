/** The directories of a workload, by depth: the root is depth 0. */
import { strict as assert } from 'node:assert';
import type { SeededRandom } from '../../sim/seeded-random.ts';
import type { Histogram } from '../distributions.ts';
import type { LabOperation } from '../operation.ts';
import type { Population } from './population.ts';

export class DirectoryTree {
  readonly #levels: number[][] = [[0]];

  /**
   * Makes about `count` directories, as many on each level as it has weight, at least one.
   * @param depths of whose classes number i is level `depths.upper(i)`
   */
  *make(population: Population, depths: Histogram, count: number): Generator<LabOperation> {
    for (let index = 0; index < depths.size; index++) {
      const depth = depths.upper(index);
      const wanted = Math.max(1, Math.round((depths.shares[index] ?? 0) * count));
      while (this.#levels.length <= depth) yield* this.#level(population, this.#levels.length, 1);
      if (depth > 0) yield* this.#level(population, depth, wanted - this.#at(depth).length);
    }
  }

  *#level(population: Population, depth: number, count: number): Generator<LabOperation> {
    const parents = this.#at(depth - 1);
    const level = this.#levels[depth] ?? [];
    this.#levels[depth] = level;
    for (let made = 0; made < count; made++) {
      const operation = population.makeDirectory(population.place.random.pick(parents));
      level.push(operation.directory);
      yield operation;
    }
  }

  #at(depth: number): number[] {
    const level = this.#levels[depth];
    assert(level !== undefined, 'a level that was made');
    return level;
  }

  /** A directory as deep as `depths` says. */
  draw(random: SeededRandom, depths: Histogram): number {
    return random.pick(this.#at(depths.upper(depths.drawClass(random))));
  }
}

/** `count` directories in the root. */
export function* flatDirectories(
  population: Population,
  count: number,
): Generator<LabOperation, readonly number[]> {
  const made: number[] = [];
  for (let index = 0; index < count; index++) {
    const operation = population.makeDirectory(0);
    made.push(operation.directory);
    yield operation;
  }
  return made;
}
