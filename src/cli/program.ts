/**
 * The parser of the command line, made of the table of commands, and the one place where a failure
 * becomes a line on standard error and an exit status.
 */
import { Argument, Command, CommanderError, Option } from 'commander';
import { packageVersion } from '../common/package-version.ts';
import { codeOf } from '../common/thrown.ts';
import { MountOptionError } from '../fuse/mount-option-error.ts';
import {
  type CommandDefinition,
  type CommandGroup,
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
const COMMANDS = new Map<string, () => Promise<CommandDefinition | CommandGroup>>([
  ['mkfs', async () => (await import('./mkfs-command.ts')).mkfsCommand],
  ['mount', async () => (await import('./mount-command.ts')).mountCommand],
  ['umount', async () => (await import('./umount-command.ts')).umountCommand],
  ['fsck', async () => (await import('./fsck-command.ts')).fsckCommand],
  ['resize', async () => (await import('./resize-command.ts')).resizeCommand],
  ['clone', async () => (await import('./clone-command.ts')).cloneCommand],
  ['tune', async () => (await import('./tune-command.ts')).tuneCommand],
  ['info', async () => (await import('./info-command.ts')).infoCommand],
  ['list', async () => (await import('./list-command.ts')).listCommand],
  ['stat', async () => (await import('./stat-command.ts')).statCommand],
  ['log', async () => (await import('./log-command.ts')).logCommand],
  ['watch', async () => (await import('./watch-command.ts')).watchCommand],
  ['io', async () => (await import('./io-command.ts')).ioCommand],
  ['ls', async () => (await import('./ls-command.ts')).lsCommand],
  ['tree', async () => (await import('./tree-command.ts')).treeCommand],
  ['find', async () => (await import('./find-command.ts')).findCommand],
  ['du', async () => (await import('./du-command.ts')).duCommand],
  ['cat', async () => (await import('./cat-command.ts')).catCommand],
  ['get', async () => (await import('./get-command.ts')).getCommand],
  ['put', async () => (await import('./put-command.ts')).putCommand],
  ['cp', async () => (await import('./cp-command.ts')).cpCommand],
  ['mkdir', async () => (await import('./mkdir-command.ts')).mkdirCommand],
  ['rm', async () => (await import('./rm-command.ts')).rmCommand],
  ['dump', async () => (await import('./dump-command.ts')).dumpCommand],
  ['frag', async () => (await import('./frag-command.ts')).fragCommand],
  ['defrag', async () => (await import('./defrag-command.ts')).defragCommand],
  ['quota', async () => (await import('./quota-command.ts')).quotaCommand],
  ['map', async () => (await import('./map-command.ts')).mapCommand],
  ['record', async () => (await import('./record-command.ts')).recordCommand],
  ['lab', async () => (await import('./lab-command.ts')).labCommand],
  ['probe', async () => (await import('./probe-command.ts')).probeCommand],
  ['install', async () => (await import('./install-command.ts')).installCommand],
]);

export const COMMAND_NAMES: readonly string[] = [...COMMANDS.keys()];

/** All of them, in the order of the help. */
export function allCommands(): Promise<(CommandDefinition | CommandGroup)[]> {
  return Promise.all(Array.from(COMMANDS.values(), (load) => load()));
}

/** Exit status of a command line that names no command. */
const USAGE_STATUS = 2;

const VERSION_WORDS: ReadonlySet<string> = new Set(['-V', '--version']);

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

/** Writes bytes, and waits until there is room for more. @returns whether somebody reads them */
async function writeBytes(stream: NodeJS.WriteStream, chunk: Uint8Array): Promise<boolean> {
  writeTo(stream, '');
  if (stream.destroyed) return false;
  // The memory may be another's as soon as this ends.
  if (stream.write(Buffer.from(chunk))) return true;
  return new Promise((resolve) => {
    const end = () => {
      stream.off('drain', end).off('close', end).off('error', end);
      resolve(!stream.destroyed && stream.errored === null);
    };
    stream.on('drain', end).on('close', end).on('error', end);
  });
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
  interactive: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
  bytes: (chunk) => writeBytes(process.stdout, chunk),
  get input() {
    return process.stdin;
  },
  ...processScreen(),
};

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
  for (const { name, text, optional, repeated } of definition.arguments) {
    const words = repeated ? `${name}...` : name;
    command.addArgument(new Argument(optional ? `[${words}]` : `<${words}>`, text));
  }
  for (const option of definition.options) command.addOption(makeOption(option));
  if (definition.notes !== undefined) command.addHelpText('after', `\n${definition.notes}`);
  command.action(async () => {
    const args = await withoutTags(definition, command.args);
    finish(await definition.run(args, command.opts<OptionValues>(), terminal));
  });
  return command;
}

