/** What a mount is made from, whoever makes it: mount(2) or fusermount3. */
import type { MountOptions } from './options.ts';

export interface FuseMountRequest {
  /** The block device or image file that is shown as the source of the mount. */
  readonly source: string;
  readonly blockDevice: boolean;
  /** As `checkMountpoint` gave it. */
  readonly directory: string;
  readonly options: MountOptions;
  /**
   * Gives up an exclusive hold (O_EXCL) on the block device: the kernel takes its own at the mount.
   */
  releaseClaim?(): void;
}
