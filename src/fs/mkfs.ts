/**
 * Making a volume: the volume's own code on an empty space.
 *
 * Written are the volume root, bitmap and summaries of the first group, the first chunk of the
 * inode table with the root directory, and the superblock twice; nothing else, however large the
 * volume is.
 *
 *   erase what was there ──flush── metadata and journal ──flush──
 *   backups ──flush── superblock ──flush──
 *
 * So a power cut leaves the old volume, or none, or the new one complete. What a superblock speaks
 * of is on the disk before it is.
 */

import { type Device, PromisedCompletion } from '../aio/device.ts';
import firstFit from '../alloc/first-fit.ts';
import { type Clock, DateClock } from './base/clock.ts';
import { type ByteRange, eraseVolume, zeroRanges } from './erase.ts';
import { sealBlock } from './format/block-header.ts';
import {
  BlockKind,
  FileType,
  JOURNAL_HEADS,
  ROOT_INODE,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from './format/format.ts';
import { defaultJournalBlocks, Layout } from './format/layout.ts';
import { SuperblockImage } from './format/superblock.ts';
import { InodeTable } from './inodes/inode-table.ts';
import { QUOTA_KINDS } from './inodes/quota-records.ts';
import { Quotas } from './inodes/quotas.ts';
import { flushDevice, Staging, writeBlocks } from './journal/block-transfers.ts';
import { writeJournalHead } from './journal/journal.ts';
import { BlockCache } from './transaction/block-cache.ts';
import { SpaceMap } from './transaction/space-map.ts';
import { createSpace } from './transaction/space-on-disk.ts';
import { Transaction } from './transaction/transaction.ts';
import { ExtentMap } from './tree/extents.ts';
import { initialiseTree } from './tree/tree.ts';

/** Sequence number of what mkfs itself writes. */
const FIRST_SEQUENCE = 1;

/** At once; none of it can be interrupted. */
const DISCARD_BYTES = 1024 * 1024 * 1024;

export interface FormatOptions {
  blockBytes: number;
  /** Blocks of the journal; by default 1/64 of the volume, within bounds. */
  journalBlocks?: number;
  label: string;
  /** 16 bytes. */
  uuid: Uint8Array;
  /** 8 random bytes. */
  journalSalt: Uint8Array;
  /** `NAME_SECRET_BYTES` random bytes. */
  nameSecret: Uint8Array;
  /** Names of `FEATURES`; by default all. */
  features?: ReadonlySet<string>;
  /** Owner of the root directory. */
  uid: number;
  gid: number;
  clock?: Clock;
  /** Size of the volume; by default all of the device. */
  sizeBytes?: number;
  /** What else is to be zeroed, such as signatures of what was there before. */
  stale?: readonly ByteRange[];
  /** Is the device told that the volume holds nothing yet? Default: false. */
  discard?: boolean;
  /** Told how much of the device has been told so, in bytes. */
  progress?: (done: number, total: number) => void;
}

/**
 * The layout that a volume of this size gets. Writes nothing.
 * @throws RangeError with a sentence for the user
 */
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

/** Makes a volume. @throws RangeError (geometry), FsError (device) */
export async function formatVolume(device: Device, options: FormatOptions): Promise<Layout> {
  const layout = planFormat(options.sizeBytes ?? device.sizeBytes, options);
  if (layout.blockBytes < device.sectorBytes) {
    throw new RangeError(
      `blocks of ${layout.blockBytes} bytes are smaller than the device's sectors of ${device.sectorBytes}`,
    );
  }
  const clock = options.clock ?? new DateClock();
  clock.read();
  const superblock = new SuperblockImage(device);
  superblock.initialise(layout, options, clock);
  await eraseVolume(device);
  if (options.discard) await discardVolume(device, layout, options.progress);
  await zeroRanges(device, [...staleBlocks(layout), ...(options.stale ?? [])]);
  await writeMetadata(device, layout, options, clock);
  const identity = { uuid: options.uuid, salt: options.journalSalt };
  const position = { tail: 0, sequence: FIRST_SEQUENCE + 1, generation: 0 };
  await writeJournalHead(device, layout, identity, position);
  await flushDevice(device);
  for (const block of layout.backups) await superblock.write(device, block, layout.blockBytes, 0);
  await flushDevice(device);
  await superblock.write(device, 0, layout.blockBytes, 0);
  await flushDevice(device);
  return layout;
}

/** A device that fails at it keeps what it has, which harms nothing. */
async function discardVolume(
  device: Device,
  { blockCount, blockBytes }: Layout,
  progress: FormatOptions['progress'],
): Promise<void> {
  if (device.discardBytes === 0) return;
  const end = blockCount * blockBytes;
  for (let at = 0; at < end; at += DISCARD_BYTES) {
    const completion = new PromisedCompletion();
    device.discard(at, Math.min(DISCARD_BYTES, end - at), completion);
    device.submit();
    if ((await completion.promise) !== 0) return;
    progress?.(at, end);
  }
}

/**
 * Blocks that are not written in full and must not show what they held: those of superblocks, and
 * the heads of the journal.
 */
function staleBlocks({ blockBytes, journalStart, backups }: Layout): ByteRange[] {
  return [
    ...[0, ...backups].map((block) => ({ offsetBytes: block * blockBytes, lengthBytes: blockBytes })),
    { offsetBytes: journalStart * blockBytes, lengthBytes: JOURNAL_HEADS * blockBytes },
  ];
}

async function writeMetadata(
  device: Device,
  layout: Layout,
  options: FormatOptions,
  clock: Clock,
): Promise<void> {
  const cache = new BlockCache(device, layout.blockBytes, options.uuid, 256 * layout.blockBytes);
  const tx = new Transaction(cache, clock, false);
  const space = new SpaceMap(tx, layout);
  space.usePolicy({ definition: firstFit });
  tx.begin();
  createSpace(tx, layout);
  createVolumeRoot(tx, layout);
  const table = new InodeTable(layout, space, new ExtentMap(space));
  const quotas = options.features?.has('quota') ? new Quotas(table, space) : undefined;
  if (quotas !== undefined) {
    quotas.tree.create(tx);
    quotas.tree.setKinds(tx, QUOTA_KINDS);
    tx.usage = quotas;
  }
  createRootDirectory(tx, table, options);
  quotas?.settle(tx);
  tx.succeed();
  await writeHome(device, cache, layout.blockBytes);
}

/** No journal yet: a volume being made is none until its superblock is there. */
async function writeHome(device: Device, cache: BlockCache, blockBytes: number): Promise<void> {
  const frames = [...cache.dirtySet()].sort((a, b) => a.block - b.block);
  const staged = new Staging(device).reserve(frames.length * blockBytes);
  for (const [i, frame] of frames.entries()) {
    const at = i * blockBytes;
    staged.bytes.set(frame.bytes, at);
    sealBlock({ ...staged, at }, blockBytes, FIRST_SEQUENCE);
  }
  const blocks = frames.map((frame) => frame.block);
  await writeBlocks(device, staged.memory, blocks, blockBytes);
}

function createVolumeRoot(tx: Transaction, layout: Layout): void {
  const frame = tx.create(layout.volumeRootBlock, BlockKind.volumeRoot, 0);
  VolumeRoot.nextGeneration.set(frame.view, 0, 1);
  VolumeRoot.blockCount.set(frame.view, 0, layout.blockCount);
  initialiseTree({ frame, at: VOLUME_ROOT_INODE_OFFSET, number: 0 }, TreeKind.extents);
}

function createRootDirectory(tx: Transaction, table: InodeTable, options: FormatOptions): void {
  const root = table.create(tx, {
    mode: FileType.directory | 0o755,
    uid: options.uid,
    gid: options.gid,
    deviceNumber: 0,
    linkCount: 2,
    parent: ROOT_INODE,
    projectId: 0,
  });
  if (root.number !== ROOT_INODE) throw new Error(`the root directory got inode ${root.number}`);
}
