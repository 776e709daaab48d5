/** The order in which a check goes through a volume, and a repair mends it. */

/** The passes, in the order they run. */
export const PASSES = [
  'superblock',
  'journal',
  'volume root',
  'inode table',
  'inodes',
  'attributes',
  'directories',
  'connectivity',
  'orphan list',
  'quotas',
  'space',
] as const;
export type Pass = (typeof PASSES)[number];

/** The stages of a repair, in the order they run: each builds on those before it. */
export const STAGES = [
  'superblock',
  'journal',
  'table',
  'inodes',
  'attributes',
  'directories',
  'links',
  'quotas',
  'space',
] as const;
export type Stage = (typeof STAGES)[number];

/** Which stage deals with what a pass finds, if nothing else is said. */
export const STAGE_OF_PASS: Readonly<Record<Pass, Stage>> = {
  superblock: 'superblock',
  journal: 'journal',
  'volume root': 'table',
  'inode table': 'table',
  inodes: 'inodes',
  attributes: 'attributes',
  directories: 'directories',
  connectivity: 'links',
  'orphan list': 'links',
  quotas: 'quotas',
  space: 'space',
};
