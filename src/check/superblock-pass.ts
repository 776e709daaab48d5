/**
 * Pass 1: the superblock and its backups. Chooses which of them to believe, and makes the disk map
 * of it.
 *
 * The first is believed if it is sound; else a backup that is; else the first as far as its
 * magic and geometry hold. With none of them there is no volume to check.
 */

import { sameBytes, viewOf } from '../common/bytes.ts';
import { backupPlaces } from '../fs/format/backup-places.ts';
import {
  joinFeatures,
  knownFeatureNames,
  onlyReadable,
  refusedFor,
  unknownFeatures,
} from '../fs/format/features.ts';
import {
  BlockHeader,
  BlockKind,
  FORMAT_VERSION,
  JournalHeader,
  SUPERBLOCK_BYTES,
  Superblock,
  VolumeState,
} from '../fs/format/format.ts';
import { Layout } from '../fs/format/layout.ts';
import type { BlockSource } from './block-source.ts';
import { blockChecksum, hasMagic } from './metadata-block.ts';
import type { ProblemLog } from './problem.ts';

/** There is no volume that this version can check; the message is a sentence for the user. */
export class NothingToCheckError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NothingToCheckError';
  }
}

/** A superblock as found on disk. */
export interface FoundSuperblock {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly layout: Layout;
  /** What is wrong with it, or undefined; its geometry makes a volume in any case. */
  readonly flaw: string | undefined;
}

/** What the pass found. */
export interface SuperblockFacts {
  readonly chosen: FoundSuperblock;
  /** The chosen one is the first, not the backup. */
  readonly isFirst: boolean;
  /** The volume was unmounted in order, as a sound first superblock says. */
  readonly isClean: boolean;
  /** A change came to an end before all backups said it. */
  readonly staleBackups: boolean;
  /** Blocks that the volume has by a sound backup; 0 if there is none. */
  readonly backupBlocks: number;
}

/** Fields that follow from the geometry. */
export const DERIVED_FIELDS = [
  ['the number of blocks', Superblock.blockCount, (layout: Layout) => layout.blockCount],
  ['the start of the journal', Superblock.journalStart, (layout: Layout) => layout.journalStart],
  ['the block of the volume root', Superblock.volumeRootBlock, (layout: Layout) => layout.volumeRootBlock],
  ['the start of the space', Superblock.spaceStart, (layout: Layout) => layout.spaceStart],
  ['the size of the space', Superblock.spaceBlocks, (layout: Layout) => layout.spaceBlocks],
] as const;

/** Fields that are equal in all superblocks. */
const IDENTITY_FIELDS = [
  ['format version', Superblock.formatVersion],
  ['block size', Superblock.blockBytes],
  ['journal size', Superblock.journalBlocks],
] as const;

/** The same, where they are bytes. */
const IDENTITY_BYTES = [
  ['volume id', BlockHeader.uuid],
  ['journal salt', Superblock.journalSalt],
  ['name secret', Superblock.nameSecret],
] as const;

/** What `quarry tune` changes, on the superblock first. */
const TUNED_BYTES = [
  ['label', Superblock.label],
  ['shown id', Superblock.shownUuid],
  ['mount options', Superblock.mountOptions],
] as const;

/** Reads a superblock. @returns why it is none, or what it is. */
async function superblockAt(source: BlockSource, offsetBytes: number): Promise<FoundSuperblock | string> {
  const { bytes, errno } = await source.read(offsetBytes, SUPERBLOCK_BYTES);
  if (errno !== 0) return 'it cannot be read';
  return inspectSuperblock(bytes);
}

/** Judges the bytes of a superblock by themselves. @returns why it is none, or what it is. */
export function inspectSuperblock(bytes: Uint8Array): FoundSuperblock | string {
  const view = viewOf(bytes);
  if (!hasMagic(bytes)) return 'it has no magic';
  const version = Superblock.formatVersion.get(view, 0);
  if (version !== FORMAT_VERSION) return `its format version is ${version}`;
  try {
    const layout = new Layout({
      blockBytes: Superblock.blockBytes.get(view, 0),
      blockCount: Superblock.blockCount.get(view, 0),
      journalBlocks: Superblock.journalBlocks.get(view, 0),
    });
    return { bytes, view, layout, flaw: superblockFlaw(bytes, view) };
  } catch (thrown) {
    if (thrown instanceof RangeError) return thrown.message;
    throw thrown;
  }
}

function superblockFlaw(bytes: Uint8Array, view: DataView): string | undefined {
  if (BlockHeader.kind.get(view, 0) !== BlockKind.superblock) return 'it is not of the kind of a superblock';
  if (BlockHeader.checksum.get(view, 0) !== blockChecksum(bytes)) return 'its checksum is wrong';
  return undefined;
}

