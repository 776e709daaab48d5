/** How long it takes to read all files from a cold cache, by the clock of this machine. */
import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { filesBelow } from './kernel-maps.ts';

const READ_BYTES = 1024 * 1024;
/** Of zeros, so many in a row at such a place are a hole. */
const HOLE_BYTES = 4096;
const ZEROS = Buffer.alloc(HOLE_BYTES);

/** Every file, directory by directory, each in the order that the system lists it. */
export function secondsToReadAll(directory: string): number {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const began = performance.now();
  for (const path of filesBelow(directory)) visitContents(path, buffer, () => {});
  return (performance.now() - began) / 1000;
}

/** @param visit gets each piece of the file */
function visitContents(path: string, buffer: Buffer, visit: (bytes: Buffer) => void): void {
  const descriptor = openSync(path, 'r');
  try {
    for (;;) {
      const length = readSync(descriptor, buffer);
      if (length === 0) return;
      visit(buffer.subarray(0, length));
    }
  } finally {
    closeSync(descriptor);
  }
}

/**
 * File behind file, in the order in which they would be read. Blocks of zeros become holes, so that
 * a file with holes takes no more room than it did.
 */
export function copyAll(from: string, to: string): void {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let last = '';
  for (const path of filesBelow(from)) {
    const copy = join(to, relative(from, path));
    if (dirname(copy) !== last) mkdirSync(dirname(copy), { recursive: true });
    last = dirname(copy);
    const descriptor = openSync(copy, 'wx');
    try {
      let offsetBytes = 0;
      visitContents(path, buffer, (bytes) => {
        for (const [start, end] of runsOfData(bytes))
          writeAll(descriptor, bytes.subarray(start, end), offsetBytes + start);
        offsetBytes += bytes.length;
      });
      ftruncateSync(descriptor, offsetBytes);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** Places of the bytes between whole blocks of zeros. */
export function* runsOfData(bytes: Buffer): Generator<readonly [start: number, end: number]> {
  let start = -1;
  for (let at = 0; at < bytes.length; at += HOLE_BYTES) {
    const end = Math.min(at + HOLE_BYTES, bytes.length);
    const isZero = ZEROS.compare(bytes, at, end, 0, end - at) === 0;
    if (isZero && start >= 0) yield [start, at];
    if (isZero) start = -1;
    else if (start < 0) start = at;
  }
  if (start >= 0) yield [start, bytes.length];
}

function writeAll(descriptor: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(descriptor, bytes, done, bytes.length - done, offsetBytes + done);
}
