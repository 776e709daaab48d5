/**
 * A workload: a stream of file operations that a seed decides.
 *
 * It fills a volume to a fullness and goes on for ever; who runs it stops it when enough was
 * written. One that was made from something, such as a record, ends where that ends, and says how
 * much it writes. It knows the room it has, and counts for itself what it uses of it, in whole
 * blocks: a volume that runs full all the same says so in its figures, and the stream does not
 * change.
 *
 * A module of somebody else default-exports one: `export default { name, says, source, operations
 * }`.
 */
import type { SeededRandom } from '../../sim/seeded-random.ts';
import type { LabOperation } from '../operation.ts';

export interface WorkloadPlace {
  readonly random: SeededRandom;
  /** What files may take of the volume at most, in bytes. */
  readonly capacityBytes: number;
  /** The share of it to be filled, 0 to 1. */
  readonly fullness: number;
  readonly blockBytes: number;
}

export interface Workload {
  readonly name: string;
  /** One line of what it does. */
  readonly says: string;
  /** Where its numbers come from. */
  readonly source: string;
  /** Instead of the fullness that was asked for, where the workload is about one. */
  readonly fullness?: number;
  /** Of one that ends: about what it writes behind 'filled', in bytes, for the samples. */
  readonly churnBytes?: number;
  /** How large a volume it is about, where nobody asked for another. */
  readonly sizeBytes?: number;
  /** What somebody who runs it has to know before. */
  readonly remark?: string;
  /** What it is made from, as a hash, where that is not the program. */
  readonly content?: string;
  /**
   * Endless, but for those with `churnBytes`. `yield 'filled'` says once that the volume is as full
   * as it is to be.
   */
  operations(place: WorkloadPlace): Iterable<LabOperation | 'filled'>;
}

/** Marks a definition and checks its type. */
export function defineWorkload(workload: Workload): Workload {
  return workload;
}
