/**
 * The parser of the command line, made of the table of commands, and the one place where a failure
 * becomes a line on standard error and an exit status.
 */
import { readFileSync } from 'node:fs';
import { Argument, Command, CommanderError, Option } from 'commander';
import { codeOf } from '../common/thrown.ts';
import { MountOptionError } from '../fuse/mount-option-error.ts';
import {
  type CommandDefinition,
  type OptionDefinition,
  type OptionValues,
  say,
  type Terminal,
  type TerminalScreen,
} from './command.ts';
import { exactWords } from './exact-words.ts';
import { failureLine, UsageError } from './failure.ts';
import { FSCK_FAILURE_STATUS } from './start.ts';

/**
 * The commands, in the order of the help. A command line loads only the one it names: loading all
 * takes longer than most run.
 */
const COMMANDS = new Map<string, () => Promise<CommandDefinition>>([
  ['mkfs', async () => (await import('./mkfs-command.ts')).mkfsCommand],
  ['mount', async () => (await import('./mount-command.ts')).mountCommand],
  ['umount', async () => (await import('./umount-command.ts')).umountCommand],
  ['fsck', async () => (await import('./fsck-command.ts')).fsckCommand],
  ['resize', async () => (await import('./resize-command.ts')).resizeCommand],
  ['info', async () => (await import('./info-command.ts')).infoCommand],
  ['stat', async () => (await import('./stat-command.ts')).statCommand],
  ['io', async () => (await import('./io-command.ts')).ioCommand],
  ['dump', async () => (await import('./dump-command.ts')).dumpCommand],
  ['frag', async () => (await import('./frag-command.ts')).fragCommand],
  ['map', async () => (await import('./map-command.ts')).mapCommand],
]);

export const COMMAND_NAMES: readonly string[] = [...COMMANDS.keys()];

/** Exit status of a command line that names no command. */
const USAGE_STATUS = 2;

const heardStreams = new WeakSet<NodeJS.WriteStream>();

/**
 * Writes to a stream whose reader may go away, as in `quarry dump … | head`. What nobody reads is
 * lost without a word, and the command goes on: a repair or a mount is not to end halfway because
 * its words are not wanted.
 */
function writeTo(stream: NodeJS.WriteStream, text: string): void {
  if (!heardStreams.has(stream)) {
    heardStreams.add(stream);
    stream.on('error', (error) => {
      if (codeOf(error) !== 'EPIPE' && codeOf(error) !== 'ERR_STREAM_DESTROYED') throw error;
    });
  }
  stream.write(text);
}

/** What standard output is a terminal of; NO_COLOR and TERM=dumb are heard (no-color.org). */
function processScreen(): { screen?: TerminalScreen } {
  if (process.stdout.isTTY !== true) return {};
  const { NO_COLOR, TERM, COLORTERM } = process.env;
  const hasColors = !NO_COLOR && TERM !== 'dumb';
  const colors = /^(truecolor|24bit)$/.test(COLORTERM ?? '') ? 'true' : '256';
  return { screen: { columns: process.stdout.columns, colors: hasColors ? colors : undefined } };
}

/** Speaks to the standard streams of this process. */
export const processTerminal: Terminal = {
  out: (text) => writeTo(process.stdout, text),
  err: (text) => writeTo(process.stderr, text),
  interactive: process.stderr.isTTY === true,
  ...processScreen(),
};

/** The version in package.json, next to `src` and `dist`. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

function makeOption(definition: OptionDefinition): Option {
  const option = new Option(definition.flags, definition.text).hideHelp(definition.hidden ?? false);
  if (!definition.repeated) return option;
  return option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
}

function makeCommand(
  definition: CommandDefinition,
  terminal: Terminal,
  finish: (status: number) => void,
): Command {
  const command = new Command(definition.name).description(definition.summary);
  for (const { name, text, optional } of definition.arguments) {
    command.addArgument(new Argument(optional ? `[${name}]` : `<${name}>`, text));
  }
  for (const option of definition.options) command.addOption(makeOption(option));
  if (definition.notes !== undefined) command.addHelpText('after', `\n${definition.notes}`);
  command.action(async () => {
    finish(await definition.run(command.args, command.opts<OptionValues>(), terminal));
  });
  return command;
}

function settle(command: Command, terminal: Terminal): Command {
  return command
    .exitOverride()
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .configureOutput({ writeOut: terminal.out, writeErr: () => {}, outputError: () => {} });
}

function makeProgram(
  definitions: readonly CommandDefinition[],
  terminal: Terminal,
  finish: (status: number) => void,
): Command {
  const program = settle(new Command('quarry'), terminal)
    .description('Quarry: a POSIX filesystem in user space, with pluggable block allocators')
    .version(packageVersion(), '-V, --version')
    .helpCommand(false);
  for (const definition of definitions) {
    program.addCommand(settle(makeCommand(definition, terminal, finish), terminal));
  }
  return program;
}

/** Commander's own complaint as one line: without its prefix, with where to read on. */
function usageLine(message: string, name: string | undefined): string {
  const text = message.replace(/^error: |\.$/g, '').replace(/\s*\n\s*/g, ' ');
  return `${text}; see 'quarry ${name === undefined ? '' : `${name} `}--help'`;
}

/**
 * Runs a command line and says what went wrong, if anything.
 * @param words what follows the program's name
 * @returns the exit status
 */
export async function runCommandLine(words: readonly string[], terminal: Terminal): Promise<number> {
  let status = 0;
  let definition: CommandDefinition | undefined;
  try {
    definition = await COMMANDS.get(words[0] ?? '')?.();
    const definitions = definition
      ? [definition]
      : await Promise.all(Array.from(COMMANDS.values(), (load) => load()));
    const program = makeProgram(definitions, terminal, (found) => {
      status = found;
    });
    if (words.length === 0) {
      terminal.err(program.helpInformation());
      return USAGE_STATUS;
    }
    await program.parseAsync(exactWords(words), { from: 'user' });
    return status;
  } catch (thrown) {
    return report(
      thrown,
      definition ?? { failureStatus: words[0] === 'fsck' ? FSCK_FAILURE_STATUS : 1 },
      terminal,
    );
  }
}

function report(thrown: unknown, definition: Partial<CommandDefinition>, terminal: Terminal): number {
  const usageStatus = definition.usageStatus ?? USAGE_STATUS;
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0;
    say(terminal, usageLine(thrown.message, definition.name));
    return usageStatus;
  }
  say(terminal, failureLine(thrown));
  if (process.env.QUARRY_DEBUG) terminal.err(`${thrown instanceof Error ? thrown.stack : ''}\n`);
  const isUsage = thrown instanceof UsageError || thrown instanceof MountOptionError;
  return isUsage ? usageStatus : (definition.failureStatus ?? 1);
}
