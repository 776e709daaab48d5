/**
 * What the passes of a check share: the disk map, the reader, the log, and the facts gathered so
 * far.
 */

import type { Layout } from '../fs/format/layout.ts';
import type { NameSecret } from '../fs/format/name-hash.ts';
import type { ClaimedBlocks, SharedBlocks } from './claimed-blocks.ts';
import type { InodeFacts } from './inode-facts.ts';
import type { MetadataReader } from './metadata-block.ts';
import type { ProblemLog } from './problem.ts';

/** What is on the volume, in numbers. */
export interface CheckStatistics {
  blockBytes: number;
  /** Blocks of the whole volume. */
  blocks: number;
  /** Blocks of the space that are in use, bitmaps and summaries included. */
  blocksUsed: number;
  blocksFree: number;
  inodes: number;
  files: number;
  directories: number;
  symlinks: number;
  /** Devices, fifos and sockets. */
  specials: number;
  /** Inodes without a name that wait to be freed. */
  orphans: number;
  entries: number;
  extents: number;
  /** Data blocks of files and long symbolic links. */
  dataBlocks: number;
}

/** What the passes over names leave to the repair. */
export class LinkFacts {
  /** Directories at the top of what cannot be reached; of a circle, one. */
  readonly lostTops: number[] = [];
  /** Inodes on the orphan list, as far as it could be followed. */
  listed: ReadonlySet<number> = new Set();
  readonly #excess = new Map<string, number>();

  /** The directory has a name for the inode that is one more than an inode may have. */
  addExcess(directory: number, inode: number): void {
    const key = `${directory}/${inode}`;
    this.#excess.set(key, (this.#excess.get(key) ?? 0) + 1);
  }

  /** Names for the inode in the directory that are too many. */
  excess(directory: number, inode: number): number {
    return this.#excess.size === 0 ? 0 : (this.#excess.get(`${directory}/${inode}`) ?? 0);
  }
}

export interface CheckContext {
  readonly layout: Layout;
  /** What the device has room for, which may be more than the volume. */
  readonly deviceBlocks: number;
  /** Blocks that the volume has by a sound backup of the superblock; 0 if there is none. */
  readonly backupBlocks: number;
  readonly nameSecret: NameSecret;
  /** Files may have unwritten extents. */
  readonly hasUnwritten: boolean;
  /** Inodes may have extended attributes. */
  readonly hasAttributes: boolean;
  /** Usage is counted, or may be. */
  readonly hasQuotas: boolean;
  readonly reader: MetadataReader;
  readonly log: ProblemLog;
  readonly space: ClaimedBlocks;
  readonly shared: SharedBlocks;
  readonly inodes: InodeFacts;
  readonly statistics: CheckStatistics;
  readonly links: LinkFacts;
  /** Tells how far a pass is: `done` of `total` of its units. */
  progress(done: number, total: number): void;
}

/** Runs `work` on each item, `width` at a time. Items are taken in order. */
export async function forEachConcurrently<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  async function lane(): Promise<void> {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await work(next.value);
  }
  await Promise.all(Array.from({ length: width }, lane));
}
