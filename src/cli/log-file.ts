/**
 * The file behind the standard error of a daemon in the background: what it had to say, should
 * nobody be able to ask it.
 *
 *   /run/quarry/<name>.log for root, $XDG_RUNTIME_DIR/quarry/<name>.log for others, else
 *   /tmp/quarry-<uid>/<name>.log; and what was in it before it grew too long, <name>.log.1
 *
 * Nothing depends on these files. They lie in a directory that only its owner can write, and that
 * is looked at after it was opened: what others prepared there (a link, a FIFO, a directory of
 * theirs) is left alone, and the next place is tried. Without a place there is no file, and the
 * mount works all the same.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { linesOf, originOf } from './log-origin.ts';

const RUN_DIRECTORY = '/run/quarry';
const MOST_NAME_CHARACTERS = 100;
/** With its ending, what every filesystem takes. */
const MOST_NAME_BYTES = 240;
/** What lines that tell whose a file is may come to, of daemons that were killed unheard. */
const MOST_ORIGIN_BYTES = 1024 * 1024;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

export interface LogFile {
  readonly descriptor: number;
  readonly path: string;
}

/** Where a log may lie, the best first. */
export function logDirectories(uid: number): string[] {
  const base = process.env.XDG_RUNTIME_DIR;
  const proper = uid === 0 ? RUN_DIRECTORY : base ? join(base, 'quarry') : undefined;
  const fallback = join(tmpdir(), `quarry-${uid}`);
  return proper === undefined ? [fallback] : [proper, fallback];
}

/** The name of the log of one mountpoint: the end of its path. */
export function logName(directory: string): string {
  const characters = [...directory.replace(/^\/+/, '').replaceAll('/', '-')].slice(-MOST_NAME_CHARACTERS);
  while (Buffer.byteLength(characters.join('')) > MOST_NAME_BYTES) characters.shift();
  return `${characters.join('') || 'root'}.log`;
}

function isOnlyOurs(status: Stats, uid: number): boolean {
  return status.uid === uid && (status.mode & WRITABLE_BY_OTHERS) === 0;
}

/** Whether nobody else can take away what lies in this directory. */
function keepsNames(directory: string, uid: number): boolean {
  const status = statSync(directory);
  if (status.uid !== uid && status.uid !== 0) return false;
  return (status.mode & WRITABLE_BY_OTHERS) === 0 || (status.mode & STICKY) !== 0;
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch {
    // It is there already, or opening it tells.
  }
}

/** Opens a directory of ours. @throws if it is not there, or not only ours */
function openDirectory(path: string, uid: number): number {
  if (!keepsNames(dirname(path), uid)) throw new Error('others can rename there');
  makeDirectory(path);
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  if (isOnlyOurs(fstatSync(descriptor), uid)) return descriptor;
  closeSync(descriptor);
  throw new Error('not only ours');
}

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const LOG_FLAGS =
  constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

function openFile(path: string, uid: number): number {
  const descriptor = openSync(path, LOG_FLAGS, 0o600);
  const status = fstatSync(descriptor);
  if (status.isFile() && status.nlink === 1 && isOnlyOurs(status, uid)) return descriptor;
  closeSync(descriptor);
  throw new Error('not a file of ours');
}

/**
 * Does something in the first directory that is ours; a file in it is reached through the open
 * directory.
 */
function inDirectoryOfOurs<T>(
  places: readonly string[],
  uid: number,
  act: (within: string, path: string) => T,
): T | undefined {
  for (const path of places) {
    let directory: number | undefined;
    try {
      directory = openDirectory(path, uid);
      return act(`/proc/self/fd/${directory}`, path);
    } catch {
      // The next one.
    } finally {
      if (directory !== undefined) closeSync(directory);
    }
  }
  return undefined;
}

function ownId(): number {
  return process.geteuid?.() ?? 0;
}

/**
 * Opens the log of a mountpoint to be appended to; undefined where there is no place that is only
 * ours.
 */
export function openLogFile(directory: string, places = logDirectories(ownId())): LogFile | undefined {
  const name = logName(directory);
  return inDirectoryOfOurs(places, ownId(), (within, path) => ({
    descriptor: openFile(join(within, name), ownId()),
    path: join(path, name),
  }));
}

/**
 * Opens the file for what a log says before it is begun anew. To be called before the mount is
 * there, which may cover the place.
 */
export function openEarlierLog(directory: string, places = logDirectories(ownId())): number | undefined {
  return inDirectoryOfOurs(places, ownId(), (within) =>
    openFile(join(within, earlierName(directory)), ownId()),
  );
}

function earlierName(directory: string): string {
  return `${logName(directory)}.1`;
}

const LOG_ENDING = /\.log(\.1)?$/;

export interface LogText {
  readonly name: string;
  readonly text: string;
  /** When it was last written to. */
  readonly modified: Date;
}

/** What log files of ours say, of one mountpoint or of all; earlier ones first. */
export function readLogFiles(
  directory: string | undefined,
  places = logDirectories(ownId()),
): readonly LogText[] {
  const found = places.flatMap((place) => {
    const read = inDirectoryOfOurs([place], ownId(), (within) => {
      const wanted =
        directory === undefined
          ? readdirSync(within).filter((name) => LOG_ENDING.test(name))
          : [earlierName(directory), logName(directory)];
      return wanted.flatMap((name) => readFileIn(within, name));
    });
    return read ?? [];
  });
  const age = (name: string) => (name.endsWith('.1') ? 0 : 1);
  return found.sort((a, b) => age(a.name) - age(b.name));
}

function readFileIn(within: string, name: string): LogText[] {
  try {
    const descriptor = openSync(join(within, name), READ_FLAGS);
    try {
      const status = fstatSync(descriptor);
      if (!status.isFile() || !isOnlyOurs(status, ownId())) return [];
      return [{ name, text: readFileSync(descriptor, 'utf8'), modified: status.mtime }];
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return [];
  }
}

/**
 * Removes the log of a mountpoint if it tells nothing but whose it is.
 * @param descriptor is it
 */
export function removeEmptyLog(
  directory: string,
  descriptor: number,
  places = logDirectories(ownId()),
): void {
  removeEmpty(logName(directory), descriptor, places);
}

/**
 * The same for its earlier one.
 * @param descriptor of `openEarlierLog`
 */
export function removeEmptyEarlierLog(
  directory: string,
  descriptor: number,
  places = logDirectories(ownId()),
): void {
  removeEmpty(earlierName(directory), descriptor, places);
}

function removeEmpty(name: string, descriptor: number, places: readonly string[]): void {
  inDirectoryOfOurs(places, ownId(), (within) => {
    const path = join(within, name);
    const open = fstatSync(descriptor);
    const named = statSync(path);
    if (open.ino === named.ino && open.dev === named.dev && saysNothing(descriptor, open.size)) rmSync(path);
  });
}

function saysNothing(descriptor: number, sizeBytes: number): boolean {
  if (sizeBytes > MOST_ORIGIN_BYTES) return false;
  const bytes = Buffer.alloc(sizeBytes);
  const count = readSync(descriptor, bytes, 0, sizeBytes, 0);
  return linesOf(bytes.toString('utf8', 0, count)).every((line) => originOf(line) !== undefined);
}
