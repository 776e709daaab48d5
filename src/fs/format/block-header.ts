/**
 * Sealing and checking metadata blocks: header fields and the checksum.
 *
 * A block is sealed when it is copied out for writing and checked when it has been read; in
 * between, in the cache, its checksum field means nothing.
 */
import { hasBytesAt } from '../../common/bytes.ts';
import { crc32c } from '../../crc32c.ts';
import type { BlockView } from './block-view.ts';
import { BlockHeader, BlockKind, MAGIC_BYTES, SUPERBLOCK_BYTES } from './format.ts';

/** Bytes that the checksum covers. */
function sealedBytes(kind: number, blockBytes: number): number {
  return kind === BlockKind.superblock ? SUPERBLOCK_BYTES : blockBytes;
}

/** Writes the header of a new block, whose bytes are zeroed. */
export function initialiseHeader(
  { bytes, view, at }: BlockView,
  kind: number,
  block: number,
  uuid: Uint8Array,
): void {
  bytes.set(MAGIC_BYTES, at + BlockHeader.magic.offset);
  BlockHeader.kind.set(view, at, kind);
  BlockHeader.block.set(view, at, block);
  bytes.set(uuid, at + BlockHeader.uuid.offset);
}

/** Stamps the sequence and the checksum of the block. */
export function sealBlock({ bytes, view, at }: BlockView, blockBytes: number, sequence: number): void {
  BlockHeader.sequence.set(view, at, sequence);
  BlockHeader.checksum.set(view, at, 0);
  const length = sealedBytes(BlockHeader.kind.get(view, at), blockBytes);
  BlockHeader.checksum.set(view, at, crc32c(bytes, at, at + length, 0));
}

/**
 * What is wrong with the block, or undefined. `uuid` undefined accepts any. The checksum field is
 * left as it was.
 */
export function blockFault(
  { bytes, view, at }: BlockView,
  blockBytes: number,
  block: number,
  uuid: Uint8Array | undefined,
): string | undefined {
  if (!hasBytesAt(bytes, at + BlockHeader.magic.offset, MAGIC_BYTES)) return 'not a metadata block';
  const found = BlockHeader.block.get(view, at);
  if (found !== block) return `says it is block ${found}`;
  if (uuid && !hasBytesAt(bytes, at + BlockHeader.uuid.offset, uuid)) return 'belongs to another volume';
  const stored = BlockHeader.checksum.get(view, at);
  const length = sealedBytes(BlockHeader.kind.get(view, at), blockBytes);
  BlockHeader.checksum.set(view, at, 0);
  const computed = crc32c(bytes, at, at + length, 0);
  BlockHeader.checksum.set(view, at, stored);
  return stored === computed ? undefined : 'checksum does not match';
}
