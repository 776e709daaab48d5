/**
 * A mounted filesystem that carries out the operations of a workload by system calls, one after the
 * other.
 *
 * The workload's time is not waited for: when it has gone on by five seconds, everything dirty is
 * written, as it would have been by then. What finds no room is counted and left undone, and so is
 * what needs a file that was not made.
 */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { codeOf, messageOf } from '../../common/thrown.ts';
import { DEFAULT_COMMIT_SECONDS } from '../../fs/base/limits.ts';
import type { LaidExtent } from '../measures/layout.ts';
import type { LabOperation } from '../operation.ts';
import type { AgedFigures, AgedVolume, Refusals } from '../runners/aged-volume.ts';
import { SECONDS_PER_BYTE, SECONDS_PER_OPERATION } from '../runners/model-volume.ts';
import { MOST_WRITE_BYTES } from '../runners/page-cache.ts';
import type { Filesystem, LayoutMaps, MountedPlace } from './filesystems.ts';
import { runProgram } from './programs.ts';

/** More files than this are not open at once, the one that was used last goes last. */
const MOST_OPEN = 256;
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT']);
/** The same in the words of sync(1). */
const SAYS_NO_ROOM = /No space left on device|Disk quota exceeded/;

function isNoRoom(thrown: unknown): boolean {
  return NO_ROOM.has(codeOf(thrown)) || SAYS_NO_ROOM.test(messageOf(thrown));
}

export class MountedVolume implements AgedVolume {
  readonly refusals: Refusals = { count: 0, bytes: 0, firstFreeShare: undefined };
  operations = 0;
  writtenBytes = 0;
  simulatedSeconds = 0;
  readonly #directories: Map<number, string>;
  readonly #files = new Map<number, string>();
  /** Descriptors by file, in the order of their last use. */
  readonly #open = new Map<number, number>();
  readonly #data = Buffer.alloc(MOST_WRITE_BYTES, 'quarry');
  #nextCommit = DEFAULT_COMMIT_SECONDS;

  constructor(
    readonly filesystem: Filesystem,
    readonly place: MountedPlace,
  ) {
    this.#directories = new Map([[0, place.directory]]);
  }

  apply(operation: LabOperation): undefined {
    this.operations++;
    this.simulatedSeconds += SECONDS_PER_OPERATION;
    try {
      this.#perform(operation);
    } catch (thrown) {
      if (!isNoRoom(thrown)) throw thrown;
      this.#refuse(operation.kind === 'write' ? operation.lengthBytes : 0);
    }
    if (this.simulatedSeconds >= this.#nextCommit) {
      this.#nextCommit = this.simulatedSeconds + DEFAULT_COMMIT_SECONDS;
      this.#syncAll();
    }
    return undefined;
  }

