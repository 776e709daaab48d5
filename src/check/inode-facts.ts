/**
 * What the checker remembers of every inode, in typed arrays: 12 bytes an inode. Directories
 * and orphans have more facts, kept in maps.
 */
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { QuotaFacts } from './quota-facts.ts';

export interface DirectoryFacts {
  /** Parent that the inode itself names. */
  readonly parent: number;
  /** Entries that the inode counts. */
  readonly size: number;
  readonly blocks: number;
  /** Directory whose entry leads here; 0 if none was found. */
  namedIn: number;
  /** Whether the directory that it names as its parent has an entry for it. */
  namedByParent: boolean;
  subdirectories: number;
}

/** Of each inode that has no links or a place in the orphan list. */
export interface OrphanFacts {
  readonly next: number;
  readonly previous: number;
}

/**
 * Inodes whose facts are kept together: few, so that inodes strewn over the table take little
 * memory.
 */
const PAGE_INODES = 256;

class PageFacts {
  /** 0 where the inode is not in use. */
  readonly modes = new Uint16Array(PAGE_INODES);
  readonly linkCounts = new Uint32Array(PAGE_INODES);
  /** Directory entries that lead to the inode. */
  readonly names = new Uint32Array(PAGE_INODES);
}

export class InodeFacts {
  readonly #pages = new Map<number, PageFacts>();
  readonly directories = new Map<number, DirectoryFacts>();
  readonly orphans = new Map<number, OrphanFacts>();
  /**
   * Files with extents behind their last block: up to file block `found`, the size ends at
   * `expected`.
   */
  readonly beyondEnd = new Map<number, { readonly found: number; readonly expected: number }>();
  /**
   * Inodes with extended attributes, and the blocks that they have beside them; undefined where
   * that is not known.
   */
  readonly attributed = new Map<number, number | undefined>();
  /** Blocks of the attributes of an inode, where all could be read. */
  readonly attributeBlocks = new Map<number, number>();
  /** Empty where the volume has no quotas. */
  readonly quotas = new QuotaFacts();
  count = 0;
  /** The highest generation of an inode. */
  highestGeneration = 0;

  add(inode: number, mode: number, linkCount: number): void {
    const number = Math.floor(inode / PAGE_INODES);
    let page = this.#pages.get(number);
    if (!page) {
      page = new PageFacts();
      this.#pages.set(number, page);
    }
    const index = inode % PAGE_INODES;
    page.modes[index] = mode;
    page.linkCounts[index] = linkCount;
    this.count++;
  }

  /** The inode turned out to have another mode. */
  changeMode(inode: number, mode: number): void {
    const page = this.#page(inode);
    if (page) page.modes[inode % PAGE_INODES] = mode;
  }

  /** The inode is not in use any more. */
  remove(inode: number): void {
    const page = this.#page(inode);
    if (!page || page.modes[inode % PAGE_INODES] === 0) return;
    page.modes[inode % PAGE_INODES] = 0;
    this.directories.delete(inode);
    this.orphans.delete(inode);
    this.beyondEnd.delete(inode);
    this.count--;
  }

  /** Blocks that belong to the inode for its attributes; undefined where that is not known. */
  blocksOfAttributes(inode: number): number | undefined {
    return this.attributed.has(inode) ? this.attributeBlocks.get(inode) : 0;
  }

  /** Mode of the inode; 0 if it is not in use. */
  mode(inode: number): number {
    return this.#page(inode)?.modes[inode % PAGE_INODES] ?? 0;
  }

  linkCount(inode: number): number {
    return this.#page(inode)?.linkCounts[inode % PAGE_INODES] ?? 0;
  }

  /** Entries found so far that lead to the inode. */
  names(inode: number): number {
    return this.#page(inode)?.names[inode % PAGE_INODES] ?? 0;
  }

  /** An entry leads to the inode, which must be in use. */
  addName(inode: number): void {
    const page = this.#page(inode);
    if (!page) return;
    const index = inode % PAGE_INODES;
    page.names[index] = (page.names[index] ?? 0) + 1;
  }

  isDirectory(inode: number): boolean {
    return (this.mode(inode) & FILE_TYPE_MASK) === FileType.directory;
  }

  /** Calls back for each inode in use, by number. */
  forEach(visit: (inode: number, mode: number, linkCount: number, names: number) => void): void {
    const numbers = [...this.#pages.keys()].sort((a, b) => a - b);
    for (const number of numbers) {
      const page = this.#pages.get(number);
      if (page) this.#forEachIn(number, page, visit);
    }
  }

  #forEachIn(
    number: number,
    page: PageFacts,
    visit: (inode: number, mode: number, linkCount: number, names: number) => void,
  ): void {
    const base = number * PAGE_INODES;
    for (const [index, mode] of page.modes.entries()) {
      if (mode !== 0) visit(base + index, mode, page.linkCounts[index] ?? 0, page.names[index] ?? 0);
    }
  }

  #page(inode: number): PageFacts | undefined {
    return this.#pages.get(Math.floor(inode / PAGE_INODES));
  }
}
