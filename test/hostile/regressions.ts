/**
 * The images that found bugs, shortest first of their kind, with what happened before it was
 * mended. An image is a line of text (specification.ts); `npm run hostile -- --image TEXT` tries
 * one.
 */
export interface Regression {
  readonly image: string;
  readonly what: string;
}

export const REGRESSIONS: readonly Regression[] = [
  {
    image: 'dirty-1k',
    what: 'a read of a read-only mount waited for ever: what a block out of the replayed journal set off was never submitted',
  },
  { image: 'orphans-1k/type-lie:485520', what: 'the same, after an inode changed its type' },
  {
    image: 'groups-1k/orphan-lie:162053',
    what: 'an orphan that is its own neighbour was taken off the list for ever',
  },
  {
    image: 'groups-1k/shuffle-slots:593036',
    what: 'keys out of order: readdir went back to names it had told',
  },
  {
    image: 'small-4k/journal-copy:583833/record-field:148285/journal-splice:632104',
    what: 'the same, by a key',
  },
  { image: 'full-1k/record-field:886995', what: 'a tree node far outside of the device was asked for' },
  { image: 'full-1k/size-lie:523823', what: 'a file larger than any: the length of a hole became negative' },
  {
    image: 'dirty-1k/slot-noise:145908',
    what: 'a slot that points outside of its node: a read out of the block',
  },
  { image: 'full-1k/forge-node:966281', what: 'a node with more records than fit: a read out of the block' },
  {
    image: 'extents-1k/tear-block:565669/child-lie:513211/slot-noise:844533',
    what: 'the same in a tree of extents, below a child pointer that lies',
  },
  {
    image: 'full-1k/record-field:863792',
    what: 'an extent with a flag for later: the checker let it pass, and its repair, and the volume did not',
  },
  {
    image: 'groups-1k/superblock-field:989989',
    what: 'a superblock that says it is another block was clean to the checker, and refused by the volume',
  },
  { image: 'small-1k/superblock-field:123274', what: 'the same, repaired as it was found' },
  {
    image: 'groups-1k/forge-node:818648/bitmap-lie:520607/swap-blocks:284214',
    what: 'a group of which exactly the first 70 words were in use: its hint of the first free block was never mended',
  },
  {
    image: 'extents-1k/geometry-lie:456071/flip-bits:996684/shuffle-slots:204113',
    what: 'a first superblock that said less than backup and root; when the root was sealed anew, nobody mended it',
  },
];
