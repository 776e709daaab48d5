// @ts-check
/** `npm run turns -- [options]`: builds, then measures; see bench/turns.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/turns.mjs');
else process.exitCode = 1;
