/**
 * The checker: is a volume sound? An independent reader of the format, which shares nothing with
 * the filesystem but the tables of records, the disk map and the hash of names, and believes
 * nothing that it reads.
 *
 *   superblock → journal → volume root → inode table → inodes and their extents → attributes →
 *   directories → connectivity → orphans → quotas → space
 *
 * `checkVolume` only reads. It never throws for what is on disk: damage becomes a problem in the
 * result, and the passes go on with what is left. Where there is no volume at all it throws
 * `NothingToCheckError`.
 */

import type { Device } from '../aio/device.ts';
import { hasFeature } from '../fs/format/features.ts';
import { BlockHeader, Superblock } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { NameSecret } from '../fs/format/name-hash.ts';
import { checkAttributes } from './attribute-pass.ts';
import { BlockSource } from './block-source.ts';
import { ClaimedBlocks, SharedBlocks } from './claimed-blocks.ts';
import { type CheckContext, type CheckStatistics, LinkFacts } from './context.ts';
import { checkDirectories } from './directory-pass.ts';
import { InodeFacts } from './inode-facts.ts';
import { checkInodes } from './inode-pass.ts';
import { InodePlaces } from './inode-places.ts';
import { examineJournal, type JournalFacts, type JournalOwner } from './journal-reader.ts';
import { checkConnectivity, checkOrphans } from './link-pass.ts';
import { MetadataReader } from './metadata-block.ts';
import { type Problem, ProblemLog } from './problem.ts';
import { checkQuotas } from './quota-pass.ts';
import { type RootFacts, readInodeTable, readVolumeRoot } from './root-pass.ts';
import { checkSpace } from './space-pass.ts';
import { PASSES, type Pass } from './stages.ts';
import { checkSuperblocks, type FoundSuperblock, type SuperblockFacts } from './superblock-pass.ts';
import { deviceBlocks, reachAsFarAsRoot } from './volume-reach.ts';

export { NothingToCheckError } from './superblock-pass.ts';

export interface CheckOptions {
  /** Told now and then how far the check is: `done` of `total` of whatever the pass counts. */
  progress?: (pass: Pass, done: number, total: number) => void;
  /** Names of features that the volume is taken not to have: what uses them is a problem then. */
  withoutFeatures?: ReadonlySet<string>;
}

export interface CheckResult {
  /** No problem was found. */
  readonly clean: boolean;
  /** What the superblock says: whether the volume was unmounted in order. */
  readonly state: 'clean' | 'dirty';
  /**
   * What the journal holds to be replayed: whole transactions, and blocks. No problem in itself.
   */
  readonly journal: { readonly transactions: number; readonly blocks: number };
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

/** A check that was made, with all that a repair builds on. */
export interface CheckRun {
  readonly context: CheckContext;
  readonly superblocks: SuperblockFacts;
  readonly journal: JournalFacts;
  readonly root: RootFacts | undefined;
  readonly table: InodePlaces;
  readonly result: CheckResult;
}

/**
 * Checks the volume on the device, as it is when its journal is replayed. Writes nothing.
 * @throws NothingToCheckError if there is none that this version can read.
 */
export async function checkVolume(device: Device, options: CheckOptions = {}): Promise<CheckResult> {
  return (await runCheck(device, options)).result;
}

/**
 * Checks, and keeps what was found.
 * @param isRepairing a repair is under way, and it is ours: that the superblock says so is no
 * problem
 * @throws NothingToCheckError
 */
export async function runCheck(
  device: Device,
  options: CheckOptions = {},
  isRepairing = false,
): Promise<CheckRun> {
  const source = new BlockSource(device);
  const log = new ProblemLog();
  const superblocks = await checkSuperblocks(source, log, isRepairing);
  const { chosen, isFirst, isClean } = superblocks;
  if (!isFirst || chosen.flaw !== undefined) await reachAsFarAsRoot(source, ownerOf(chosen));
  const context = makeContext(source, log, superblocks, options);
  const journal = await examineJournal(source, log, ownerOf(chosen), isClean);
  context.reader.copies = journal.copies;
  const { root, table } = await runPasses(context, isClean);
  const result = {
    clean: log.count === 0,
    state: isClean ? ('clean' as const) : ('dirty' as const),
    journal: { transactions: journal.transactions, blocks: journal.copies.size },
    problems: log.sorted(),
    problemCount: log.count,
    statistics: context.statistics,
  };
  return { context, superblocks, journal, root, table, result };
}

/** Whose journal belongs to a superblock. */
export function ownerOf({ bytes, layout }: FoundSuperblock): JournalOwner {
  return { layout, uuid: BlockHeader.uuid.of(bytes, 0), salt: Superblock.journalSalt.of(bytes, 0) };
}

async function runPasses(
  context: CheckContext,
  isClean: boolean,
): Promise<{ root: RootFacts | undefined; table: InodePlaces }> {
  const root = await readVolumeRoot(context);
  if (!root) return { root, table: new InodePlaces(context.layout) };
  const table = await readInodeTable(context, root);
  await checkInodes(context, table, root);
  await checkAttributes(context, table);
  await checkDirectories(context, table);
  checkConnectivity(context);
  checkOrphans(context, root, isClean);
  await checkQuotas(context, root);
  await checkSpace(context);
  return { root, table };
}

function makeContext(
  source: BlockSource,
  log: ProblemLog,
  { chosen, backupBlocks }: SuperblockFacts,
  options: CheckOptions,
): CheckContext {
  const { bytes, view, layout } = chosen;
  const has = (name: string) => hasFeature(view, name) && options.withoutFeatures?.has(name) !== true;
  return {
    layout,
    deviceBlocks: deviceBlocks(source, layout),
    backupBlocks,
    nameSecret: new NameSecret(Superblock.nameSecret.of(bytes, 0)),
    hasUnwritten: has('unwritten'),
    hasAttributes: has('attributes'),
    hasQuotas: hasFeature(view, 'quota'),
    reader: new MetadataReader(source, log, layout.blockBytes, BlockHeader.uuid.of(bytes, 0)),
    log,
    space: new ClaimedBlocks(layout),
    shared: new SharedBlocks(),
    inodes: new InodeFacts(),
    links: new LinkFacts(),
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