/** Finds a sound backup without a first superblock. */
async function searchBackup(source: BlockSource): Promise<FoundSuperblock | undefined> {
  for (const { blockBytes, journalBlocks, offsetBytes } of backupPlaces(source.sizeBytes)) {
    const found = await superblockAt(source, offsetBytes);
    if (typeof found === 'string' || found.flaw !== undefined || !fits(found, source)) continue;
    const { layout } = found;
    const isThere = layout.backups.includes(offsetBytes / blockBytes);
    if (isThere && layout.blockBytes === blockBytes && layout.journalBlocks === journalBlocks) return found;
  }
  return undefined;
}

/**
 * Runs the pass.
 * @param isRepairing whether the volume may say that a repair of it is under way
 * @throws NothingToCheckError if there is nothing that could be checked.
 */
export async function checkSuperblocks(
  source: BlockSource,
  log: ProblemLog,
  isRepairing: boolean,
): Promise<SuperblockFacts> {
  log.pass = 'superblock';
  const first = await superblockAt(source, 0);
  const sound = typeof first !== 'string' && first.flaw === undefined && fits(first, source);
  const { chosen, staleBackups, backupBlocks } = sound
    ? await compareWithBackups(source, log, first)
    : { chosen: await chooseDamaged(source, log, first), staleBackups: false, backupBlocks: 0 };
  refuseUnknown(chosen);
  if (!fits(chosen, source)) throw truncated(chosen, source);
  reportFields(chosen, log, isRepairing);
  const isFirst = chosen === first;
  const own = BlockHeader.block.get(chosen.view, 0);
  if (isFirst && own !== 0) log.report('block-number', { block: 0, what: 'superblock', found: own });
  const isClean = sound && isFirst && Superblock.state.get(chosen.view, 0) === VolumeState.clean;
  return { chosen, isFirst, isClean, staleBackups, backupBlocks };
}

/** Compares a sound first superblock with its backups, and finds the one to believe. */
async function compareWithBackups(
  source: BlockSource,
  log: ProblemLog,
  first: FoundSuperblock,
): Promise<Pick<SuperblockFacts, 'chosen' | 'staleBackups' | 'backupBlocks'>> {
  const before = log.count;
  const sound: FoundSuperblock[] = [];
  for (const block of first.layout.backups) {
    const backup = await checkBackup(source, log, first, block);
    if (backup !== undefined) sound.push(backup);
  }
  const staleBackups = sound.some(
    (backup) => isOtherSize(first.view, backup) || otherWords(first, backup).length > 0,
  );
  const chosen = log.count === before ? first : await betterOf(source, first, sound.at(-1));
  return { chosen, staleBackups, backupBlocks: sound.at(-1)?.layout.blockCount ?? 0 };
}

/** The one that the volume speaks for, of two superblocks that contradict each other. */
async function betterOf(
  source: BlockSource,
  first: FoundSuperblock,
  known: FoundSuperblock | undefined,
): Promise<FoundSuperblock> {
  // One that speaks of another journal says nothing true of where its backups are.
  const backup = known ?? (await searchBackup(source));
  if (!backup || !fits(backup, source)) return first;
  return (await evidence(source, backup)) > (await evidence(source, first)) ? backup : first;
}

function isOtherSize(first: DataView, backup: FoundSuperblock): boolean {
  return Superblock.blockCount.get(first, 0) !== Superblock.blockCount.get(backup.view, 0);
}

/** What of a backup was left behind by a change of the first. */
function otherWords(first: FoundSuperblock, backup: FoundSuperblock): string[] {
  return TUNED_BYTES.flatMap(([what, field]) =>
    sameBytes(field.of(first.bytes, 0), field.of(backup.bytes, 0)) ? [] : [what],
  );
}

/**
 * How much of the volume speaks for a superblock: its volume root and the heads of its journal are
 * where and whose it says.
 */
async function evidence(source: BlockSource, { bytes, layout }: FoundSuperblock): Promise<number> {
  const { blockBytes, journalStart, volumeRootBlock } = layout;
  const uuid = BlockHeader.uuid.of(bytes, 0);
  const salt = Superblock.journalSalt.of(bytes, 0);
  let found = 0;
  for (const block of [volumeRootBlock, journalStart, journalStart + 1]) {
    const read = await source.read(block * blockBytes, blockBytes);
    const isRoot = block === volumeRootBlock;
    const kind = isRoot ? BlockKind.volumeRoot : BlockKind.journalHead;
    const agrees =
      read.errno === 0 &&
      BlockHeader.kind.get(viewOf(read.bytes), 0) === kind &&
      sameBytes(BlockHeader.uuid.of(read.bytes, 0), uuid) &&
      (isRoot || sameBytes(JournalHeader.salt.of(read.bytes, 0), salt)) &&
      BlockHeader.checksum.get(viewOf(read.bytes), 0) === blockChecksum(read.bytes);
    if (agrees) found++;
  }
  return found;
}