/** Targets that are named by LABEL= or UUID= by their paths. */
async function withoutTags(
  definition: CommandDefinition,
  args: readonly string[],
): Promise<readonly string[]> {
  const isTagged = (word: string, at: number) =>
    definition.arguments[at]?.name === 'target' && /^(LABEL|UUID)=/.test(word);
  if (!args.some(isTagged)) return args;
  const { withoutTag, noneHas } = await import('./tagged-target.ts');
  return args.map((word, at) => {
    const found = isTagged(word, at) ? withoutTag(word) : word;
    if (found === undefined && definition.takesMissing !== true) throw noneHas(word);
    return found ?? word;
  });
}

function settle(command: Command, terminal: Terminal): Command {
  return command
    .exitOverride()
    .allowExcessArguments(false)
    .showSuggestionAfterError(true)
    .configureOutput({ writeOut: terminal.out, writeErr: () => {}, outputError: () => {} });
}

/** A family, with those of its commands that the command line may be about. */
interface LoadedGroup {
  readonly group: CommandGroup;
  readonly loaded: readonly CommandDefinition[];
}

type Loaded = CommandDefinition | LoadedGroup;

function makeGroup(
  { group, loaded }: LoadedGroup,
  terminal: Terminal,
  finish: (status: number) => void,
): Command {
  const command = new Command(group.name).description(group.summary).helpCommand(false);
  for (const definition of loaded) {
    command.addCommand(settle(makeCommand(definition, terminal, finish), terminal));
  }
  return command;
}

function makeProgram(
  definitions: readonly Loaded[],
  terminal: Terminal,
  finish: (status: number) => void,
): Command {
  const program = settle(new Command('quarry'), terminal)
    .description('Quarry: a POSIX filesystem in user space, with pluggable block allocators')
    .version(packageVersion(), [...VERSION_WORDS].join(', '))
    .helpCommand(false);
  for (const definition of definitions) {
    const command =
      'group' in definition
        ? makeGroup(definition, terminal, finish)
        : makeCommand(definition, terminal, finish);
    program.addCommand(settle(command, terminal));
  }
  return program;
}

/**
 * Loads what a command line is about: the command that it names; of a family the one of its
 * commands; or all, where it names none. What version this is can be said without any.
 */
async function loadCommands(words: readonly string[]): Promise<readonly Loaded[]> {
  const [name = '', next = ''] = words;
  if (words.length === 1 && VERSION_WORDS.has(name)) return [];
  const named = await COMMANDS.get(name)?.();
  if (named === undefined) {
    const all = await allCommands();
    return all.map((one) => ('commands' in one ? { group: one, loaded: [] } : one));
  }
  if (!('commands' in named)) return [named];
  const one = named.commands.get(next);
  const loads = one === undefined ? [...named.commands.values()] : [one];
  return [{ group: named, loaded: await Promise.all(loads.map((load) => load())) }];
}

/** `help` and `version` are what many look for first. */
function withoutHelpWords(words: readonly string[]): readonly string[] {
  const [first, ...rest] = words;
  if (first === 'help') return [...rest, '--help'];
  return first === 'version' && rest.length === 0 ? ['--version'] : words;
}

/**
 * Commander's own complaint as one line: without its prefix, with a suggestion if it has one, and
 * where to read on.
 */
function usageLine(message: string, name: string | undefined): string {
  const text = message
    .replace(/^error: |\.$/g, '')
    .replace(/\s*\n\(Did you mean (.*)\?\)/s, " (did you mean '$1'?)")
    .replace(/\s*\n\s*/g, ' ');
  return `${text}; see 'quarry ${name === undefined ? '' : `${name} `}--help'`;
}

