/**
 * The fence around a policy of somebody else: whatever it does, the volume goes on, and it is said
 * whose fault it was.
 *
 *   in office ──throws, or answers wrongly──▶ dismissed     the built-in policy decides, until the
 *                                                           unmount
 *       │ finds nothing where there is something
 *       └──▶ passed over: the built-in policy answers this one request
 *
 * A hook can throw anything, return anything, or never return: then the watch, where there is one,
 * ends the call and throws in its place. The policy gets copies of requests and runs, and a
 * SpaceView; its answer is read once, into a run of ours. Its hooks are read once too, when it is
 * made.
 *
 * What the *space* throws during `create` and `allocate` (a bitmap is not in memory) is no fault:
 * it goes to the caller, who asks again. In the other hooks nobody asks again, so a question that
 * fails there ends the hook and nothing else.
 *
 * What `stats` does wrong costs the policy its figures only: whether somebody looks at a mount must
 * not change it.
 *
 * A fence against mistakes, not malice: the module runs in this process with all its rights.
 */
import type {
  AllocationRequest,
  Allocator,
  AllocatorDefinition,
  AllocatorOptions,
  Run,
} from './allocator.ts';
import { DEFAULT_ALLOCATOR } from './built-in.ts';
import { describeThrown, describeValue, isInstance, printable } from './foreign-values.ts';
import { PolicyError, type SpaceIndex } from './space-index.ts';
import { SpaceGate, SpaceView } from './space-view.ts';

/** Most figures that a policy may show. */
const MOST_FIGURES = 64;

/**
 * Thrown by a watched hook in place of what it never returned; the message says so: "did not return
 * within 5 s".
 */
export class HookOverrun extends Error {
  override readonly name = 'HookOverrun';
}

export type HookName = 'create' | 'allocate' | 'taken' | 'release' | 'forgetInode' | 'stats';

type Hook = (...values: never[]) => unknown;

/**
 * Makes of a hook a function that is watched while it runs, and that throws a `HookOverrun` if it
 * had to be ended.
 */
export type WatchHook = (name: HookName, hook: Hook, receiver: unknown) => Hook;

/** A policy, and what goes with it. */
export interface PolicyOffer {
  readonly definition: AllocatorDefinition;
  readonly options?: AllocatorOptions | undefined;
  /** The module that it came from; '' if it came from none. */
  readonly file?: string | undefined;
  readonly log?: ((line: string) => void) | undefined;
  /** Default: hooks are called as they are, and one that never returns is never noticed. */
  readonly watch?: WatchHook | undefined;
}

interface Hooks {
  readonly allocate: (want: AllocationRequest) => unknown;
  readonly taken: ((run: Run, want: AllocationRequest) => unknown) | undefined;
  readonly release: ((run: Run) => unknown) | undefined;
  readonly forgetInode: ((inode: number) => unknown) | undefined;
}

/** How a policy is spoken of. */
export function policyTitle(name: string, file: string): string {
  return file === ''
    ? `allocator '${printable(name)}'`
    : `allocator '${printable(name)}' (${printable(file)})`;
}

const unwatched: WatchHook = (_, hook, receiver) => Function.prototype.bind.call(hook, receiver);

export class FencedPolicy implements Allocator {
  readonly title: string;
  readonly #index: SpaceIndex;
  readonly #log: (line: string) => void;
  readonly #gate = new SpaceGate();
  /** Undefined: the built-in policy decides. */
  #hooks: Hooks | undefined;
  #stats: (() => unknown) | undefined;
  #builtIn: Allocator | undefined;
  /** The built-in policy gave the last answer. */
  #byBuiltIn = false;
  /** The last request, as the policy was given it. */
  #asked: AllocationRequest | undefined;
  #fault = '';
  #passedOver = 0;

