/** What a command line in this process says, whichever build of it that is. */
import type { runCommandLine } from '../../src/cli/program.ts';

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export async function collected(commandLine: typeof runCommandLine, words: string[]): Promise<Ran> {
  let out = '';
  let err = '';
  const terminal = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    interactive: false,
  };
  const status = await commandLine(words, terminal);
  return { status, out, err };
}
