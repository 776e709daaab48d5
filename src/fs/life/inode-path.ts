/**
 * The path of an inode, for messages about it.
 *
 * A directory knows its parent; of other inodes it is remembered in which directory they were seen
 * last, for as many as there is room. Names are looked for there, page by page, and a limited
 * number of them. So an inode may have no path here although it has a name, and nothing may depend
 * on one. To remember costs two stores into memory at each lookup.
 */

import { Inode, ROOT_INODE } from '../format/format.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { Directories } from '../tree/directory.ts';
import { isDirectory } from '../tree/inode.ts';

/** Names looked at in one step, … */
const NAMES_PER_PAGE = 256;
/** … and steps per directory. */
const MOST_PAGES = 64;
const MOST_DEPTH = 32;
/** Inodes whose directories are remembered; a power of two. */
const REMEMBERED = 16_384;

type Run = <T>(body: (tx: Transaction) => T) => Promise<T>;

interface Page {
  readonly name: string | undefined;
  /** Where the next page begins; 0 if there is none. */
  readonly cookie: number;
}

export class InodePaths {
  readonly #run: Run;
  readonly #table: InodeTable;
  readonly #directories: Directories;
  /** By the last bits of the inode's number: the inode, and where it was seen. */
  readonly #seen = new Float64Array(REMEMBERED);
  readonly #seenIn = new Float64Array(REMEMBERED);

  constructor(run: Run, table: InodeTable, directories: Directories) {
    this.#run = run;
    this.#table = table;
    this.#directories = directories;
  }

  /** The inode has a name in this directory, or had one a moment ago. */
  remember(inode: number, directory: number): void {
    const at = inode % REMEMBERED;
    this.#seen[at] = inode;
    this.#seenIn[at] = directory;
  }

  /**
   * A path from the root of the volume, or undefined if none is found, whatever the reason. Names
   * that are not UTF-8 are shown as well as can be.
   * @param signal ends the search before its next step
   */
  async find(inode: number, signal?: AbortSignal): Promise<string | undefined> {
    try {
      const names: string[] = [];
      for (let at = inode; at !== ROOT_INODE; ) {
        const parent = await this.#run((tx) => this.#parentOf(tx, at));
        const name = await this.#nameOf(at, parent, signal);
        if (name === undefined || names.unshift(name) > MOST_DEPTH) return undefined;
        at = parent;
      }
      return `/${names.join('/')}`;
    } catch {
      return undefined;
    }
  }

  #parentOf(tx: Transaction, inode: number): number {
    const found = this.#table.get(tx, inode);
    if (isDirectory(found)) return Inode.parent.get(found.frame.view, found.at);
    const at = inode % REMEMBERED;
    return this.#seen[at] === inode ? (this.#seenIn[at] ?? 0) : 0;
  }

  async #nameOf(inode: number, parent: number, signal?: AbortSignal): Promise<string | undefined> {
    let cookie = 0;
    for (let page = 0; page < MOST_PAGES && signal?.aborted !== true; page++) {
      const from = cookie;
      const found = await this.#run((tx) => this.#look(tx, parent, inode, from));
      if (found.name !== undefined || found.cookie === 0) return found.name;
      cookie = found.cookie;
    }
    return undefined;
  }

  #look(tx: Transaction, parent: number, inode: number, from: number): Page {
    const directory = this.#table.get(tx, parent);
    if (!isDirectory(directory)) return { name: undefined, cookie: 0 };
    let left = NAMES_PER_PAGE;
    let last = 0;
    let found: string | undefined;
    this.#directories.read(tx, directory, from, (name, entry, _type, cookie) => {
      if (left-- === 0) return false;
      last = cookie;
      // The first two cookies are those of '.' and '..'.
      if (entry !== inode || cookie < 3) return true;
      found = new TextDecoder().decode(name);
      return false;
    });
    return { name: found, cookie: left < 0 ? last : 0 };
  }
}
