/** One block for people: taken apart if it is one of metadata. */
import { hasMagic } from '../check/metadata-block.ts';
import { blockParts, type Part } from './block-parts.ts';
import type { VolumeSource } from './volume-source.ts';

export interface BlockReport {
  readonly block: number;
  readonly bytes: Uint8Array;
  /** Undefined if the block is none of metadata. */
  readonly parts: readonly Part[] | undefined;
  /** What is wrong with a block of metadata, or undefined. */
  readonly fault: string | undefined;
}

/** @throws InspectError if the volume has no such block or it cannot be read */
export async function reportBlock(source: VolumeSource, block: number): Promise<BlockReport> {
  const bytes = await source.block(block);
  const parts = hasMagic(bytes) ? blockParts(bytes) : undefined;
  const fault = parts === undefined ? undefined : source.fault(bytes, block);
  return { block, bytes, parts, fault };
}
