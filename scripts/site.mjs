// @ts-check
/** What makes the documents: programs of the packages in `site`, installed when they are wanted. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runHere } from './build.mjs';

export const SITE = join(ROOT, 'site');

/** @param {string} name @returns {Promise<string>} its path */
export async function siteProgram(name) {
  const program = join(SITE, 'node_modules/.bin', name);
  if (existsSync(program)) return program;
  const words = ['ci', '--prefix', SITE, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  if ((await runHere('npm', words)) !== 0 || !existsSync(program)) {
    console.error(`${name} could not be installed: it takes npm's cache, or a network`);
    process.exit(1);
  }
  return program;
}
