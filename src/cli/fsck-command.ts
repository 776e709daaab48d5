/**
 * `quarry fsck`: is a volume sound, and if not, make it so.
 *
 *   -n   check, as the volume is when its journal is replayed; never writes. What the command does
 *        without a choice, too
 *   -p   replay the journal and repair what can lose nothing; anything more is left as it is, and
 *        said in one line
 *   -y   repair everything
 *
 * Exit statuses are those of fsck(8). A volume that was only not unmounted in order has no problem:
 * it is 0 with any choice.
 */
import { type CheckOptions, type CheckResult, checkVolume, FsckExit } from '../check/checker.ts';
import type { Problem } from '../check/problem.ts';
import { type RepairMode, repairVolume } from '../check/repair.ts';
import { PASSES } from '../check/stages.ts';
import { printable } from '../common/printable.ts';
import { plural } from '../common/words.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { targetError, UsageError } from './failure.ts';
import { requireFileSize } from './process-limits.ts';
import { ProgressBar } from './progress.ts';
import { inspectTarget, type Target } from './target.ts';
import { engineFor, holdingStorage, openStorage } from './volume-storage.ts';

/** Problems printed for people; `--json` has those that were kept. */
const PROBLEMS_SHOWN = 200;

/** What became of the problems; `found`: they were only looked for. */
type Outcome = 'clean' | 'found' | 'corrected' | 'refused' | 'failed';

export interface FsckReport {
  readonly outcome: Outcome;
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  /** Transactions of the journal that were replayed. */
  readonly replayed: number;
  /** Inodes of the orphan list that were freed or finished. */
  readonly orphans: number;
  /** The volume as it is now. */
  readonly volume: CheckResult;
}

const STATUS: Readonly<Record<Outcome, number>> = {
  clean: FsckExit.clean,
  found: FsckExit.uncorrected,
  corrected: FsckExit.corrected,
  refused: FsckExit.uncorrected,
  failed: FsckExit.uncorrected,
};

/**
 * What is to be done about problems: undefined is nothing.
 * @throws UsageError if the options contradict each other
 */
export function fsckMode(options: OptionValues): RepairMode | undefined {
  const given = {
    no: optionGiven(options, 'no'),
    safe: optionGiven(options, 'preen') || optionGiven(options, 'automatic'),
    all: optionGiven(options, 'yes'),
  };
  if (Object.values(given).filter(Boolean).length > 1)
    throw new UsageError('give only one of -n, -p and -y: they contradict each other');
  if (given.all) return 'all';
  return given.safe ? 'safe' : undefined;
}

/** A check by itself as a report. */
export function reportOfCheck(volume: CheckResult): FsckReport {
  const { clean, problems, problemCount } = volume;
  return { outcome: clean ? 'clean' : 'found', problems, problemCount, replayed: 0, orphans: 0, volume };
}

async function examine(
  target: Target,
  mode: RepairMode | undefined,
  options: CheckOptions,
): Promise<FsckReport> {
  const readOnly = mode === undefined;
  const engine = engineFor(target);
  return await holdingStorage(target, readOnly ? 'shared' : 'exclusive', engine, async () => {
    if (!readOnly && !target.isBlockDevice) requireFileSize(target.path, target.sizeBytes);
    const device = await openStorage(target, { readOnly, engine });
    try {
      if (mode === undefined) return reportOfCheck(await checkVolume(device, options));
      const { after, ...repaired } = await repairVolume(device, mode, options);
      return { ...repaired, volume: after };
    } finally {
      await device.close();
    }
  });
}

export function fsckStatus({ outcome }: FsckReport): number {
  return STATUS[outcome];
}

/** What was found and done beside problems. */
function recoveryLines({ replayed, orphans, outcome, volume }: FsckReport): string[] {
  const lines: string[] = [];
  const { transactions, blocks } = volume.journal;
  if (replayed > 0) lines.push(`journal: ${plural(replayed, 'transaction')} replayed`);
  else if (transactions > 0)
    lines.push(
      `journal: ${plural(transactions, 'transaction')} to replay (${plural(blocks, 'block')}); checked as it is after that`,
    );
  const wasRepaired = outcome === 'clean' || outcome === 'corrected';
  if (orphans > 0 && wasRepaired) lines.push(`orphans: ${plural(orphans, 'inode')} freed or finished`);
  return lines;
}

