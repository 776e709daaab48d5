// @ts-check
/**
 * `npm run crash`: power is cut at every write, and what is left must mount by itself, be sound,
 * and hold what was promised.
 *
 *   npm run crash -- [--seed N] [--minutes M | --states N] [--workload NAME] [--state NAME] [--mutation NAME] [--workers N]
 *
 * Compiles test/crash with all of src it needs to a temporary folder, and runs test/crash/cli.ts
 * there. A violation prints the command that repeats it. docs/TESTING.md tells more.
 */
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localProgram, ROOT, runHere } from './build.mjs';

const folder = mkdtempSync(join(tmpdir(), 'quarry-crash-'));
// Ctrl-C ends the run, which the child hears of too; what is left to do here is to clear up.
process.on('SIGINT', () => {});
try {
  const compiled = await runHere(localProgram('tsc'), ['-p', 'test/crash/tsconfig.json', '--outDir', folder]);
  for (const name of ['build', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name));
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  const program = join(folder, 'test/crash/cli.js');
  process.exitCode = compiled || (await runHere(process.execPath, [program, ...process.argv.slice(2)]));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
