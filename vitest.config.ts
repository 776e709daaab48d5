import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './test/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Mount tests wait a good part of their time.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Built already: the command in the process of a test (mount/harness.ts).
    server: { deps: { external: [/\/dist\//] } },
    reporters: ['default', new SummaryReporter()],
  },
});
