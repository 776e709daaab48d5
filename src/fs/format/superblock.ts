/**
 * The superblock: identity and geometry of a volume, in the first 1024 bytes of block 0, with
 * backups behind the volume root and in group 1.
 *
 * It is written at mkfs, at mount and unmount to say whether the volume is clean, and when the
 * volume grows; the backups at mkfs and when it grows.
 */

import { type Device, type Memory, PromisedCompletion } from '../../aio/device.ts';
import { hasBytesAt } from '../../common/bytes.ts';
import { MAX_SECTOR_BYTES } from '../../common/limits.ts';
import { messageOf } from '../../common/thrown.ts';
import type { Clock } from '../base/clock.ts';
import { fsErrorFromNumber } from '../base/errors.ts';
import { blockFault, initialiseHeader, sealBlock } from './block-header.ts';
import type { BlockView } from './block-view.ts';
import { defaultFeatures, knownFeatureNames, refusedFor, setFeatures, unknownFeatures } from './features.ts';
import {
  BlockHeader,
  BlockKind,
  FORMAT_VERSION,
  MAGIC,
  MAGIC_BYTES,
  MAX_LABEL_BYTES,
  SUPERBLOCK_BYTES,
  Superblock,
  VolumeState,
} from './format.ts';
import { Layout } from './layout.ts';
import { NameSecret } from './name-hash.ts';

/** Why a device holds no volume that can be mounted: a sentence for the user. */
export class NotAVolumeError extends Error {
  override readonly name = 'NotAVolumeError';
}

export interface VolumeIdentity {
  readonly label: string;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** 8 bytes. */
  readonly journalSalt: Uint8Array;
  /** `NAME_SECRET_BYTES`. */
  readonly nameSecret: Uint8Array;
  /** By default all that this version knows. */
  readonly features?: ReadonlySet<string>;
}

/** What may change of a superblock without the volume being another; what is undefined stays. */
export interface SuperblockChanges {
  /** At most `MAX_LABEL_BYTES`. */
  readonly label?: Uint8Array;
  /** The id to show, 16 bytes; zeros for the one of the block headers. */
  readonly shownUuid?: Uint8Array;
  /** At most `MAX_STORED_OPTIONS_BYTES` of UTF-8. */
  readonly mountOptions?: Uint8Array;
  /** Names of all features that this version knows and the volume has. */
  readonly features?: ReadonlySet<string>;
}

/** Bytes of device memory that a superblock is read and written with: at least one sector. */
const TRANSFER_BYTES = MAX_SECTOR_BYTES;

/** The id that a superblock shows, 16 bytes. */
export function shownUuidOf(bytes: Uint8Array): Uint8Array {
  const shown = Superblock.shownUuid.of(bytes, 0);
  return (shown.some((byte) => byte !== 0) ? shown : BlockHeader.uuid.of(bytes, 0)).slice();
}

/** A label, or other text of a superblock, up to its padding, as it is. */
export function labelText(field: Uint8Array): string {
  const end = field.indexOf(0);
  return new TextDecoder().decode(field.subarray(0, end < 0 ? field.length : end));
}

export class SuperblockImage implements BlockView {
  readonly at = 0;
  readonly memory: Memory;
  readonly view: DataView;

  constructor(device: Device) {
    this.memory = device.allocateMemory(TRANSFER_BYTES);
    const { buffer, byteOffset, byteLength } = this.memory.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
  }

  get bytes(): Uint8Array {
    return this.memory.bytes;
  }

  get uuid(): Uint8Array {
    return BlockHeader.uuid.of(this.bytes, 0).slice();
  }

  /** What people know the volume by, where `uuid` is what its blocks bear. */
  get shownUuid(): Uint8Array {
    return shownUuidOf(this.bytes);
  }

  /** Mount options that hold where none says otherwise, as a list with commas. */
  get mountOptions(): string {
    return labelText(Superblock.mountOptions.of(this.bytes, 0));
  }

  get journalSalt(): Uint8Array {
    return Superblock.journalSalt.of(this.bytes, 0).slice();
  }

