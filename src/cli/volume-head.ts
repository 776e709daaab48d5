/**
 * The superblock of a target: the first look that every command takes before it opens a volume, so
 * that its refusal is a clear word and the target untouched.
 */

import { type FoundSuperblock, inspectSuperblock } from '../check/superblock-pass.ts';
import { refusedFor, unknownFeatures } from '../fs/format/features.ts';
import { SUPERBLOCK_BYTES } from '../fs/format/format.ts';
import { describeHead, type VolumeHead } from '../inspect/volume-head.ts';
import { CommandError, targetError } from './failure.ts';
import { formatSize } from './sizes.ts';
import { notAVolume, type Target, withReader } from './target.ts';

/**
 * Reads the superblock at the start of the target.
 * @throws CommandError if there is none, it is damaged, or the target is shorter than its volume
 */
export function readVolumeHead(target: Target): VolumeHead {
  const bytes = readHeadBytes(target);
  const found = bytes.length < SUPERBLOCK_BYTES ? 'it is too short for one' : inspectSuperblock(bytes);
  if (typeof found === 'string') {
    throw notAVolume(target, found === 'it has no magic' ? 'nothing at its start says so' : found);
  }
  requireUsable(target, found);
  return describeHead(found);
}

function readHeadBytes(target: Target): Uint8Array {
  try {
    return withReader(target.path, (read) => read(0, SUPERBLOCK_BYTES));
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

function requireUsable(target: Target, { layout, view, flaw }: FoundSuperblock): void {
  if (flaw !== undefined) {
    throw new CommandError(
      `the superblock of ${target.path} is damaged (${flaw}): 'quarry fsck -n ${target.path}' tells more`,
    );
  }
  const unknown = unknownFeatures(view, 'incompatible');
  if (unknown !== undefined) throw new CommandError(`${target.path}: ${refusedFor(unknown)}`);
  const needed = layout.blockCount * layout.blockBytes;
  if (needed > target.sizeBytes) {
    throw new CommandError(
      `${target.path} is cut off: its volume has ${formatSize(needed)}, the target ${formatSize(target.sizeBytes)}; restore it from a copy`,
    );
  }
}
