/**
 * The directory of results: which file is what, written whole or not at all, and read back.
 *
 *   results.json                            all samples of all runs, and the rankings
 *   runs/POLICY-WORKLOAD-SEED.json          one run, and what it cost on this machine
 *   details/POLICY-WORKLOAD-SEED.json       what figures of this run are drawn from
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Configuration, FinishedRun, RunKey } from './experiment.ts';
import { isSameContent, type RunContent } from './run-content.ts';
import type { RunDetail } from './run-detail.ts';

type KeptRun = FinishedRun & { readonly configuration: string; readonly content?: RunContent };
type KeptDetail = RunKey & { readonly configuration: string; readonly detail: RunDetail };

/** What results.json has. */
export interface WrittenResults {
  readonly hash: string;
  readonly configuration: Configuration;
  readonly failed: readonly (RunKey & { readonly reason: string })[];
  readonly runs: readonly (RunKey & Pick<FinishedRun['result'], 'samples'>)[];
}

const HASH_DIGITS = 8;
const MOST_CHARACTERS = 60;

export class ResultsDirectory {
  constructor(
    readonly path: string,
    /** Of the configuration. */
    readonly hash: string,
  ) {}

  /** @param name of a file, also in a folder, which is made */
  write(name: string, content: string | Uint8Array): void {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeWhole(file, content);
  }

  /**
   * The samples and the costs in one file, what is drawn in another; that one first, since a run
   * that is there counts as done.
   */
  keep({ result: { detail, ...result }, ...key }: FinishedRun, content: RunContent): void {
    const own = { configuration: this.hash, ...key };
    // A line: maps are long, and nobody reads them.
    if (detail !== undefined) this.write(runFile('details', key), `${JSON.stringify({ ...own, detail })}\n`);
    this.write(runFile('runs', key), json({ ...own, content, result }));
  }

  /**
   * A run that was kept; undefined if there is none of this configuration.
   * @param content what it is to be made from; any if it is not given
   */
  recall(key: RunKey, content?: RunContent): FinishedRun | undefined {
    const kept = this.#read(runFile('runs', key), key) as KeptRun | undefined;
    if (content !== undefined && !isSameContent(kept?.content, content)) return undefined;
    return Array.isArray(kept?.result?.samples) ? { ...key, result: kept.result } : undefined;
  }

  /** What figures of a run are drawn from; undefined if nobody kept it. */
  detailOf(key: RunKey): RunDetail | undefined {
    const kept = this.#read(runFile('details', key), key) as KeptDetail | undefined;
    return Array.isArray(kept?.detail?.samples) ? kept.detail : undefined;
  }

  /** Undefined if the file is none, is broken, or is another run's. */
  #read(name: string, { policy, workload, seed }: RunKey): unknown {
    try {
      const kept = JSON.parse(readFileSync(join(this.path, name), 'utf8')) as KeptRun;
      const isOwn = kept.policy === policy && kept.workload === workload && kept.seed === seed;
      return isOwn && kept.configuration === this.hash ? kept : undefined;
    } catch {
      return undefined;
    }
  }
}

/** @throws the error of the file; Error with a sentence if it is not what `lab run` writes */
export function readResults(path: string): WrittenResults {
  const file = join(path, 'results.json');
  const text = readFileSync(file, 'utf8');
  const found = parsed(text);
  if (!isResults(found)) throw new Error(`${file} is not as quarry lab run writes it`);
  return found;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** As far as a report relies on it. */
function isResults(found: unknown): found is WrittenResults {
  const { hash, configuration, failed, runs } = (found ?? {}) as Partial<WrittenResults>;
  const { policies, workloads, seeds } = configuration ?? {};
  const lists = [policies, workloads, seeds, failed, runs];
  if (typeof hash !== 'string' || !lists.every(Array.isArray)) return false;
  return (runs ?? []).every(
    ({ policy, workload, seed, samples }) =>
      typeof policy === 'string' &&
      typeof workload === 'string' &&
      typeof seed === 'number' &&
      Array.isArray(samples) &&
      samples.every(
        ({ churn, layout, coldRead }) =>
          Number.isFinite(churn) &&
          Number.isFinite(layout?.layoutScore) &&
          Number.isFinite(coldRead?.diskSlowdown),
      ),
  );
}

/** A name says what it is of; one that leaves something out has a hash of all of it. */
function runFile(folder: 'runs' | 'details', { policy, workload, seed }: RunKey): string {
  return join(folder, `${fileName(policy)}-${fileName(workload)}-${seed}.json`);
}

/** A name as part of a file's name: plain, short, and another for each. */
export function fileName(name: string): string {
  const plain = basename(name)
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    .slice(0, MOST_CHARACTERS);
  if (plain === name) return plain;
  return `${plain}-${createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS)}`;
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 1)}\n`;
}

/** The file is the old one or the new one, whenever the program ends. */
function writeWhole(file: string, content: string | Uint8Array): void {
  const beside = `${file}.new`;
  writeFileSync(beside, content);
  renameSync(beside, file);
}
