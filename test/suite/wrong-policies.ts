/**
 * Policies that break one rule each, for the tests of `quarry lab verify`: which rule is told, and
 * in how many steps it can be shown.
 */
import type { AllocationRequest, Allocator, FreeSpace, Run } from '../../src/alloc/allocator.ts';
import type { RuleName } from '../../src/lab/verify/rules.ts';

export interface WrongPolicy {
  readonly title: string;
  readonly rule: RuleName;
  /** Of the shortest history; more are too many. */
  readonly steps: number;
  /** What is told of it. */
  readonly says: RegExp;
  readonly create: (space: FreeSpace) => unknown;
}

type Answer = (want: AllocationRequest, space: FreeSpace) => Run | undefined;

const firstFit: Answer = (want, space) => space.findRun(0, space.blockCount, want.minimum, want.length);

/** A policy of one function. */
function answering(make: (space: FreeSpace) => (want: AllocationRequest) => unknown) {
  return (space: FreeSpace): unknown => ({ allocate: make(space) });
}

function honestBut(hooks: (space: FreeSpace) => Partial<Record<keyof Allocator, unknown>>) {
  return (space: FreeSpace): unknown => ({
    allocate: (want: AllocationRequest) => firstFit(want, space),
    ...hooks(space),
  });
}

export const WRONG_POLICIES: readonly WrongPolicy[] = [
  {
    title: 'answers too short',
    rule: 'length',
    steps: 4,
    says: /it is shorter than \d+/,
    create: answering(
      (space) =>
        ({ length }) =>
          space.findRun(0, space.blockCount, 1, length),
    ),
  },
  {
    title: 'answers too long',
    rule: 'length',
    steps: 1,
    says: /it is longer than 1/,
    create: answering(
      (space) =>
        ({ minimum, length }) =>
          space.findRun(0, space.blockCount, minimum, length + 1),
    ),
  },
  {
    title: 'hands out twice what it has handed out',
    rule: 'free',
    steps: 2,
    says: /block \d+ is in use/,
    create: answering((space) => {
      const answers = new Map<number, Run | undefined>();
      return (want) => {
        const before = answers.get(want.length);
        if (before !== undefined) return before;
        const run = firstFit(want, space);
        answers.set(want.length, run);
        return run;
      };
    }),
  },
  {
    title: 'hands out what is not durably free yet',
    rule: 'free',
    steps: 3,
    says: /freed, but not durably yet/,
    create: (space) => {
      // It takes its own word for a file that is gone.
      const runs = new Map<number, Run>();
      let gone: Run | undefined;
      return {
        allocate: (want: AllocationRequest) => {
          const fits = gone !== undefined && gone.length >= want.minimum && gone.length <= want.length;
          return fits ? gone : firstFit(want, space);
        },
        taken: (run: Run, { inode }: AllocationRequest) => {
          gone = undefined;
          runs.set(inode, run);
        },
        forgetInode: (inode: number) => {
          gone = runs.get(inode);
          runs.delete(inode);
        },
        release: () => {
          gone = undefined;
        },
      };
    },
  },
  {
    title: 'crosses from one group to the next',
    rule: 'one-group',
    steps: 1,
    says: /a group ends before block \d+/,
    create: answering((space) => (want) => {
      const start = space.nextFree(0, space.blockCount);
      const fits = start >= 0 && start + want.length <= space.blockCount;
      return fits ? { start, length: want.length } : firstFit(want, space);
    }),
  },
  {
    title: 'finds nothing although there is room',
    rule: 'finds-room',
    steps: 1,
    says: /are free, a run of \d+/,
    create: answering(
      (space) =>
        ({ length }) =>
          space.findRun(0, space.blockCount, length, length),
    ),
  },
  {
    title: 'never looks back',
    rule: 'finds-room',
    steps: 4,
    says: /undefined/,
    create: (space) => {
      let from = 0;
      return {
        allocate: ({ minimum, length }: AllocationRequest) =>
          space.findRun(from, space.blockCount, minimum, length),
        taken: (run: Run) => {
          from = run.start;
        },
      };
    },
  },
  {
    title: 'changes its state before its last question',
    rule: 'asked-again',
    steps: 1,
    says: /some state was changed before the last question/,
    create: (space) => {
      let group = -1;
      return {
        allocate: (want: AllocationRequest) => {
          group = (group + 1) % space.groupCount;
          const from = group * space.groupBlocks;
          return space.findRun(from, space.blockCount, want.minimum, want.length) ?? firstFit(want, space);
        },
      };
    },
  },
  {
    title: 'throws in release',
    rule: 'throws',
    steps: 3,
    says: /release\(\) threw: not mine/,
    create: honestBut(() => ({
      release: () => {
        throw new Error('not mine');
      },
    })),
  },
  {
    title: 'throws when the volume is full',
    rule: 'throws',
    steps: 2,
    says: /allocate\(\) threw: /,
    create: answering((space) => (want) => {
      const run = firstFit(want, space);
      if (run === undefined) throw new Error('ENOSPC');
      return run;
    }),
  },
  {
    title: 'does not see that a volume grew',
    rule: 'finds-room',
    steps: 3,
    says: /(is|are) free/,
    create: (space) => {
      const end = space.blockCount;
      return { allocate: (want: AllocationRequest) => space.findRun(0, end, want.minimum, want.length) };
    },
  },
  {
    title: 'answers outside of a volume that grew',
    rule: 'inside-the-space',
    steps: 3,
    says: /the space has blocks 0 to \d+/,
    create: (space) => {
      let end = space.blockCount;
      return {
        allocate: (want: AllocationRequest) => {
          const run = firstFit(want, space);
          if (run !== undefined || end === space.blockCount) return run;
          // It takes whole groups to have come.
          end = space.groupCount * space.groupBlocks;
          return { start: end, length: want.minimum };
        },
      };
    },
  },
  {
    title: 'answers with a promise',
    rule: 'run-or-undefined',
    steps: 1,
    says: /a promise/,
    create: answering((space) => async (want) => firstFit(want, space)),
  },
  {
    title: 'answers with fractions',
    rule: 'run-or-undefined',
    steps: 1,
    says: /no whole numbers/,
    create: answering(() => ({ length }) => ({ start: length / 7, length: 1 })),
  },
  {
    title: 'is stingy on an empty volume',
    rule: 'full-length',
    steps: 1,
    says: /are free, a run of \d+/,
    create: answering(
      (space) =>
        ({ minimum, length }) =>
          space.findRun(0, space.blockCount, minimum, Math.max(minimum, Math.ceil(length / 2))),
    ),
  },
  {
    title: 'counts wrongly',
    rule: 'own-index',
    steps: 3,
    says: /checkInvariants\(\) threw: \d+ blocks counted/,
    create: (space) => {
      let taken = 0;
      const atFirst = space.freeBlocks;
      return {
        allocate: (want: AllocationRequest) => firstFit(want, space),
        taken: (run: Run) => {
          taken += run.length;
        },
        checkInvariants: () => {
          // Nobody told it of what was released.
          if (space.freeBlocks > atFirst - taken) throw new Error(`${taken} blocks counted`);
        },
      };
    },
  },
  {
    title: 'has figures that are none',
    rule: 'figures',
    steps: 0,
    says: /returned many as 'runs'/,
    create: honestBut(() => ({ stats: () => ({ runs: 'many' }) })),
  },
  {
    title: 'makes nothing',
    rule: 'creates',
    steps: 0,
    says: /it is no object with an allocate function/,
    create: () => undefined,
  },
  {
    title: 'has no allocate function',
    rule: 'creates',
    steps: 0,
    says: /undefined in the place of allocate\(\)/,
    create: () => ({}),
  },
];
