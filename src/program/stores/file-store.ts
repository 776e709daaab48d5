/**
 * An image file by node:fs alone, for where the addon is not: positioned reads and writes on
 * libuv's threads, by way of the system's page cache, and fdatasync as the flush.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { BlockStore } from './block-store.ts';

const SECTOR_BYTES = 512;

export interface FileStoreOptions {
  readonly readOnly: boolean;
  /** Looks at what was opened, and throws if it is not to be used. */
  readonly inspect?: (descriptor: number) => void;
  /** Called when the file is closed. */
  readonly onClosed?: () => void;
}

/** @throws what the system says */
export async function openFileStore(path: string | Buffer, options: FileStoreOptions): Promise<BlockStore> {
  const file = await open(path, options.readOnly ? 'r' : 'r+');
  try {
    options.inspect?.(file.fd);
    const sizeBytes = await sizeOf(file);
    return fileStore(file, sizeBytes - (sizeBytes % SECTOR_BYTES), options);
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

function fileStore(file: FileHandle, sizeBytes: number, options: FileStoreOptions): BlockStore {
  return {
    sizeBytes,
    readOnly: options.readOnly,
    read: (into, offsetBytes) => readAll(file, into, offsetBytes),
    write: (from, offsetBytes) => writeAt(file, from, offsetBytes),
    flush: () => file.datasync(),
    async close() {
      await file.close();
      options.onClosed?.();
    },
  };
}

/** Of a block device stat(2) says nothing; its end is found by a look. */
async function sizeOf(file: FileHandle): Promise<number> {
  const status = await file.stat();
  if (status.isFile()) return status.size;
  if (!status.isBlockDevice())
    throw Object.assign(new Error('neither a file nor a block device'), { code: 'ENOTBLK' });
  let below = 0;
  let end = Number.MAX_SAFE_INTEGER;
  const probe = new Uint8Array(SECTOR_BYTES);
  while (below < end) {
    const middle = Math.floor((below + end) / 2 / SECTOR_BYTES) * SECTOR_BYTES;
    const { bytesRead } = await file.read(probe, 0, SECTOR_BYTES, middle);
    if (bytesRead === SECTOR_BYTES) below = middle + SECTOR_BYTES;
    else end = middle;
  }
  return below;
}

async function readAll(file: FileHandle, into: Uint8Array, offsetBytes: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, offsetBytes + done);
    if (bytesRead === 0) throw Object.assign(new Error('the file ends before'), { code: 'EIO' });
    done += bytesRead;
  }
}

async function writeAt(file: FileHandle, from: Uint8Array, offsetBytes: number): Promise<void> {
  for (let done = 0; done < from.length; ) {
    const { bytesWritten } = await file.write(from, done, from.length - done, offsetBytes + done);
    done += bytesWritten;
  }
}
