/**
 * A disk for a run: a sparse file behind a loop device, past the page cache.
 *
 * The file has no name any more when `make` is done, and the loop device goes with the last who has
 * it open: whatever becomes of this process, nothing but a mount can be left behind.
 */
import { closeSync, openSync, statfsSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './programs.ts';

/** Of the room that a disk may come to need, other files may take this share meanwhile. */
const SPARE = 1.02;

export class LoopDisk {
  readonly #descriptor: number;

  private constructor(readonly path: string) {
    this.#descriptor = openSync(path, 'r');
    // The kernel puts it off until nobody has it open.
    runProgram('losetup', ['-d', path]);
  }

  /**
   * @param directory where the file may lie
   * @param name of the file, for as long as it has one
   * @throws Error with one line for the user
   */
  static make(directory: string, name: string, sizeBytes: number): LoopDisk {
    expectRoom(directory, sizeBytes, 'a disk');
    const file = join(directory, name);
    writeFileSync(file, '', { flag: 'wx', mode: 0o600 });
    try {
      truncateSync(file, sizeBytes);
      return new LoopDisk(attach(file));
    } finally {
      unlinkSync(file);
    }
  }

  /** What the kernel keeps of it for those who read it as a device goes. */
  forgetCaches(): void {
    runProgram('blockdev', ['--flushbufs', this.path]);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * @param what is to lie there, in words, of so many bytes
 * @throws Error with one line for the user if it has no room
 */
export function expectRoom(directory: string, bytes: number, what: string): void {
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize >= bytes * SPARE) return;
  throw new Error(`there is no room for ${what} of ${bytes} bytes in ${directory}: --scratch names another`);
}

/** Direct I/O where the host takes it. */
function attach(file: string): string {
  const words = ['--show', '--find', file];
  try {
    return runProgram('losetup', ['--direct-io=on', ...words]).trim();
  } catch {
    return runProgram('losetup', words).trim();
  }
}
