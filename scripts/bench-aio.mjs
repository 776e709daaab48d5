// @ts-check
/** `npm run bench:aio -- [options]`: builds, then measures; see bench/aio.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/aio.mjs');
else process.exitCode = 1;
