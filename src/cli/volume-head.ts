/**
 * The superblock of a target, read for people: what `info` prints, and the first look that every
 * command takes before it opens a volume, so that its refusal is a clear word and the target
 * untouched.
 */

import { inspectSuperblock } from '../check/superblock-pass.ts';
import { featureNames, refusedFor, unknownFeatures } from '../fs/format/features.ts';
import { BlockHeader, SUPERBLOCK_BYTES, Superblock, VolumeState } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { labelText } from '../fs/format/superblock.ts';
import { formatUuid, timeText } from '../inspect/value-text.ts';
import { CommandError, targetError } from './failure.ts';
import { formatSize } from './sizes.ts';
import { notAVolume, type Target, withReader } from './target.ts';

export interface VolumeHead {
  readonly layout: Layout;
  readonly label: string;
  readonly uuid: string;
  readonly formatVersion: number;
  readonly state: 'clean' | 'dirty';
  readonly mountCount: number;
  /** Names of its features. */
  readonly features: readonly string[];
  /** Bits of features with which this version may only read the volume, as '0x4'. */
  readonly onlyReadableFor: string | undefined;
  /** ISO 8601, or undefined for never. */
  readonly created: string | undefined;
  readonly mounted: string | undefined;
  readonly unmounted: string | undefined;
}

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
  const { layout, view, flaw } = found;
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
  return describeHead(layout, view, bytes);
}

function readHeadBytes(target: Target): Uint8Array {
  try {
    return withReader(target.path, (read) => read(0, SUPERBLOCK_BYTES));
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

function describeHead(layout: Layout, view: DataView, bytes: Uint8Array): VolumeHead {
  return {
    layout,
    label: labelText(Superblock.label.of(bytes, 0)),
    uuid: formatUuid(BlockHeader.uuid.of(bytes, 0)),
    formatVersion: Superblock.formatVersion.get(view, 0),
    state: Superblock.state.get(view, 0) === VolumeState.clean ? 'clean' : 'dirty',
    mountCount: Superblock.mountCount.get(view, 0),
    features: featureNames(view),
    onlyReadableFor: unknownFeatures(view, 'readOnly'),
    created: timeText(Superblock.createdSeconds.get(view, 0)),
    mounted: timeText(Superblock.mountedSeconds.get(view, 0)),
    unmounted: timeText(Superblock.unmountedSeconds.get(view, 0)),
  };
}
