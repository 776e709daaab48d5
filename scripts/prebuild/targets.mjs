// @ts-check
/**
 * What the addon is built for ahead, and what Debian's packages have for it. One file serves every
 * version of Node, since the addon speaks Node-API; node-gyp-build chooses by folder and name.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../addon.mjs';

/**
 * @typedef {object} Target
 * @property {'x64' | 'arm64'} arch as Node names it
 * @property {'glibc' | 'musl'} libc
 * @property {string} compiler
 * @property {string} machine as Debian names folders for it
 * @property {string} file from the root of the package
 */

const MACHINES = /** @type {const} */ ([
  ['x64', 'x86_64-linux-gnu'],
  ['arm64', 'aarch64-linux-gnu'],
]);

/** @type {readonly Target[]} */
export const TARGETS = MACHINES.flatMap(([arch, machine]) =>
  /** @type {const} */ (['glibc', 'musl']).map((libc) => ({
    arch,
    libc,
    machine,
    compiler: `${machine}-g++`,
    file: `prebuilds/linux-${arch}/quarry.${libc}.node`,
  })),
);

/** @param {Target} target */
export function nameOf({ arch, libc }) {
  return `linux-${arch}-${libc}`;
}

/**
 * The fault of what `npm run prebuilds` made for a target; undefined if it is there, and of these
 * sources.
 * @param {Target} target
 */
export function faultOf({ file }) {
  const place = join(ROOT, file);
  if (!existsSync(place)) return "it is not there: 'npm run prebuilds' makes it";
  const sources = readdirSync(join(ROOT, 'native')).map((name) => join(ROOT, 'native', name));
  const newest = Math.max(...sources.map((source) => statSync(source).mtimeMs));
  if (statSync(place).mtimeMs >= newest) return undefined;
  return "it is older than its sources: 'npm run prebuilds' makes it anew";
}
