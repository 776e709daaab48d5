/**
 * Of which files the kernel may hold pages that a READ filled.
 *
 * A write past the page cache (O_DIRECT) makes the kernel drop the pages of its range before it
 * sends the WRITE, and, if the caller waits for it, once more afterwards. For libaio and io_uring
 * there is no second time: a READ on behalf of the page cache that ran in between has put the old
 * bytes back, and nothing would ever take them away. Such a READ may have been answered before we
 * saw the WRITE, since the kernel holds requests back in queues of its own; so what counts is not
 * whether both were here at once, but whether the file was read through the cache at all since the
 * kernel took it into its memory. If it was, the range is dropped by a notice before the WRITE is
 * answered. A READ that comes later reads the new bytes: they are on the device. A file that is
 * only read and written past the cache, as databases do, never costs a notice.
 */
export class CachedPages {
  readonly #inodes = new Set<number>();

  /** A READ on behalf of the page cache has come. */
  filled(inode: number): void {
    this.#inodes.add(inode);
  }

  mayHold(inode: number): boolean {
    return this.#inodes.size > 0 && this.#inodes.has(inode);
  }

  /** The kernel gave the inode up, and its pages with it. */
  gone(inode: number): void {
    if (this.#inodes.size > 0) this.#inodes.delete(inode);
  }
}
