/**
 * What ioctls ask of the volume as a whole: its label, its id, that it tell the device of what is
 * free, and that it be shut down.
 *
 * A shutdown is for tests of what a crash leaves, and for who has to stop all writing now. The
 * volume is as after an error of the device: nothing is written any more, it is not marked clean,
 * and the next mount replays the journal.
 */
import { printable } from '../../common/printable.ts';
import { fsError } from '../base/errors.ts';
import type { ShutdownManner, TrimRequest, WholeVolume } from '../base/filesystem.ts';
import type { Trimming } from '../data/trimming.ts';
import { MAX_LABEL_BYTES, MAX_STORED_OPTIONS_BYTES } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { SuperblockChanges, SuperblockImage } from '../format/superblock.ts';
import type { Committer } from '../journal/commit.ts';
import type { Durability } from './durability.ts';
import { type Health, ShutDownError } from './health.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Rest } from './rest.ts';
import type { VolumeMarks } from './volume-marks.ts';

export interface WholeVolumeParts {
  readonly superblock: SuperblockImage;
  readonly layout: Layout;
  readonly marks: VolumeMarks;
  readonly health: Health;
  readonly rest: Rest;
  readonly lifecycle: Lifecycle;
  readonly durability: Durability;
  readonly committer: Committer;
  readonly trimming: Trimming;
}

/** As `mkfs` takes it: UTF-8 that may be shown. @throws EINVAL */
function expectText(bytes: Uint8Array, mostBytes: number): void {
  const text = Buffer.from(bytes).toString();
  const isUtf8 = Buffer.from(text).equals(bytes);
  if (bytes.length > mostBytes || !isUtf8 || printable(text) !== text) throw fsError('EINVAL');
}

export class MountedWhole implements WholeVolume {
  readonly #parts: WholeVolumeParts;

  constructor(parts: WholeVolumeParts) {
    this.#parts = parts;
  }

  get label(): Uint8Array {
    const field = this.#parts.superblock.labelBytes;
    const end = field.indexOf(0);
    return field.slice(0, end < 0 ? field.length : end);
  }

  get uuid(): Uint8Array {
    return this.#parts.superblock.shownUuid;
  }

  async setLabel(label: Uint8Array): Promise<void> {
    await this.tune({ label });
  }

  /**
   * Changes what the superblock says for people.
   * @throws EINVAL for what it cannot say; EROFS; the error of the device
   */
  async tune(changes: SuperblockChanges): Promise<void> {
    const { label, mountOptions } = changes;
    if (label !== undefined) expectText(label, MAX_LABEL_BYTES);
    if (mountOptions !== undefined) expectText(mountOptions, MAX_STORED_OPTIONS_BYTES);
    const { health, rest, marks, layout } = this.#parts;
    const atRest = health.state === 'resting';
    if (atRest) await rest.wake();
    if (health.state !== 'writable') throw fsError('EROFS');
    try {
      await marks.markTuned(changes, layout);
    } finally {
      if (atRest) await rest.rest();
    }
  }

  trim(request: TrimRequest): Promise<number> {
    return this.#parts.trimming.trim(request);
  }

  async shutDown(manner: ShutdownManner): Promise<void> {
    const { lifecycle, durability, committer, health } = this.#parts;
    if (health.state === 'failed') return;
    try {
      if (manner === 'settled') {
        await lifecycle.settle();
        await committer.drain();
      } else if (manner === 'committed') await durability.commit();
    } finally {
      health.shutDown();
      committer.stop(new ShutDownError());
    }
  }
}
