// @ts-check
/** `npm run bench:fsck -- [options]`: builds, then measures; see bench/fsck.mjs. */
import { build } from './build.mjs';

if (await build()) await import('../bench/fsck.mjs');
else process.exitCode = 1;
