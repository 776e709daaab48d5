/** `quarry stat`: the live counters of a mount, as its daemon tells them. */
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  type Terminal,
} from './command.ts';
import { askDaemon } from './control-socket.ts';
import { CommandError, failureLine } from './failure.ts';
import { requireMount } from './mountpoint.ts';
import { findRecord } from './runtime-records.ts';
import { type Fact, factLines } from './table-text.ts';

/** Nested counters as facts with names such as `volume commits`. Empty groups and texts and what is missing are left out. */
export function flattenCounters(value: unknown, path: readonly string[] = []): Fact[] {
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([name, inner]) => flattenCounters(inner, [...path, inWords(name)]));
  }
  return value === undefined || value === null || value === '' ? [] : [[path.join(' '), String(value)]];
}

function inWords(name: string): string {
  return name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const { directory } = requireMount(name, (known) => findRecord(known) !== undefined);
  const record = findRecord(directory);
  if (!record)
    throw new CommandError(`the daemon of ${name} is not known here: ask as root, or as its owner`);
  let answer: unknown;
  try {
    answer = await askDaemon(record.socket, 'stat');
  } catch (thrown) {
    throw new CommandError(
      `the daemon of ${name} (process ${record.pid}) does not answer: ${failureLine(thrown)}`,
      {
        cause: thrown,
      },
    );
  }
  if (optionGiven(options, 'json')) printJson(terminal, answer);
  else terminal.out(factLines(flattenCounters(answer)));
  return 0;
}

export const statCommand: CommandDefinition = {
  name: 'stat',
  summary: 'show the live counters of a mount',
  arguments: [{ name: 'dir', text: 'where it is mounted' }],
  options: [JSON_OPTION],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