  /**
   * Makes the policy.
   * @throws PolicyError if it cannot be made; what the space throws
   */
  constructor(index: SpaceIndex, offer: PolicyOffer) {
    const { definition, options = {}, file = '', log = () => {}, watch = unwatched } = offer;
    this.title = policyTitle(definition.name, file);
    this.#index = index;
    this.#log = log;
    const policy = this.#create(definition, options, watch);
    try {
      this.#hooks = {
        allocate: this.#hook(policy, 'allocate', watch) ?? this.#refuse('has no allocate function'),
        taken: this.#hook(policy, 'taken', watch),
        release: this.#hook(policy, 'release', watch),
        forgetInode: this.#hook(policy, 'forgetInode', watch),
      };
      this.#stats = this.#hook(policy, 'stats', watch);
    } catch (thrown) {
      if (isInstance(thrown, PolicyError)) throw thrown;
      this.#refuse(`has hooks that cannot be read: ${describeThrown(thrown)}`);
    }
  }

  /** Why the policy is out of office, or its figures are missing; '' while all is well. */
  get fault(): string {
    return this.#fault;
  }

  /** Requests for which it found nothing, though there was something. */
  get passedOver(): number {
    return this.#passedOver;
  }

  /** A run that is free; never a wrong answer. @throws what the space throws */
  allocate(want: AllocationRequest): Run | undefined {
    const hooks = this.#hooks;
    const run = hooks === undefined ? undefined : this.#ask(hooks, want);
    this.#byBuiltIn = run === undefined;
    if (run !== undefined) return run;
    const instead = this.#standIn().allocate(want);
    if (instead !== undefined && this.#hooks !== undefined) this.#passOver(want);
    return instead;
  }

  taken(run: Run, want: AllocationRequest): void {
    const hook = this.#hooks?.taken;
    if (hook !== undefined) {
      const asked = this.#asked ?? { ...want };
      this.#gate.enter();
      try {
        hook({ start: run.start, length: run.length }, asked);
      } catch (thrown) {
        this.#hookThrew('taken', thrown);
      }
      this.#gate.leave();
    }
    if (this.#byBuiltIn) this.#builtIn?.taken?.(run, want);
  }

  release(run: Run): void {
    const hook = this.#hooks?.release;
    if (hook !== undefined) {
      this.#gate.enter();
      try {
        hook({ start: run.start, length: run.length });
      } catch (thrown) {
        this.#hookThrew('release', thrown);
      }
      this.#gate.leave();
    }
    this.#builtIn?.release?.(run);
  }

  forgetInode(inode: number): void {
    const hook = this.#hooks?.forgetInode;
    if (hook !== undefined) {
      this.#gate.enter();
      try {
        hook(inode);
      } catch (thrown) {
        this.#hookThrew('forgetInode', thrown);
      }
      this.#gate.leave();
    }
    this.#builtIn?.forgetInode?.(inode);
  }

  /** Its figures, as far as they are numbers. */
  stats(): Record<string, number> {
    if (this.#stats === undefined) return {};
    this.#gate.enter();
    try {
      const figures = figuresOf(this.#stats());
      if (typeof figures !== 'string') return figures;
      this.#loseFigures(figures);
    } catch (thrown) {
      if (!this.#gate.failed) this.#loseFigures(`threw: ${describeThrown(thrown)}`);
    } finally {
      this.#gate.leave();
    }
    return {};
  }

  /**
   * The built-in policy decides from now on. `fault` says what the policy did: "allocate() threw:
   * …".
   */
  dismiss(fault: string): void {
    if (this.#hooks === undefined) {
      this.#log(`${this.title}: ${fault}`);
      return;
    }
    this.#hooks = undefined;
    this.#stats = undefined;
    this.#fault = fault;
    // It may have been cut off in the midst of a question.
    this.#index.forgetMaps();
    this.#log(`${this.title}: ${fault}; '${DEFAULT_ALLOCATOR.name}' decides from now on`);
  }

  // ---- inside ----

  #create(definition: AllocatorDefinition, options: AllocatorOptions, watch: WatchHook): object {
    const view = new SpaceView(this.#index, this.#gate);
    let policy: unknown;
    this.#gate.enter();
    try {
      policy = Reflect.apply(watch('create', definition.create, definition), undefined, [view, options]);
    } catch (thrown) {
      const ended = isInstance(thrown, HookOverrun);
      if (ended || !this.#gate.failed)
        this.#refuse(`create() ${ended ? '' : 'threw: '}${describeThrown(thrown)}`);
    } finally {
      this.#gate.leave();
    }
    if (this.#gate.failed) throw this.#gate.thrown;
    if ((typeof policy === 'object' && policy !== null) || typeof policy === 'function') return policy;
    return this.#refuse(
      `create() returned ${describeValue(policy)} instead of an object with an allocate function`,
    );
  }

  #hook(policy: object, name: HookName, watch: WatchHook): ((...values: unknown[]) => unknown) | undefined {
    const hook: unknown = Reflect.get(policy, name);
    if (hook === undefined) return undefined;
    if (typeof hook !== 'function') this.#refuse(`has ${describeValue(hook)} in the place of ${name}()`);
    return watch(name, hook as Hook, policy) as (...values: unknown[]) => unknown;
  }

  #refuse(why: string): never {
    throw new PolicyError(`${this.title}: ${why}`);
  }

  /** Undefined: it found nothing, or is dismissed. */
  #ask(hooks: Hooks, want: AllocationRequest): Run | undefined {
    const gate = this.#gate;
    const asked = { ...want };
    this.#asked = asked;
    let answer: unknown;
    gate.enter();
    try {
      answer = hooks.allocate(asked);
    } catch (thrown) {
      this.#hookThrew('allocate', thrown);
    }
    gate.leave();
    if (gate.failed && this.#hooks !== undefined) throw gate.thrown;
    return answer === undefined ? undefined : this.#judge(answer, want);
  }

  #judge(answer: unknown, want: AllocationRequest): Run | undefined {
    const run = runOf(answer);
    const wrong = typeof run === 'string' ? run : this.#index.answerFault(run, want);
    if (typeof run !== 'string' && wrong === undefined) return run;
    const what = typeof run === 'string' ? describeValue(answer) : `${run.start}+${run.length}`;
    this.dismiss(
      `allocate() answered ${what} to a request for ${want.minimum} to ${want.length} blocks: ${wrong}`,
    );
    return undefined;
  }

  #hookThrew(hook: HookName, thrown: unknown): void {
    const ended = isInstance(thrown, HookOverrun);
    if (this.#gate.failed && !ended) return;
    this.dismiss(`${hook}() ${ended ? '' : 'threw: '}${describeThrown(thrown)}`);
  }

  #passOver(want: AllocationRequest): void {
    if (this.#passedOver++ > 0) return;
    this.#log(
      `${this.title}: allocate() found nothing for ${want.minimum} to ${want.length} blocks though there is space; ` +
        `'${DEFAULT_ALLOCATOR.name}' answers in its place; 'quarry stat' counts how often`,
    );
  }

  #loseFigures(why: string): void {
    this.#stats = undefined;
    this.#fault = `stats() ${why}`;
    this.#log(`${this.title}: ${this.#fault}; its figures are left out from now on`);
  }

  #standIn(): Allocator {
    this.#builtIn ??= DEFAULT_ALLOCATOR.create(this.#index, {});
    return this.#builtIn;
  }
}

