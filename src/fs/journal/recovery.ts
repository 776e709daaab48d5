/**
 * Recovery: a volume that was not unmounted in order is brought to the state of its last commit.
 *
 *   1 read    the journal (journal-log.ts): what is to go home
 *   2 home    the youngest copy of each block is written to its place
 *   3 flush
 *   4 head    a new head says that the log is empty, and is flushed
 *
 * A crash during 2 or 3 leaves the old head and the whole log, so the next mount does it all again;
 * a crash during 4 leaves one head or the other, and both are right. A mount that may not write
 * keeps the copies in memory instead (replayed-device.ts).
 */
import type { Device, Memory } from '../../aio/device.ts';
import { plural } from '../../common/words.ts';
import { CorruptionError } from '../base/errors.ts';
import { MAX_METADATA_TRANSFER_BYTES } from '../base/limits.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { blockFault } from '../format/block-header.ts';
import { BlockHeader } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { SuperblockImage } from '../format/superblock.ts';
import { flushDevice, readBlocks, Staging, writeBlocks } from './block-transfers.ts';
import { type JournalPosition, writeJournalHead } from './journal.ts';
import { type JournalContents, readJournal, readJournalHead } from './journal-log.ts';
import { ReplayedDevice } from './replayed-device.ts';
import type { JournalIdentity } from './transaction-pages.ts';
import { followedLayout } from './volume-size.ts';

export interface Recovery {
  /** The device to go on with: the same, or one that shows the replayed blocks over it. */
  readonly device: Device;
  readonly position: JournalPosition;
  /** What was replayed; undefined if the volume was unmounted in order. */
  readonly contents: JournalContents | undefined;
  /** The disk map of the volume as it is now. */
  readonly layout: Layout;
}

/** How a volume is to be mounted. */
export interface RecoveryMode {
  /** Nothing may be written. */
  readonly readOnly: boolean;
  /**
   * False, for read-only mounts only: the journal is not looked at, and what is shown may be torn
   * between commits.
   */
  readonly replay: boolean;
}

/** For volumes that are never written to. */
const NOWHERE: JournalPosition = { tail: 0, sequence: 0, generation: 0 };

/**
 * Makes a volume fit to be mounted.
 * @throws NotAVolumeError if the journal is damaged, CorruptionError, FsError of the device
 */
export async function recover(
  device: Device,
  superblock: SuperblockImage,
  { readOnly, replay: mayReplay }: RecoveryMode,
): Promise<Recovery> {
  // As far as the journal may reach.
  const reach = superblock.layout();
  const identity = { uuid: superblock.uuid, salt: superblock.journalSalt };
  if (superblock.isClean || (readOnly && !mayReplay)) {
    const layout = await followedLayout(device, superblock, reach.volumeRootBlock);
    const position = readOnly ? NOWHERE : await readJournalHead(device, reach, identity);
    return { device, position, contents: undefined, layout };
  }
  const contents = await readJournal(device, reach, identity);
  // Whatever is refused is refused before anything is written.
  const layout = await followedLayout(device, superblock, rootPlace(contents, reach));
  if (readOnly) {
    const shown = await replayIntoMemory(device, reach, identity, contents);
    return { device: shown, position: NOWHERE, contents, layout };
  }
  return { device, position: await replay(device, reach, identity, contents), contents, layout };
}

/** Where the volume root stands that will be at home when the journal is replayed. */
function rootPlace({ homes, places }: JournalContents, { volumeRootBlock }: Layout): BlockNumber {
  return places[homes.indexOf(volumeRootBlock)] ?? volumeRootBlock;
}

async function replay(
  device: Device,
  layout: Layout,
  identity: JournalIdentity,
  contents: JournalContents,
): Promise<JournalPosition> {
  const { blockBytes } = layout;
  for await (const { memory, homes } of batches(device, layout, identity, contents))
    await writeBlocks(device, memory, homes, blockBytes);
  await flushDevice(device);
  const position = { ...contents.position, generation: contents.position.generation + 1 };
  await writeJournalHead(device, layout, identity, position);
  return position;
}

async function replayIntoMemory(
  device: Device,
  layout: Layout,
  identity: JournalIdentity,
  contents: JournalContents,
): Promise<Device> {
  const { blockBytes } = layout;
  const blocks = new Map<number, Uint8Array>();
  for await (const { memory, homes } of batches(device, layout, identity, contents)) {
    for (const [i, home] of homes.entries())
      blocks.set(home, memory.bytes.slice(i * blockBytes, (i + 1) * blockBytes));
  }
  return new ReplayedDevice(device, blockBytes, blocks);
}

/** Copies that stand one behind the other from the start of the memory, and where they go. */
interface Batch {
  readonly memory: Memory;
  readonly homes: readonly number[];
}

/**
 * Reads the copies, a bounded number at a time, and checks them once more: they are about to be the
 * volume. The memory is used again for the next batch.
 */
async function* batches(
  device: Device,
  layout: Layout,
  identity: JournalIdentity,
  { homes, places, checksums }: JournalContents,
): AsyncGenerator<Batch> {
  const { blockBytes } = layout;
  const most = Math.max(1, MAX_METADATA_TRANSFER_BYTES / blockBytes);
  const staged = new Staging(device).reserve(Math.min(most, homes.length) * blockBytes);
  const { memory, view } = staged;
  for (let from = 0; from < homes.length; from += most) {
    const batch = homes.slice(from, from + most);
    await readBlocks(device, memory, places.slice(from, from + most), blockBytes);
    for (const [i, home] of batch.entries()) {
      const at = i * blockBytes;
      const fault = blockFault({ ...staged, at }, blockBytes, home, identity.uuid);
      const same = BlockHeader.checksum.get(view, at) === checksums[from + i];
      if (fault !== undefined || !same) {
        throw new CorruptionError(places[from + i] as number, fault ?? 'changed while it was read');
      }
    }
    yield { memory, homes: batch };
  }
}

/** What is said of a journal that was replayed. */
export function replayText({ transactions, homes }: JournalContents, readOnly: boolean): string {
  const what = `${plural(transactions, 'transaction')} (${plural(homes.length, 'block')})`;
  const where = readOnly ? ' in memory, nothing is written' : '';
  return `the volume was not unmounted in order: replayed ${what} of its journal${where}`;
}
