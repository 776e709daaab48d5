/**
 * `quarry stat`: the live counters of a mount, and the last lines of its log, as its daemon tells
 * them; with an interval, what happens in each, again and again.
 */

import { durationText, numberText } from '../common/number-text.ts';
import { printable, printableJson } from '../common/printable.ts';
import { ANSWER_SECONDS, askMount, NoAnswerError } from './ask-mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  type Terminal,
} from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { parseCount, parseInterval } from './intervals.ts';
import { serverOf } from './mount-server.ts';
import { requireMount } from './mountpoint.ts';
import { parseSeconds } from './seconds.ts';
import { type IntervalChoice, showIntervals } from './stat-intervals.ts';
import { type Fact, factLines, widest } from './table-text.ts';

/**
 * Counters nest less deeply, and have shorter names and values; JSON has all of what a server says.
 */
const DEEPEST = 8;
const LONGEST_NAME = 40;
const LONGEST_VALUE = 600;

/**
 * Nested counters as facts with names such as `volume commits`. Empty groups and texts and what is
 * missing are left out.
 */
export function flattenCounters(value: unknown, path: readonly string[] = []): Fact[] {
  if (typeof value === 'object' && value !== null && path.length < DEEPEST) {
    return Object.entries(value).flatMap(([name, inner]) => flattenCounters(inner, [...path, inWords(name)]));
  }
  return value === undefined || value === null || value === ''
    ? []
    : [[path.join(' '), printable(String(value).slice(0, LONGEST_VALUE))]];
}

function inWords(name: string): string {
  return printable(name.slice(0, LONGEST_NAME)).replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
}

/** Undefined where no intervals are asked for. @throws UsageError */
function intervalChoice(options: OptionValues): IntervalChoice | undefined {
  const text = optionText(options, 'interval');
  const count = parseCount(optionText(options, 'count'));
  if (text !== undefined && optionGiven(options, 'log'))
    throw new UsageError('give only one of --interval and --log');
  if (text === undefined && options.count !== undefined)
    throw new UsageError('--count goes with --interval: say how long one is');
  return text === undefined
    ? undefined
    : { intervalSeconds: parseInterval(text), count, isJson: optionGiven(options, 'json') };
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const question = optionGiven(options, 'log') ? 'log' : 'stat';
  const limitMs = 1000 * parseSeconds('--timeout', optionText(options, 'timeout') ?? String(ANSWER_SECONDS));
  const choice = intervalChoice(options);
  const mount = await requireMount(argumentAt(args, 0));
  try {
    if (choice === undefined) show(await askMount(mount, question, { limitMs }), options, terminal);
    else await showIntervals(mount, { ...choice, limitMs }, terminal);
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof NoAnswerError) || thrown.reason !== 'silent') throw thrown;
    const server = serverOf(mount);
    const who = server
      ? `the daemon of ${mount.directory} (${server.text})`
      : `the daemon of ${mount.directory}`;
    server?.close();
    throw new CommandError(`${who} does not answer: 'quarry umount --force' ends it`, { cause: thrown });
  }
}

const OPERATION_COLUMNS = ['requests', 'errors', 'agreed'] as const;
const TIME_COLUMNS = ['mean', 'p50', 'p99', 'max'] as const;

function cellOf(value: unknown, text: (number: number) => string): string {
  return typeof value === 'number' ? text(value) : '';
}

/** A row for each operation, whatever the server calls them. */
function operationTable(operations: unknown): string {
  const rows = Object.entries(Object(operations)).map(([name, counts]) => {
    const found = Object(counts) as Record<string, unknown>;
    return [
      printable(name.slice(0, LONGEST_NAME)),
      ...OPERATION_COLUMNS.map((column) => cellOf(found[column], numberText)),
      ...TIME_COLUMNS.map((column) => cellOf(found[`${column}Microseconds`], durationText)),
    ];
  });
  if (rows.length === 0) return '';
  const all = [['operation', ...OPERATION_COLUMNS, ...TIME_COLUMNS], ...rows];
  const widths = all[0]?.map((_, column) => widest(all, column)) ?? [];
  const lines = all.map((cells) =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))),
  );
  return `\n${lines.map((cells) => `${cells.join('  ').trimEnd()}\n`).join('')}`;
}

/** Counters as facts, and operations as a table; of times, `--json` has all buckets. */
function statText(answer: unknown): string {
  const { session, ...others } = Object(answer) as Record<string, unknown>;
  const { latencies, operations, ...rest } = Object(session) as Record<string, unknown>;
  return factLines(flattenCounters({ ...others, session: rest })) + operationTable(operations);
}

function show(answer: unknown, options: OptionValues, terminal: Terminal): void {
  if (optionGiven(options, 'json')) terminal.out(`${printableJson(answer)}\n`);
  else if (typeof answer === 'string') terminal.out(answer.split('\n').map(printable).join('\n'));
  else terminal.out(statText(answer));
}

export const statCommand: CommandDefinition = {
  name: 'stat',
  summary: 'show the live counters of a mount',
  arguments: [{ name: 'dir', text: 'where it is mounted, or what is mounted' }],
  options: [
    JSON_OPTION,
    { flags: '--interval <seconds>', text: 'show what happens in each interval, until it is interrupted' },
    { flags: '--count <count>', text: 'end after so many intervals' },
    { flags: '--log', text: "show the last lines of the daemon's log instead; for root and its owner" },
    { flags: '--timeout <seconds>', text: `how long to wait for the answer; ${ANSWER_SECONDS} if not given` },
  ],
  notes: `Times of operations count from the arrival in the daemon to the reply. What is 'agreed' is no error: by
it the kernel learns what it need not ask, or that a file has no such attribute.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
