// @ts-check
/** The native addon as it is compiled in this folder. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const ADDON = join(ROOT, 'build/Release/quarry.node');

/** True if the addon is missing or older than its sources. */
export function isAddonStale() {
  if (!existsSync(ADDON)) return true;
  const built = statSync(ADDON).mtimeMs;
  const sources = readdirSync(join(ROOT, 'native')).map((name) => join(ROOT, 'native', name));
  return [join(ROOT, 'binding.gyp'), ...sources].some(
    (file) => existsSync(file) && statSync(file).mtimeMs > built,
  );
}
