/**
 * Places in volumes that are not mounted, as words: `v.img:/a/b.txt`. What stands before the first
 * colon behind which a path begins, and is there, is the image or block device; `v.img` alone, and
 * `v.img:`, are the root of its volume.
 */
import { lstatSync } from 'node:fs';
import { pathBytes, pathText, systemPath } from '../path-bytes.ts';
import { isOfVolume, systemWords } from '../program/system-error.ts';
import { openVolume, type ProgramVolume } from '../quarryfs.ts';
import { CommandError } from './failure.ts';

export interface PlaceInVolume {
  readonly image: string;
  /** In the volume, from its root on. */
  readonly path: Buffer;
}

function isThere(name: string): boolean {
  try {
    return lstatSync(systemPath(name)) !== undefined;
  } catch {
    return false;
  }
}

/** @param exists whether there is a file of this name */
export function volumePath(word: string, exists = isThere): PlaceInVolume {
  for (let at = word.indexOf(':'); at >= 0 && !exists(word); at = word.indexOf(':', at + 1)) {
    const image = word.slice(0, at);
    if (image !== '' && exists(image)) return { image, path: inVolume(word.slice(at + 1)) };
  }
  return { image: word, path: inVolume('') };
}

/** Does a word name a place in a volume, and not a file of the system? */
export function namesVolume(word: string, exists = isThere): boolean {
  return volumePath(word, exists).image !== word;
}

function inVolume(path: string): Buffer {
  return pathBytes(path.startsWith('/') ? path : `/${path}`);
}

/** How a place is shown. */
export function placeText({ image, path }: PlaceInVolume): string {
  return `${image}:${pathText(path)}`;
}

/** An error of a call on a handle, which does not know the path. */
export function errorAt(thrown: unknown, path: Buffer): unknown {
  const isBare = isOfVolume(thrown) && !('path' in Object(thrown));
  return isBare ? Object.assign(Object(thrown), { path: pathText(path) }) : thrown;
}

/** An error of a call as one line: whose it is, and what is wrong. */
export function placeError(thrown: unknown, image: string): unknown {
  const words = systemWords(thrown);
  const path: unknown = Object(thrown).path;
  if (words === undefined || typeof path !== 'string') return thrown;
  const place = isOfVolume(thrown) ? `${image}:${path}` : path;
  const dest: unknown = Object(thrown).dest;
  const target = typeof dest === 'string' ? ` (for ${dest})` : '';
  return new CommandError(`${place}: ${words}${target}`, { cause: thrown });
}

/**
 * Opens the volume of an image for the work, and closes it.
 * @throws CommandError
 */
export async function withVolume<T>(
  image: string,
  readOnly: boolean,
  work: (volume: ProgramVolume) => Promise<T>,
): Promise<T> {
  const volume = await openVolume(image, { readOnly, umask: process.umask() });
  try {
    const result = await work(volume);
    await volume.close();
    return result;
  } catch (thrown) {
    // The first error is the one to tell.
    await volume.close().catch(() => {});
    throw placeError(thrown, image);
  }
}

/** Works on places one after the other; an image that follows itself is opened once for all. */
export async function onPlaces(
  words: readonly string[],
  readOnly: boolean,
  work: (volume: ProgramVolume, place: PlaceInVolume) => Promise<void>,
): Promise<void> {
  const places = words.map((word) => volumePath(word));
  for (let at = 0; at < places.length; ) {
    const { image } = places[at] as PlaceInVolume;
    const others = places.findIndex((place, index) => index > at && place.image !== image);
    const end = others < 0 ? places.length : others;
    await withVolume(image, readOnly, async (volume) => {
      for (const place of places.slice(at, end)) await work(volume, place);
    });
    at = end;
  }
}
