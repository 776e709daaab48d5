/**
 * What the checker remembers of every inode, in typed arrays per chunk of the inode table: 12 bytes an inode. Directories
 * and orphans have more facts, kept in maps.
 */
import { FILE_TYPE_MASK, FileType } from '../fs/format.ts';

export interface DirectoryFacts {
  /** Parent that the inode itself names. */
  readonly parent: number;
  /** Entries that the inode counts. */
  readonly size: number;
  readonly blocks: number;
  /** Directory whose entry leads here; 0 if none was found. */
  namedIn: number;
  subdirectories: number;
}

/** Of each inode that has no links or a place in the orphan list. */
export interface OrphanFacts {
  readonly next: number;
  readonly previous: number;
}

class ChunkFacts {
  /** 0 where the inode is not in use. */
  readonly modes: Uint16Array;
  readonly linkCounts: Uint32Array;
  /** Directory entries that lead to the inode. */
  readonly names: Uint32Array;

  constructor(length: number) {
    this.modes = new Uint16Array(length);
    this.linkCounts = new Uint32Array(length);
    this.names = new Uint32Array(length);
  }
}

export class InodeFacts {
  readonly #chunkLength: number;
  readonly #chunks = new Map<number, ChunkFacts>();
  readonly directories = new Map<number, DirectoryFacts>();
  readonly orphans = new Map<number, OrphanFacts>();
  /** Files with extents behind their last block: up to file block `found`, the size ends at `expected`. */
  readonly beyondEnd = new Map<number, { readonly found: number; readonly expected: number }>();
  count = 0;

  constructor(inodesPerChunk: number) {
    this.#chunkLength = inodesPerChunk;
  }

  add(inode: number, mode: number, linkCount: number): void {
    const number = Math.floor(inode / this.#chunkLength);
    let chunk = this.#chunks.get(number);
    if (!chunk) {
      chunk = new ChunkFacts(this.#chunkLength);
      this.#chunks.set(number, chunk);
    }
    const index = inode % this.#chunkLength;
    chunk.modes[index] = mode;
    chunk.linkCounts[index] = linkCount;
    this.count++;
  }

  /** Mode of the inode; 0 if it is not in use. */
  mode(inode: number): number {
    return this.#chunk(inode)?.modes[inode % this.#chunkLength] ?? 0;
  }

  linkCount(inode: number): number {
    return this.#chunk(inode)?.linkCounts[inode % this.#chunkLength] ?? 0;
  }

  /** An entry leads to the inode, which must be in use. */
  addName(inode: number): void {
    const chunk = this.#chunk(inode);
    if (!chunk) return;
    const index = inode % this.#chunkLength;
    chunk.names[index] = (chunk.names[index] ?? 0) + 1;
  }

  isDirectory(inode: number): boolean {
    return (this.mode(inode) & FILE_TYPE_MASK) === FileType.directory;
  }

  /** Calls back for each inode in use, by number. */
  forEach(visit: (inode: number, mode: number, linkCount: number, names: number) => void): void {
    const numbers = [...this.#chunks.keys()].sort((a, b) => a - b);
    for (const number of numbers) {
      const chunk = this.#chunks.get(number);
      if (chunk) this.#forEachIn(number, chunk, visit);
    }
  }

  #forEachIn(
    number: number,
    chunk: ChunkFacts,
    visit: (inode: number, mode: number, linkCount: number, names: number) => void,
  ): void {
    const base = number * this.#chunkLength;
    for (const [index, mode] of chunk.modes.entries()) {
      if (mode !== 0) visit(base + index, mode, chunk.linkCounts[index] ?? 0, chunk.names[index] ?? 0);
    }
  }

  #chunk(inode: number): ChunkFacts | undefined {
    return this.#chunks.get(Math.floor(inode / this.#chunkLength));
  }
}
