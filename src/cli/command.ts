/**
 * What a command of `quarry` is: a row of data and a function. `program.ts` makes the parser of the
 * table.
 *
 * A command gets the words of its command line as strings, judges them itself by a pure function,
 * and returns its exit status. What it throws becomes one line on standard error: see failure.ts.
 */

import { printable, printableJson } from '../common/printable.ts';

/** Where a command speaks to. */
export interface Terminal {
  /** Writes to standard output; the text ends its own lines. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Standard error is a terminal, so a progress bar is welcome. */
  readonly interactive: boolean;
  /**
   * Writes bytes to standard output, when there is room for them; false when nobody reads them any
   * more.
   */
  bytes?(chunk: Uint8Array): Promise<boolean>;
  /** Standard input. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Standard output, if it is a terminal. */
  readonly screen?: TerminalScreen;
}

export interface TerminalScreen {
  readonly columns: number;
  /** Undefined where no colours are wanted. */
  readonly colors: 'true' | '256' | undefined;
}

/** Values of options by their long name in camel case: text, repeated text, or presence. */
export type OptionValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

export interface OptionDefinition {
  /** As commander reads it: `-b, --block-size <size>`. */
  readonly flags: string;
  readonly text: string;
  /** May be given more than once; the values come as a list. */
  readonly repeated?: boolean;
  /** Its value, empty if there is none, stands behind `=`: the next word is another argument. */
  readonly attached?: boolean;
  /** Accepted and not shown. */
  readonly hidden?: boolean;
}

export interface ArgumentDefinition {
  readonly name: string;
  readonly text: string;
  readonly optional?: boolean;
  /** One or more of it. */
  readonly repeated?: boolean;
}

export interface CommandDefinition {
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly ArgumentDefinition[];
  readonly options: readonly OptionDefinition[];
  /** Shown after the options by `--help`. */
  readonly notes?: string;
  /** A target by LABEL= or UUID= that no device has is given to it as it is. */
  readonly takesMissing?: boolean;
  /** Exit status of a command line that makes no sense, and of a command that fails. */
  readonly usageStatus: number;
  readonly failureStatus: number;
  run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number>;
}

/** A command that is a family of commands: its first word says which. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  /** In the order of the help. Each is loaded when it is named. */
  readonly commands: ReadonlyMap<string, () => Promise<CommandDefinition>>;
}

export const JSON_OPTION: OptionDefinition = { flags: '--json', text: 'answer with JSON' };

/** The text of an option that takes one value; undefined if it was not given. */
export function optionText(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** The values of an option that may be repeated. */
export function optionList(options: OptionValues, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value : [];
}

export function optionGiven(options: OptionValues, name: string): boolean {
  return options[name] === true;
}

/** The argument at `index`, which the parser has made sure of. */
export function argumentAt(args: readonly string[], index: number): string {
  return args[index] ?? '';
}

/** Says a line on standard error. Whatever is in it steers no terminal. */
export function say(terminal: Terminal, line: string): void {
  terminal.err(`quarry: ${printable(line)}\n`);
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${printableJson(value)}\n`);
}
