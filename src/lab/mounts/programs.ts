/** Programs of the system that make, mount and look at filesystems. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { codeOf } from '../../common/thrown.ts';

const LIMIT_MILLISECONDS = 300_000;
const MOST_OUTPUT_BYTES = 2 ** 30;
/** Where system programs are, also for those whose PATH does not say so. */
const SYSTEM_PLACES = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/** The output of the program. @throws Error with one line for the user */
export function runProgram(name: string, words: readonly string[]): string {
  try {
    return execFileSync(findProgram(name) ?? name, words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MILLISECONDS,
      maxBuffer: MOST_OUTPUT_BYTES,
      env: { ...process.env, LC_ALL: 'C' },
    });
  } catch (thrown) {
    throw new Error(explain(name, words, thrown), { cause: thrown });
  }
}

function explain(name: string, words: readonly string[], thrown: unknown): string {
  const code = codeOf(thrown);
  if (code === 'ENOENT') return `${name} is not installed`;
  if (code === 'ETIMEDOUT') return `${name} did not end within ${LIMIT_MILLISECONDS / 1000} s`;
  const said = thrown instanceof Error && 'stderr' in thrown ? String(thrown.stderr) : '';
  const line = said.split('\n').find((one) => one.trim() !== '');
  return line?.trim() ?? `'${[name, ...words].join(' ')}' failed`;
}

/** Where it is; undefined if it is not installed. */
export function findProgram(name: string): string | undefined {
  if (name.includes('/')) return name;
  const places = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_PLACES];
  return places.map((place) => join(place, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