function verdict({ outcome, problemCount }: FsckReport): string {
  if (outcome === 'clean') return 'clean';
  const problems = plural(problemCount, 'problem');
  return outcome === 'corrected' ? `${problems}, all corrected` : problems;
}

/** The report in words, ending with one line that sums it up. */
export function fsckText(target: string, report: FsckReport): string {
  const { problems, problemCount, outcome, volume } = report;
  const lines = recoveryLines(report);
  for (const { code, message, remedy } of problems.slice(0, PROBLEMS_SHOWN))
    lines.push(outcome === 'corrected' ? `${message}: ${remedy} [${code}]` : `${message} [${code}]`);
  const more = problemCount - Math.min(problems.length, PROBLEMS_SHOWN);
  if (more > 0) lines.push(`… and ${more} more problems`);
  const mounted = volume.state === 'dirty' ? ', was not unmounted in order' : '';
  const { files, directories, inodes, blocksUsed, blocks } = volume.statistics;
  lines.push(
    `${printable(target)}: ${verdict(report)}${mounted}; ${inodes} inodes (${files} files, ${directories} directories), ` +
      `${blocksUsed}/${blocks} blocks`,
  );
  return lines.map((line) => `${line}\n`).join('');
}

/** Why problems are still there, and what to do about it. */
function leftLine(target: string, outcome: Outcome): string | undefined {
  if (outcome === 'refused')
    return `${target} needs a repair that could lose something, which -p does not do: run 'quarry fsck -y ${target}'`;
  if (outcome === 'failed')
    return `${target} could not be repaired in full: run 'quarry fsck -y ${target}' again`;
  return undefined;
}

/** The report for programs. */
export function fsckJson(target: string, report: FsckReport): object {
  const { outcome, replayed, orphans, problemCount, volume } = report;
  const problems = report.problems.map((problem) => ({ ...problem, repaired: outcome === 'corrected' }));
  return {
    target,
    outcome,
    status: fsckStatus(report),
    ...volume,
    clean: volume.clean && outcome !== 'refused',
    replayed,
    orphansFreed: orphans,
    problems,
    problemCount,
  };
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const mode = fsckMode(options);
  const name = argumentAt(args, 0);
  const target = inspectTarget(name);
  const wantsBar =
    optionGiven(options, 'progress') || (terminal.interactive && !optionGiven(options, 'json'));
  const bar = wantsBar ? new ProgressBar(terminal) : undefined;
  await bar?.ready();
  let report: FsckReport;
  try {
    report = await examine(target, mode, {
      progress: (pass, done, total) =>
        bar?.update(`${PASSES.indexOf(pass) + 1}/${PASSES.length} ${pass}`, done, total),
    });
  } catch (thrown) {
    throw targetError(thrown, name);
  } finally {
    bar?.clear();
  }
  if (optionGiven(options, 'json')) printJson(terminal, fsckJson(target.path, report));
  else terminal.out(fsckText(target.path, report));
  const left = leftLine(target.path, report.outcome);
  if (left !== undefined) say(terminal, left);
  return fsckStatus(report);
}

export const fsckCommand: CommandDefinition = {
  name: 'fsck',
  summary: 'check whether a volume is sound, and repair it',
  arguments: [{ name: 'target', text: 'block device or image file, not mounted' }],
  options: [
    { flags: '-n, --no', text: 'check only, change nothing (the default)' },
    { flags: '-p, --preen', text: 'replay the journal, and repair what can lose nothing' },
    { flags: '-a, --automatic', text: 'the same as -p', hidden: true },
    { flags: '-y, --yes', text: 'repair everything' },
    { flags: '-f, --force', text: 'check even if the volume is clean (always done)', hidden: true },
    { flags: '--progress', text: 'show a progress bar; by default where standard error is a terminal' },
    JSON_OPTION,
  ],
  notes: `Exit status: 0 no problems, 1 problems corrected, 4 problems left uncorrected, 8 the check could not be made,
16 wrong usage.
What cannot be reached from the root any more is put into lost+found, under the name '#' and its inode number.`,
  usageStatus: FsckExit.usage,
  failureStatus: FsckExit.operational,
  run,
};
