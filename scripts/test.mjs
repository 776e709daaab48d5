// @ts-check
/**
 * `npm test`: format and lint, type check, build, tests. The last line is `N passed, N failed`.
 *
 * A step that fails counts as one failed test, and the steps after it still run where they can.
 * Arguments go to vitest: `npm test -- test/mount`. With CI=true, mount tests that cannot run here
 * fail; otherwise they are skipped, and the line before the last says how many.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, localProgram, runHere } from './build.mjs';

/** @returns {Promise<{ passed: number, failed: number, skipped: number }>} */
async function runVitest() {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-test-'));
  const summary = join(folder, 'summary.json');
  try {
    const env = { ...process.env, QUARRY_TEST_SUMMARY: summary };
    const status = await runHere(localProgram('vitest'), ['run', ...process.argv.slice(2)], env);
    const counts = JSON.parse(readFileSync(summary, 'utf8'));
    // An error outside of any test ends vitest with a failure of its own.
    if (status !== 0 && counts.failed === 0) counts.failed = 1;
    return counts;
  } catch (error) {
    console.error(`vitest left no summary: ${error instanceof Error ? error.message : error}`);
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const steps = [
  {
    name: 'format and lint',
    run: () => runHere(localProgram('biome'), ['check', '--error-on-warnings', '.']),
  },
  { name: 'type check', run: () => runHere(localProgram('tsc'), ['-p', 'tsconfig.json', '--noEmit']) },
  {
    name: 'type check of the page',
    run: () => runHere(localProgram('tsc'), ['-p', 'src/page', '--noEmit']),
  },
  { name: 'build', run: async () => ((await build()) ? 0 : 1) },
];
let passed = 0;
let failed = 0;
for (const step of steps) {
  const ok = (await step.run()) === 0;
  console.log(`${ok ? 'ok' : 'FAILED'}: ${step.name}`);
  if (ok) passed++;
  else failed++;
}
const tests = await runVitest();
passed += tests.passed;
failed += tests.failed;
process.exitCode = failed > 0 ? 1 : 0;
if (tests.skipped) console.log(`${tests.skipped} skipped: see above; CI=true makes failures of them`);
console.log(`${passed} passed, ${failed} failed`);
