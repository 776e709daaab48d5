/** `quarry lab run`: policies × workloads × seeds on volumes in memory, measured and ranked. */
import { statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { AllocatorLoadError } from '../alloc/registry.ts';
import { packageVersion } from '../common/package-version.ts';
import { isRoot } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { DEFAULT_BLOCK_BYTES } from '../fs/format/format.ts';
import type { Configuration } from '../lab/experiment.ts';
import { Laboratory, type LabResults } from '../lab/laboratory.ts';
import {
  completedConfiguration,
  EXPERIMENT_LIMITS,
  type LoadedExperiment,
  loadExperiment,
} from '../lab/loaded-experiment.ts';
import { MEASURES } from '../lab/measures.ts';
import { KERNEL_FILESYSTEMS } from '../lab/mounts/filesystems.ts';
import { findProgram } from '../lab/mounts/programs.ts';
import { overallOf } from '../lab/ranking.ts';
import { overallTable, workloadTable } from '../lab/report/tables.ts';
import { writeReport } from '../lab/report/write-report.ts';
import { WORKLOADS } from '../lab/workloads/catalogue.ts';
import { REPOSITORY_PREFIX } from '../lab/workloads/registry.ts';
import { WorkloadLoadError } from '../lab/workloads/workload-load-error.ts';
import {
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import { missingLine } from './lab-report-command.ts';
import { programPath } from './program-path.ts';
import { ProgressBar } from './progress.ts';
import { parseSize } from './sizes.ts';

const DEFAULT_POLICIES = 'goal-and-window,first-fit,next-fit';
const DEFAULT_WORKLOADS = 'agrawal,files,database';
const DEFAULT_SIZE = '1G';
/** What else may be named. */
const MADE_FROM_FILES = `
a module    such as ./mine.ts, whose default export is a workload
a record    of 'quarry record', such as ./year.quarry-record
a trace     blkparse text, such as ./disk.blkparse, or of MSR Cambridge, ./usr_0.csv
git?repo=DIRECTORY, or git with --repo: the history of a repository
`;
/** Measures by which policies are told apart over all workloads. */
const OVERALL = ['layoutScore', 'extentsPerFile', 'diskSlowdown'];
const LIMITS = EXPERIMENT_LIMITS;

function numberOf(options: OptionValues, name: string, least: number, most: number): number {
  const text = optionText(options, name) ?? '';
  const value = Number(text);
  if (text.trim() === '' || !(value >= least && value <= most))
    throw new UsageError(`--${name} ${text} is not a number from ${least} to ${most}`);
  return value;
}

function wholeOf(options: OptionValues, name: string, least: number, most: number): number {
  const value = numberOf(options, name, least, most);
  if (!Number.isInteger(value)) throw new UsageError(`--${name} ${value} is not a whole number`);
  return value;
}

/** Words between commas, each once. */
function listOf(options: OptionValues, name: string, flag: string): string[] {
  const words = (optionText(options, name) ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  if (words.length === 0) throw new UsageError(`${flag} names nothing`);
  return [...new Set(words)];
}

/** @throws UsageError */
function workloadsOf(options: OptionValues): string[] {
  const names =
    optionText(options, 'workloads') === 'all'
      ? [...WORKLOADS.keys()]
      : listOf(options, 'workloads', '--workloads');
  const repository = optionText(options, 'repo');
  if (repository === undefined) return names;
  if (!names.includes('git')) throw new UsageError('--repo is for the workload git');
  return names.map((name) => (name === 'git' ? `${REPOSITORY_PREFIX}${repository}` : name));
}

/** @throws UsageError */
function configurationOf(options: OptionValues): Configuration {
  const seeds = wholeOf(options, 'seeds', 1, LIMITS.mostSeeds);
  const first = wholeOf(options, 'seed', 0, 2 ** 32 - LIMITS.mostSeeds);
  const sizeBytes = parseSize(optionText(options, 'size') ?? DEFAULT_SIZE, '--size');
  if (sizeBytes < LIMITS.leastBytes || sizeBytes > LIMITS.mostBytes)
    throw new UsageError(`--size ${optionText(options, 'size')} is not from 32M to 16T`);
  return {
    version: packageVersion(),
    runner: runnerOf(options),
    policies: listOf(options, 'policies', '--policies'),
    workloads: workloadsOf(options),
    sizeBytes,
    blockBytes: DEFAULT_BLOCK_BYTES,
    fullness: numberOf(options, 'fullness', LIMITS.leastFullness, LIMITS.mostFullness),
    churn: numberOf(options, 'churn', 0, LIMITS.mostChurn),
    samples: wholeOf(options, 'samples', 1, LIMITS.mostSamples),
    seeds: Array.from({ length: seeds }, (_, index) => first + index),
  };
}

/** @throws UsageError */
function runnerOf(options: OptionValues): Configuration['runner'] {
  const runner = optionText(options, 'runner');
  if (runner === 'model' || runner === 'mount') return runner;
  throw new UsageError(`--runner ${runner} is unknown: use model or mount`);
}

/** All are loaded once before anything begins. @throws UsageError, CommandError */
async function loadAll({ runner, policies, workloads }: Configuration): Promise<LoadedExperiment> {
  const foreign = policies.filter((policy) => KERNEL_FILESYSTEMS.includes(policy));
  if (runner === 'mount' && !isRoot())
    throw new CommandError('--runner mount makes loop devices and mounts: run it as root');
  if (runner === 'model' && foreign[0] !== undefined)
    throw new UsageError(
      `${foreign[0]} is a filesystem of the kernel and can only be mounted: use --runner mount`,
    );
  for (const name of foreign) {
    if (findProgram(`mkfs.${name}`) === undefined) throw new CommandError(`mkfs.${name} is not installed`);
  }
  try {
    return await loadExperiment(
      policies.filter((name) => !foreign.includes(name)),
      workloads,
    );
  } catch (thrown) {
    if (thrown instanceof AllocatorLoadError || thrown instanceof WorkloadLoadError)
      throw new UsageError(thrown.message);
    throw thrown;
  }
}

function listWorkloads(terminal: Terminal): void {
  for (const { name, says, source } of WORKLOADS.values())
    terminal.out(`${name.padEnd(11)} ${says}\n${' '.repeat(12)}${source}\n`);
  terminal.out(MADE_FROM_FILES);
}

async function run(_args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  if (optionGiven(options, 'list')) {
    listWorkloads(terminal);
    return 0;
  }
  const asked = configurationOf(options);
  const loaded = await loadAll(asked);
  for (const { remark } of loaded.workloads.values()) if (remark !== undefined) say(terminal, remark);
  const configuration = completedConfiguration(asked, loaded, optionText(options, 'size') !== undefined);
  const results = await carryOut(configuration, options, terminal);
  terminal.out(describe(configuration, results));
  await report(results, optionText(options, 'out') ?? 'report', terminal);
  for (const { policy, workload, seed, result } of results.runs)
    if (result.remark !== undefined)
      say(terminal, `${policy} on ${workload}, seed ${seed}: ${result.remark}`);
  for (const { policy, workload, seed, reason } of results.failed)
    say(terminal, `${policy} on ${workload}, seed ${seed}: ${reason}`);
  if (results.failed.length > 0) return 1;
  if (results.isComplete) return 0;
  throw new CommandError(`stopped after ${results.runs.length} runs: the same command with --resume goes on`);
}

/** What is missing for it is no failure of the run. */
async function report({ runs }: LabResults, directory: string, terminal: Terminal): Promise<void> {
  if (runs.length === 0) return;
  const missing = await writeReport(directory);
  if (missing.length > 0) say(terminal, missingLine(missing, directory));
}

/** @throws UsageError if it is no directory */
function scratchOf(options: OptionValues): string {
  const directory = optionText(options, 'scratch') ?? tmpdir();
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return directory;
  throw new UsageError(`--scratch ${directory} is no directory`);
}

/** Mounts at a time would be in each other's way. */
function threadsOf({ runner }: Configuration, options: OptionValues): number {
  if (optionText(options, 'threads') !== undefined) return wholeOf(options, 'threads', 1, LIMITS.mostThreads);
  return runner === 'mount' ? 1 : availableParallelism();
}

async function carryOut(
  configuration: Configuration,
  options: OptionValues,
  terminal: Terminal,
): Promise<LabResults> {
  const bar = terminal.interactive ? new ProgressBar(terminal) : undefined;
  const began = Date.now();
  const outDirectory = optionText(options, 'out') ?? 'report';
  const laboratory = new Laboratory({
    configuration,
    outDirectory,
    resume: optionGiven(options, 'resume'),
    threads: threadsOf(configuration, options),
    mounting: {
      command: [process.execPath, programPath()],
      scratchDirectory: scratchOf(options),
    },
    progress: (share, finished, all) => {
      const left = share < 0.01 ? '' : `, ${timeLeft(began, share)}`;
      bar?.update(`${finished}/${all}${left}`, share, 1);
    },
  });
  const stop = () => laboratory.stop();
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await laboratory.run();
  } catch (thrown) {
    throw codeOf(thrown) === '' ? thrown : targetError(thrown, outDirectory);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    bar?.clear();
  }
}

/** At the pace so far. */
function timeLeft(began: number, share: number): string {
  const seconds = ((Date.now() - began) / 1000) * (1 / share - 1);
  return seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

function describe({ workloads }: Configuration, { rankings, runs }: LabResults): string {
  if (runs.length === 0) return '';
  const tables = workloads.map((workload) => `${workloadTable(rankings, workload)}\n`).join('');
  const overall = MEASURES.filter(({ name }) => OVERALL.includes(name));
  const ranks = overall.map(({ name, title }) => overallTable(title, overallOf(rankings, name))).join('\n');
  return `${tables}${ranks}\n* the best, or cannot be told from it by these seeds (Student's 95 % interval of differences)\n`;
}

export const labRunCommand: CommandDefinition = {
  name: 'run',
  summary: 'age volumes under policies by workloads, measure, and rank them',
  arguments: [],
  options: [
    {
      flags: '--policies <list>',
      text: `names or modules, options behind a question mark (${DEFAULT_POLICIES})`,
    },
    { flags: '--workloads <list>', text: `names, modules, records, traces, or all (${DEFAULT_WORKLOADS})` },
    {
      flags: '--size <size>',
      text: `size of each volume (${DEFAULT_SIZE}; of a record, that of its volume)`,
    },
    { flags: '--repo <directory>', text: 'the repository whose history the workload git takes' },
    { flags: '--fullness <share>', text: 'how full, where the workload does not say (0.8)' },
    { flags: '--churn <times>', text: 'how often the capacity is written when full (5)' },
    { flags: '--samples <number>', text: 'looks at the volume after the first (5)' },
    { flags: '--seeds <number>', text: 'runs of each, with seeds that follow each other (5)' },
    { flags: '--seed <number>', text: 'the first seed (1)' },
    { flags: '--out <directory>', text: 'where results go (report)' },
    {
      flags: '--runner <name>',
      text: 'model: volumes in memory; mount: mounts on loop devices, also of ext4, xfs, btrfs (model)',
    },
    {
      flags: '--scratch <directory>',
      text: 'where files behind loop devices may lie (the place for temporary files)',
    },
    { flags: '--resume', text: 'keep runs of the same configuration that are there' },
    { flags: '--threads <number>', text: 'runs at a time (one per processor; of mounts, one)' },
    { flags: '--list', text: 'tell the workloads and where their numbers come from' },
  ],
  usageStatus: 2,
  failureStatus: 1,
  run: (args, options, terminal) => run(args, { ...DEFAULTS, ...options }, terminal),
};

const DEFAULTS: OptionValues = {
  policies: DEFAULT_POLICIES,
  workloads: DEFAULT_WORKLOADS,
  runner: 'model',
  fullness: '0.8',
  churn: '5',
  samples: '5',
  seeds: '5',
  seed: '1',
};
