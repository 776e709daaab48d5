/**
 * The file that a record of a mount goes into: a new one that only its owner may read, or an old
 * record that may be written over; never anything else, and never on the mount itself.
 *
 * Everything here is asked for in the background: a daemon that waited for a file would not serve
 * its mount meanwhile, and could wait for itself.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
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
  /** What it is called until it is settled: the path, or another where an old record is. */
  #madeAs: string;

  private constructor(path: string, madeAs: string, handle: FileHandle) {
    this.path = path;
    this.#madeAs = madeAs;
    this.#handle = handle;
  }

  /** @throws CommandError with one line; then nothing was made or written */
  static async open({ path, overwrite, mountDevice }: RecordTargetPlace): Promise<RecordFile> {
    try {
      expectElsewhere(path, await stat(systemPath(dirname(path))), mountDevice);
      const madeAs = (await isVacant(path, overwrite)) ? path : `${path}.new`;
      const handle = await makeFile(madeAs);
      const file = new RecordFile(path, madeAs, handle);
      try {
        // What is mounted on a name lies elsewhere than its directory.
        expectElsewhere(path, await handle.stat(), mountDevice);
      } catch (thrown) {
        await file.discard();
        throw thrown;
      }
      return file;
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

  /** The record begins: an old one makes room for it. */
  async settle(): Promise<void> {
    if (this.#madeAs !== this.path) await rename(systemPath(this.#madeAs), systemPath(this.path));
    this.#madeAs = this.path;
  }

  /** As if it had never been opened, for a record that does not begin. */
  async discard(): Promise<void> {
    await this.close();
    await unlink(systemPath(this.#madeAs)).catch(() => {});
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
    EEXIST: 'a file that is to take its place is there already (.new)',
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

function makeFile(path: string): Promise<FileHandle> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  return open(systemPath(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
}

/**
 * Whether nothing is there.
 * @throws CommandError if there is something that is not to be replaced
 */
async function isVacant(path: string, overwrite: boolean): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(systemPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return true;
    throw thrown;
  }
  try {
    if (!overwrite)
      throw new CommandError(
        `${path} is there already: --force (or -o record-overwrite) puts a new record in the place of an old one`,
      );
    await expectOldRecord(path, handle);
    return false;
  } finally {
    await handle.close();
  }
}

/** Somebody else's file stays his, whatever it is. */
async function expectOldRecord(path: string, handle: FileHandle): Promise<void> {
  const found = await handle.stat();
  const head = new Uint8Array(RecordHead.sizeBytes);
  const { bytesRead } = found.isFile() ? await handle.read(head, 0, head.length, 0) : { bytesRead: 0 };
  if (!found.isFile() || (bytesRead > 0 && !beginsLikeRecord(head)))
    throw new CommandError(`${path} is there already, and is no record: it is not written over`);
  if (found.uid !== process.geteuid?.())
    throw new CommandError(`${path} is there already, and belongs to somebody else: it is not written over`);
}
