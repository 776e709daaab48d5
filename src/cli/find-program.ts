/**
 * Programs that a daemon may have to start, found before its mount is there: while it looks through
 * PATH for one it answers nothing, and a folder of PATH may lie in its own mount.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Absolute path of a program in PATH; undefined if there is none. */
export function findProgram(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  return [...folders, '/usr/sbin', '/usr/bin', '/sbin', '/bin']
    .map((folder) => join(folder, name))
    .find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
