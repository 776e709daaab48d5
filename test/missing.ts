/** Programs that some tests need and a small system does not have. */
import { spawnSync } from 'node:child_process';

/**
 * For `skipIf`: whether one of the programs is not installed here, which is said. With CI set the
 * test runs, and fails.
 */
export function isMissing(...programs: string[]): boolean {
  if (process.env.CI) return false;
  const missing = programs.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  for (const program of missing) console.warn(`tests are skipped here that need ${program}`);
  return missing.length > 0;
}
