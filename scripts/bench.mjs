// @ts-check
/** `npm run bench -- [options]`: builds, then measures; see bench/main.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/main.mjs');
else process.exitCode = 1;
