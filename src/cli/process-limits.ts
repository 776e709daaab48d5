/**
 * What a command needs of the limits of its process, after they were raised as far as that goes
 * (raise-limits.ts).
 */
import { CommandError } from './failure.ts';
import { limitOf } from './raise-limits.ts';
import { formatSize } from './sizes.ts';

/**
 * What an engine that has started, the slots of a channel and some threads take of the address
 * space, …
 */
const LEAST_ADDRESS_BYTES = 1536 * 1024 * 1024;
/** … and what of that counts as data. */
const LEAST_DATA_BYTES = 512 * 1024 * 1024;

/** Of an image file, all must be in reach of writes. @throws CommandError */
export function requireFileSize(path: string, sizeBytes: number): void {
  const most = limitOf('fileBytes');
  if (sizeBytes <= most) return;
  throw new CommandError(
    `${path} has ${formatSize(sizeBytes)}, and files are limited to ${formatSize(most)} here: raise the limit with 'ulimit -f unlimited'`,
  );
}

/** What a process that serves a mount needs beside the size of its file. @throws CommandError */
export function requireRoomToServe(cacheBytes: number): void {
  const seconds = limitOf('processorSeconds');
  if (seconds !== Number.POSITIVE_INFINITY) {
    throw new CommandError(
      `a process may use ${seconds} s of the processor here, and a mount has no end: raise the limit with 'ulimit -t unlimited'`,
    );
  }
  requireMemory('addressBytes', LEAST_ADDRESS_BYTES + cacheBytes, 'address space', '-v');
  requireMemory('dataBytes', LEAST_DATA_BYTES + cacheBytes, 'data', '-d');
}

function requireMemory(
  name: 'addressBytes' | 'dataBytes',
  leastBytes: number,
  what: string,
  letter: string,
): void {
  const most = limitOf(name);
  if (most >= leastBytes) return;
  throw new CommandError(
    `${what} is limited to ${formatSize(most)} here, and this mount may need ${formatSize(leastBytes)}: raise the limit with 'ulimit ${letter} unlimited'`,
  );
}
