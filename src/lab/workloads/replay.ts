/**
 * The operations of a record as operations of a workload.
 *
 * Files have new numbers, given once and never again; of what the laboratory's operations cannot
 * say there is something like it:
 *
 *   a move to another directory    a rename over an empty file that is made there
 *   a directory that moves         stays where it is, with what comes into it
 *   a directory that is removed    goes when nothing is left in it here either
 *   a symbolic link                a file as long as its target
 *   a second name                  is counted: the file goes with its last name
 *   writes                         go out as they came: the kernel's cache was before the record
 *
 * What is not known, such as a file that was removed before the record began and was still open, is
 * passed over.
 */
import { type RecordedOperation, RecordedType, RecordKind } from '../../record/recorded-operation.ts';
import type { LabOperation } from '../operation.ts';
import { writeRange } from './whole-file.ts';

const ROOT_INODE = 1;
/** Pauses are gathered until they are this long. */
const LEAST_WAIT_MICROSECONDS = 1000;

interface ReplayedDirectory {
  readonly number: number;
  readonly parent: ReplayedDirectory | undefined;
  entries: number;
  isGone: boolean;
}

interface ReplayedFile {
  readonly number: number;
  directory: ReplayedDirectory;
  links: number;
}

export class RecordReplay {
  readonly #blockBytes: number;
  readonly #root: ReplayedDirectory = { number: 0, parent: undefined, entries: 0, isGone: false };
  readonly #directories = new Map<number, ReplayedDirectory>([[ROOT_INODE, this.#root]]);
  readonly #files = new Map<number, ReplayedFile>();
  #nextFile = 1;
  #nextDirectory = 1;
  #microseconds = 0;
  /** For a sync of everything. */
  #lastWritten: ReplayedFile | undefined;

  /** @param blockBytes of the volume that was recorded */
  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  *perform(operation: RecordedOperation): Generator<LabOperation | 'filled'> {
    const pause = operation.microseconds - this.#microseconds;
    if (pause >= LEAST_WAIT_MICROSECONDS) {
      this.#microseconds = operation.microseconds;
      yield { kind: 'wait', seconds: pause / 1e6 };
    }
    switch (operation.kind) {
      case RecordKind.existing:
      case RecordKind.create:
        return yield* this.#made(operation);
      case RecordKind.begun:
        return yield 'filled';
      case RecordKind.link:
        return this.#addLink(operation.inode);
      case RecordKind.unlink:
        return yield* this.#dropLink(operation.inode);
      case RecordKind.removeDirectory:
        return yield* this.#removeDirectory(operation.inode);
      case RecordKind.rename:
        return yield* this.#rename(operation);
      case RecordKind.write:
        return yield* this.#write(operation);
      case RecordKind.truncate:
        return yield* this.#truncate(operation);
      case RecordKind.sync:
        return yield* this.#sync(operation.inode);
    }
  }

  *#made(operation: RecordedOperation): Generator<LabOperation> {
    const { inode, type } = operation;
    const directory = this.#directories.get(operation.parent);
    if (directory === undefined || inode === ROOT_INODE) return;
    // A number that is given anew without a word of the end of its last file.
    yield* this.#forget(inode);
    directory.entries++;
    if (type === RecordedType.directory) {
      const made = { number: this.#nextDirectory++, parent: directory, entries: 0, isGone: false };
      this.#directories.set(inode, made);
      yield { kind: 'makeDirectory', directory: made.number, parent: directory.number };
      return;
    }
    const isExisting = operation.kind === RecordKind.existing;
    const file = { number: this.#nextFile++, directory, links: isExisting ? operation.links : 1 };
    this.#files.set(inode, file);
    yield { kind: 'create', file: file.number, directory: directory.number };
    const { sizeBytes } = operation;
    if (type === RecordedType.symlink) yield* writeRange(file.number, 0, sizeBytes);
    if (type === RecordedType.file && isExisting) yield* this.#fill(file, sizeBytes, operation.lengthBytes);
  }

  /** As long as it was, and with as many blocks; where its holes were is not known. */
  *#fill({ number }: ReplayedFile, sizeBytes: number, spaceBytes: number): Generator<LabOperation> {
    const isInline = spaceBytes === 0 && sizeBytes < this.#blockBytes;
    const writtenBytes = isInline ? sizeBytes : Math.min(sizeBytes, spaceBytes);
    yield* writeRange(number, 0, writtenBytes);
    if (writtenBytes < sizeBytes) yield { kind: 'truncate', file: number, sizeBytes };
  }

