/**
 * Making a volume: the volume's own code on an empty space.
 *
 * Written are the volume root, bitmap and summaries of the first group, the first chunk of the inode table with the
 * root directory, and the superblock twice; nothing else, however large the volume is. The superblock at block 0 comes
 * last: before it is there the device holds no volume.
 */

import { type Device, PromisedCompletion } from '../aio/device.ts';
import firstFit from '../alloc/first-fit.ts';
import { BlockCache } from './block-cache.ts';
import { sealBlock } from './block-header.ts';
import { flushDevice, Staging, writeBlocks } from './block-transfers.ts';
import { type Clock, DateClock } from './clock.ts';
import { fsErrorFromNumber } from './errors.ts';
import { ExtentMap } from './extents.ts';
import {
  BlockKind,
  FileType,
  JOURNAL_HEADS,
  ROOT_INODE,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from './format.ts';
import { InodeTable } from './inode-table.ts';
import { writeJournalHead } from './journal.ts';
import { defaultJournalBlocks, Layout } from './layout.ts';
import { createSpace, SpaceMap } from './space-map.ts';
import { SuperblockImage } from './superblock.ts';
import { Transaction } from './transaction.ts';
import { initialiseTree } from './tree.ts';

/** Sequence number of what mkfs itself writes. */
const FIRST_SEQUENCE = 1;

export interface FormatOptions {
  blockBytes: number;
  /** Blocks of the journal; by default 1/64 of the volume, within bounds. */
  journalBlocks?: number;
  label: string;
  /** 16 bytes. */
  uuid: Uint8Array;
  /** 8 random bytes. */
  hashSeed: Uint8Array;
  /** Owner of the root directory. */
  uid: number;
  gid: number;
  clock?: Clock;
}

/** The layout that a volume of this size gets. Writes nothing. @throws RangeError with a sentence for the user */
export function planFormat(
  sizeBytes: number,
  options: Pick<FormatOptions, 'blockBytes' | 'journalBlocks'>,
): Layout {
  const blockCount = Math.floor(sizeBytes / options.blockBytes);
  return new Layout({
    blockBytes: options.blockBytes,
    blockCount,
    journalBlocks: options.journalBlocks ?? defaultJournalBlocks(options.blockBytes, blockCount),
  });
}

/** Makes a volume that fills the device. @throws RangeError (geometry), FsError (device) */
export async function formatVolume(device: Device, options: FormatOptions): Promise<Layout> {
  const layout = planFormat(device.sizeBytes, options);
  if (layout.blockBytes < device.sectorBytes) {
    throw new RangeError(
      `blocks of ${layout.blockBytes} bytes are smaller than the device's sectors of ${device.sectorBytes}`,
    );
  }
  const clock = options.clock ?? new DateClock();
  clock.read();
  const superblock = new SuperblockImage(device);
  superblock.initialise(layout, options, clock);
  await wipe(device, 0, layout.blockBytes);
  await wipe(device, layout.journalStart * layout.blockBytes, JOURNAL_HEADS * layout.blockBytes);
  await writeMetadata(device, layout, options, clock);
  const identity = { uuid: options.uuid, salt: options.hashSeed };
  const position = { tail: 0, sequence: FIRST_SEQUENCE + 1, generation: 0 };
  await writeJournalHead(device, layout, identity, position);
  await superblock.write(device, layout.backupSuperblock, layout.blockBytes, 0);
  await flushDevice(device);
  await superblock.write(device, 0, layout.blockBytes, 0);
  await flushDevice(device);
  return layout;
}

/** Zeros what stood there: an old superblock, or the heads of an old journal. */
async function wipe(device: Device, offset: number, lengthBytes: number): Promise<void> {
  const completion = new PromisedCompletion();
  device.write(device.allocateMemory(lengthBytes), 0, lengthBytes, offset, completion);
  device.submit();
  const errno = await completion.promise;
  if (errno !== 0) throw fsErrorFromNumber(errno);
}

async function writeMetadata(
  device: Device,
  layout: Layout,
  options: FormatOptions,
  clock: Clock,
): Promise<void> {
  const cache = new BlockCache(device, layout.blockBytes, options.uuid, 256 * layout.blockBytes);
  const tx = new Transaction(cache, layout.blockBytes, options.uuid, clock, false);
  const space = new SpaceMap(tx, layout);
  tx.space = space;
  space.usePolicy({ definition: firstFit });
  tx.begin();
  createSpace(tx, layout);
  createVolumeRoot(tx, layout);
  createRootDirectory(tx, layout, space, options);
  tx.succeed();
  await writeHome(device, cache, layout.blockBytes);
}

/** No journal yet: a volume being made is none until its superblock is there. */
async function writeHome(device: Device, cache: BlockCache, blockBytes: number): Promise<void> {
  const frames = [...cache.dirtySet()].sort((a, b) => a.block - b.block);
  const { memory, bytes, view } = new Staging(device).reserve(frames.length * blockBytes);
  for (const [i, frame] of frames.entries()) {
    bytes.set(frame.bytes, i * blockBytes);
    sealBlock(view, bytes, i * blockBytes, blockBytes, FIRST_SEQUENCE);
  }
  const blocks = frames.map((frame) => frame.block);
  await writeBlocks(device, memory, 0, blocks, blockBytes);
}

function createVolumeRoot(tx: Transaction, layout: Layout): void {
  const frame = tx.create(layout.volumeRootBlock, BlockKind.volumeRoot, 0);
  VolumeRoot.nextGeneration.set(frame.view, 0, 1);
  initialiseTree({ frame, at: VOLUME_ROOT_INODE_OFFSET, number: 0 }, TreeKind.extents);
}

function createRootDirectory(tx: Transaction, layout: Layout, space: SpaceMap, options: FormatOptions): void {
  const table = new InodeTable(layout, space, new ExtentMap(space));
  const root = table.create(tx, {
    mode: FileType.directory | 0o755,
    uid: options.uid,
    gid: options.gid,
    deviceNumber: 0,
    linkCount: 2,
    parent: ROOT_INODE,
  });
  if (root.number !== ROOT_INODE) throw new Error(`the root directory got inode ${root.number}`);
}
