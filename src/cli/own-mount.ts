/**
 * Where the mount of this daemon is now.
 *
 * It is remembered by its id and its filesystem's device number. Its path may change, and another
 * mount's may become the same.
 */
import { coversOf, findMount, type MountRecord, mountTable } from '../fuse/mount-table.ts';
import { isReadOnly } from '../fuse/remount.ts';

export class OwnMount {
  readonly #made: MountRecord | undefined;

  private constructor(made: MountRecord | undefined) {
    this.#made = made;
  }

  /** To be called when the mount was just made: it is the topmost on its directory. */
  static on(directory: string): OwnMount {
    return new OwnMount(findMount(directory));
  }

  get deviceNumbers(): string | undefined {
    return this.#made?.deviceNumbers;
  }

  /**
   * Every place of its filesystem that this process can see: the mount itself first, then bind
   * mounts.
   */
  places(): MountRecord[] {
    const made = this.#made;
    if (made === undefined) return [];
    const same = mountTable().filter(
      ({ deviceNumbers, type }) => deviceNumbers === made.deviceNumbers && type === made.type,
    );
    return same.sort((a, b) => Number(b.id === made.id) - Number(a.id === made.id));
  }

  /** Whether the mount table shows the filesystem as read-only; undefined if it is not there. */
  get isReadOnly(): boolean | undefined {
    const [own] = this.places();
    return own && isReadOnly(own);
  }

  /** What lies over one of its places, and has to be left alone. */
  coversOf(place: MountRecord): MountRecord[] {
    return coversOf(mountTable(), place);
  }
}
