/**
 * Tries a policy: the scenarios, a look at what it keeps of files that are gone, and random
 * histories from a seed for as long as is wanted. Stops at the first broken rule, and looks for the
 * shortest history that shows it.
 */
import { type History, type SpaceOperation, stepText } from './history.ts';
import { manyFiles } from './leak.ts';
import type { BrokenRule } from './performer.ts';
import type { Bench } from './policy-bench.ts';
import { randomHistory } from './random-history.ts';
import { RULES } from './rules.ts';
import { SCENARIOS } from './scenarios.ts';
import { type Shrunk, shrink } from './shrink.ts';
import type { TaskResult } from './tasks.ts';

export const RULE_COUNT = Object.keys(RULES).length;

/** Random histories of one task: an end is noticed between two. */
const SLICE_MILLISECONDS = 300;
const SHRINK_MILLISECONDS = 8000;
const MOST_TRIALS = 5000;

export interface VerifyRequest {
  /** Of the first random history; the next has the next. */
  readonly seed: number;
  /** Random histories; undefined = as many as the time allows. */
  readonly rounds: number | undefined;
  /** For all of it; shrinking comes on top. */
  readonly milliseconds: number;
}

/** A step of the shortest history, and what came of it. */
export interface Step {
  readonly does: string;
  readonly outcome: string;
  readonly operation: SpaceOperation;
}

export interface BrokenReport {
  readonly broken: BrokenRule;
  /** What was performed: the title of a scenario, or a random history. */
  readonly where: string;
  /** Of a random history: the seed that begins with it. */
  readonly seed: number | undefined;
  readonly shape: History['shape'];
  readonly askedAgain: boolean;
  readonly steps: readonly Step[];
  /** The steps show the broken rule each time they are performed. */
  readonly isRepeatable: boolean;
}

export interface Verdict {
  readonly seed: number;
  /** What the policy was asked and told. */
  readonly calls: number;
  readonly scenarios: number;
  readonly rounds: number;
  readonly warnings: readonly string[];
  readonly isInterrupted: boolean;
  readonly broken?: BrokenReport;
}

/** @param signal ends it early; the verdict is then about what was done until then */
export async function verifyPolicy(
  bench: Bench,
  request: VerifyRequest,
  signal: AbortSignal,
): Promise<Verdict> {
  const verification = new Verification(bench, request, signal);
  return verification.run();
}

class Verification {
  readonly #bench: Bench;
  readonly #request: VerifyRequest;
  readonly #signal: AbortSignal;
  readonly #warnings: string[] = [];
  readonly #end: number;
  #calls = 0;
  #scenarios = 0;
  #rounds = 0;
  #varies = false;

  constructor(bench: Bench, request: VerifyRequest, signal: AbortSignal) {
    this.#bench = bench;
    this.#request = request;
    this.#signal = signal;
    this.#end = Date.now() + request.milliseconds;
  }

  async run(): Promise<Verdict> {
    let broken: BrokenReport | undefined;
    let isInterrupted = false;
    try {
      broken =
        (await this.#performScenarios()) ?? (await this.#lookForLeak()) ?? (await this.#performRandom());
    } catch (thrown) {
      if (!this.#signal.aborted) throw thrown;
      isInterrupted = true;
    }
    if (this.#varies) {
      this.#warnings.push(
        'the same history was answered in two ways: what the laboratory finds cannot be repeated, and asking again after a miss was not judged',
      );
    }
    return {
      seed: this.#request.seed,
      calls: this.#calls,
      scenarios: this.#scenarios,
      rounds: this.#rounds,
      warnings: this.#warnings,
      isInterrupted,
      ...(broken === undefined ? {} : { broken }),
    };
  }

  async #performScenarios(): Promise<BrokenReport | undefined> {
    for (const { title, ...history } of SCENARIOS) {
      const result = await this.#perform({ does: 'perform', history });
      this.#scenarios++;
      if (result.broken !== undefined) return this.#report(history, result.broken, title, undefined);
    }
    return undefined;
  }

