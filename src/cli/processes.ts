/**
 * Other processes, as /proc tells of them. They come and go while it is read, and some may not be
 * looked at: of those there is nothing to see.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
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

/** From the third on, since the second is a name, which may have spaces. See proc_pid_stat(5). */
const STATE_FIELD = 0;
const EXIT_CODE_FIELD = 49;

/**
 * The status of wait(2) of a process that has ended, before its parent has asked for it, which may
 * be never: not every container has a first process that does.
 * @returns undefined where there is no such process, or the kernel does not tell us: it shows 0 to
 *   those who may not look at a process
 */
export function statusOfZombie(pid: number): number | undefined {
  const text = readIfThere(`/proc/${pid}/stat`);
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
  if (fields[STATE_FIELD] !== 'Z' || !mayLookAt(pid)) return undefined;
  const status = Number(fields[EXIT_CODE_FIELD]);
  return Number.isInteger(status) ? status : undefined;
}

/** The kernel asks the same of whoever reads the link as of whoever reads the status. */
function mayLookAt(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/ns/user`);
    return true;
  } catch {
    return false;
  }
}