  get nameSecret(): NameSecret {
    return new NameSecret(Superblock.nameSecret.of(this.bytes, 0));
  }

  get label(): string {
    return labelText(Superblock.label.of(this.bytes, 0));
  }

  get labelBytes(): Uint8Array {
    return Superblock.label.of(this.bytes, 0);
  }

  get isClean(): boolean {
    return Superblock.state.get(this.view, 0) === VolumeState.clean;
  }

  get sequence(): number {
    return BlockHeader.sequence.get(this.view, 0);
  }

  /** @throws RangeError if the geometry makes no volume */
  layout(): Layout {
    return new Layout({
      blockBytes: Superblock.blockBytes.get(this.view, 0),
      blockCount: Superblock.blockCount.get(this.view, 0),
      journalBlocks: Superblock.journalBlocks.get(this.view, 0),
    });
  }

  /** Fills the image for a new volume. */
  initialise(layout: Layout, identity: VolumeIdentity, clock: Clock): void {
    const { view, bytes } = this;
    bytes.fill(0);
    initialiseHeader(this, BlockKind.superblock, 0, identity.uuid);
    Superblock.formatVersion.set(view, 0, FORMAT_VERSION);
    Superblock.blockBytes.set(view, 0, layout.blockBytes);
    Superblock.blockCount.set(view, 0, layout.blockCount);
    Superblock.journalStart.set(view, 0, layout.journalStart);
    Superblock.journalBlocks.set(view, 0, layout.journalBlocks);
    Superblock.volumeRootBlock.set(view, 0, layout.volumeRootBlock);
    Superblock.spaceStart.set(view, 0, layout.spaceStart);
    Superblock.spaceBlocks.set(view, 0, layout.spaceBlocks);
    Superblock.journalSalt.of(bytes, 0).set(identity.journalSalt);
    Superblock.nameSecret.of(bytes, 0).set(identity.nameSecret);
    const label = new TextEncoder().encode(identity.label);
    if (label.length > MAX_LABEL_BYTES) throw new RangeError(`a label has at most ${MAX_LABEL_BYTES} bytes`);
    Superblock.label.of(bytes, 0).set(label);
    setFeatures(view, identity.features ?? defaultFeatures());
    Superblock.createdSeconds.set(view, 0, clock.seconds);
    Superblock.createdNanoseconds.set(view, 0, clock.nanoseconds);
  }

  /** The volume has another number of blocks. */
  resized({ blockCount, spaceBlocks }: Layout): void {
    Superblock.blockCount.set(this.view, 0, blockCount);
    Superblock.spaceBlocks.set(this.view, 0, spaceBlocks);
  }

  /** What `tune` would have to be given for all to stay as it is. */
  tuning(): SuperblockChanges {
    return {
      label: this.labelBytes.slice(),
      shownUuid: Superblock.shownUuid.of(this.bytes, 0).slice(),
      mountOptions: Superblock.mountOptions.of(this.bytes, 0).slice(),
      features: new Set(knownFeatureNames(this.view)),
    };
  }

  tune({ label, shownUuid, mountOptions, features }: SuperblockChanges): void {
    const { bytes, view } = this;
    if (label) this.labelBytes.fill(0).set(label);
    if (shownUuid) Superblock.shownUuid.of(bytes, 0).set(shownUuid);
    if (mountOptions) Superblock.mountOptions.of(bytes, 0).fill(0).set(mountOptions);
    if (features) setFeatures(view, features);
  }

  markMounted(clock: Clock): void {
    const { view } = this;
    Superblock.state.set(view, 0, VolumeState.dirty);
    Superblock.mountCount.set(view, 0, Superblock.mountCount.get(view, 0) + 1);
    Superblock.mountedSeconds.set(view, 0, clock.seconds);
    Superblock.mountedNanoseconds.set(view, 0, clock.nanoseconds);
  }

