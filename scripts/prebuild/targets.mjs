// @ts-check
/**
 * What the addon is built for ahead, and what Debian's packages have for it. One file serves every
 * version of Node, since the addon speaks Node-API; node-gyp-build chooses by folder and name.
 */

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
