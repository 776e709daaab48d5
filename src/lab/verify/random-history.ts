/**
 * Histories from a seed: the size of the volume as mkfs might have made it, and what a volume may
 * do. Nothing in them depends on what a policy answers.
 */
import { SeededRandom } from '../../sim/seeded-random.ts';
import type { Goal, History, SpaceOperation, VolumeShape } from './history.ts';
import { allocation, KINDS } from './scenarios.ts';

const FILES = 20;
const MOST_OPERATIONS = 240;
const LEAST_OPERATIONS = 60;

type Maker = (random: SeededRandom, shape: VolumeShape) => SpaceOperation[];

/** What a volume does, and how often. */
const MAKERS: readonly { readonly weight: number; readonly make: Maker }[] = [
  { weight: 40, make: (random, shape) => [someAllocation(random, shape)] },
  { weight: 8, make: (random) => append(random) },
  { weight: 8, make: (random) => [{ does: 'commit', file: someFile(random) }] },
  { weight: 4, make: (random) => [{ does: 'roll back', file: someFile(random) }] },
  { weight: 3, make: (random) => [{ does: 'undo', file: someFile(random) }] },
  { weight: 12, make: (random) => [someCut(random)] },
  { weight: 6, make: (random) => [{ does: 'delete', file: someFile(random) }] },
  { weight: 4, make: (random, shape) => [someHole(random, shape)] },
  { weight: 12, make: () => [{ does: 'settle' }] },
  { weight: 4, make: () => [{ does: 'evict' }] },
  { weight: 1, make: (random, shape) => [{ does: 'grow', blocks: 1 + random.below(2 * shape.groupBlocks) }] },
  { weight: 1, make: (random) => [{ does: 'fill', length: 1 + random.below(random.pick([4, 64])) }] },
  { weight: 1, make: (random) => deleteMost(random) },
];
const WEIGHT = MAKERS.reduce((sum, { weight }) => sum + weight, 0);

export function randomHistory(seed: number): History {
  const random = new SeededRandom(seed);
  const shape = someShape(random);
  const operations: SpaceOperation[] = [];
  const count = LEAST_OPERATIONS + random.below(MOST_OPERATIONS - LEAST_OPERATIONS);
  while (operations.length < count) operations.push(...someOperations(random, shape));
  return { shape, operations, askedAgain: random.chance(0.3) };
}

function someShape(random: SeededRandom): VolumeShape {
  // The last is what a volume has whose blocks are of 1 KiB: a bitmap of one block.
  const groupBlocks = random.pick([37, 37, 64, 64, 257, 257, 1000, 8192]);
  const groups = 1 + random.below(groupBlocks > 1000 ? 2 : 9);
  return {
    groupBlocks,
    blockCount: groups * groupBlocks - random.below(groupBlocks - 8),
    metadataBlocks: random.below(4),
    mapBudgetBytes: random.pick([1, 600, 1_000_000]),
  };
}

function someOperations(random: SeededRandom, shape: VolumeShape): SpaceOperation[] {
  let ticket = random.below(WEIGHT);
  for (const { weight, make } of MAKERS) {
    ticket -= weight;
    if (ticket < 0) return make(random, shape);
  }
  return [];
}

function someFile(random: SeededRandom): number {
  return 1 + random.below(FILES);
}

function someGoal(random: SeededRandom, shape: VolumeShape): Goal {
  const goal = random.pick(['end of file', 'after the last', 'none', 'block'] as const);
  return goal === 'block' ? random.below(shape.blockCount + 1) : goal;
}

function someAllocation(random: SeededRandom, shape: VolumeShape): SpaceOperation {
  const length = 1 + random.below(random.pick([1, 8, 40, 300, 2000]));
  return allocation({
    file: someFile(random),
    length,
    minimum: random.chance(0.5) ? 1 : 1 + random.below(length),
    goal: someGoal(random, shape),
    kind: random.chance(0.3) ? 'data' : random.pick(KINDS),
    stream: random.chance(0.5),
    held: random.chance(0.3),
  });
}

/** Two or three files are written at once. */
function append(random: SeededRandom): SpaceOperation[] {
  const length = 1 + random.below(32);
  const files = Array.from({ length: 2 + random.below(2) }, () => someFile(random));
  const pieces = 1 + random.below(4);
  return Array.from({ length: pieces }, () =>
    files.map((file) => allocation({ file, length, goal: 'end of file', stream: true })),
  ).flat();
}

function someCut(random: SeededRandom): SpaceOperation {
  const blocks = 1 + random.below(random.pick([1, 8, 64]));
  return { does: 'cut', file: someFile(random), from: random.chance(0.3) ? 'front' : 'end', blocks };
}

function someHole(random: SeededRandom, shape: VolumeShape): SpaceOperation {
  const blocks = 1 + random.below(random.pick([1, 12, 100]));
  return { does: 'punch', start: random.below(shape.blockCount), blocks };
}

function deleteMost(random: SeededRandom): SpaceOperation[] {
  const files = Array.from({ length: FILES }, (_, index) => index + 1).filter(() => random.chance(0.8));
  return [...files.map((file): SpaceOperation => ({ does: 'delete', file })), { does: 'settle' }];
}
