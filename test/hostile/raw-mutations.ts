/**
 * Mutations that know nothing of the format beyond where blocks are: decay, torn and misplaced
 * writes, cut images. Half of them make the checksum of what they touched right again, so that the
 * damage is not stopped at the door.
 */

import { BlockHeader } from '../../src/fs/format/format.ts';
import type { SeededRandom } from '../../src/sim/seeded-random.ts';
import { type Base, type Block, hasMagic, type Image, readBlock } from './image.ts';

/** Changes the image. `other` is some other base, to take foreign blocks from. */
export type Mutation = (image: Image, random: SeededRandom, other: Base) => void;

/** Mostly metadata, which there is little of. */
function anyBlock(image: Image, random: SeededRandom): number {
  const { metadata, used, journal } = image.index;
  const kind = random.below(10);
  if (kind === 0) return random.below(image.layout.blockCount);
  if (kind === 1 && journal.length > 0) return random.pick(journal);
  return random.pick(kind === 2 ? used : metadata);
}

function put(image: Image, random: SeededRandom, block: Block): void {
  if (random.chance(0.5)) image.seal(block);
  else image.store(block);
}

/** Where in a block: the head of things is denser with meaning than their end. */
function anyOffset(random: SeededRandom, blockBytes: number): number {
  return random.below(random.chance(0.6) ? Math.min(blockBytes, 640) : blockBytes);
}

function flipBits(image: Image, random: SeededRandom): void {
  const block = image.block(anyBlock(image, random));
  for (let i = random.below(4); i >= 0; i--) {
    const at = anyOffset(random, block.bytes.length);
    block.bytes[at] = (block.bytes[at] as number) ^ (1 << random.below(8));
  }
  put(image, random, block);
}

function byteRun(image: Image, random: SeededRandom): void {
  const block = image.block(anyBlock(image, random));
  const from = anyOffset(random, block.bytes.length);
  const to = Math.min(block.bytes.length, from + 1 + random.below(random.chance(0.5) ? 8 : 300));
  const style = random.below(3);
  for (let at = from; at < to; at++)
    block.bytes[at] = style === 0 ? 0 : style === 1 ? 0xff : random.below(256);
  put(image, random, block);
}

function zeroBlock(image: Image, random: SeededRandom): void {
  const block = image.block(anyBlock(image, random));
  block.bytes.fill(0, random.chance(0.5) ? 0 : 64);
  put(image, random, block);
}

/** What stands in one place appears in another, perhaps claiming to belong there. */
function copyOver(image: Image, random: SeededRandom, from: Block, to: number): void {
  const block: Block = { number: to, bytes: from.bytes, view: from.view };
  if (hasMagic(block.bytes) && random.chance(0.7)) BlockHeader.block.set(block.view, 0, to);
  put(image, random, block);
}

function duplicateBlock(image: Image, random: SeededRandom): void {
  copyOver(image, random, image.block(anyBlock(image, random)), anyBlock(image, random));
}

function swapBlocks(image: Image, random: SeededRandom): void {
  const one = image.block(anyBlock(image, random));
  const two = image.block(anyBlock(image, random));
  const [first, second] = [one.number, two.number];
  copyOver(image, random, one, second);
  copyOver(image, random, two, first);
}

function spliceBlock(image: Image, random: SeededRandom, other: Base): void {
  const foreign = readBlock(other.bytes, image.layout.blockBytes, random.pick(other.index.metadata));
  copyOver(image, random, foreign, anyBlock(image, random));
}

/** Some sectors of a write arrived, the others did not. */
function tearBlock(image: Image, random: SeededRandom): void {
  const block = image.block(anyBlock(image, random));
  const second = image.block(anyBlock(image, random));
  for (let at = 0; at < block.bytes.length; at += 512) {
    if (random.chance(0.5)) block.bytes.set(second.bytes.subarray(at, at + 512), at);
  }
  put(image, random, block);
}

function truncateImage(image: Image, random: SeededRandom): void {
  const { sizeBytes } = image.bytes;
  const kept = random.chance(0.5) ? sizeBytes - (1 + random.below(8)) * 512 : random.below(sizeBytes);
  image.bytes.truncate(Math.max(0, Math.floor(kept / 512) * 512));
}

export const RAW_MUTATIONS: Readonly<Record<string, Mutation>> = {
  'flip-bits': flipBits,
  'byte-run': byteRun,
  'zero-block': zeroBlock,
  'duplicate-block': duplicateBlock,
  'swap-blocks': swapBlocks,
  'splice-block': spliceBlock,
  'tear-block': tearBlock,
  'truncate-image': truncateImage,
};
