/** The command line in this process: what a command says, and how it ends. */
import { runCommandLine } from '../../src/cli/program.ts';

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export async function runHere(...words: string[]): Promise<Ran> {
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
  const status = await runCommandLine(words, terminal);
  return { status, out, err };
}
