/**
 * Writes under way: where the space of a file goes on that is reserved and not yet recorded.
 *
 * A page cache writes a file out in several requests at once. Until the first is recorded the map
 * of the file knows nothing of its blocks, and the second would be placed as if it began a file.
 */
import type { BlockNumber, FileBlock } from '../base/numbers.ts';

export interface WriteUnderWay {
  /** The block of the file behind the range. */
  readonly end: FileBlock;
  /** Where the range ends. */
  readonly endByte: number;
  /** The block behind the one that the last of the range goes to. */
  readonly next: BlockNumber;
  /** The one of the same file that was under way already when this one began. */
  older: WriteUnderWay | undefined;
}

export class WritesUnderWay {
  readonly #newest = new Map<number, WriteUnderWay>();

  begin(inode: number, write: WriteUnderWay): void {
    write.older = this.#newest.get(inode);
    this.#newest.set(inode, write);
  }

  /** It is recorded, or given up. */
  end(inode: number, write: WriteUnderWay): void {
    let newer = this.#newest.get(inode);
    if (newer === write) {
      if (write.older) this.#newest.set(inode, write.older);
      else this.#newest.delete(inode);
    } else {
      while (newer !== undefined && newer.older !== write) newer = newer.older;
      if (newer !== undefined) newer.older = write.older;
    }
    write.older = undefined;
  }

  /** The one whose range ends where that block of the file begins. */
  before(inode: number, first: FileBlock): WriteUnderWay | undefined {
    let write = this.#newest.get(inode);
    while (write !== undefined && write.end !== first) write = write.older;
    return write;
  }
}
