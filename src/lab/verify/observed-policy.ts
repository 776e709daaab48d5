/**
 * The policy under test: called as a mount calls it, through a `SpaceView` and with copies, and
 * told on as soon as it does what it must not.
 *
 * What the *space* throws during `create` and `allocate` goes to the caller, who asks again, also
 * if the policy swallowed it; in the other hooks nobody asks again. Everything else that is thrown
 * breaks a rule.
 */
import type {
  AllocationRequest,
  AllocatorDefinition,
  AllocatorOptions,
  FreeSpace,
  Run,
} from '../../alloc/allocator.ts';
import { figuresOf, type HookName, runOf } from '../../alloc/fenced-policy.ts';
import { describeThrown, describeValue } from '../../alloc/foreign-values.ts';
import { SpaceGate, SpaceView } from '../../alloc/space-view.ts';
import { plural } from '../../common/words.ts';
import { blocksText, freeText } from './history.ts';
import { type Breach, RuleBroken, type RuleName } from './rules.ts';
import { FREE, type SpaceModel, STATE_WORDS } from './space-model.ts';

export type ObservedHook = HookName | 'checkInvariants';

/** Is told which hook runs, so that somebody else can see which one does not return. */
export interface HookObserver {
  enter(hook: ObservedHook): void;
  leave(): void;
}

/** What would come of a throw. */
const WHY_NOT_THROW: Partial<Record<RuleName, string>> = {
  creates: 'a mount would be refused',
  throws: 'a mount would go on with the built-in policy in its place',
  'own-index': 'so its own index, or this check of it, is not right',
};

type Hook = (...values: unknown[]) => unknown;

/** What is called, on what, with what. */
interface HookCall {
  readonly hook: Hook;
  readonly receiver: unknown;
  readonly values: unknown[];
}

/** What a call is for, in words, and what it breaks if it throws. */
interface Question {
  readonly asked: string;
  /** What the space throws comes through, so that the policy is asked again; by default not. */
  readonly isAskedAgain?: boolean;
  /** By default that nothing is thrown. */
  readonly rule?: RuleName;
}

export class ObservedPolicy {
  readonly #gate = new SpaceGate();
  readonly #observer: HookObserver;
  readonly #policy: object;
  readonly #hooks = new Map<ObservedHook, Hook>();

  /**
   * Makes the policy.
   * @throws RuleBroken; what the space throws
   */
  constructor(
    definition: AllocatorDefinition,
    space: FreeSpace,
    options: AllocatorOptions,
    observer: HookObserver,
  ) {
    this.#observer = observer;
    const view = new SpaceView(space, this.#gate);
    const create = definition.create as unknown as Hook;
    const policy = this.#call(
      'create',
      { hook: create, receiver: definition, values: [view, options] },
      {
        asked: 'a policy',
        isAskedAgain: true,
        rule: 'creates',
      },
    );
    if (typeof policy !== 'object' || policy === null) {
      throw broken('creates', 'a policy', describeValue(policy), 'it is no object with an allocate function');
    }
    this.#policy = policy;
    this.#readHooks();
  }

  /** The policy's answer, judged by the model. @throws RuleBroken; what the space throws */
  allocate(want: AllocationRequest, model: SpaceModel): Run | undefined {
    const asked = requestText(want);
    const answer = this.#callHook('allocate', [{ ...want }], { asked, isAskedAgain: true });
    if (answer === undefined) {
      const missed = model.findRun(want.minimum);
      if (missed === undefined) return undefined;
      throw broken('finds-room', asked, 'undefined: there is no such run', freeText(missed));
    }
    const run = runOf(answer);
    if (typeof run === 'string') throw broken('run-or-undefined', asked, describeValue(answer), run);
    const fault = runFault(run, want, model);
    if (fault !== undefined) throw broken(fault.rule, asked, runText(run), fault.why);
    return run;
  }

  taken(run: Run, want: AllocationRequest): void {
    this.#callHook('taken', [{ ...run }, { ...want }], { asked: `taken(${runText(run)})` });
  }

  release(run: Run): void {
    this.#callHook('release', [{ ...run }], { asked: `release(${runText(run)})` });
  }

  forgetInode(inode: number): void {
    this.#callHook('forgetInode', [inode], { asked: `forgetInode(${inode})` });
  }

