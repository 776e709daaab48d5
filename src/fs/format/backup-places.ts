/**
 * Where a backup superblock may stand on a device of which nothing is known: neither the size of
 * its blocks, nor the length of its journal, nor where the volume ends.
 */
import { MAX_BLOCK_BYTES, MIN_BLOCK_BYTES, SUPERBLOCK_BYTES } from './format.ts';
import { Layout, MAX_JOURNAL_BYTES, MIN_JOURNAL_BLOCKS, MIN_SPACE_BLOCKS } from './layout.ts';

export interface BackupPlace {
  readonly blockBytes: number;
  readonly journalBlocks: number;
  readonly offsetBytes: number;
}

/** All of them on a device of this size, from the front: some two hundred at the most. */
export function backupPlaces(sizeBytes: number): BackupPlace[] {
  const places: BackupPlace[] = [];
  for (let blockBytes = MIN_BLOCK_BYTES; blockBytes <= MAX_BLOCK_BYTES; blockBytes *= 2) {
    const most = MAX_JOURNAL_BYTES / blockBytes;
    for (let journalBlocks = MIN_JOURNAL_BLOCKS; journalBlocks <= most; journalBlocks *= 2) {
      for (const block of largestBackups(blockBytes, journalBlocks)) {
        const offsetBytes = block * blockBytes;
        if (offsetBytes + SUPERBLOCK_BYTES <= sizeBytes)
          places.push({ blockBytes, journalBlocks, offsetBytes });
      }
    }
  }
  return places.sort((a, b) => a.offsetBytes - b.offsetBytes);
}

/** Those of a volume that is large enough for all of them. */
function largestBackups(blockBytes: number, journalBlocks: number): readonly number[] {
  const layout = new Layout({ blockBytes, journalBlocks, blockCount: journalBlocks + 3 + MIN_SPACE_BLOCKS });
  layout.resize(layout.blockCount + 2 * layout.bitsPerBlock);
  return layout.backups;
}
