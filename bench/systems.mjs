// @ts-check
/**
 * The systems under test: how each is made, mounted and unmounted on the same device.
 *
 * Each has the options an ordinary user of it gets by default. `quarry` may be named several times
 * with different mount options: `quarry:-o spin=0`; and `quarry@DIR` is that of another checkout,
 * built, so that two states of the code stand beside each other in one run. `raw` is the device
 * without a filesystem: only the direct rows make sense on it. `floor` is a FUSE server in C that
 * does nothing (floor.c): what no server can be faster than here.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, isInstalled, run, startDaemon, unmountByForce, waitForExit } from './machine.mjs';

/** Another checkout's command may be named, to compare two states of the code. */
const QUARRY = process.env.QUARRY_COMMAND ?? fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
/** How long a daemon may write after its unmount. */
const UNMOUNT_LIMIT_MS = 120_000;

/**
 * @typedef {object} System
 * @property {string} name as the user wrote it, and as the table shows it
 * @property {boolean} hasFiles false for the raw device
 * @property {string[]} needs programs without which it is left out
 * @property {boolean} [forgets] whether it has nothing left after an unmount
 * @property {(folder: string) => Promise<void>} [prepare] once, before all else; has the folder to
 * itself
 * @property {(device: string) => Promise<unknown>} format
 * @property {(device: string, directory: string) => Promise<() => Promise<void>>} mount gives the
 * way to unmount
 */

/** @type {Record<string, (name: string, mountArguments: string[], checkout: string) => System>} */
const MAKERS = {
  raw: (name) => ({
    name,
    hasFiles: false,
    needs: ['fio'],
    format: async () => {},
    mount: async () => async () => {},
  }),

  floor: (name, mountArguments) => {
    let program = '';
    return {
      name,
      hasFiles: true,
      needs: [],
      forgets: true,
      prepare: async (folder) => {
        program = await compile(fileURLToPath(new URL('floor.c', import.meta.url)), folder);
      },
      format: async () => {},
      mount: (_device, directory) => mountDaemon(program, [directory, ...mountArguments], directory),
    };
  },

  ext4: (name) => ({
    name,
    hasFiles: true,
    needs: ['mkfs.ext4'],
    format: formatExt4,
    mount: async (device, directory) => {
      await run('mount', ['-t', 'ext4', device, directory]);
      return async () => {
        await run('umount', [directory]);
      };
    },
  }),

  fuse2fs: (name, mountArguments) => ({
    name,
    hasFiles: true,
    needs: ['mkfs.ext4', 'fuse2fs'],
    format: formatExt4,
    mount: (device, directory) =>
      mountDaemon('fuse2fs', ['-f', device, directory, ...mountArguments], directory),
  }),

  'ntfs-3g': (name, mountArguments) => ({
    name,
    hasFiles: true,
    needs: ['mkfs.ntfs', 'ntfs-3g'],
    format: (device) => run('mkfs.ntfs', ['--quick', '--force', device]),
    mount: (device, directory) =>
      mountDaemon('ntfs-3g', [device, directory, '-o', 'no_detach', ...mountArguments], directory),
  }),

  quarry: (name, mountArguments, checkout) => {
    const command = checkout ? join(checkout, 'dist/cli/main.js') : QUARRY;
    return {
      name,
      hasFiles: true,
      needs: [],
      format: (device) => run(process.execPath, [command, 'mkfs', '--force', device]),
      mount: (device, directory) =>
        mountDaemon(
          process.execPath,
          [command, 'mount', '--foreground', ...mountArguments, device, directory],
          directory,
        ),
    };
  },
};

/** In the order they are measured. */
export const SYSTEM_NAMES = Object.keys(MAKERS);
/** Each once, and Quarry over io_uring too where the kernel has it. */
export const DEFAULT_SYSTEMS = [...SYSTEM_NAMES, ...(hasUring() ? ['quarry:-o engine=uring'] : [])].join(',');

/** 0: for everybody; 1: for root and one group. Kernels before 6.6 have no such setting. */
function hasUring() {
  const setting = '/proc/sys/kernel/io_uring_disabled';
  return !existsSync(setting) || Number(readFileSync(setting, 'utf8')) < 2;
}

/** @param {string} device */
function formatExt4(device) {
  return run('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', device]);
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} directory
 */
async function mountDaemon(command, args, directory) {
  const daemon = await startDaemon(command, args, directory);
  return async () => {
    try {
      await run('umount', [directory], { limitMs: UNMOUNT_LIMIT_MS });
      await waitForExit(daemon, UNMOUNT_LIMIT_MS);
    } catch (error) {
      daemon.kill('SIGKILL');
      await unmountByForce(directory);
      throw error;
    }
  };
}

/**
 * Reads `ext4,quarry:-o spin=0,layer=x,fuse2fs`: a comma parts two systems only where a system's
 * name follows.
 * @param {string} list
 * @returns {System[]}
 * @throws Error naming what is not known
 */
export function parseSystems(list) {
  const parts = list.split(new RegExp(`[,;](?=(?:${SYSTEM_NAMES.join('|')})(?:[@:,;]|$))`));
  return parts.map((part) => {
    const [system = '', ...rest] = part.split(':');
    const [kind = '', checkout = ''] = system.split('@');
    const make = MAKERS[kind];
    if (!make) throw new Error(`no system '${kind}': there are ${SYSTEM_NAMES.join(', ')}`);
    return make(part, rest.join(':').split(' ').filter(Boolean), checkout);
  });
}

/** @param {System} system */
export function missingPrograms(system) {
  return system.needs.filter((program) => !isInstalled(program));
}
