/** What the kernel still has of a file in its cache goes to whoever serves the filesystem. */
import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import { systemPath } from '../path-bytes.ts';

/** As far as we may: of a file that we may not read, what is on the disk is what there is. */
export function writeBack(path: string): void {
  try {
    const descriptor = openSync(systemPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    // It is seen as the server has it.
  }
}
