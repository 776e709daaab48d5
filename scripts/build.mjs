// @ts-check
/**
 * Builds what is out of date: the native addon (slow, seldom) and the TypeScript (always; it is
 * incremental).
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { isAddonStale, ROOT } from './addon.mjs';

export { ROOT };

/** The command, as `node` takes it. */
export const QUARRY = join(ROOT, 'dist/cli/main.js');

/**
 * Runs a program in the project folder with this process's terminal.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>} its exit status; 1 if a signal ended it or it could not start
 */
export function runHere(command, args, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', env });
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** A program that npm installed here. @param {string} name */
export function localProgram(name) {
  return join(ROOT, 'node_modules/.bin', name);
}

/** @returns {Promise<boolean>} whether all is built */
export async function build() {
  if (isAddonStale() && (await runHere('npx', ['--no-install', 'node-gyp', 'rebuild'])) !== 0) {
    console.error('the native addon was not built: it needs a C++ compiler, make and python3');
    return false;
  }
  if ((await runHere(localProgram('tsc'), ['-p', 'tsconfig.build.json'])) !== 0) return false;
  return (await runHere(localProgram('tsc'), ['-p', 'src/page'])) === 0;
}
