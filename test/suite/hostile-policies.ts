/**
 * Policies that do everything wrong: each hook × each misdeed, as data.
 *
 * All of them would mount and work if it were not for the one thing. `says` is what the log must
 * say of it.
 */
import type { AllocationRequest, Allocator, FreeSpace, Run } from '../../src/alloc/allocator.ts';

/**
 * What becomes of it: the built-in policy for good, or for one request; its figures lost; refused
 * at the mount; or no harm at all.
 */
export type Outcome = 'dismissed' | 'passed over' | 'without figures' | 'refused' | 'in office';

export interface HostilePolicy {
  readonly title: string;
  readonly outcome: Outcome;
  readonly says: RegExp;
  readonly create: (space: FreeSpace) => unknown;
}

export function honest(space: FreeSpace): Allocator {
  return {
    allocate: (want) => space.findRun(0, space.blockCount, want.minimum, want.length),
    taken: () => {},
    release: () => {},
    forgetInode: () => {},
    stats: () => ({ asked: 1 }),
  };
}

/** An honest policy but for some hooks. */
function but(hooks: (space: FreeSpace, base: Allocator) => Record<string, unknown>) {
  return (space: FreeSpace) => ({ ...honest(space), ...hooks(space, honest(space)) });
}

/** From its third call on a hook does what it should not: the volume is in use by then. */
function third(misdeed: () => unknown): () => unknown {
  let calls = 0;
  return () => (++calls < 3 ? undefined : misdeed());
}

/** Answers honestly twice, then so. */
function answering(wrong: (run: Run, want: AllocationRequest, space: FreeSpace) => unknown) {
  return but((space, base) => {
    let calls = 0;
    return {
      allocate: (want: AllocationRequest) => {
        const run = base.allocate(want);
        return ++calls < 3 || run === undefined ? run : wrong(run, want, space);
      },
    };
  });
}

function raise(value: unknown): never {
  throw value;
}

const proxyWithTeeth = new Proxy({}, { get: () => raise(new Error('bite')), getPrototypeOf: () => raise(1) });
const revoked = Proxy.revocable({}, {});
revoked.revoke();

const THROWN: readonly (readonly [title: string, value: unknown, says: RegExp])[] = [
  ['an Error', new Error('no luck today'), /no luck today/],
  ['a string', 'just a string', /just a string/],
  ['undefined', undefined, /threw: undefined/],
  ['an object without a prototype', Object.create(null), /cannot be shown/],
  ['a proxy with teeth', proxyWithTeeth, /cannot be shown/],
  ['a revoked proxy', revoked.proxy, /cannot be shown/],
  ['escape sequences', new Error('\u001b[2J\nand more'), /threw: \[2J and more/],
  ['an Error with a symbol for a message', Object.assign(new Error(), { message: Symbol('s') }), /cannot be/],
  ['ENOSPC', Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), /threw: ENOSPC/],
];

const throwing: readonly HostilePolicy[] = THROWN.flatMap(([title, value, says]) => [
  ...(['taken', 'release', 'forgetInode'] as const).map((hook) => ({
    title: `${hook} throws ${title}`,
    outcome: 'dismissed' as const,
    says: new RegExp(`${hook}\\(\\).*${says.source}`),
    create: but(() => ({ [hook]: third(() => raise(value)) })),
  })),
  {
    title: `allocate throws ${title}`,
    outcome: 'dismissed',
    says: new RegExp(`allocate\\(\\).*${says.source}`),
    create: answering(() => raise(value)),
  },
  {
    title: `stats throws ${title}`,
    outcome: 'without figures',
    says: new RegExp(`stats\\(\\).*${says.source}`),
    create: but(() => ({ stats: () => raise(value) })),
  },
  {
    title: `create throws ${title}`,
    outcome: 'refused',
    says: new RegExp(`create\\(\\).*${says.source}`),
    create: () => raise(value),
  },
]);

/** Something else each time it is looked at: first a good run, then the whole volume. */
function shifting(run: Run): unknown {
  let looks = 0;
  return {
    get start() {
      return looks++ === 0 ? run.start : 0;
    },
    get length() {
      return looks++ <= 1 ? run.length : 1e6;
    },
  };
}

const ANSWERS: readonly (readonly [
  title: string,
  says: RegExp,
  wrong: (run: Run, want: AllocationRequest, space: FreeSpace) => unknown,
])[] = [
  ['null', /answered null .* not a run/, () => null],
  ['a number', /answered 7 .* not a run/, () => 7],
  ['a BigInt', /answered 7n .* not a run/, () => 7n],
  ['an empty object', /not a run: its start is undefined/, () => ({})],
  ['BigInts in it', /its start is \d+n/, (run) => ({ start: BigInt(run.start), length: BigInt(run.length) })],
  ['text in it', /not a run/, (run) => ({ start: String(run.start), length: run.length })],
  ['NaN', /not made of whole numbers/, (run) => ({ ...run, start: Number.NaN })],
  ['a fraction', /not made of whole numbers/, (run) => ({ ...run, start: run.start + 0.5 })],
  ['Infinity', /not made of whole numbers/, (run) => ({ ...run, length: Number.POSITIVE_INFINITY })],
  ['a negative start', /leaves the space/, (run) => ({ ...run, start: -1 })],
  ['a run beyond the end', /leaves the space/, (run, _, space) => ({ ...run, start: space.blockCount })],
  ['an empty run', /is empty/, (run) => ({ ...run, length: 0 })],
  ['too much', /too long/, (run, want) => ({ ...run, length: want.length + 1 })],
  ['block 0, which is in use', /block 0 is not free/, (_, want) => ({ start: 0, length: want.minimum })],
  ['a promise', /answered a promise/, async (run) => run],
  ['a proxy with teeth', /cannot be read: bite/, () => proxyWithTeeth],
  ['a revoked proxy', /cannot be read/, () => revoked.proxy],
];

