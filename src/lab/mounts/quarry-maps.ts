/**
 * How a mounted volume of ours lies: the device is read beside the daemon, as a mount that may not
 * write would read it. It has to be at rest, and all of it on the device.
 */
import { openKernelDevice } from '../../aio/kernel-device.ts';
import { FileType, ROOT_INODE } from '../../fs/format/format.ts';
import { openVolume, type Volume } from '../../fs/volume.ts';
import type { LaidExtent } from '../measures/layout.ts';
import { entriesOf, filesOf, visitFreeRuns } from '../runners/volume-layout.ts';

export class QuarryMaps {
  readonly #volume: Volume;

  private constructor(volume: Volume) {
    this.#volume = volume;
  }

  /** @throws FsError, NotAVolumeError, CorruptionError */
  static async open(path: string): Promise<QuarryMaps> {
    const device = openKernelDevice(path, { readOnly: true, exclusive: false, allowBuffered: true });
    return new QuarryMaps(await openVolume(device, { readOnly: true, commitSeconds: 0 }));
  }

  /** The files of a directory, then those of the directories in it. */
  async *filesInOrder(directory: number = ROOT_INODE): AsyncGenerator<readonly LaidExtent[]> {
    const entries = await entriesOf(this.#volume, directory);
    yield* filesOf(this.#volume, entries);
    for (const { inode, fileType } of entries) {
      if (fileType === FileType.directory) yield* this.filesInOrder(inode);
    }
  }

  async visitFreeRuns(visit: (start: number, length: number) => void): Promise<boolean> {
    await visitFreeRuns(this.#volume, visit);
    return true;
  }

  close(): Promise<void> {
    return this.#volume.unmount();
  }
}