  async #lookForLeak(): Promise<BrokenReport | undefined> {
    const { broken, bytesOfAFile } = await this.#perform({ does: 'measure leak' });
    if (broken !== undefined) return this.#report(manyFiles(), broken, 'many files', undefined);
    if (bytesOfAFile > 0) {
      this.#warnings.push(
        `it keeps about ${bytesOfAFile} bytes for every file that is gone: forgetInode(inode) is where to let go`,
      );
    }
    return undefined;
  }

  async #performRandom(): Promise<BrokenReport | undefined> {
    const { seed, rounds = Number.POSITIVE_INFINITY } = this.#request;
    const isTimed = this.#request.rounds === undefined;
    while (this.#rounds < rounds && !(isTimed && Date.now() >= this.#end && this.#rounds > 0)) {
      const from = seed + this.#rounds;
      const left = isTimed ? this.#end - Date.now() : SLICE_MILLISECONDS;
      const result = await this.#perform({
        does: 'random',
        seed: from,
        // JSON knows no infinity.
        rounds: Math.min(rounds - this.#rounds, 1e9),
        milliseconds: Math.max(0, Math.min(left, SLICE_MILLISECONDS)),
      });
      this.#rounds += result.rounds;
      if (result.broken === undefined) continue;
      const found = from + result.rounds - 1;
      return this.#report(randomHistory(found), result.broken, 'a random history', found);
    }
    return undefined;
  }

  async #perform(task: Parameters<Bench['perform']>[0]): Promise<TaskResult> {
    const result = await this.#bench.perform(task);
    this.#calls += result.calls;
    this.#varies ||= result.varies;
    return result;
  }

  async #report(
    history: History,
    broken: BrokenRule,
    where: string,
    seed: number | undefined,
  ): Promise<BrokenReport> {
    const found = { history, broken };
    const shortest = await this.#shrink(found);
    this.#bench.takeTime();
    const last = await this.#tryAgain(shortest.history);
    // Who interrupts it now sees what was found so far.
    const isRepeatable = last === undefined || last.broken?.rule === broken.rule;
    const shown = isRepeatable ? shortest : found;
    const told = last?.broken ?? broken;
    return {
      broken: isRepeatable ? told : broken,
      where,
      seed,
      shape: shown.history.shape,
      askedAgain: shown.history.askedAgain,
      steps: isRepeatable ? stepsOf(shown.history, await this.#outcomesOf(shown.history, last)) : [],
      isRepeatable,
    };
  }

  /** A process that was ended has told nothing of what was before. */
  async #outcomesOf(history: History, result: TaskResult | undefined): Promise<readonly string[]> {
    const { operations } = history;
    if (result === undefined || result.outcomes.length > 0 || operations.length < 2) {
      return result?.outcomes ?? [];
    }
    const before = await this.#tryAgain({ ...history, operations: operations.slice(0, -1) });
    return before?.outcomes ?? [];
  }

  async #shrink(found: Shrunk): Promise<Shrunk> {
    const end = Date.now() + SHRINK_MILLISECONDS;
    let trials = 0;
    const isOver = () => this.#signal.aborted || trials >= MOST_TRIALS || Date.now() >= end;
    const trial = async (history: History) => {
      trials++;
      return (await this.#tryAgain(history))?.broken;
    };
    return shrink(found, trial, isOver);
  }

  /** Undefined if it was interrupted. */
  async #tryAgain(history: History): Promise<TaskResult | undefined> {
    try {
      return await this.#bench.perform({ does: 'perform', history });
    } catch (thrown) {
      if (this.#signal.aborted) return undefined;
      throw thrown;
    }
  }
}

function stepsOf({ operations }: History, outcomes: readonly string[]): Step[] {
  return operations.map((operation, index) => ({
    does: stepText(operation),
    outcome: outcomes[index] ?? '',
    operation,
  }));
}