const answers: readonly HostilePolicy[] = ANSWERS.map(([title, says, wrong]) => ({
  title: `allocate answers ${title}`,
  outcome: 'dismissed',
  says: new RegExp(`allocate\\(\\).*${says.source}`),
  create: answering(wrong),
}));

const meddling: readonly HostilePolicy[] = [
  {
    title: 'allocate finds nothing, though there is something',
    outcome: 'passed over',
    says: /allocate\(\) found nothing .* 'goal-and-window' answers/,
    create: answering(() => undefined),
  },
  {
    title: 'allocate never finds anything',
    outcome: 'passed over',
    says: /found nothing/,
    create: but(() => ({ allocate: () => undefined })),
  },
  {
    title: 'an answer that changes each time it is looked at',
    outcome: 'in office',
    says: /^$/,
    create: answering(shifting),
  },
  {
    title: 'the request is changed',
    outcome: 'dismissed',
    says: /allocate\(\).*too long/,
    create: answering((run, want) => {
      Object.assign(want, { length: 1e6, minimum: 1e6, kind: 'nonsense', inode: -1 });
      return { ...run, length: run.length + 1 };
    }),
  },
  {
    title: 'runs are changed that were taken and released',
    outcome: 'in office',
    says: /^$/,
    create: but(() => ({
      taken: (run: Run, want: AllocationRequest) =>
        Object.assign(run, { start: 0, length: 1e6 }) && Object.assign(want, { inode: 0 }),
      release: (run: Run) => Object.assign(run, { start: 0, length: 1e6 }),
    })),
  },
  {
    title: 'misses are swallowed',
    outcome: 'in office',
    says: /^$/,
    create: but((space, base) => ({
      allocate: (want: AllocationRequest) => {
        try {
          return base.allocate(want);
        } catch {
          return { start: 0, length: space.blockCount };
        }
      },
    })),
  },
  {
    title: 'the space is asked for a block that is no number',
    outcome: 'dismissed',
    says: /allocate\(\).*findRun\(\) with from 0\.5/,
    create: answering((_, want, space) => space.findRun(0.5, space.blockCount, want.minimum, want.length)),
  },
  {
    title: 'the space is asked for a group that does not exist',
    outcome: 'dismissed',
    says: /allocate\(\).*freeInGroup\(1000000\)/,
    create: answering((run, _, space) => space.freeInGroup(1e6) && run),
  },
  {
    title: 'the space is changed',
    outcome: 'dismissed',
    says: /allocate\(\) threw: Cannot set property blockCount/,
    create: answering((run, _, space) => {
      Object.assign(space, { blockCount: 1 });
      return run;
    }),
  },
  {
    title: 'the class of the space is changed',
    outcome: 'dismissed',
    says: /allocate\(\) threw: Cannot assign to read only property 'findRun'/,
    create: answering((run, _, space) => {
      Object.getPrototypeOf(space).findRun = () => ({ start: 0, length: 1 });
      return run;
    }),
  },
];

const FIGURES: readonly (readonly [title: string, figures: unknown, says: RegExp])[] = [
  ['a BigInt', { big: 7n }, /returned 7n as 'big'/],
  ['a number', 7, /returned 7 instead/],
  ['nothing', undefined, /returned undefined instead/],
  ['a promise', Promise.resolve({}), /returned a promise instead/],
  ['a circle', Object.assign({}, { self: {} }), /returned an object as 'self'/],
  ['a proxy with teeth', proxyWithTeeth, /threw: bite/],
];

const figures: readonly HostilePolicy[] = [
  ...FIGURES.map(([title, value, says]) => ({
    title: `stats returns ${title}`,
    outcome: 'without figures' as const,
    says: new RegExp(`stats\\(\\).*${says.source}`),
    create: but(() => ({ stats: () => value })),
  })),
  {
    title: 'stats returns NaN and Infinity',
    outcome: 'in office',
    says: /^$/,
    create: but(() => ({ stats: () => ({ rate: Number.NaN, most: Number.POSITIVE_INFINITY }) })),
  },
];

const MADE: readonly (readonly [title: string, made: unknown, says: RegExp])[] = [
  ['nothing', undefined, /create\(\) returned undefined instead of an object with an allocate function/],
  ['null', null, /create\(\) returned null/],
  ['a promise', Promise.resolve({ allocate: () => undefined }), /has no allocate function/],
  ['an object without allocate', {}, /has no allocate function/],
  ['a number for allocate', { allocate: 7 }, /has 7 in the place of allocate\(\)/],
  ['text for release', { allocate: () => undefined, release: 'x' }, /has x in the place of release\(\)/],
  ['a proxy with teeth', proxyWithTeeth, /cannot be read: bite/],
];

const made: readonly HostilePolicy[] = MADE.map(([title, value, says]) => ({
  title: `create returns ${title}`,
  outcome: 'refused',
  says,
  create: () => value,
}));

export const HOSTILE_POLICIES: readonly HostilePolicy[] = [
  ...made,
  ...throwing,
  ...answers,
  ...meddling,
  ...figures,
];
