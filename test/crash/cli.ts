/**
 * The command behind `npm run crash` (scripts/crash.mjs), compiled.
 *
 *   npm run crash -- [--seed N] [--minutes M | --states N] [--workload NAME] [--state NAME] [--mutation NAME] [--workers N]
 *
 * Runs until time is up, so many states were found, or the first violation. Exit 1 if there was
 * one.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATIONS, mutatedCopy } from './mutations.ts';
import { describeViolation, type RunSummary, runCrashes } from './run.ts';

const PLAIN_LINE_EVERY_SECONDS = 10;

function refuse(message: string): never {
  console.error(`crash: ${message}`);
  process.exit(2);
}

function readOptions() {
  try {
    const text = { type: 'string' } as const;
    const options = {
      seed: text,
      minutes: text,
      states: text,
      workload: text,
      state: text,
      mutation: text,
      workers: text,
    };
    return parseArgs({ options }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function numberOf(name: string, text: string | undefined, fallback: number, least: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isFinite(value) || value < least) refuse(`--${name} ${text} is not a number ≥ ${least}`);
  return value;
}

function summaryLine({ workloads, distinct, examined, seconds, violations }: RunSummary): string {
  const rate = Math.round(examined / Math.max(seconds, 0.001));
  return `${Math.round(seconds)} s: ${workloads} workloads, ${distinct} distinct states, ${examined} examinations, ${rate}/s, ${violations.length} violations`;
}

class ProgressLines {
  #last = 0;

  show(summary: RunSummary): void {
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\x1b[K${summaryLine(summary)}`);
    } else if (summary.seconds - this.#last >= PLAIN_LINE_EVERY_SECONDS) {
      this.#last = summary.seconds;
      console.log(summaryLine(summary));
    }
  }

  end(): void {
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  const seed = Math.floor(numberOf('seed', options.seed, Date.now() % 1000, 0));
  const states = options.states === undefined ? undefined : numberOf('states', options.states, 1, 1);
  const minutes = numberOf('minutes', options.minutes, states === undefined ? 1 : 1e6, 0.01);
  const single = options.state !== undefined;
  const workers = single ? 1 : numberOf('workers', options.workers, availableParallelism(), 1);
  const mutation = MUTATIONS.find(({ name }) => name === options.mutation);
  if (options.mutation !== undefined && !mutation) {
    refuse(`no mutation '${options.mutation}': ${MUTATIONS.map(({ name }) => name).join(', ')}`);
  }
  const compiled = fileURLToPath(new URL('../..', import.meta.url));
  const copy = mutation ? mutatedCopy(compiled, mutation) : undefined;
  const lines = new ProgressLines();
  console.log(`crash: seed ${seed}, ${workers} workers${mutation ? `, mutation ${mutation.name}` : ''}`);
  try {
    const summary = await runCrashes(copy?.folder ?? compiled, {
      seed,
      seconds: minutes * 60,
      states,
      workers,
      workload: options.workload,
      state: options.state,
      progress: (soFar) => lines.show(soFar),
    });
    lines.end();
    for (const violation of summary.violations) {
      console.log(describeViolation(violation, seed, mutation?.name));
    }
    for (const failure of summary.failures) console.log(`FAILED: ${failure}`);
    console.log(`crash: ${summaryLine(summary)}`);
    return summary.violations.length + summary.failures.length > 0 ? 1 : 0;
  } finally {
    copy?.remove();
  }
}

process.exitCode = await main();
