/**
 * Allocators by name or file.
 *
 * A word is looked up among the built-in policies; what has a slash or ends in .js, .mjs or .ts is a module of the user,
 * whose default export is an allocator definition.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AllocatorDefinition } from './allocator.ts';
import { defineAllocator } from './allocator.ts';
import firstFit from './first-fit.ts';
import groupAndGoal from './group-and-goal.ts';
import nextFit from './next-fit.ts';

/** What a volume is mounted with if nobody says otherwise. */
export const DEFAULT_ALLOCATOR = groupAndGoal;

/** The policies that come with Quarry, by name. */
export const BUILT_IN_ALLOCATORS: ReadonlyMap<string, AllocatorDefinition> = new Map(
  [groupAndGoal, firstFit, nextFit].map((definition) => [definition.name, definition]),
);

/** No such allocator, or a module that is none; the message is one sentence for the user. */
export class AllocatorLoadError extends Error {
  override readonly name = 'AllocatorLoadError';
}

/**
 * @param nameOrFile a name of `BUILT_IN_ALLOCATORS`, or a path, relative to the working directory
 * @throws AllocatorLoadError
 */
export async function loadAllocator(nameOrFile: string): Promise<AllocatorDefinition> {
  if (isPath(nameOrFile)) return loadModule(nameOrFile);
  const definition = BUILT_IN_ALLOCATORS.get(nameOrFile);
  if (definition !== undefined) return definition;
  const known = [...BUILT_IN_ALLOCATORS.keys()].join(', ');
  throw new AllocatorLoadError(
    `unknown allocator '${nameOrFile}': use ${known}, or a module such as ./mine.js`,
  );
}

function isPath(nameOrFile: string): boolean {
  return nameOrFile.includes('/') || /\.(js|mjs|ts)$/.test(nameOrFile);
}

async function loadModule(file: string): Promise<AllocatorDefinition> {
  const path = resolve(file);
  if (!existsSync(path)) throw new AllocatorLoadError(`allocator module ${file} does not exist`);
  const exported = await importDefault(file, path);
  if (exported === undefined) {
    throw new AllocatorLoadError(
      `allocator module ${file} has no default export: export default { name, create }`,
    );
  }
  if (!isShapedLikeDefinition(exported)) {
    throw new AllocatorLoadError(
      `allocator module ${file} must export an object { name, create } by default`,
    );
  }
  try {
    return defineAllocator(exported);
  } catch (error) {
    throw new AllocatorLoadError(`allocator module ${file}: ${messageOf(error)}`);
  }
}

async function importDefault(file: string, path: string): Promise<unknown> {
  try {
    const module: { default?: unknown } = await import(pathToFileURL(path).href);
    return module.default;
  } catch (error) {
    throw new AllocatorLoadError(`allocator module ${file} cannot be loaded: ${messageOf(error)}`);
  }
}

/** Enough for `defineAllocator` to judge the rest. */
function isShapedLikeDefinition(value: unknown): value is AllocatorDefinition {
  return typeof value === 'object' && value !== null && 'name' in value && 'create' in value;
}

/** The first line: a syntax error of Node brings several. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0];
}
