/**
 * What every policy must get through, whoever wrote it: histories that are made by hand, each for
 * something that goes wrong easily. The rules themselves are watched in all of them (rules.ts).
 *
 * The tests of the built-in policies perform these too.
 */
import type { AllocationKind } from '../../alloc/allocator.ts';
import { SeededRandom } from '../../sim/seeded-random.ts';
import type { AllocateOperation, History, SpaceOperation, VolumeShape } from './history.ts';

export interface Scenario extends History {
  /** What the policy does in it: "fills the volume". */
  readonly title: string;
}

export const KINDS: readonly AllocationKind[] = ['data', 'directory', 'tree', 'inode', 'attribute'];

/** Ten groups, the last one short, two blocks of metadata each. */
const TEN_GROUPS: VolumeShape = {
  groupBlocks: 1000,
  blockCount: 9333,
  metadataBlocks: 2,
  mapBudgetBytes: 1_000_000,
};
const FILLED: readonly number[] = [1, 2, 3, 4, 5, 6, 7];
const SETTLE: SpaceOperation = { does: 'settle' };

/** A request with the fields that nobody cares for filled in. */
export function allocation(fields: Partial<Omit<AllocateOperation, 'does'>> = {}): AllocateOperation {
  return {
    does: 'allocate',
    file: 1,
    length: 1,
    minimum: 1,
    goal: 'none',
    kind: 'data',
    stream: false,
    held: false,
    full: false,
    ...fields,
  };
}

function scenario(
  title: string,
  operations: readonly SpaceOperation[],
  shape: Partial<VolumeShape> = {},
  askedAgain = false,
): Scenario {
  return { title, shape: { ...TEN_GROUPS, ...shape }, operations, askedAgain };
}

function everyKind(): SpaceOperation[] {
  return KINDS.flatMap((kind) =>
    [false, true].map((stream) => allocation({ kind, stream, length: 20, full: true })),
  );
}

/** Filled in pieces, refused, all given back. */
function filledAndFreed(length: number): SpaceOperation[] {
  return [
    { does: 'fill', length },
    allocation({ file: 8 }),
    ...FILLED.map((file): SpaceOperation => ({ does: 'delete', file })),
    SETTLE,
    allocation({ file: 9, length: 900, minimum: 900 }),
  ];
}

/** Two holes in a full volume, and only one of them will do. */
function oneHole(): SpaceOperation[] {
  const operations: SpaceOperation[] = [{ does: 'fill', length: 50 }];
  for (const start of [4321, 7654, 9300]) {
    operations.push(
      { does: 'punch', start, blocks: 12 },
      { does: 'punch', start: start + 20, blocks: 11 },
      SETTLE,
    );
    for (const kind of KINDS) {
      operations.push(
        allocation({ file: 9, kind, length: 100, minimum: 12, goal: 5, held: true }),
        { does: 'roll back', file: 9 },
        allocation({ file: 9, kind, length: 100, minimum: 13 }),
      );
    }
    for (const length of [12, 11, 1]) operations.push(allocation({ file: 8, length, minimum: length }));
  }
  return operations;
}

function notFreeYet(): SpaceOperation[] {
  return [
    { does: 'fill', length: 100 },
    { does: 'cut', file: 4, from: 'front', blocks: 60 },
    allocation({ file: 9 }),
    SETTLE,
    allocation({ file: 9, length: 40, held: true }),
    allocation({ file: 10, length: 40, held: true }),
    allocation({ file: 11 }),
    { does: 'roll back', file: 9 },
    allocation({ file: 11, length: 100 }),
    { does: 'commit', file: 10 },
    allocation({ file: 12 }),
  ];
}

function rolledBack(): SpaceOperation[] {
  return [
    allocation({ length: 40 }),
    allocation({ length: 30 }),
    { does: 'undo', file: 1 },
    allocation({ length: 30, goal: 'end of file' }),
    allocation({ file: 2, length: 30, held: true }),
    { does: 'roll back', file: 2 },
    allocation({ file: 2, length: 30 }),
  ];
}

function goalsThatLeadNowhere(): SpaceOperation[] {
  return [0, 1, 999, 1000, 9332, 9333, 1e12].flatMap((goal): SpaceOperation[] => [
    ...[false, true].map((stream) => allocation({ file: 3, goal, stream, length: 3 })),
    { does: 'delete', file: 1000 + (goal % 1000) },
  ]);
}

/** Files are cut and go on, somewhere else, on a full volume. */
function churn(count: number): SpaceOperation[] {
  const random = new SeededRandom(1);
  const operations: SpaceOperation[] = [{ does: 'fill', length: 33 }];
  for (let step = 0; step < count; step++) {
    const blocks = 1 + random.below(33);
    operations.push(
      { does: 'cut', file: 1 + random.below(7), from: random.chance(0.5) ? 'front' : 'end', blocks },
      SETTLE,
      allocation({ file: 1 + random.below(7), length: blocks, goal: random.below(9333) }),
    );
  }
  return operations;
}

/** Files that are appended to in turn, and deleted in turn. */
function streams(files: number, pieces: number, length: number): SpaceOperation[] {
  const operations: SpaceOperation[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    for (let file = 1; file <= files; file++) {
      operations.push(allocation({ file, length, goal: 'end of file', stream: true }));
    }
    operations.push(allocation({ file: 20 + piece, kind: 'directory' }));
    if (piece % 8 === 7) operations.push({ does: 'delete', file: 1 + (piece % files) }, SETTLE);
  }
  return operations;
}

function growing(): SpaceOperation[] {
  const growth: readonly number[] = [1, 700, 1000, 2500];
  return [
    { does: 'fill', length: 16 },
    ...growth.flatMap((blocks): SpaceOperation[] => [
      allocation({ file: 8, goal: 'after the last' }),
      { does: 'grow', blocks },
      allocation({ file: 8, length: 64, goal: 'end of file', stream: true }),
      { does: 'fill', length: 64 },
    ]),
    { does: 'delete', file: 2 },
    SETTLE,
    { does: 'fill', length: 5 },
  ];
}

export const SCENARIOS: readonly Scenario[] = [
  scenario('gives the full length on an empty volume, for every kind', everyKind()),
  scenario('is asked again after a miss, and the volume is filled to the last block all the same', [
    { does: 'evict' },
    { does: 'fill', length: 7 },
  ]),
  ...[1, 3, 64, 5000].map((length) =>
    scenario(
      `fills the volume in pieces of ${length}, refuses, and has everything back after freeing`,
      filledAndFreed(length),
    ),
  ),
  scenario(
    'answers neither with more than was wished nor with less, and finds the one hole there is',
    oneHole(),
  ),
  scenario('does not hand out what is reserved or quarantined', notFreeYet()),
  scenario('goes on after a transaction is rolled back', rolledBack()),
  scenario('survives goals and inodes that lead nowhere', goalsThatLeadNowhere()),
  scenario('works with two maps in memory', churn(300), { mapBudgetBytes: 1 }),
  scenario('serves files that are written at once', streams(4, 60, 32)),
  scenario('uses what a volume has grown by', growing(), { blockCount: 2500 }),
  scenario('fills a volume of a few blocks', filledAndFreed(3).slice(0, -1), { blockCount: 8 }),
  scenario(
    'answers as if there had been no miss',
    [...streams(5, 24, 9), ...streams(3, 24, 40)],
    { groupBlocks: 257, blockCount: 1500 },
    true,
  ),
];
