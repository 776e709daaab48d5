/**
 * The file that a record of a mount goes into: a new one that only its owner may read, or an old
 * record that may be written over; never anything else, and never on the mount itself.
 *
 * Everything here is asked for in the background: a daemon that waited for a file would not serve
 * its mount meanwhile, and could wait for itself.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../common/thrown.ts';
import type { RecordOptions } from '../fuse/record-options.ts';
import { absolutePath, systemPath } from '../path-bytes.ts';
import { beginsLikeRecord, RecordHead } from '../record/record-format.ts';
import type { RecordTarget } from '../record/record-writer.ts';
import { CommandError, failureLine } from './failure.ts';

const FILE_MODE = 0o600;

export interface RecordTargetPlace {
  /** Absolute. */
  readonly path: string;
  /** An old record may be written over. */
  readonly overwrite: boolean;
  /** `major:minor` of the mount that is recorded; undefined before it is made. */
  readonly mountDevice: string | undefined;
}

interface RecordedPlan {
  readonly options: RecordOptions;
  /** Where the mount will be. */
  readonly directory: string;
}

export class RecordFile implements RecordTarget {
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** @throws CommandError with one line; then nothing was made or written */
  static async open({ path, overwrite, mountDevice }: RecordTargetPlace): Promise<RecordFile> {
    try {
      expectElsewhere(path, await stat(systemPath(dirname(path))), mountDevice);
      const handle = await openFor(path, overwrite);
      return new RecordFile(path, handle);
    } catch (thrown) {
      if (thrown instanceof CommandError) throw thrown;
      throw new CommandError(`cannot record into ${path}: ${reasonOf(thrown)}`, { cause: thrown });
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done);
      done += bytesWritten;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** As if it had never been opened, for a mount that could not be made. */
  async discard(): Promise<void> {
    await this.close();
    await unlink(systemPath(this.path)).catch(() => {});
  }
}

/**
 * The file of -o record=FILE, before the mount is made.
 * @throws CommandError
 */
export async function openRecordOf({ options, directory }: RecordedPlan): Promise<RecordFile | undefined> {
  const { record, recordOverwrite: overwrite } = options;
  if (record === undefined) return undefined;
  const path = absolutePath(record);
  if (path.startsWith(`${directory}/`))
    throw new CommandError(`${path} would lie under the mount that is to be recorded: record elsewhere`);
  return await RecordFile.open({ path, overwrite, mountDevice: undefined });
}

function reasonOf(thrown: unknown): string {
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'its directory does not exist',
    ENOTDIR: 'its directory does not exist',
    EACCES: 'no permission',
    EISDIR: 'it is a directory',
    ELOOP: 'it is a symbolic link',
    ENOSPC: 'no space is left there',
    EROFS: 'that filesystem is read-only',
  };
  return words[codeOf(thrown)] ?? failureLine(thrown);
}

/** st_dev of `major:minor`, as the C library puts it together. */
function deviceNumberOf(device: string): number {
  const [major = 0, minor = 0] = device.split(':').map(Number);
  return (minor & 0xff) + (major & 0xfff) * 0x100 + Math.floor(minor / 0x100) * 0x10_0000;
}

function expectElsewhere(path: string, { dev }: { dev: number }, mountDevice: string | undefined): void {
  if (mountDevice !== undefined && dev === deviceNumberOf(mountDevice))
    throw new CommandError(
      `${path} lies on the mount that is to be recorded: record into another filesystem`,
    );
}

async function openFor(path: string, overwrite: boolean): Promise<FileHandle> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR, O_WRONLY } = constants;
  try {
    return await open(systemPath(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw thrown;
  }
  if (!overwrite)
    throw new CommandError(
      `${path} is there already: --force (or -o record-overwrite) writes over an old record`,
    );
  const handle = await open(systemPath(path), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  try {
    await emptyRecord(path, handle);
    return handle;
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

async function emptyRecord(path: string, handle: FileHandle): Promise<void> {
  const head = new Uint8Array(RecordHead.sizeBytes);
  const isFile = (await handle.stat()).isFile();
  const { bytesRead } = isFile ? await handle.read(head, 0, head.length, 0) : { bytesRead: 0 };
  if (!isFile || (bytesRead > 0 && !beginsLikeRecord(head)))
    throw new CommandError(`${path} is there already, and is no record: it is not written over`);
  await handle.chmod(FILE_MODE);
  await handle.truncate(0);
}