/** Whose failure it is: its name for advice, and its exit statuses. */
type Subject = Partial<Pick<CommandDefinition, 'name' | 'usageStatus' | 'failureStatus'>>;

function subjectOf(loaded: readonly Loaded[]): Subject {
  const [one, ...others] = loaded;
  if (one === undefined || others.length > 0) return {};
  if (!('group' in one)) return one;
  const [command, ...rest] = one.loaded;
  if (command === undefined || rest.length > 0) return { name: one.group.name };
  const { usageStatus, failureStatus } = command;
  return { name: `${one.group.name} ${command.name}`, usageStatus, failureStatus };
}

/** The help, where a command line stops before it has named a command. */
function helpOf(program: Command, words: readonly string[]): string | undefined {
  if (words.length === 0) return program.helpInformation();
  if (words.length > 1) return undefined;
  const named = program.commands.find((command) => command.name() === words[0]);
  return named === undefined || named.commands.length === 0 ? undefined : named.helpInformation();
}

/**
 * Runs a command line and says what went wrong, if anything.
 * @param given what follows the program's name
 * @returns the exit status
 */
export async function runCommandLine(given: readonly string[], terminal: Terminal): Promise<number> {
  const words = withoutHelpWords(given);
  let status = 0;
  let subject: Subject = { failureStatus: words[0] === 'fsck' ? FSCK_FAILURE_STATUS : 1 };
  try {
    const loaded = await loadCommands(words);
    subject = subjectOf(loaded);
    const program = makeProgram(loaded, terminal, (found) => {
      status = found;
    });
    const help = helpOf(program, words);
    if (help !== undefined) {
      terminal.err(help);
      return USAGE_STATUS;
    }
    await program.parseAsync(withAttached(exactWords(words), loaded), { from: 'user' });
    return status;
  } catch (thrown) {
    return report(thrown, subject, wantsJson(words) ? jsonErrors(terminal) : terminal);
  }
}

/** Options whose value cannot be the next word get an empty one. */
function withAttached(words: readonly string[], loaded: readonly Loaded[]): string[] {
  const [one] = loaded;
  const options = one === undefined || 'group' in one ? [] : one.options.filter(({ attached }) => attached);
  const end = words.indexOf('--');
  return words.flatMap((word, at) => {
    if (end >= 0 && at >= end) return word;
    const found = options.find(({ flags }) => flags.split(/[ ,]+/).some((flag) => isGivenBy(word, flag)));
    if (found === undefined) return word;
    const long = `${/--[\w-]+/.exec(found.flags)?.[0]}=`;
    // `-rd` is `-r` and `-d`.
    return word.startsWith('--') || word.length === 2 ? long : [word.slice(0, -1), long];
  });
}

/** As it stands, or as the last of several letters. */
function isGivenBy(word: string, flag: string): boolean {
  return word === flag || (/^-\w$/.test(flag) && /^-\w\w+$/.test(word) && word.at(-1) === flag.at(-1));
}

/** What follows `--` is no option. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).includes('--json');
}

/** Whoever asked for JSON gets errors so, too: one line on standard error, `{"error":"…"}`. */
function jsonErrors(terminal: Terminal): Terminal {
  return {
    ...terminal,
    err: (text) => terminal.err(`${JSON.stringify({ error: text.replace(/^quarry: |\n$/g, '') })}\n`),
  };
}

function report(thrown: unknown, subject: Subject, terminal: Terminal): number {
  const usageStatus = subject.usageStatus ?? USAGE_STATUS;
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return 0;
    say(terminal, usageLine(thrown.message, subject.name));
    return usageStatus;
  }
  say(terminal, failureLine(thrown));
  if (process.env.QUARRY_DEBUG) terminal.err(`${thrown instanceof Error ? thrown.stack : ''}\n`);
  const isUsage = thrown instanceof UsageError || thrown instanceof MountOptionError;
  return isUsage ? usageStatus : (subject.failureStatus ?? 1);
}
