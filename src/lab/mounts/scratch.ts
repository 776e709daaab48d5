/**
 * A directory for the disks and mounts of a laboratory, which takes everything in it away at the
 * end, whatever has become of the threads that made it.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mountTable } from '../../fuse/mount-table.ts';
import { runProgram } from './programs.ts';

export class Scratch {
  readonly path: string;

  /** @throws the error of the directory above */
  constructor(above: string) {
    // As the table of mounts will have it.
    this.path = realpathSync(mkdtempSync(join(above, 'quarry-lab-')));
  }

  /** @throws Error with one line for the user if a mount cannot be taken away */
  remove(): void {
    for (const directory of mountsBelow(this.path)) runProgram('umount', [directory]);
    rmSync(this.path, { recursive: true });
  }
}

/** The last one mounted first. */
function mountsBelow(directory: string): string[] {
  const places = mountTable().map((mount) => mount.directory);
  return places.filter((place) => place.startsWith(`${directory}/`)).reverse();
}