  /** Its own index, and its figures. @throws RuleBroken */
  examine(): void {
    const asked = 'whether its own index is right';
    this.#callHook('checkInvariants', [], { asked, rule: 'own-index' });
    if (!this.#hooks.has('stats')) return;
    const stats = this.#callHook('stats', [], { asked: 'its figures' });
    let figures: ReturnType<typeof figuresOf>;
    try {
      figures = figuresOf(stats);
    } catch (thrown) {
      figures = `cannot be read: ${describeThrown(thrown)}`;
    }
    if (typeof figures === 'string')
      throw broken('figures', 'its figures', describeValue(stats), `stats() ${figures}`);
  }

  #readHooks(): void {
    const names = ['allocate', 'taken', 'release', 'forgetInode', 'stats', 'checkInvariants'] as const;
    for (const name of names) {
      let hook: unknown;
      try {
        hook = Reflect.get(this.#policy, name);
      } catch (thrown) {
        throw broken(
          'creates',
          'a policy',
          'an object',
          `its ${name} cannot be read: ${describeThrown(thrown)}`,
        );
      }
      if (typeof hook === 'function') this.#hooks.set(name, hook as Hook);
      else if (hook !== undefined || name === 'allocate') {
        const why = `it has ${describeValue(hook)} in the place of ${name}()`;
        throw broken('creates', 'a policy', 'an object', why);
      }
    }
  }

  #callHook(name: ObservedHook, values: unknown[], question: Question): unknown {
    const hook = this.#hooks.get(name);
    if (hook === undefined) return undefined;
    return this.#call(name, { hook, receiver: this.#policy, values }, question);
  }

  #call(
    name: ObservedHook,
    { hook, receiver, values }: HookCall,
    { asked, isAskedAgain = false, rule = 'throws' }: Question,
  ): unknown {
    const gate = this.#gate;
    gate.enter();
    this.#observer.enter(name);
    let answer: unknown;
    try {
      answer = Reflect.apply(hook, receiver, values);
    } catch (thrown) {
      if (!gate.failed)
        throw broken(rule, asked, `${name}() threw: ${describeThrown(thrown)}`, WHY_NOT_THROW[rule] ?? '');
    } finally {
      this.#observer.leave();
      gate.leave();
    }
    if (gate.failed && isAskedAgain) throw gate.thrown;
    return gate.failed ? undefined : answer;
  }
}

function broken(rule: RuleName, asked: string, answered: string, why: string): RuleBroken {
  return new RuleBroken({ rule, asked, answered, why });
}

/** The run as it was answered, and which blocks that are. */
export function runText({ start, length }: Run): string {
  const isPlain = Number.isSafeInteger(start) && Number.isSafeInteger(length) && length > 0;
  const run = `{ start: ${start}, length: ${length} }`;
  return isPlain ? `${run}, ${blocksText({ start, length })}` : run;
}

function requestText({ length, minimum, goal, inode, kind, stream }: AllocationRequest): string {
  const count = minimum === length ? plural(length, 'block') : `${minimum} to ${plural(length, 'block')}`;
  const place = goal < 0 ? '' : `, best at ${goal}`;
  return `${count} of kind ${kind} for inode ${inode}${place}${stream ? ', in a stream' : ''}`;
}

/** What is wrong with the run, in the order that a mount looks. */
function runFault(
  { start, length }: Run,
  want: AllocationRequest,
  model: SpaceModel,
): Pick<Breach, 'rule' | 'why'> | undefined {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(length)) {
    return { rule: 'run-or-undefined', why: 'these are no whole numbers' };
  }
  if (length < 1) return { rule: 'run-or-undefined', why: 'the run is empty' };
  if (start < 0 || start + length > model.blockCount) {
    return { rule: 'inside-the-space', why: `the space has blocks 0 to ${model.blockCount - 1}` };
  }
  const group = model.groupOf(start);
  if (model.groupOf(start + length - 1) !== group) {
    const end = (group + 1) * model.groupBlocks;
    return {
      rule: 'one-group',
      why: `a group ends before block ${end}: they have ${model.groupBlocks} blocks each`,
    };
  }
  if (length < want.minimum) return { rule: 'length', why: `it is shorter than ${want.minimum}` };
  if (length > want.length) return { rule: 'length', why: `it is longer than ${want.length}` };
  const taken = model.firstTaken({ start, length });
  if (taken < 0) return undefined;
  const state = STATE_WORDS[model.stateOf(taken) as 1 | 2 | 3] ?? STATE_WORDS[FREE];
  return { rule: 'free', why: `block ${taken} is ${state}` };
}
