/**
 * The files of a workload: numbers, sizes, and how much they take in all.
 *
 * It makes the operations for what most workloads do with files, and counts on the way. The list of
 * live files is an array in which the last one takes the place of one that goes, so that drawing
 * one at random costs the same however many there are.
 */
import { strict as assert } from 'node:assert';
import { type LabOperation, wholeBlocks } from '../operation.ts';
import type { WorkloadPlace } from './workload.ts';

/** Files are written by programs in pieces, and programs are cut off by others between them. */
const PIECE_BYTES = 1024 * 1024;

export interface LabFile {
  readonly number: number;
  readonly directory: number;
  sizeBytes: number;
  /** Index in the list of live files. */
  at: number;
}

export class Population {
  readonly place: WorkloadPlace;
  readonly live: LabFile[] = [];
  usedBytes = 0;
  #nextFile = 1;
  #nextDirectory = 1;

  constructor(place: WorkloadPlace) {
    this.place = place;
  }

  get targetBytes(): number {
    return this.place.capacityBytes * this.place.fullness;
  }

  /** Would `bytes` more be too much? */
  isFullFor(bytes: number): boolean {
    return this.usedBytes + wholeBlocks(bytes, this.place.blockBytes) > this.targetBytes;
  }

  /** Any live file. @throws AssertionError if there is none */
  any(): LabFile {
    return this.at(this.place.random.below(this.live.length));
  }

  at(index: number): LabFile {
    const file = this.live[index];
    assert(file !== undefined, 'a live file');
    return file;
  }

  makeDirectory(parent: number): LabOperation & { kind: 'makeDirectory' } {
    return { kind: 'makeDirectory', directory: this.#nextDirectory++, parent };
  }

  /** A new file without data. */
  create(directory: number): [LabFile, LabOperation] {
    const file = { number: this.#nextFile++, directory, sizeBytes: 0, at: this.live.length };
    this.live.push(file);
    return [file, { kind: 'create', file: file.number, directory }];
  }

  close(file: LabFile): LabOperation {
    return { kind: 'close', file: file.number };
  }

  /** A new file with data, written from start to end, and closed. */
  *createWhole(directory: number, sizeBytes: number): Generator<LabOperation, LabFile> {
    const [file, made] = this.create(directory);
    yield made;
    yield* this.append(file, sizeBytes);
    yield this.close(file);
    return file;
  }

  /** Bytes at the end of the file, in pieces. */
  *append(file: LabFile, bytes: number): Generator<LabOperation> {
    for (let done = 0; done < bytes; done += PIECE_BYTES)
      yield this.appendPiece(file, Math.min(PIECE_BYTES, bytes - done));
  }

  appendPiece(file: LabFile, lengthBytes: number): LabOperation {
    assert(Number.isInteger(lengthBytes), 'bytes are whole');
    const offsetBytes = file.sizeBytes;
    this.#resize(file, offsetBytes + lengthBytes);
    return { kind: 'write', file: file.number, offsetBytes, lengthBytes };
  }

  /** Bytes that the file has are written anew. */
  overwrite(file: LabFile, offsetBytes: number, lengthBytes: number): LabOperation {
    assert(offsetBytes + lengthBytes <= file.sizeBytes, 'an overwrite stays within the file');
    return { kind: 'write', file: file.number, offsetBytes, lengthBytes };
  }

  truncate(file: LabFile, sizeBytes: number): LabOperation {
    this.#resize(file, sizeBytes);
    return { kind: 'truncate', file: file.number, sizeBytes };
  }

  remove(file: LabFile): LabOperation {
    this.#drop(file);
    return { kind: 'remove', file: file.number };
  }

  /** `file` takes the name of `over`. */
  replace(file: LabFile, over: LabFile): LabOperation {
    this.#drop(over);
    return { kind: 'rename', file: file.number, over: over.number };
  }

  #drop(file: LabFile): void {
    const last = this.live.pop();
    assert(last !== undefined && this.live.length >= file.at, 'the file was live');
    if (last !== file) {
      this.live[file.at] = last;
      last.at = file.at;
    }
    this.#resize(file, 0);
  }

  #resize(file: LabFile, sizeBytes: number): void {
    const { blockBytes } = this.place;
    this.usedBytes += wholeBlocks(sizeBytes, blockBytes) - wholeBlocks(file.sizeBytes, blockBytes);
    file.sizeBytes = sizeBytes;
  }
}
