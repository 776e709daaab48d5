/** What a volume counts, gathered from its parts. */
import type { VolumeParts } from './assemble.ts';
import type { VolumeCounters } from './life/volume-options.ts';

export function countersOf(parts: VolumeParts): VolumeCounters {
  const { cache, space, committer, journal, references, durability, discards, tx } = parts;
  const { blocksRead, misses, frames, dirtyFrames, loggedFrames } = cache.statistics();
  return {
    ...space.policyCounters(),
    allocations: space.counts.counters(),
    readOnly: tx.readOnly,
    resting: tx.resting,
    commits: committer.commits,
    checkpoints: committer.checkpoints,
    flushes: committer.flushes,
    metadataBlocksChanged: tx.blocksChanged,
    metadataBlocksLogged: committer.blocksLogged,
    metadataBlocksWritten: committer.blocksWritten,
    metadataBlocksRead: blocksRead,
    cacheMisses: misses,
    cacheFrames: frames,
    dirtyFrames,
    loggedFrames,
    journalBlocks: journal.logBlocks,
    journalUsedBlocks: journal.usedBlocks,
    failure: committer.failure?.message ?? '',
    inodesHeldByKernel: references.size,
    openOrphans: references.openOrphans,
    reservedBlocks: space.index.reservedBlocks,
    pendingBlocks: space.pendingBlocks,
    ...space.index.counters(),
    ...durability.lost.counters(),
    ...discards.counters(),
  };
}
