// @ts-check
/** `npm run bench:real -- [options]`: builds, then measures; see bench/real.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/real.mjs');
else process.exitCode = 1;