  markClean(clock: Clock): void {
    const { view } = this;
    Superblock.state.set(view, 0, VolumeState.clean);
    Superblock.unmountedSeconds.set(view, 0, clock.seconds);
    Superblock.unmountedNanoseconds.set(view, 0, clock.nanoseconds);
  }

  /** Seals the image and writes it as block `block` of the volume. Not flushed. */
  async write(device: Device, block: number, blockBytes: number, sequence: number): Promise<void> {
    BlockHeader.block.set(this.view, 0, block);
    sealBlock(this, blockBytes, sequence);
    const completion = new PromisedCompletion();
    const length = Math.min(TRANSFER_BYTES, Math.max(SUPERBLOCK_BYTES, device.sectorBytes));
    device.write(this.memory, 0, length, block * blockBytes, completion);
    device.submit();
    await settled(completion);
  }
}

async function settled(completion: PromisedCompletion): Promise<void> {
  const errno = await completion.promise;
  if (errno !== 0) throw fsErrorFromNumber(errno);
}

/**
 * Reads and checks the superblock at the start of the device.
 * @throws NotAVolumeError, FsError (EIO)
 */
export async function readSuperblock(device: Device): Promise<SuperblockImage> {
  if (device.sizeBytes < TRANSFER_BYTES) throw new NotAVolumeError('it is too small to hold a Quarry volume');
  const image = new SuperblockImage(device);
  const completion = new PromisedCompletion();
  device.read(image.memory, 0, TRANSFER_BYTES, 0, completion);
  device.submit();
  await settled(completion);
  const fault = superblockFault(image, device.sizeBytes) ?? sectorFault(image, device.sectorBytes);
  if (fault !== undefined) throw new NotAVolumeError(fault);
  return image;
}

function superblockFault(image: SuperblockImage, deviceBytes: number): string | undefined {
  const { view, bytes } = image;
  if (!hasBytesAt(bytes, 0, MAGIC_BYTES)) {
    return `it holds no Quarry volume (no '${MAGIC}' at its start)`;
  }
  const fault = blockFault(image, SUPERBLOCK_BYTES, 0, undefined);
  if (fault !== undefined) return `its superblock is damaged (${fault}); 'quarry fsck' tells more`;
  if (BlockHeader.kind.get(view, 0) !== BlockKind.superblock) return 'its first block is not a superblock';
  const version = Superblock.formatVersion.get(view, 0);
  if (version !== FORMAT_VERSION) {
    return `it has format version ${version}, and this program knows only version ${FORMAT_VERSION}`;
  }
  const unknown = unknownFeatures(view, 'incompatible');
  if (unknown !== undefined) return refusedFor(unknown);
  if (Superblock.state.get(view, 0) === VolumeState.repairing)
    return "a repair of it was cut off; 'quarry fsck -y' ends it";
  return geometryFault(image, deviceBytes);
}

function sectorFault(image: SuperblockImage, sectorBytes: number): string | undefined {
  const blockBytes = Superblock.blockBytes.get(image.view, 0);
  if (blockBytes >= sectorBytes) return undefined;
  return `its blocks of ${blockBytes} bytes are smaller than the device's sectors of ${sectorBytes}`;
}

function geometryFault(image: SuperblockImage, deviceBytes: number): string | undefined {
  let layout: Layout;
  try {
    layout = image.layout();
  } catch (thrown) {
    return `its superblock makes no sense: ${messageOf(thrown)}`;
  }
  const { view } = image;
  if (
    Superblock.journalStart.get(view, 0) !== layout.journalStart ||
    Superblock.spaceStart.get(view, 0) !== layout.spaceStart ||
    Superblock.spaceBlocks.get(view, 0) !== layout.spaceBlocks ||
    Superblock.volumeRootBlock.get(view, 0) !== layout.volumeRootBlock
  ) {
    return 'its superblock contradicts itself';
  }
  const needed = layout.blockCount * layout.blockBytes;
  if (needed > deviceBytes) {
    return `it is truncated: the volume has ${needed} bytes, the device ${deviceBytes}`;
  }
  return undefined;
}
