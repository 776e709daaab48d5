/**
 * A directory for the disks and mounts of a laboratory, which takes everything in it away at the
 * end, whatever has become of the threads that made it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './programs.ts';

export class Scratch {
  readonly path: string;

  /** @throws the error of the directory above */
  constructor(above: string) {
    this.path = mkdtempSync(join(above, 'quarry-lab-'));
  }

  /** @throws Error with one line for the user if a mount cannot be taken away */
  remove(): void {
    for (const directory of mountsBelow(this.path)) runProgram('umount', [directory]);
    rmSync(this.path, { recursive: true });
  }
}

/** The last one mounted first. */
function mountsBelow(directory: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const places = lines.map((line) => unescaped(line.split(' ')[4] ?? ''));
  return places.filter((place) => place.startsWith(`${directory}/`)).reverse();
}

/** The kernel writes spaces and the like as octal numbers. */
function unescaped(text: string): string {
  return text.replaceAll(/\\(\d{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
