/** The file of the command itself, for starting it again in another process. */
import { fileURLToPath } from 'node:url';

/** Absolute path of `main`, whether this runs built or from source. */
export function programPath(): string {
  const here = fileURLToPath(import.meta.url);
  return here.replace(/program-path(\.\w+)$/, 'main$1');
}
