/**
 * A vitest reporter beside the default one: leaves the counts for `scripts/test.mjs`, and prints
 * what a test saw.
 *
 * `QUARRY_TEST_SUMMARY=FILE` gets `{ passed, failed, skipped }`; a test file that does not load
 * counts as one failure. `QUARRY_TEST_SEEN=1` prints each test with the notes it made by
 * `annotate`.
 */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export class SummaryReporter implements Reporter {
  readonly #summary = process.env.QUARRY_TEST_SUMMARY;
  readonly #printsSeen = process.env.QUARRY_TEST_SEEN === '1';

  onTestCaseResult(test: TestCase): void {
    if (!this.#printsSeen) return;
    console.log(`${test.result().state.padEnd(7)} ${test.fullName}`);
    for (const { message } of test.annotations()) console.log(`          ${message}`);
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    if (!this.#summary) return;
    const counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') counts[state]++;
      }
      if (module.errors().length > 0) counts.failed++;
    }
    writeFileSync(this.#summary, JSON.stringify(counts));
  }
}
