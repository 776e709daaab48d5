/**
 * A set of inode numbers: a bit each, in pages that come with their first member. Inodes are
 * numbered densely, so a million of them take some 128 KiB.
 */

const PAGE_BITS = 32768;

export class InodeSet {
  readonly #pages = new Map<number, Uint8Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(inode: number): boolean {
    const bit = inode % PAGE_BITS;
    const byte = this.#pages.get(Math.floor(inode / PAGE_BITS))?.[bit >>> 3] ?? 0;
    return (byte & (1 << (bit & 7))) !== 0;
  }

  /** @returns false if it was a member already */
  add(inode: number): boolean {
    if (this.has(inode)) return false;
    const number = Math.floor(inode / PAGE_BITS);
    const page = this.#pages.get(number) ?? new Uint8Array(PAGE_BITS / 8);
    this.#pages.set(number, page);
    const bit = inode % PAGE_BITS;
    page[bit >>> 3] = (page[bit >>> 3] ?? 0) | (1 << (bit & 7));
    this.#size++;
    return true;
  }

  delete(inode: number): void {
    if (!this.has(inode)) return;
    const page = this.#pages.get(Math.floor(inode / PAGE_BITS));
    const bit = inode % PAGE_BITS;
    if (page !== undefined) page[bit >>> 3] = (page[bit >>> 3] ?? 0) & ~(1 << (bit & 7));
    this.#size--;
  }
}
