/**
 * Rounds of the oracle: a volume, four workers, some hundred batches of random steps, looks in
 * between, remounts.
 *
 * The seed of a round decides the volume and every step. What runs at the same time may be
 * interleaved otherwise next time, but every step of a batch leaves the same behind whatever the
 * order. After a difference shorter lists of steps are tried, in new directories of the same mount,
 * as long as they show a difference of the same class.
 */
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { lookStep } from './global-steps.ts';
import { type AccessRule, NotApplicable } from './model.ts';
import { Planner } from './planner.ts';
import { type CheckClass, Difference, type Mount, type Played, Stage, type Step } from './stage.ts';
import { lastStep, makeBatch, makeGlobal } from './steps.ts';
import type { Worker } from './worker.ts';

const TAIL_LINES = 30;
const MOST_TRIALS = 200;
/** What hangs on who is faster needs more than one try. */
const TRIES_OF_RACES = 4;

/** What a round runs on. */
export interface Ground extends Mount {
  startWorkers(): Worker[];
}

export interface RoundOptions {
  readonly seed: number;
  /** Batches before each remount. */
  readonly batches: number;
  readonly remounts: number;
  readonly without: ReadonlySet<CheckClass>;
  /** How long shorter lists of steps are looked for. */
  readonly shrinkMs: number;
}

export interface RoundResult {
  readonly steps: number;
  readonly calls: number;
  readonly checks: number;
  /** How often all caches were dropped. */
  readonly drops: number;
}

/** @throws Error that tells the difference, and the shortest list of steps known to lead to it */
export async function playRound(ground: Ground, options: RoundOptions): Promise<RoundResult> {
  const workers = ground.startWorkers();
  let stage: Stage | undefined;
  try {
    stage = await Stage.make(workers, ground, options.without, 'round');
    await playAll(new Planner(new SeededRandom(options.seed), stage), options);
    return { steps: stage.log.length, calls: stage.calls, checks: stage.checks, drops: stage.drops };
  } catch (error) {
    for (const worker of workers) await worker.end();
    if (!stage) throw error;
    throw new Error(await explain(ground, options, stage, error));
  } finally {
    for (const worker of workers) await worker.end();
  }
}

async function playAll(planner: Planner, { batches, remounts }: RoundOptions): Promise<void> {
  for (let mount = 0; mount < remounts; mount++) {
    for (let i = 0; i < batches; i++) {
      const global = makeGlobal(planner);
      await playBatch(planner.stage, global ? [global] : makeBatch(planner));
    }
    await playBatch(planner.stage, [lastStep(planner)]);
  }
  await planner.stage.closeAll();
}

/** @throws the first failure, after all have ended; a step that builds on one left out is none */
async function playBatch(stage: Stage, steps: Step[]): Promise<void> {
  stage.batch++;
  const outcomes = await Promise.allSettled(steps.map((step) => stage.play(step)));
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && !(outcome.reason instanceof NotApplicable)) throw outcome.reason;
  }
}

async function explain(ground: Ground, options: RoundOptions, stage: Stage, error: unknown): Promise<string> {
  if (!(error instanceof Difference)) {
    const text = error instanceof Error ? error.message : String(error);
    return [text, ...tail(stage.log)].join('\n');
  }
  const { inode } = error;
  const related = inode ? relatedSteps(stage.log, inode.id) : stage.log;
  const withGlobal = stage.log.filter((played) => related.includes(played) || !played.step.claims);
  const touching = related.filter(({ step, inodes }) => !step.shapesTree || (inode && inodes.has(inode.id)));
  const shortest = await shrink(ground, options, [related, withGlobal, stage.log], error);
  const what = `[${error.checkClass}] ${shortened(error.message)}`;
  if (shortest && shortest.log.length <= TAIL_LINES)
    return [
      what,
      'shortest list of steps found:',
      ...tail(shortest.log),
      `which ends with: ${shortened(shortest.message)}`,
    ].join('\n');
  return [what, 'what was done to it:', ...tail(touching)].join('\n');
}

/** The steps that touched an inode, those that made and moved directories, and the last of all. */
function relatedSteps(log: Played[], id: number): Played[] {
  return log.filter(({ inodes, step }, i) => inodes.has(id) || step.shapesTree || i === log.length - 1);
}

function tail(log: Played[]): string[] {
  const lines = log.map(
    ({ batch, step }) => `  batch ${batch}, worker ${step.worker}: ${shortened(step.text)}`,
  );
  if (lines.length <= TAIL_LINES) return lines;
  return [`  … ${lines.length - TAIL_LINES} before`, ...lines.slice(-TAIL_LINES)];
}

/** Long names hide the rest of a line. */
function shortened(text: string): string {
  return text.replace(/x{100,}/g, (name) => `x(${name.length})`);
}

interface Shorter {
  log: Played[];
  message: string;
}

/**
 * Leaves out as many steps as it can, halves first.
 * @returns undefined if not even the longest list shows it again
 */
async function shrink(
  ground: Ground,
  options: RoundOptions,
  lists: Played[][],
  failure: Difference,
): Promise<Shorter | undefined> {
  const end = Date.now() + options.shrinkMs;
  let trials = 0;
  const fails = async (log: Played[]): Promise<Shorter | undefined> => {
    for (let tries = failure.checkClass === 'direct-aio' ? TRIES_OF_RACES : 1; tries > 0; tries--) {
      if (trials >= MOST_TRIALS || Date.now() > end) return undefined;
      const message = await tryAgain(ground, options, log, failure.checkClass, `trial-${trials++}`);
      if (message !== undefined) return { log, message };
    }
    return undefined;
  };
  let best: Shorter | undefined;
  for (const list of lists) best ??= await fails(list);
  if (!best) return undefined;
  for (let part = Math.ceil(best.log.length / 2); part >= 1; part = part > 1 ? Math.ceil(part / 2) : 0) {
    for (let from = best.log.length - part; from > -part; from -= part) {
      const log: Played[] = best.log.filter((_, i) => i < from || i >= from + part);
      best = (await fails(log)) ?? best;
    }
  }
  return best;
}

/**
 * Plays some steps on a stage of their own, and looks at all.
 * @returns the difference of that class
 */
async function tryAgain(
  ground: Ground,
  options: RoundOptions,
  log: Played[],
  checkClass: CheckClass,
  name: string,
): Promise<string | undefined> {
  const workers = ground.startWorkers();
  try {
    const stage = await Stage.make(workers, ground, options.without, name);
    for (const batch of new Set(log.map((played) => played.batch))) {
      await playBatch(
        stage,
        log.filter((played) => played.batch === batch).map(({ step }) => step),
      );
    }
    await playBatch(stage, [lookStep(options.seed, 'all')]);
    return undefined;
  } catch (error) {
    return error instanceof Difference && error.checkClass === checkClass ? error.message : undefined;
  } finally {
    for (const worker of workers) await worker.end();
  }
}

/** How the volumes of some seeds differ from each other. */
export interface VolumeNature {
  readonly kind: 'loop' | 'image';
  readonly blockBytes: number;
  readonly accessRule: AccessRule;
}

export function natureOf(seed: number): VolumeNature {
  const random = new SeededRandom(seed ^ 0x5eed);
  return {
    kind: random.pick(['loop', 'image'] as const),
    blockBytes: random.pick([1024, 4096, 4096, 65_536]),
    accessRule: random.pick(['relatime', 'relatime', 'strictatime', 'noatime'] as const),
  };
}
