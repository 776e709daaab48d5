/**
 * What exists on a volume when a record of its mount begins, told while the mount is in use.
 *
 * The tree is read page by page, a directory before what is in it, and others go on between two
 * pages. What was told belongs to the record, and its changes with it; what was not is met later,
 * as it is then. So nothing is told twice, and nothing stands still.
 *
 * Whatever comes into a directory that was read already has to be told by whoever puts it there:
 * see operation-recorder.ts.
 */

import { InodeSet } from '../common/inode-set.ts';
import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import type { Attributes, FileSystem, TransactionHandle } from '../fs/base/filesystem.ts';
import {
  emptyOperation,
  type OperationSink,
  RecordedType,
  RecordKind,
} from '../record/recorded-operation.ts';
import { ROOT_NODE } from './abi.ts';
import { isDirectoryMode, isRegularMode, isSymlinkMode } from './encoding.ts';

/** Entries of a directory that are read in one step: some hundred microseconds. */
const ENTRIES_PER_PAGE = 64;
/** Of `Attributes.sectors`. */
const SECTOR_BYTES = 512;
/** '.' and '..' have these cookies. */
const LAST_DOT_COOKIE = 2;

/** What is told of an inode that exists. */
export type ExistingInode = Pick<Attributes, 'inode' | 'mode' | 'linkCount' | 'sizeBytes' | 'sectors'>;

interface FoundEntry extends ExistingInode {
  readonly name: Uint8Array;
}

export function recordedTypeOf(mode: number): number {
  if (isDirectoryMode(mode)) return RecordedType.directory;
  if (isRegularMode(mode)) return RecordedType.file;
  return isSymlinkMode(mode) ? RecordedType.symlink : RecordedType.other;
}

export class TreeWalk {
  readonly #filesystem: FileSystem;
  readonly #sink: OperationSink;
  readonly #told = new InodeSet();
  /** Directories that were told, and whose entries were not. */
  readonly #unread: number[] = [ROOT_NODE];
  readonly #operation = emptyOperation();
  readonly #attributes = emptyAttributes();
  #stopped = false;

  constructor(filesystem: FileSystem, sink: OperationSink) {
    this.#filesystem = filesystem;
    this.#sink = sink;
    this.#told.add(ROOT_NODE);
  }

  isTold(inode: number): boolean {
    return this.#told.has(inode);
  }

  /** The record has it from its beginning on, or from now on not any more. */
  set(inode: number, isTold: boolean): void {
    if (isTold) this.#told.add(inode);
    else this.#told.delete(inode);
  }

  /** Tells of an inode that is not told yet; a directory's entries come in their turn. */
  tell(
    { inode, mode, linkCount, sizeBytes, sectors }: ExistingInode,
    parent: number,
    name: Uint8Array,
  ): void {
    if (this.#told.has(inode)) return;
    this.#told.add(inode);
    const operation = this.#operation;
    operation.kind = RecordKind.existing;
    operation.inode = inode;
    operation.parent = parent;
    operation.type = recordedTypeOf(mode);
    operation.links = linkCount;
    operation.sizeBytes = sizeBytes;
    operation.lengthBytes = sectors * SECTOR_BYTES;
    operation.name = name;
    this.#sink.add(operation);
    if (isDirectoryMode(mode)) this.#unread.push(inode);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when all is told, or it was stopped. */
  async go(): Promise<void> {
    for (let directory = this.#unread.pop(); directory !== undefined; directory = this.#unread.pop()) {
      let cookie = LAST_DOT_COOKIE;
      while (cookie !== 0 && !this.#stopped) {
        cookie = await this.#page(directory, cookie);
        await this.#sink.room?.();
        // Whoever waits to be served comes first.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  /**
   * Tells some entries. A directory that is gone by now, or cannot be read, has no more.
   * @returns where the next page begins, 0 if there is none
   */
  #page(directory: number, cookie: number): Promise<number> {
    let found: FoundEntry[] = [];
    let next = 0;
    return new Promise((resolve) => {
      this.#filesystem.execute({
        perform: (tx) => {
          found = [];
          next = this.#read(tx, directory, cookie, found);
        },
        finished: (thrown) => {
          if (thrown !== undefined) next = 0;
          else for (const entry of found) this.tell(entry, directory, entry.name);
          resolve(next);
        },
      });
      this.#filesystem.submit();
    });
  }

  #read(tx: TransactionHandle, directory: number, cookie: number, found: FoundEntry[]): number {
    let last = cookie;
    let isMore = false;
    const names: [number, Uint8Array][] = [];
    this.#filesystem.readDirectory(tx, directory, cookie, (name, inode, _type, next) => {
      isMore = names.length === ENTRIES_PER_PAGE;
      if (isMore) return false;
      last = next;
      if (next > LAST_DOT_COOKIE) names.push([inode, name.slice()]);
      return true;
    });
    for (const [inode, name] of names) {
      if (this.#told.has(inode)) continue;
      this.#filesystem.readAttributes(tx, inode, this.#attributes);
      const { mode, linkCount, sizeBytes, sectors } = this.#attributes;
      found.push({ inode, mode, linkCount, sizeBytes, sectors, name });
    }
    return isMore ? last : 0;
  }
}
