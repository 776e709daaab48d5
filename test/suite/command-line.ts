/** The command line in this process: what a command says, and how it ends. */
import { runCommandLine } from '../../src/cli/program.ts';
import { collected, type Ran } from './collected.ts';

export type { Ran } from './collected.ts';

export function runHere(...words: string[]): Promise<Ran> {
  return collected(runCommandLine, words);
}
