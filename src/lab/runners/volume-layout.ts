/** How the files and the free space of a volume of ours lie. */

import { FileType } from '../../fs/format/format.ts';
import type { Transaction } from '../../fs/transaction/transaction.ts';
import type { Volume } from '../../fs/volume.ts';
import type { LaidExtent } from '../measures/layout.ts';

/** Entries that are listed in one operation. */
const ENTRIES_PER_STEP = 1000;

/** An entry of a directory. */
export interface ListedInode {
  readonly inode: number;
  readonly fileType: number;
}

const DOT = 0x2e;

/** `.` or `..` */
function isDots(name: Uint8Array): boolean {
  return name.length <= 2 && name.every((byte) => byte === DOT);
}

/** What the directory lists but for itself and the one above, in its order. */
export async function entriesOf(volume: Volume, directory: number): Promise<ListedInode[]> {
  const found: ListedInode[] = [];
  let cookie = 0;
  const listSome = (tx: Transaction): boolean => {
    let left = ENTRIES_PER_STEP;
    volume.readDirectory(tx, directory, cookie, (name, inode, fileType, next) => {
      if (left-- === 0) return false;
      if (!isDots(name)) found.push({ inode, fileType });
      cookie = next;
      return true;
    });
    return left < 0;
  };
  while (await volume.run(listSome));
  return found;
}

/** The extents of a file, in the order of the file. */
function extentsOf(volume: Volume, inode: number): Promise<LaidExtent[]> {
  return volume.run((tx) => {
    const extents: LaidExtent[] = [];
    volume.visitExtents(tx, inode, (fileBlock, block, length) => {
      extents.push({ fileBlock, block, length });
    });
    return extents;
  });
}

/** Of each file directly in the directory, in the order of the directory. */
export async function* filesOf(
  volume: Volume,
  entries: readonly ListedInode[],
): AsyncGenerator<readonly LaidExtent[]> {
  for (const { inode, fileType } of entries) {
    if (fileType === FileType.regular) yield await extentsOf(volume, inode);
  }
}

/** Every free run, cut at the borders of groups. */
export async function visitFreeRuns(
  volume: Volume,
  visit: (start: number, length: number) => void,
): Promise<void> {
  for (let group = 0; group < volume.layout.groupCount; group++) {
    const runs = await volume.run((tx) => {
      const found: [number, number][] = [];
      volume.visitFreeRuns(tx, group, (start, length) => found.push([start, length]));
      return found;
    });
    for (const [start, length] of runs) visit(start, length);
  }
}

/** Share of the space in use. */
export async function fullnessOf(volume: Volume): Promise<number> {
  const { freeBlocks, blocks } = await volume.space();
  return 1 - freeBlocks / blocks;
}