  #refuse(bytes: number): void {
    const { bfree, blocks } = statfsSync(this.place.directory);
    this.refusals.count++;
    this.refusals.bytes += bytes;
    this.refusals.firstFreeShare ??= bfree / blocks;
  }

  #perform(operation: LabOperation): void {
    switch (operation.kind) {
      case 'create':
        this.#create(operation.file, operation.directory);
        break;
      case 'write':
        this.#write(operation.file, operation.offsetBytes, operation.lengthBytes);
        break;
      case 'close':
        this.#close(operation.file);
        break;
      case 'remove':
        this.#remove(operation.file);
        break;
      case 'truncate':
        this.#truncate(operation.file, operation.sizeBytes);
        break;
      case 'rename':
        this.#rename(operation.file, operation.over);
        break;
      case 'sync':
        this.#sync(operation.file);
        break;
      case 'makeDirectory':
        this.#makeDirectory(operation.directory, operation.parent);
        break;
      case 'removeDirectory':
        this.#removeDirectory(operation.directory);
        break;
      case 'wait':
        this.simulatedSeconds += operation.seconds;
    }
  }

  #makeDirectory(directory: number, parent: number): void {
    const above = this.#directories.get(parent);
    if (above === undefined) return;
    const path = join(above, `d${directory}`);
    mkdirSync(path);
    this.#directories.set(directory, path);
  }

  #removeDirectory(directory: number): void {
    const path = this.#directories.get(directory);
    if (path === undefined || directory === 0) return;
    rmdirSync(path);
    this.#directories.delete(directory);
  }

  #create(file: number, directory: number): void {
    const above = this.#directories.get(directory);
    if (above === undefined) return;
    const path = join(above, `f${file}`);
    this.#keep(file, openSync(path, 'wx'));
    this.#files.set(file, path);
  }

  #keep(file: number, descriptor: number): number {
    this.#open.set(file, descriptor);
    if (this.#open.size > MOST_OPEN) {
      for (const oldest of this.#open.keys()) {
        this.#close(oldest);
        break;
      }
    }
    return descriptor;
  }

  #descriptorOf(file: number): number | undefined {
    const open = this.#open.get(file);
    const path = this.#files.get(file);
    if (open === undefined) return path === undefined ? undefined : this.#keep(file, openSync(path, 'r+'));
    this.#open.delete(file);
    this.#open.set(file, open);
    return open;
  }

  #write(file: number, offsetBytes: number, lengthBytes: number): void {
    const descriptor = this.#descriptorOf(file);
    if (descriptor === undefined) return;
    this.simulatedSeconds += lengthBytes * SECONDS_PER_BYTE;
    for (let done = 0; done < lengthBytes; ) {
      const now = Math.min(lengthBytes - done, MOST_WRITE_BYTES);
      const written = writeSync(descriptor, this.#data, 0, now, offsetBytes + done);
      done += written;
      this.writtenBytes += written;
    }
  }

  /** What the kernel could not write is told here at the latest. */
  #close(file: number): void {
    const descriptor = this.#open.get(file);
    this.#open.delete(file);
    if (descriptor !== undefined) closeSync(descriptor);
  }

  #sync(file: number): void {
    const descriptor = this.#descriptorOf(file);
    if (descriptor !== undefined) fsyncSync(descriptor);
  }

  #truncate(file: number, sizeBytes: number): void {
    const open = this.#open.get(file);
    const path = this.#files.get(file);
    if (open !== undefined) ftruncateSync(open, sizeBytes);
    else if (path !== undefined) truncateSync(path, sizeBytes);
  }

  #remove(file: number): void {
    const path = this.#files.get(file);
    if (path === undefined) return;
    this.#close(file);
    unlinkSync(path);
    this.#files.delete(file);
  }

  /** The file gets the name of the other for a moment, then its own again, in that directory. */
  #rename(file: number, over: number | undefined): void {
    const from = this.#files.get(file);
    const to = over === undefined ? undefined : this.#files.get(over);
    if (from === undefined || to === undefined || over === undefined) return;
    this.#close(over);
    renameSync(from, to);
    this.#files.delete(over);
    this.#files.set(file, to);
    const own = join(to, '..', `f${file}`);
    renameSync(to, own);
    this.#files.set(file, own);
  }

  /** syncfs(2). What found no room only now is counted. */
  #syncAll(): void {
    this.#countingRefusals(() => runProgram('sync', ['--file-system', this.place.directory]));
  }

  #countingRefusals(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      if (!isNoRoom(thrown)) throw thrown;
      this.#refuse(0);
    }
  }

  /** Closes all files, also where one of them says only now that it found no room. */
  closeAll(): void {
    for (const file of [...this.#open.keys()]) this.#countingRefusals(() => this.#close(file));
  }

  async settle(): Promise<void> {
    this.closeAll();
    this.#syncAll();
    const root = openSync(this.place.directory, 'r');
    try {
      // Of a FUSE mount syncfs writes the pages; this commits.
      this.#countingRefusals(() => fsyncSync(root));
    } finally {
      closeSync(root);
    }
  }

  async *filesInOrder(): AsyncGenerator<readonly LaidExtent[]> {
    const maps = await this.filesystem.maps(this.place);
    try {
      yield* maps.filesInOrder();
    } finally {
      await maps.close();
    }
  }

  async visitFreeRuns(visit: (start: number, length: number) => void): Promise<boolean> {
    const maps: LayoutMaps = await this.filesystem.maps(this.place);
    try {
      return await maps.visitFreeRuns(visit);
    } finally {
      await maps.close();
    }
  }

  async figures(): Promise<AgedFigures> {
    const { bfree, blocks } = statfsSync(this.place.directory);
    return { fullness: 1 - bfree / blocks, ...this.filesystem.counts(this.place.directory) };
  }
}