/**
 * The answer as a run of ours, or what is wrong with it. Reads it once: it may say something else
 * the next time.
 */
export function runOf(answer: unknown): Run | string {
  if (typeof answer !== 'object' || answer === null) return 'it is not a run';
  try {
    const { start, length } = answer as Partial<Record<keyof Run, unknown>>;
    if (typeof start === 'number' && typeof length === 'number') return { start, length };
    return `it is not a run: its start is ${describeValue(start)}, its length ${describeValue(length)}`;
  } catch (thrown) {
    return `it cannot be read: ${describeThrown(thrown)}`;
  }
}

/**
 * The figures that are numbers, or what is wrong with them. May throw what the policy's objects
 * throw.
 */
export function figuresOf(stats: unknown): Record<string, number> | string {
  if (typeof stats !== 'object' || stats === null || typeof Reflect.get(stats, 'then') === 'function') {
    return `returned ${describeValue(stats)} instead of an object of numbers`;
  }
  const figures = Object.entries(stats).slice(0, MOST_FIGURES);
  const wrong = figures.find(([, value]) => typeof value !== 'number');
  if (wrong !== undefined) {
    return `returned ${describeValue(wrong[1])} as '${printable(wrong[0])}', which is no number`;
  }
  const known = figures.filter(([, value]) => Number.isFinite(value));
  return Object.fromEntries(known.map(([name, value]) => [printable(name), Number(value)]));
}
