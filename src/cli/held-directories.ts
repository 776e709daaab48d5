/**
 * Paths below the top of a tree of the system, led through directories that are held open.
 *
 * Who may write into the tree while it is copied can put a symbolic link in the place of a
 * directory between two calls. So each directory is opened from the one above it, and no link is
 * followed. What is done in it is done by a name in the open directory: `/proc/self/fd/N/name`,
 * since node:fs has no openat(2). The way to the top is the user's own, and is followed.
 *
 * Elsewhere than on Linux paths are as they were.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pathText } from '../path-bytes.ts';
import { below } from './tree-sides.ts';

const { O_DIRECTORY, O_NOFOLLOW } = constants;
/** Of Linux: node:fs has no name for it. Takes no right to read the directory. */
export const O_PATH = 0o10000000;
/** Of a deep tree the last ones are held, and the way from the top is gone again for others. */
const MOST_HELD = 64;
const SLASH = '/';
const HERE = Buffer.from('.');

interface Step {
  readonly name: Buffer;
  handle: FileHandle | undefined;
}

/** What a handle has open, whatever is at its path by now. */
export function openedPath({ fd }: FileHandle): Buffer {
  return Buffer.from(`/proc/self/fd/${fd}`);
}

function within(directory: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([openedPath(directory), Buffer.from(SLASH), name]);
}

/** An error of a call on a place is about the path that the place is of. */
export function errorAbout(thrown: unknown, place: Buffer, path: Buffer): unknown {
  if (place === path || !(thrown instanceof Error)) return thrown;
  const named = thrown as { path?: unknown; dest?: unknown };
  const isPlace = (text: unknown) => text === pathText(place) || text === place.toString();
  if (isPlace(named.path)) named.path = pathText(path);
  if (isPlace(named.dest)) named.dest = pathText(path);
  return thrown;
}

export class HeldDirectories {
  /** Ends in a slash; undefined where paths are taken as they are. */
  #base: Buffer | undefined;
  #baseHandle: FileHandle | undefined;
  /** From the base to the directory of the last path. */
  #way: Step[] = [];

  /** @param top an absolute path; a link there is followed only if a slash is behind it */
  async begin(top: Buffer): Promise<void> {
    await this.end();
    if (process.platform === 'linux') this.#base = top.subarray(0, top.lastIndexOf(SLASH) + 1);
  }

  async end(): Promise<void> {
    this.#base = undefined;
    const held = [this.#baseHandle, ...this.#way.map(({ handle }) => handle)];
    this.#baseHandle = undefined;
    this.#way = [];
    for (const one of held) await one?.close();
  }

  /**
   * The same place for node:fs and the addon, until the next call.
   * @throws what open(2) says, as ENOTDIR for a link in the place of a directory
   */
  async place(path: Buffer): Promise<Buffer> {
    const base = this.#base;
    if (base === undefined || !path.subarray(0, base.length).equals(base)) return path;
    const names = namesIn(path.subarray(base.length));
    const last = names.pop() ?? HERE;
    return within(await this.#directory(base, names), last);
  }

  async #directory(base: Buffer, names: readonly Buffer[]): Promise<FileHandle> {
    const way = this.#way;
    let same = 0;
    while (same < names.length && way[same]?.name.equals(names[same] as Buffer)) same++;
    for (const { handle } of way.splice(same)) await handle?.close();
    let directory = this.#baseHandle ?? (await open(base, O_PATH | O_DIRECTORY));
    this.#baseHandle = directory;
    const held = way.findLastIndex(({ handle }) => handle !== undefined);
    directory = way[held]?.handle ?? directory;
    for (const [at, name] of names.entries()) {
      if (at <= held) continue;
      const place = within(directory, name);
      directory = await open(place, O_PATH | O_DIRECTORY | O_NOFOLLOW).catch((thrown: unknown) => {
        throw errorAbout(thrown, place, names.slice(0, at + 1).reduce(below, base));
      });
      way[at] = { name, handle: directory };
      await this.#letGo(at - MOST_HELD);
    }
    return directory;
  }

  async #letGo(at: number): Promise<void> {
    const step = this.#way[at];
    const handle = step?.handle;
    if (step === undefined || handle === undefined) return;
    step.handle = undefined;
    await handle.close();
  }
}

function namesIn(path: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 0; at < path.length; ) {
    const slash = path.indexOf(SLASH, at);
    const end = slash < 0 ? path.length : slash;
    if (end > at) names.push(path.subarray(at, end));
    at = end + 1;
  }
  return names;
}
