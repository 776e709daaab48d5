/**
 * `quarry log`: what the daemon of a mount said. Of one that is there, by its own word; of one that
 * is gone, and of all before it, what is in the journal and in files of ours.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { printable } from '../common/printable.ts';
import { type MountRecord, ownerOf } from '../fuse/mount-table.ts';
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
import { linesOf, originLine, originOf, timeOf } from './log-origin.ts';
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

/** A line and its place among those of other files and of the journal. */
interface TimedLine {
  readonly time: string;
  readonly line: string;
}

/** A line without a time has that of the next one, or of the end. */
function timesOf(lines: readonly string[], end: string): string[] {
  const times = new Array<string>(lines.length);
  let next = end;
  for (let at = lines.length - 1; at >= 0; at--) {
    next = timeOf(lines[at] ?? '') ?? next;
    times[at] = next;
  }
  return times;
}

/**
 * Lines of files that belong to a mountpoint or to a target. A file has lines of the targets that
 * were mounted on its directory, each from where it says so. Lines without a time are a daemon's
 * last words, and stand where the next mount began, or the file ends: the journal may have what
 * came before them.
 */
export function logOf({ directory, target }: Named, files = readLogFiles): TimedLine[] {
  const wanted = target && originLine({ target, directory: '' }).slice('log of '.length);
  const found: TimedLine[] = [];
  for (const { text, modified } of files(wanted === undefined ? directory : undefined)) {
    let isOurs = wanted === undefined;
    const lines = linesOf(text);
    const times = timesOf(lines, modified.toISOString());
    lines.forEach((line, index) => {
      const origin = originOf(line);
      if (wanted !== undefined && origin !== undefined) isOurs = origin.startsWith(wanted);
      const time = times[index] ?? '';
      const next = lines[index + 1];
      const saysNothing = origin !== undefined && (next === undefined || originOf(next) !== undefined);
      if (isOurs && !saysNothing) found.push({ time, line });
    });
  }
  return found;
}

/**
 * An entry of the journal as a line of a log; undefined for what is none. Whose it is says the
 * journal: other fields are as the sender wrote them.
 */
export function journalLine(text: string): string | undefined {
  try {
    const {
      MESSAGE,
      _PID: pid,
      __REALTIME_TIMESTAMP: time,
    }: Record<string, unknown> = Object(JSON.parse(text));
    const milliseconds = Number(time) / 1000;
    if (typeof MESSAGE !== 'string' || !(milliseconds > 0)) return undefined;
    return `${new Date(milliseconds).toISOString()} [${String(pid)}] ${MESSAGE}`;
  } catch {
    return undefined;
  }
}

/**
 * What the journal has of those who are believed, as far as the user may see it. Everybody can
 * write to the journal, with these fields; but not as another user.
 */
async function journalOf({ directory, target }: Named, writers: readonly number[]): Promise<string[]> {
  const program = findProgram('journalctl');
  if (program === undefined) return [];
  const field = target === undefined ? `QUARRY_MOUNT=${directory}` : `QUARRY_TARGET=${target}`;
  const users = writers.map((uid) => `_UID=${uid}`);
  const words = [
    '--quiet',
    '--no-pager',
    '--output=json',
    `SYSLOG_IDENTIFIER=${LOG_IDENTIFIER}`,
    ...users,
    field,
  ];
  try {
    const { stdout } = await promisify(execFile)(program, words, { maxBuffer: MOST_JOURNAL_BYTES });
    return linesOf(stdout).flatMap((line) => journalLine(line) ?? []);
  } catch {
    return [];
  }
}

/** What was kept, the oldest first. */
async function keptLog(name: Named, writers: readonly number[]): Promise<string[]> {
  const journal = await journalOf(name, writers);
  const lines = [...logOf(name), ...journal.map((line) => ({ time: timeOf(line) ?? '', line }))];
  lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  return lines.map(({ line }) => line);
}

/** Whose word on a mount is believed: root's, our own, and that of whose mount it is. */
export function writersOn(mount: MountRecord | undefined): number[] {
  const owner = mount && ownerOf(mount).uid;
  return [...new Set([0, process.geteuid?.() ?? 0, owner ?? 0])];
}

/** The mount that a name is of, if it can be seen. */
function mountSeen(name: string): MountRecord | undefined {
  try {
    return mountNamed(name);
  } catch (thrown) {
    // Covered by another: its log is there all the same.
    if (thrown instanceof CommandError) return undefined;
    throw thrown;
  }
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
  const isAll = optionGiven(options, 'all');
  const mount = isAll ? mountSeen(name) : mountNamed(name);
  const ours = mount !== undefined && (await isServedByUs(mount)) ? mount : undefined;
  const live = isAll || ours === undefined ? undefined : await liveLog(ours, terminal);
  const lines = live ?? (await keptLog(named(name), writersOn(ours)));
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