async function chooseDamaged(
  source: BlockSource,
  log: ProblemLog,
  first: FoundSuperblock | string,
): Promise<FoundSuperblock> {
  const backup = await searchBackup(source);
  if (backup) {
    const what = typeof first === 'string' ? first : (first.flaw ?? 'it speaks of another size');
    log.report('superblock-bad', { what, block: 0 });
    return backup;
  }
  if (typeof first === 'string')
    throw new NothingToCheckError(`this is not a Quarry volume: at its start, ${first}`);
  if (fits(first, source)) log.report('block-checksum', { block: 0, what: first.flaw ?? 'superblock' });
  return first;
}

function fits(found: FoundSuperblock, source: BlockSource): boolean {
  return found.layout.blockCount * found.layout.blockBytes <= source.sizeBytes;
}

function truncated(found: FoundSuperblock, source: BlockSource): NothingToCheckError {
  const wanted = found.layout.blockCount * found.layout.blockBytes;
  return new NothingToCheckError(
    `the volume has ${wanted} bytes by its superblock, but there are ${source.sizeBytes}: it was cut off`,
  );
}

function refuseUnknown({ view }: FoundSuperblock): void {
  const unknown = unknownFeatures(view, 'incompatible');
  if (unknown !== undefined) throw new NothingToCheckError(refusedFor(unknown));
}

/**
 * @throws NothingToCheckError for a volume that may be looked at and not changed, since it has
 * features that this version does not know
 */
export function requireWritable({ view }: FoundSuperblock): void {
  const unknown = unknownFeatures(view, 'readOnly');
  if (unknown !== undefined)
    throw new NothingToCheckError(`${onlyReadable(unknown)}: repair it with a newer one`);
}

function reportFields({ view, layout }: FoundSuperblock, log: ProblemLog, isRepairing: boolean): void {
  for (const [what, field, derive] of DERIVED_FIELDS) {
    const found = field.get(view, 0);
    const expected = derive(layout);
    if (found !== expected) log.report('superblock-field', { what, found, expected, block: 0 });
  }
  const state = Superblock.state.get(view, 0);
  if (state === VolumeState.repairing) {
    if (!isRepairing) log.report('superblock-repairing', { block: 0 });
  } else if (state !== VolumeState.clean && state !== VolumeState.dirty)
    log.report('superblock-state', { found: state, block: 0 });
}

async function checkBackup(
  source: BlockSource,
  log: ProblemLog,
  first: FoundSuperblock,
  block: number,
): Promise<FoundSuperblock | undefined> {
  const backup = await superblockAt(source, block * first.layout.blockBytes);
  if (typeof backup === 'string' || backup.flaw !== undefined) {
    log.report('backup-bad', { block, what: typeof backup === 'string' ? backup : (backup.flaw ?? '') });
    return undefined;
  }
  const own = BlockHeader.block.get(backup.view, 0);
  if (own !== block) log.report('block-number', { block, what: 'backup superblock', found: own });
  for (const [what, field] of IDENTITY_FIELDS) {
    const found = field.get(first.view, 0);
    const expected = field.get(backup.view, 0);
    if (found !== expected) log.report('superblock-differs', { what, found, expected, block });
  }
  reportSize(log, block, first, backup);
  reportWords(log, block, first, backup);
  compareFeatures(log, block, first, backup);
  compareBytes(log, block, first, backup);
  return backup;
}

/** Known features that differ: whichever is believed has those of both from then on. */
function compareFeatures(
  log: ProblemLog,
  block: number,
  first: FoundSuperblock,
  backup: FoundSuperblock,
): void {
  const found = knownFeatureNames(first.view).join(', ') || 'none';
  const expected = knownFeatureNames(backup.view).join(', ') || 'none';
  if (found === expected) return;
  log.report('superblock-features', { block, found, expected });
  joinFeatures(first.view, backup.view);
  joinFeatures(backup.view, first.view);
}

/**
 * A size that differs. While a volume grows the backups are the last to say so; but none ever
 * speaks of less than what was there before.
 */
function reportSize(log: ProblemLog, block: number, first: FoundSuperblock, backup: FoundSuperblock): void {
  const isClean = Superblock.state.get(first.view, 0) === VolumeState.clean;
  if (!isOtherSize(first.view, backup) || !isClean) return;
  const found = Superblock.blockCount.get(first.view, 0);
  const expected = Superblock.blockCount.get(backup.view, 0);
  log.report('superblock-differs', { what: 'number of blocks', found, expected, block });
}

/** After a crash the next mount makes them equal. */
function reportWords(log: ProblemLog, block: number, first: FoundSuperblock, backup: FoundSuperblock): void {
  if (Superblock.state.get(first.view, 0) !== VolumeState.clean) return;
  for (const what of otherWords(first, backup)) log.report('backup-stale', { block, what });
}

function compareBytes(log: ProblemLog, block: number, first: FoundSuperblock, backup: FoundSuperblock): void {
  for (const [what, field] of IDENTITY_BYTES) {
    const found = Buffer.from(field.of(first.bytes, 0)).toString('hex');
    const expected = Buffer.from(field.of(backup.bytes, 0)).toString('hex');
    if (found !== expected) log.report('superblock-differs', { what, found, expected, block });
  }
}
