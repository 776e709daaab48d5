/** How long it takes to read all files from a cold cache, by the clock of this machine. */
import { closeSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { filesBelow } from './kernel-maps.ts';

const READ_BYTES = 1024 * 1024;

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

/** File behind file, in the order in which they would be read. */
export function copyAll(from: string, to: string): void {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let last = '';
  for (const path of filesBelow(from)) {
    const copy = join(to, relative(from, path));
    if (dirname(copy) !== last) mkdirSync(dirname(copy), { recursive: true });
    last = dirname(copy);
    const descriptor = openSync(copy, 'wx');
    try {
      visitContents(path, buffer, (bytes) => writeAll(descriptor, bytes));
    } finally {
      closeSync(descriptor);
    }
  }
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
}
