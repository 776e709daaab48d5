/** `quarry lab new`: writes an allocator module to begin with. */
import { writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { codeOf } from '../common/thrown.ts';
import { isModuleEnding, newModuleText } from '../lab/new-module.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  type Terminal,
} from './command.ts';
import { CommandError, failureLine, UsageError } from './failure.ts';

/** What is a name on a command line, in a file and in a text without being quoted. */
const PLAIN_NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

export interface NewModuleRequest {
  readonly file: string;
  readonly ending: string;
  /** Of the policy. */
  readonly name: string;
}

/** Judges the command line. @throws UsageError */
export function newModuleRequest(nameOrPath: string, isJavaScript: boolean): NewModuleRequest {
  const given = extname(nameOrPath);
  const known = isModuleEnding(given) ? given : '';
  if (isJavaScript && known.endsWith('ts')) {
    throw new UsageError(`--js writes JavaScript, and ${nameOrPath} is a name of TypeScript`);
  }
  const ending = known !== '' ? known : isJavaScript ? '.js' : '.ts';
  const name = basename(nameOrPath, known);
  if (!PLAIN_NAME.test(name)) {
    throw new UsageError(`'${name}' is no name for an allocator: use letters, digits, '-', '_' and '.'`);
  }
  return { file: known === '' ? `${nameOrPath}${ending}` : nameOrPath, ending, name };
}

/** How the file is named where a bare word would be the name of a built-in policy. */
function asModulePath(file: string): string {
  return file.includes('/') ? file : `./${file}`;
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const { file, ending, name } = newModuleRequest(argumentAt(args, 0), optionGiven(options, 'js'));
  const shown = asModulePath(file);
  try {
    writeFileSync(file, newModuleText(name, ending, shown), { flag: 'wx' });
  } catch (thrown) {
    throw new CommandError(refusalText(file, thrown), { cause: thrown });
  }
  terminal.out(`${file}: an allocator that works; try it with 'quarry lab verify ${shown}'\n`);
  return 0;
}

function refusalText(file: string, thrown: unknown): string {
  switch (codeOf(thrown)) {
    case 'EEXIST':
      return `${file} is there already, and is not overwritten: take another name, or remove it`;
    case 'ENOENT':
    case 'ENOTDIR':
      return `${file} cannot be written: its folder does not exist`;
    default:
      return `${file} cannot be written: ${failureLine(thrown)}`;
  }
}

export const labNewCommand: CommandDefinition = {
  name: 'new',
  summary: 'write an allocator module to begin with',
  arguments: [{ name: 'name', text: 'name of the allocator, or path of its file' }],
  options: [{ flags: '--js', text: 'JavaScript; TypeScript otherwise' }],
  notes: 'The module works as it is, and says what each of its parts is for. Nothing is overwritten.',
  usageStatus: 2,
  failureStatus: 1,
  run,
};
