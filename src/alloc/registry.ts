/**
 * Allocators by name or file.
 *
 * A word is looked up among the built-in policies; what has a slash or the ending of a module is a
 * module of the user, in JavaScript or TypeScript, whose default export is an allocator definition.
 * Such a module finds `quarryfs/alloc` wherever it lies: this package answers (module-hooks.ts).
 * What it exports is read once, into a definition of ours.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { AllocatorDefinition, AllocatorOptions } from './allocator.ts';
import { BUILT_IN_ALLOCATORS } from './built-in.ts';
import { describeThrown, isInstance, printable } from './foreign-values.ts';

const MOST_NAME_CHARACTERS = 64;
/** How long Node may look for the place of a syntax error. */
const CHECK_MILLISECONDS = 5000;

/** No such allocator, or a module that is none; the message is one sentence for the user. */
export class AllocatorLoadError extends Error {
  override readonly name = 'AllocatorLoadError';
}

/**
 * @param nameOrFile a name of `BUILT_IN_ALLOCATORS`, or a path, relative to the working directory
 * @throws AllocatorLoadError
 */
export async function loadAllocator(nameOrFile: string): Promise<AllocatorDefinition> {
  if (isModulePath(nameOrFile)) return loadModule(nameOrFile);
  const definition = BUILT_IN_ALLOCATORS.get(nameOrFile);
  if (definition !== undefined) return definition;
  const known = [...BUILT_IN_ALLOCATORS.keys()].join(', ');
  throw new AllocatorLoadError(
    `unknown allocator '${nameOrFile}': use ${known}, or a module such as ./mine.js`,
  );
}

/** Does this name a module, not a policy of the program? */
export function isModulePath(nameOrFile: string): boolean {
  return nameOrFile.includes('/') || /\.[cm]?[jt]s$/.test(nameOrFile);
}

/**
 * @throws AllocatorLoadError if the definition says which options it knows, and one of these is not
 * among them
 */
export function checkAllocatorOptions({ name, options }: AllocatorDefinition, given: AllocatorOptions): void {
  if (options === undefined) return;
  const known = Object.keys(options);
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const list = known.map((key) => `${key} (${printable(String(options[key]))})`).join(', ');
  throw new AllocatorLoadError(
    `allocator '${name}' knows no option '${printable(unknown)}': ${list === '' ? 'it has none' : `there is ${list}`}`,
  );
}

async function loadModule(file: string): Promise<AllocatorDefinition> {
  const exported = await importDefault('allocator', file);
  if (exported === undefined) {
    throw new AllocatorLoadError(
      `allocator module ${file} has no default export: export default { name, create }`,
    );
  }
  try {
    return definitionOf(file, exported);
  } catch (thrown) {
    if (isInstance(thrown, AllocatorLoadError)) throw thrown;
    throw new AllocatorLoadError(`allocator module ${file} cannot be read: ${describeThrown(thrown)}`);
  }
}

/**
 * The default export of somebody's module, in JavaScript or TypeScript.
 * @param what it is to be, for the message
 * @throws AllocatorLoadError
 */
export async function importDefault(what: string, file: string): Promise<unknown> {
  const path = resolve(file);
  if (!existsSync(path)) throw new AllocatorLoadError(`${what} module ${file} does not exist`);
  hookLoader();
  try {
    const module: { default?: unknown } = await import(pathToFileURL(path).href);
    return module.default;
  } catch (thrown) {
    const place = placeOf(thrown, path);
    const where = place === undefined ? '' : ` (${printable(place)})`;
    throw new AllocatorLoadError(
      `${what} module ${file} cannot be loaded: ${describeThrown(thrown)}${where}`,
    );
  }
}

/** The hooks as built, also where this file runs from source: Node may not load TypeScript. */
function hooksFile(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(isSource ? '../../dist/alloc/module-hooks.js' : './module-hooks.js', import.meta.url);
}
let hooked = false;

function hookLoader(): void {
  if (hooked) return;
  hooked = true;
  register(hooksFile());
}

/**
 * Where an error of loading arose, as `path:line`; undefined if it does not say. Node writes the
 * place of a syntax error above the stack, for some; of the others only `node --check` has it.
 */
function placeOf(thrown: unknown, path: string): string | undefined {
  if (!isInstance(thrown, Error)) return undefined;
  const stack = stackOf(thrown);
  const above = /^(file:\S+):(\d+)\n/.exec(stack);
  if (above !== null) return placeText(above[1] ?? '', above[2] ?? '');
  const own = pathToFileURL(path).href;
  const frame = /\(?(file:\S+?):(\d+):\d+\)?$/m.exec(stack);
  if (frame?.[1] === own) return placeText(own, frame[2] ?? '');
  if (!isInstance(thrown, SyntaxError)) return undefined;
  const { stderr } = spawnSync(process.execPath, ['--check', path], {
    encoding: 'utf8',
    timeout: CHECK_MILLISECONDS,
  });
  const checked = /^(?:file:)?[^\n]*:(\d+)\n/.exec(stderr);
  return checked === null ? undefined : placeText(own, checked[1] ?? '');
}

function stackOf(error: Error): string {
  try {
    return String(error.stack);
  } catch {
    return '';
  }
}

function placeText(url: string, line: string): string {
  return `${fileURLToPath(url)}:${line}`;
}

function definitionOf(file: string, exported: unknown): AllocatorDefinition {
  if (typeof exported !== 'object' || exported === null || !('name' in exported && 'create' in exported)) {
    throw new AllocatorLoadError(
      `allocator module ${file} must export an object { name, create } by default`,
    );
  }
  const name: unknown = exported.name;
  const create: unknown = exported.create;
  const options: unknown = 'options' in exported ? exported.options : undefined;
  if (typeof name !== 'string' || !isGoodName(name)) {
    throw new AllocatorLoadError(
      `allocator module ${file}: an allocator needs a name of 1 to ${MOST_NAME_CHARACTERS} printable characters`,
    );
  }
  if (typeof create !== 'function') {
    throw new AllocatorLoadError(
      `allocator module ${file}: allocator '${name}' needs a create(space, options) function`,
    );
  }
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw new AllocatorLoadError(
      `allocator module ${file}: options of allocator '${name}' must be an object { key: 'what it means' }`,
    );
  }
  return Object.freeze({
    name,
    create: create.bind(exported) as AllocatorDefinition['create'],
    ...(options === undefined ? {} : { options: Object.freeze({ ...options }) as Record<string, string> }),
  });
}

function isGoodName(name: string): boolean {
  return name.length > 0 && name.length <= MOST_NAME_CHARACTERS && printable(name) === name;
}
