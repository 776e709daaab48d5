/**
 * Other processes, as /proc tells of them. They come and go while it is read, and some may not be
 * looked at: of those there is nothing to see.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../common/printable.ts';

/** The numbers of all processes. */
export function processNumbers(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

/** The text of a file, '' if it cannot be read. */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** `name (number)`, for people. A process chooses its name itself. */
export function processName(pid: string): string {
  return `${printable(readIfThere(join('/proc', pid, 'comm')).trim()) || 'a process'} (${pid})`;
}

/**
 * The connection in the text of /proc/PID/fdinfo of a /dev/fuse (Linux 6.17); undefined on kernels
 * that do not say, and for other files.
 */
export function connectionIn(fdinfo: string): number | undefined {
  const digits = /^fuse_connection:\s*(\d+)$/m.exec(fdinfo)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
