/**
 * The superblock and its copies for people, also where the first of them is broken: without a sound
 * one nobody knows where the copies are.
 */
import type { Device } from '../aio/device.ts';
import { BlockSource } from '../check/block-source.ts';
import { hasMagic } from '../check/metadata-block.ts';
import { inspectSuperblock } from '../check/superblock-pass.ts';
import { blockFault } from '../fs/format/block-header.ts';
import { blockViewOf } from '../fs/format/block-view.ts';
import { MAGIC, SUPERBLOCK_BYTES } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { blockParts, type Part } from './block-parts.ts';
import { InspectError } from './inspect-error.ts';

export interface SuperblockReport {
  readonly block: number;
  /** What is wrong with it, or undefined. */
  readonly fault: string | undefined;
  readonly parts: readonly Part[];
}

/** The first superblock, then its copies. @throws InspectError where one is not there */
export async function reportSuperblocks(device: Device): Promise<SuperblockReport[]> {
  const source = new BlockSource(device);
  const bytes = await superblockBytes(source, 0, 0);
  const first = reportOf(bytes, 0);
  const reports = [first];
  const layout = first.fault === undefined ? layoutOf(bytes) : undefined;
  if (layout === undefined) return reports;
  for (const block of layout.backups)
    reports.push(reportOf(await superblockBytes(source, block * layout.blockBytes, block), block));
  return reports;
}

async function superblockBytes(source: BlockSource, offset: number, block: number): Promise<Uint8Array> {
  const { bytes, errno } = await source.read(offset, SUPERBLOCK_BYTES);
  if (errno !== 0) {
    throw new InspectError(`the superblock in block ${block} cannot be read: the target ends before it`);
  }
  if (hasMagic(bytes)) return bytes;
  throw new InspectError(`there is no superblock in block ${block}: it does not begin with '${MAGIC}'`);
}

function reportOf(bytes: Uint8Array, block: number): SuperblockReport {
  const fault = blockFault(blockViewOf(bytes), SUPERBLOCK_BYTES, block, undefined);
  return { block, fault, parts: blockParts(bytes) ?? [] };
}

/** Undefined where the superblock makes no sense. */
function layoutOf(bytes: Uint8Array): Layout | undefined {
  const found = inspectSuperblock(bytes);
  return typeof found === 'string' ? undefined : found.layout;
}
