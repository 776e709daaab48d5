/** What of a command line's commands man pages and completions are made of. */

export interface CommandWords {
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly {
    readonly name: string;
    readonly text: string;
    readonly optional?: boolean;
  }[];
  readonly options: readonly { readonly flags: string; readonly text: string; readonly hidden?: boolean }[];
  readonly notes?: string;
}

export interface CommandFamily {
  readonly name: string;
  readonly summary: string;
  readonly members: readonly CommandWords[];
}

/** The whole of it, in the order of the help. */
export interface CommandLine {
  readonly version: string;
  readonly commands: readonly (CommandWords | CommandFamily)[];
}

/** An option in parts: `-b, --block-size <size>`. */
export interface OptionWords {
  /** One letter, without its dash. */
  readonly short: string | undefined;
  /** Without its dashes. */
  readonly long: string | undefined;
  /** What its value is called; undefined if it has none. */
  readonly value: string | undefined;
  readonly text: string;
}

export function isFamily(command: CommandWords | CommandFamily): command is CommandFamily {
  return 'members' in command;
}

/** Those that are shown, and the help, whose letter some commands have a use of their own for. */
export function optionsOf({ options }: CommandWords): OptionWords[] {
  const own = options
    .filter(({ hidden }) => hidden !== true)
    .map(({ flags, text }) => ({
      short: /(?:^|\s)-(\w)\b/.exec(flags)?.[1],
      long: /--([\w-]+)/.exec(flags)?.[1],
      value: /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1],
      text,
    }));
  const short = own.some((option) => option.short === 'h') ? undefined : 'h';
  return [...own, { short, long: 'help', value: undefined, text: 'show a short help' }];
}
