/**
 * Hooks of Node's module loader for allocator modules, wherever they lie. Node runs them in a
 * thread of its own; registry.ts registers this file.
 *
 * Who asks for `quarryfs/…` is answered as a file of this package would be. A file of TypeScript,
 * the module itself or one that it imports, has its types stripped: by Node where it can (22.18 and
 * newer), otherwise by `@swc/wasm-typescript`, which stands beside the module or beside this
 * package. Types become blanks, so lines and columns stay.
 */
import { readFileSync } from 'node:fs';
import { createRequire, type LoadHook, type ModuleFormat, type ResolveHook } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { transformSync } from '@swc/wasm-typescript';

/** The package that strips types where Node does not. */
const STRIPPER = '@swc/wasm-typescript';

interface Stripper {
  readonly transformSync: typeof transformSync;
}

/** What the stripper throws: an object, no Error. */
interface StripFault {
  readonly message: string;
  readonly startLine?: number;
}

export const resolve: ResolveHook = (specifier, context, next) => {
  const ours = /^quarryfs(\/|$)/.test(specifier);
  return next(specifier, ours ? { ...context, parentURL: import.meta.url } : context);
};

export const load: LoadHook = async (url, context, next) => {
  if (context.format === 'commonjs' && isModuleInDisguise(url))
    return next(url, { ...context, format: 'module' });
  const [, kind] = /^file:[^?#]*\.([cm]?)ts(?:[?#]|$)/.exec(url) ?? [];
  if (kind === undefined) return next(url, context);
  const format = kind === 'c' ? 'commonjs' : 'module';
  if (Reflect.get(process.features, 'typescript')) {
    // The format is said, so that Node neither guesses nor warns where no package.json says it.
    return next(url, { ...context, format: `${format}-typescript` as ModuleFormat });
  }
  return { format, shortCircuit: true, source: stripped(url) };
};

/**
 * A `.js` file with imports or exports below a package.json that says otherwise, as `npm init`
 * writes it: somebody's policy lies anywhere.
 */
function isModuleInDisguise(url: string): boolean {
  if (!/^file:[^?#]*\.js$/.test(url) || url.includes('/node_modules/')) return false;
  return /^(import\s*[\w{*'"]|export\s+(default|const|class|function)\b|export\s*[{*])/m.test(
    readFileSync(fileURLToPath(url), 'utf8'),
  );
}

function stripped(url: string): string {
  const path = fileURLToPath(url);
  const stripper = findStripper(url);
  try {
    const source = readFileSync(path, 'utf8');
    return stripper.transformSync(source, { mode: 'strip-only', module: true, filename: path }).code;
  } catch (thrown) {
    const { message, startLine } = thrown as StripFault;
    if (startLine === undefined) throw thrown;
    const fault = new SyntaxError(message);
    // The place stands where Node puts that of its own syntax errors.
    fault.stack = `${url}:${startLine}\n${fault.stack}`;
    throw fault;
  }
}

function findStripper(url: string): Stripper {
  for (const from of [url, import.meta.url]) {
    try {
      return createRequire(from)(STRIPPER) as Stripper;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw thrown;
    }
  }
  throw new Error(
    `Node ${process.versions.node} does not load TypeScript by itself: install a type stripper ('npm install ${STRIPPER}', with -g if quarryfs is installed so), or use Node 22.18 or newer`,
  );
}
