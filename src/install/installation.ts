/**
 * Putting files into their places, and taking them away again.
 *
 * A list of what was put where lies beside them (`share/quarryfs/installed`), so that an uninstall
 * takes away just that, and an install does not write over anybody else's file. Everything is
 * judged before the first file is written.
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { codeOf } from '../common/thrown.ts';
import type { SystemFile } from './system-files.ts';

const LIST = 'share/quarryfs/installed';
const LIST_MODE = 0o644;
const FOLDER_MODE = 0o755;

/** What stands in the way of an installation, or of its end. */
export class InstallationError extends Error {
  override readonly name = 'InstallationError';
}

function listPath(root: string, prefix: string): string {
  return join(root, prefix, LIST);
}

/** Paths of an installation, as they were written down; none if there is none. */
export function installedFiles(root: string, prefix: string): string[] {
  try {
    return readFileSync(listPath(root, prefix), 'utf8').split('\n').filter(Boolean);
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return [];
    throw thrown;
  }
}

/** A file appears whole or not at all. */
function place(path: string, { mode, text }: Pick<SystemFile, 'mode' | 'text'>): void {
  makeFolder(dirname(path));
  const passing = `${path}.quarry-new`;
  writeFileSync(passing, text);
  chmodSync(passing, mode);
  renameSync(passing, path);
}

/** Everybody may go into what is made, whatever the umask. */
function makeFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  for (let at = path; at.length >= first.length; at = dirname(at)) chmodSync(at, FOLDER_MODE);
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * @param root in which the paths are meant: `/`, or where a package is put together
 * @param files of the installation
 * @throws InstallationError if another's file is in a place of one of them
 */
export function requireFree(root: string, prefix: string, files: readonly SystemFile[]): void {
  const own = new Set(installedFiles(root, prefix));
  const taken = files.find(({ path }) => !own.has(path) && isThere(join(root, path)));
  if (taken !== undefined)
    throw new InstallationError(
      `${join(root, taken.path)} is there already, and 'quarry install' did not put it there: move it away first`,
    );
}

/** Puts all of them into their places, and takes away what an earlier installation had besides. */
export function putInPlace(root: string, prefix: string, files: readonly SystemFile[]): void {
  requireFree(root, prefix, files);
  const paths = files.map(({ path }) => path);
  const before = installedFiles(root, prefix);
  // First the list: what is interrupted can be taken away.
  const all = [...new Set([...before, ...paths])];
  place(listPath(root, prefix), { mode: LIST_MODE, text: `${all.join('\n')}\n` });
  for (const file of files) place(join(root, file.path), file);
  for (const path of before) if (!paths.includes(path)) rmSync(join(root, path), { force: true });
  place(listPath(root, prefix), { mode: LIST_MODE, text: `${paths.join('\n')}\n` });
}

/**
 * Takes away what was put there, and folders that are empty by that.
 * @returns how many files there were
 * @throws InstallationError if nothing was installed
 */
export function takeAway(root: string, prefix: string): number {
  const paths = installedFiles(root, prefix);
  if (paths.length === 0)
    throw new InstallationError(`nothing was installed in ${join(root, prefix)}: there is no ${LIST}`);
  for (const path of paths) rmSync(join(root, path), { force: true });
  rmSync(listPath(root, prefix), { force: true });
  for (const path of [...paths, join(prefix, LIST)]) removeEmpty(dirname(join(root, path)), root);
  return paths.length;
}

/** Only what has a name of ours, or lies in a folder for one: `/sbin` stays, also when empty. */
function removeEmpty(folder: string, root: string): void {
  for (let at = folder; at.length > root.length && existsSync(at); at = dirname(at)) {
    if (!/quarryfs$/.test(at)) return;
    try {
      rmdirSync(at);
    } catch {
      return;
    }
  }
}
