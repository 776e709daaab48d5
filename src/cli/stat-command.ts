/**
 * `quarry stat`: the live counters of a mount, and the last lines of its log, as its daemon tells
 * them.
 */

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
import { CommandError } from './failure.ts';
import { serverOf } from './mount-server.ts';
import { requireMount } from './mountpoint.ts';
import { parseSeconds } from './seconds.ts';
import { type Fact, factLines } from './table-text.ts';

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

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const mount = await requireMount(argumentAt(args, 0));
  const question = optionGiven(options, 'log') ? 'log' : 'stat';
  const limitMs = 1000 * parseSeconds('--timeout', optionText(options, 'timeout') ?? String(ANSWER_SECONDS));
  try {
    show(await askMount(mount, question, { limitMs }), options, terminal);
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

function show(answer: unknown, options: OptionValues, terminal: Terminal): void {
  if (optionGiven(options, 'json')) terminal.out(`${printableJson(answer)}\n`);
  else if (typeof answer === 'string') terminal.out(answer.split('\n').map(printable).join('\n'));
  else terminal.out(factLines(flattenCounters(answer)));
}

export const statCommand: CommandDefinition = {
  name: 'stat',
  summary: 'show the live counters of a mount',
  arguments: [{ name: 'dir', text: 'where it is mounted, or what is mounted' }],
  options: [
    JSON_OPTION,
    { flags: '--log', text: "show the last lines of the daemon's log instead; for root and its owner" },
    { flags: '--timeout <seconds>', text: `how long to wait for the answer; ${ANSWER_SECONDS} if not given` },
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
