// @ts-check
/** `npm run bench:clients -- [options]`: builds, then measures; see bench/clients.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/clients.mjs');
else process.exitCode = 1;
