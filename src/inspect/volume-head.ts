/** What the superblock of a volume says, for people. */
import type { FoundSuperblock } from '../check/superblock-pass.ts';
import { featureNames, unknownFeatures } from '../fs/format/features.ts';
import { Superblock, VolumeState } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { labelText, shownUuidOf } from '../fs/format/superblock.ts';
import { formatUuid, timeText } from './value-text.ts';

export interface VolumeHead {
  readonly layout: Layout;
  readonly label: string;
  /** The one that it shows. */
  readonly uuid: string;
  /** Those that hold where none says otherwise. */
  readonly mountOptions: string;
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

export function describeHead({ layout, view, bytes }: FoundSuperblock): VolumeHead {
  return {
    layout,
    label: labelText(Superblock.label.of(bytes, 0)),
    uuid: formatUuid(shownUuidOf(bytes)),
    mountOptions: labelText(Superblock.mountOptions.of(bytes, 0)),
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

/** Where things stand on a volume of this layout. */
export function describeLayout(layout: Layout): Readonly<Record<string, number>> {
  return {
    blockBytes: layout.blockBytes,
    blockCount: layout.blockCount,
    sizeBytes: layout.blockCount * layout.blockBytes,
    journalStart: layout.journalStart,
    journalBlocks: layout.journalBlocks,
    volumeRootBlock: layout.volumeRootBlock,
    spaceStart: layout.spaceStart,
    spaceBlocks: layout.spaceBlocks,
    groupCount: layout.groupCount,
    groupBlocks: layout.bitsPerBlock,
  };
}
