/**
 * `quarry fsck`: is a volume sound? Reads only; repairs come with a later version, and whoever asks for them
 * is told so, after the check. Exit statuses are those of fsck(8).
 */
import { openAioDevice } from '../aio/aio-device.ts';
import { type CheckResult, checkVolume, FsckExit } from '../check/checker.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  type Terminal,
} from './command.ts';
import { CommandError, targetError } from './failure.ts';
import { ProgressBar } from './progress.ts';
import { inspectTarget, mountedOn, type Target } from './target.ts';

/** Problems printed for people; `--json` has those that were kept. */
const PROBLEMS_SHOWN = 200;

async function check(target: Target, bar: ProgressBar | undefined): Promise<CheckResult> {
  const directory = mountedOn(target);
  if (directory !== undefined) {
    throw new CommandError(`${target.path} is mounted on ${directory}: unmount it before checking it`);
  }
  const device = openAioDevice(target.path, { readOnly: true, allowBuffered: true });
  try {
    return await checkVolume(
      device,
      bar ? { progress: (pass, done, total) => bar.update(pass, done, total) } : {},
    );
  } finally {
    bar?.clear();
    await device.close();
  }
}

/** The exit status for a result. */
export function fsckStatus(result: CheckResult): number {
  return result.clean ? FsckExit.clean : FsckExit.uncorrected;
}

/** The result in words, ending with one line that sums it up. */
export function fsckText(target: string, result: CheckResult): string {
  const { statistics, problems, problemCount, state } = result;
  const lines = problems.slice(0, PROBLEMS_SHOWN).map(({ code, message }) => `${message} [${code}]`);
  if (problemCount > lines.length) lines.push(`… and ${problemCount - lines.length} more problems`);
  const verdict = result.clean ? 'clean' : `${problemCount} ${problemCount === 1 ? 'problem' : 'problems'}`;
  const mounted = state === 'dirty' ? ', was not unmounted in order' : '';
  const { files, directories, inodes, blocksUsed, blocks } = statistics;
  lines.push(
    `${target}: ${verdict}${mounted}; ${inodes} inodes (${files} files, ${directories} directories), ` +
      `${blocksUsed}/${blocks} blocks`,
  );
  return lines.map((line) => `${line}\n`).join('');
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const target = inspectTarget(name);
  const wantsBar =
    optionGiven(options, 'progress') || (terminal.interactive && !optionGiven(options, 'json'));
  let result: CheckResult;
  try {
    result = await check(target, wantsBar ? new ProgressBar(terminal) : undefined);
  } catch (thrown) {
    throw targetError(thrown, name);
  }
  if (optionGiven(options, 'json')) printJson(terminal, { target: target.path, ...result });
  else terminal.out(fsckText(target.path, result));
  const wantsRepair = ['preen', 'yes', 'automatic'].some((option) => optionGiven(options, option));
  if (wantsRepair && !result.clean) {
    terminal.err('quarry: this version finds problems and does not repair them yet: nothing was changed\n');
  }
  return fsckStatus(result);
}

export const fsckCommand: CommandDefinition = {
  name: 'fsck',
  summary: 'check whether a volume is sound',
  arguments: [{ name: 'target', text: 'block device or image file, not mounted' }],
  options: [
    { flags: '-n, --no', text: 'change nothing (what this version does in any case)' },
    { flags: '-p, --preen', text: 'repair what is safe to repair (not in this version: checks only)' },
    { flags: '-a, --automatic', text: 'the same as -p', hidden: true },
    { flags: '-y, --yes', text: 'repair everything (not in this version: checks only)' },
    { flags: '-f, --force', text: 'check even if the volume is clean (always done)', hidden: true },
    { flags: '--progress', text: 'show a progress bar; by default where standard error is a terminal' },
    JSON_OPTION,
  ],
  notes: `Exit status: 0 no problems, 4 problems left uncorrected, 8 the check could not be made, 16 wrong usage.`,
  usageStatus: FsckExit.usage,
  failureStatus: FsckExit.operational,
  run,
};