  *#forget(inode: number): Generator<LabOperation> {
    const file = this.#files.get(inode);
    if (file !== undefined) file.links = 1;
    yield* this.#dropLink(inode);
    yield* this.#removeDirectory(inode);
  }

  #addLink(inode: number): void {
    const file = this.#files.get(inode);
    if (file !== undefined) file.links++;
  }

  *#dropLink(inode: number): Generator<LabOperation> {
    const file = this.#files.get(inode);
    if (file === undefined || --file.links > 0) return;
    this.#files.delete(inode);
    yield { kind: 'remove', file: file.number };
    yield* this.#lostEntry(file.directory);
  }

  *#removeDirectory(inode: number): Generator<LabOperation> {
    const directory = this.#directories.get(inode);
    if (directory === undefined || directory === this.#root) return;
    this.#directories.delete(inode);
    directory.isGone = true;
    yield* this.#removeIfEmpty(directory);
  }

  *#lostEntry(directory: ReplayedDirectory): Generator<LabOperation> {
    directory.entries--;
    yield* this.#removeIfEmpty(directory);
  }

  *#removeIfEmpty(start: ReplayedDirectory): Generator<LabOperation> {
    let directory = start;
    while (directory.isGone && directory.entries === 0 && directory.parent !== undefined) {
      yield { kind: 'removeDirectory', directory: directory.number };
      directory = directory.parent;
      directory.entries--;
    }
  }

  *#rename({ inode, newParent, replaced }: RecordedOperation): Generator<LabOperation> {
    const file = this.#files.get(inode);
    const over = this.#files.get(replaced);
    if (file !== undefined && over !== undefined && over.links === 1) {
      this.#files.delete(replaced);
      yield* this.#moveOver(file, over.number, over.directory);
      return;
    }
    yield* this.#dropLink(replaced);
    yield* this.#removeDirectory(replaced);
    const directory = this.#directories.get(newParent);
    if (file === undefined || directory === undefined || directory === file.directory) return;
    const placeholder = this.#nextFile++;
    directory.entries++;
    yield { kind: 'create', file: placeholder, directory: directory.number };
    yield* this.#moveOver(file, placeholder, directory);
  }

  /** Into the place of a file that is in this directory. */
  *#moveOver(file: ReplayedFile, over: number, to: ReplayedDirectory): Generator<LabOperation> {
    yield { kind: 'rename', file: file.number, over };
    const before = file.directory;
    file.directory = to;
    yield* this.#lostEntry(before);
  }

  *#write({ inode, offsetBytes, lengthBytes }: RecordedOperation): Generator<LabOperation> {
    const file = this.#files.get(inode);
    if (file === undefined) return;
    this.#lastWritten = file;
    yield* writeRange(file.number, offsetBytes, lengthBytes);
  }

  *#truncate({ inode, sizeBytes }: RecordedOperation): Generator<LabOperation> {
    const file = this.#files.get(inode);
    if (file !== undefined) yield { kind: 'truncate', file: file.number, sizeBytes };
  }

  /** A sync of one file makes everything durable that was before it, as a commit does. */
  *#sync(inode: number): Generator<LabOperation> {
    const file = inode === 0 ? this.#lastWritten : this.#files.get(inode);
    if (file !== undefined) yield { kind: 'sync', file: file.number };
  }
}
