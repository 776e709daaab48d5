/**
 * What runs where: each mount's daemon leaves a record in the runtime directory, so that `umount` and `stat` find it.
 *
 *   <directory>/<pid>.json   process, target, mountpoint, socket, log
 *   <directory>/<pid>.sock   where the daemon answers (control-socket.ts)
 *   <directory>/<name>.log   what daemons of this mountpoint had to say
 *
 * The directory is /run/quarry for root, $XDG_RUNTIME_DIR/quarry for others, and /tmp/quarry-<uid> where neither can be
 * had; open to its owner only. A record names the start time of its process, so that a number used again fools nobody.
 * What a killed daemon left behind is removed by whoever looks for records next; the log stays.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError } from './failure.ts';

export interface RuntimeRecord {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process: field 22 of /proc/PID/stat. */
  readonly startTicks: number;
  readonly target: string;
  readonly directory: string;
  readonly socket: string;
}

const POLL_MILLISECONDS = 5;
const RUN_DIRECTORY = '/run/quarry';
const LONGEST_LOG_NAME = 100;

function ownDirectory(path: string, uid: number): string | undefined {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const status = lstatSync(path);
    return status.isDirectory() && status.uid === uid ? path : undefined;
  } catch {
    return undefined;
  }
}

function candidates(uid: number): string[] {
  const base = process.env.XDG_RUNTIME_DIR;
  const proper = uid === 0 ? RUN_DIRECTORY : base ? join(base, 'quarry') : undefined;
  const fallback = join(tmpdir(), `quarry-${uid}`);
  return proper === undefined ? [fallback] : [proper, fallback];
}

/** The runtime directory, made if need be. @throws CommandError */
export function runtimeDirectory(): string {
  const uid = process.geteuid?.() ?? 0;
  for (const candidate of candidates(uid)) {
    const path = ownDirectory(candidate, uid);
    if (path !== undefined) return path;
  }
  throw new CommandError(`no runtime directory of our own: make one of ${candidates(uid).join(', ')} usable`);
}

/** The log of the daemons of one mountpoint. */
export function logPath(runtime: string, directory: string): string {
  const name = directory.replace(/^\/+/, '').replaceAll('/', '-').slice(-LONGEST_LOG_NAME) || 'root';
  return join(runtime, `${name}.log`);
}

/** Field 22 of the text of /proc/PID/stat; the name in field 2 may hold spaces and parentheses. */
export function startTicksIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[19]);
}

function processStat(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
}

/** Whether the daemon still runs. A process that only waits for its parent to notice its end does not. */
export function isRunning(record: Pick<RuntimeRecord, 'pid' | 'startTicks'>): boolean {
  const stat = processStat(record.pid);
  if (stat === undefined || startTicksIn(stat) !== record.startTicks) return false;
  return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
}

/** Waits until the daemon has ended. */
export async function ended(record: Pick<RuntimeRecord, 'pid' | 'startTicks'>): Promise<void> {
  while (isRunning(record)) await sleep(POLL_MILLISECONDS);
}

/** The record of this process, whose socket can be made: an earlier process of this number may have left one. */
export function ownRecord(runtime: string, target: string, directory: string): RuntimeRecord {
  const { pid } = process;
  const startTicks = startTicksIn(processStat(pid) ?? '');
  const socket = join(runtime, `${pid}.sock`);
  rmSync(socket, { force: true });
  return { pid, startTicks, target, directory, socket };
}

function recordPath(runtime: string, pid: number): string {
  return join(runtime, `${pid}.json`);
}

/** Writes the record so that nobody reads half of it. */
export function writeRecord(runtime: string, record: RuntimeRecord): void {
  const path = recordPath(runtime, record.pid);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeRecord(runtime: string, record: RuntimeRecord): void {
  rmSync(recordPath(runtime, record.pid), { force: true });
  rmSync(record.socket, { force: true });
}

function isRecord(value: unknown): value is RuntimeRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<keyof RuntimeRecord, unknown>>;
  return (
    typeof fields.pid === 'number' &&
    typeof fields.startTicks === 'number' &&
    typeof fields.target === 'string' &&
    typeof fields.directory === 'string' &&
    typeof fields.socket === 'string'
  );
}

function readRecord(path: string): RuntimeRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function recordsIn(runtime: string): RuntimeRecord[] {
  let names: string[];
  try {
    names = readdirSync(runtime);
  } catch {
    return [];
  }
  const found: RuntimeRecord[] = [];
  for (const name of names.filter((entry) => entry.endsWith('.json'))) {
    const record = readRecord(join(runtime, name));
    if (record && isRunning(record)) found.push(record);
    else if (record) removeRecord(runtime, record);
  }
  for (const name of names) removeLeftover(runtime, name);
  return found;
}

/** Removes what a process that is gone left without a whole record: it was killed between two steps. */
function removeLeftover(runtime: string, name: string): void {
  const pid = /^(\d+)\.(sock|json|json\.new)$/.exec(name)?.[1];
  if (pid === undefined || processStat(Number(pid)) !== undefined) return;
  rmSync(join(runtime, name), { force: true });
}

/** Where records may be: root also looks at those of other users. */
function knownDirectories(): string[] {
  const uid = process.geteuid?.() ?? 0;
  const own = candidates(uid);
  if (uid !== 0) return own;
  const users = subdirectories('/run/user').map((user) => join(user, 'quarry'));
  const temporary = subdirectories(tmpdir()).filter((path) => /\/quarry-\d+$/.test(path));
  return [...own, ...users, ...temporary];
}

function subdirectories(path: string): string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}

/** The running daemon of the mount on `directory`, the latest if there are several; undefined if none is known. */
export function findRecord(directory: string): RuntimeRecord | undefined {
  const records = [...new Set(knownDirectories())].flatMap(recordsIn);
  return records
    .filter((record) => record.directory === directory)
    .sort((a, b) => a.startTicks - b.startTicks)
    .at(-1);
}
