/**
 * The limits of this process (ulimit, setrlimit(2)), raised at its start as far as the system lets
 * us.
 *
 * Whoever mounts has them for the sake of his own programs; a daemon that serves a volume for
 * months cannot work under them, and some (the size of files, processor time) would hit it long
 * after the mount. Processes that this one starts inherit what it was given here. What a command
 * needs beyond that it says itself: process-limits.ts.
 *
 * This file imports the addon and nothing else: with few files that may be open, more could not be
 * loaded.
 */
import { addon, native } from '../native.ts';

/** Numbers of Linux (asm-generic/resource.h). */
export const Resource = {
  processorSeconds: 0,
  fileBytes: 1,
  dataBytes: 2,
  stackBytes: 3,
  processes: 6,
  openFiles: 7,
  lockedBytes: 8,
  addressBytes: 9,
} as const;
export type ResourceName = keyof typeof Resource;

/** What the loader of modules, the engine and a mount have open at once, with room to spare. */
const LEAST_OPEN_FILES = 128;
/** For whoever may raise a hard limit. */
const MANY_OPEN_FILES = 65536;
/** What threads are made with, and the main one grows to. */
const USUAL_STACK_BYTES = 8 * 1024 * 1024;
/** The engine takes nearly this much of the main thread's stack, whether it is there or not. */
const LEAST_STACK_BYTES = 1024 * 1024;

const UNLIMITED: readonly ResourceName[] = [
  'processorSeconds',
  'fileBytes',
  'dataBytes',
  'processes',
  'lockedBytes',
  'addressBytes',
];

/** The limit that holds now; Infinity if there is none, or no addon to ask. */
export function limitOf(name: ResourceName): number {
  if (addon === undefined) return Number.POSITIVE_INFINITY;
  return native.resourceLimit(Resource[name])[0];
}

/** Raises the limit to `wanted`, or to what an ordinary user may have of that. */
function raise(name: ResourceName, wanted: number): void {
  const resource = Resource[name];
  const [soft, hard] = native.resourceLimit(resource);
  if (soft >= wanted) return;
  if (native.setResourceLimit(resource, wanted, Math.max(wanted, hard)) === 0) return;
  native.setResourceLimit(resource, Math.min(wanted, hard), hard);
}

/**
 * Raises every limit that could be in the way.
 * @returns a line that says why not even the rest of this program can run
 */
export function raiseLimits(): string | undefined {
  // What needs the addon says so itself.
  if (addon === undefined) return undefined;
  for (const name of UNLIMITED) raise(name, Number.POSITIVE_INFINITY);
  const [, hardFiles] = native.resourceLimit(Resource.openFiles);
  raise('openFiles', hardFiles >= LEAST_OPEN_FILES ? hardFiles : MANY_OPEN_FILES);
  raise('stackBytes', USUAL_STACK_BYTES);
  const files = limitOf('openFiles');
  if (files < LEAST_OPEN_FILES) {
    return `no more than ${files} files may be open at once here: raise the limit with 'ulimit -n ${LEAST_OPEN_FILES}'`;
  }
  const stack = limitOf('stackBytes');
  if (stack < LEAST_STACK_BYTES) {
    return `the stack is limited to ${stack / 1024} KiB here: raise the limit with 'ulimit -s ${USUAL_STACK_BYTES / 1024}'`;
  }
  return undefined;
}
