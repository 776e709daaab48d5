/**
 * The checker: is a volume sound? An independent reader of the format, which shares nothing with the filesystem but the
 * tables of records, the disk map and the hash of names, and believes nothing that it reads.
 *
 *   superblock → volume root → inode table → inodes and their extents → directories → connectivity → orphans → space
 *
 * `checkVolume` only reads. It never throws for what is on disk: damage becomes a problem in the result, and the
 * passes go on with what is left. Where there is no volume at all it throws `NotAVolumeError`.
 */
import type { Device } from '../aio/device.ts';
import { BlockHeader, Superblock, VolumeState } from '../fs/format.ts';
import type { Layout } from '../fs/layout.ts';
import { BlockSource } from './block-source.ts';
import type { CheckContext, CheckStatistics } from './context.ts';
import { checkDirectories } from './directory-pass.ts';
import { InodeFacts } from './inode-facts.ts';
import { checkInodes } from './inode-pass.ts';
import { checkConnectivity, checkOrphans } from './link-pass.ts';
import { MetadataReader } from './metadata-block.ts';
import { PASSES, type Pass, type Problem, ProblemLog } from './problem.ts';
import { readInodeTable, readVolumeRoot } from './root-pass.ts';
import { SpaceMap } from './space-map.ts';
import { checkSpace } from './space-pass.ts';
import { checkSuperblocks, type FoundSuperblock } from './superblock-pass.ts';

export { NotAVolumeError } from './superblock-pass.ts';

export interface CheckOptions {
  /** Told now and then how far the check is: `done` of `total` of whatever the pass counts. */
  progress?: (pass: Pass, done: number, total: number) => void;
}

export interface CheckResult {
  /** No problem was found. */
  readonly clean: boolean;
  /** What the superblock says: whether the volume was unmounted in order. */
  readonly state: 'clean' | 'dirty';
  readonly problems: readonly Problem[];
  /** All problems, also those beyond the ones kept. */
  readonly problemCount: number;
  readonly statistics: CheckStatistics;
}

/** Exit codes of fsck(8). */
export const FsckExit = {
  clean: 0,
  corrected: 1,
  uncorrected: 4,
  operational: 8,
  usage: 16,
} as const;

/**
 * Checks the volume on the device.
 * @throws NotAVolumeError if there is none that this version can read.
 */
export async function checkVolume(device: Device, options: CheckOptions = {}): Promise<CheckResult> {
  const source = new BlockSource(device);
  const log = new ProblemLog();
  const superblock = await checkSuperblocks(source, log);
  const context = makeContext(source, log, superblock, options);
  const state = Superblock.state.get(superblock.view, 0) === VolumeState.clean ? 'clean' : 'dirty';
  await runPasses(context, state === 'clean');
  const clean = log.count === 0;
  return { clean, state, problems: log.sorted(), problemCount: log.count, statistics: context.statistics };
}

async function runPasses(context: CheckContext, isClean: boolean): Promise<void> {
  const root = await readVolumeRoot(context);
  if (!root) return;
  const table = await readInodeTable(context, root);
  await checkInodes(context, table, root);
  await checkDirectories(context, table);
  checkConnectivity(context);
  checkOrphans(context, root, isClean);
  await checkSpace(context);
}

function makeContext(
  source: BlockSource,
  log: ProblemLog,
  { bytes, view, layout }: FoundSuperblock,
  options: CheckOptions,
): CheckContext {
  const seed = Superblock.hashSeed.offset;
  return {
    layout,
    hashSeedLow: view.getUint32(seed, true),
    hashSeedHigh: view.getUint32(seed + 4, true),
    reader: new MetadataReader(source, log, layout.blockBytes, BlockHeader.uuid.of(bytes, 0)),
    log,
    space: new SpaceMap(layout),
    inodes: new InodeFacts(layout.bitsPerBlock),
    statistics: emptyStatistics(layout),
    progress: (done, total) => options.progress?.(log.pass, done, total),
  };
}

function emptyStatistics(layout: Layout): CheckStatistics {
  return {
    blockBytes: layout.blockBytes,
    blocks: layout.blockCount,
    blocksUsed: 0,
    blocksFree: 0,
    inodes: 0,
    files: 0,
    directories: 0,
    symlinks: 0,
    specials: 0,
    orphans: 0,
    entries: 0,
    extents: 0,
    dataBlocks: 0,
  };
}

/** Number of passes, for a progress bar. */
export const PASS_COUNT = PASSES.length;
