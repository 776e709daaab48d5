// @ts-check
/** `npm run bench:scale -- [options]`: builds, then measures; see bench/scale.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/scale.mjs');
else process.exitCode = 1;
