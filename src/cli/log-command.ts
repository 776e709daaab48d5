/**
 * `quarry log`: what the daemon of a mount said. Of one that is there, by its own word; of one that
 * is gone, and of all before it, what is in the journal and in files of ours.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { printable } from '../common/printable.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { askMount, NoAnswerError } from './ask-mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { findProgram } from './find-program.ts';
import { readLogFiles } from './log-file.ts';
import { originLine } from './mount-log.ts';
import { isServedByUs, mountNamed, mountpointPath } from './mountpoint.ts';
import { LOG_IDENTIFIER } from './system-log.ts';
import { inspectTarget } from './target.ts';

const MOST_LINES = 1_000_000;
const MOST_JOURNAL_BYTES = 256 * 1024 * 1024;

function lineCount(text: string | undefined): number {
  if (text === undefined) return MOST_LINES;
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MOST_LINES) return count;
  throw new UsageError(`--lines ${text} is not a number of lines: write one from 1 on`);
}

/** Where a log may come from. */
interface Named {
  /** The mountpoint that is meant, … */
  readonly directory: string;
  /** … or the target; undefined if the name is of none. */
  readonly target: string | undefined;
}

function named(name: string): Named {
  const directory = mountpointPath(name);
  try {
    return { directory, target: inspectTarget(name).path };
  } catch (thrown) {
    if (thrown instanceof CommandError) return { directory, target: undefined };
    throw thrown;
  }
}

/**
 * Lines of files that belong to a mountpoint or to a target. A file has lines of the targets that
 * were mounted on its directory, each from where it says so.
 */
export function logOf({ directory, target }: Named, files = readLogFiles): string[] {
  if (target === undefined) return files(directory).flatMap(({ text }) => linesOf(text));
  const lines: string[] = [];
  for (const { text } of files(undefined)) {
    let isOurs = false;
    for (const line of linesOf(text)) {
      const origin = / \[\d+\] log of (.*)$/.exec(line)?.[1];
      if (origin !== undefined)
        isOurs = origin.startsWith(originLine({ target, directory: '' }).slice('log of '.length));
      if (isOurs) lines.push(line);
    }
  }
  return lines;
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** An entry of the journal as a line of a log; undefined for what is none. */
export function journalLine(text: string): string | undefined {
  try {
    const {
      MESSAGE,
      SYSLOG_PID,
      __REALTIME_TIMESTAMP: time,
    }: Record<string, unknown> = Object(JSON.parse(text));
    const milliseconds = Number(time) / 1000;
    if (typeof MESSAGE !== 'string' || !(milliseconds > 0)) return undefined;
    return `${new Date(milliseconds).toISOString()} [${String(SYSLOG_PID)}] ${MESSAGE}`;
  } catch {
    return undefined;
  }
}

/** What the journal has, as far as the user may see it. */
async function journalOf({ directory, target }: Named): Promise<string[]> {
  const program = findProgram('journalctl');
  if (program === undefined) return [];
  const field = target === undefined ? `QUARRY_MOUNT=${directory}` : `QUARRY_TARGET=${target}`;
  const words = ['--quiet', '--no-pager', '--output=json', `SYSLOG_IDENTIFIER=${LOG_IDENTIFIER}`, field];
  try {
    const { stdout } = await promisify(execFile)(program, words, { maxBuffer: MOST_JOURNAL_BYTES });
    return linesOf(stdout).flatMap((line) => journalLine(line) ?? []);
  } catch {
    return [];
  }
}

/** What was kept, the oldest first. */
async function keptLog(name: Named): Promise<string[]> {
  const lines = [...logOf(name), ...(await journalOf(name))];
  const timeOf = (line: string) => line.slice(0, line.indexOf(' '));
  return lines.sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : timeOf(a) > timeOf(b) ? 1 : 0));
}

/** Undefined where nobody answers any more. */
async function liveLog(mount: MountRecord, terminal: Terminal): Promise<string[] | undefined> {
  try {
    const answer = await askMount(mount, 'log');
    return linesOf(typeof answer === 'string' ? answer : '');
  } catch (thrown) {
    const isGone = thrown instanceof NoAnswerError && thrown.reason !== 'foreign';
    if (!isGone) throw thrown;
    say(terminal, `${thrown.message}: what follows was kept`);
    return undefined;
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const count = lineCount(optionText(options, 'lines'));
  const mount = optionGiven(options, 'all') ? undefined : mountNamed(name);
  const isLive = mount !== undefined && (await isServedByUs(mount));
  const live = isLive ? await liveLog(mount, terminal) : undefined;
  const lines = live ?? (await keptLog(named(name)));
  if (live === undefined && lines.length === 0)
    throw new CommandError(`there is no log of ${name}: neither a file nor the journal has a line of it`);
  terminal.out(
    lines
      .slice(-count)
      .map((line) => `${printable(line)}\n`)
      .join(''),
  );
  return 0;
}

export const logCommand: CommandDefinition = {
  name: 'log',
  summary: 'show what the daemon of a mount said',
  arguments: [{ name: 'name', text: 'where it is or was mounted, or what is or was' }],
  options: [
    { flags: '-n, --lines <count>', text: 'only the last lines' },
    { flags: '-a, --all', text: 'what the journal and files have, of earlier mounts too' },
  ],
  notes: `Of a mount that is there, its daemon is asked for its last lines, which root and its owner may. Of one that
is gone the journal is read where there is one, and the file that is written where there is none.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
