/** Attributes and figures of nothing yet, for others to fill. */
import type { Attributes, SpaceStatistics } from './filesystem.ts';

export function emptyAttributes(): Attributes {
  return {
    inode: 0,
    generation: 0,
    mode: 0,
    linkCount: 0,
    uid: 0,
    gid: 0,
    deviceNumber: 0,
    sizeBytes: 0,
    sectors: 0,
    accessSeconds: 0,
    accessNanoseconds: 0,
    modifySeconds: 0,
    modifyNanoseconds: 0,
    changeSeconds: 0,
    changeNanoseconds: 0,
    birthSeconds: 0,
    birthNanoseconds: 0,
    flags: 0,
    projectId: 0,
  };
}

export function emptyStatistics(): SpaceStatistics {
  return {
    blockBytes: 0,
    blocks: 0,
    freeBlocks: 0,
    availableBlocks: 0,
    inodes: 0,
    freeInodes: 0,
    maxNameBytes: 0,
  };
}
