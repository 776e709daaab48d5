/**
 * The dynamic layout score: of the blocks that are asked of a device, one request after the other,
 * the share that lies directly behind the block before it. 1 is a device read or written from front
 * to end; the first block of all counts for nothing.
 *
 * Smith and Seltzer score what lies on the disk, file by file; this scores what is done to the
 * device, across files, in the order of time: Conway and others, File systems fated for senescence?
 * Nonsense, says science!, FAST 2017. Like theirs it does not tell a short way from a long one.
 */
export class RequestStream {
  /** The block behind the last one; −1 before the first. */
  #next = -1;
  #blocks = 0;
  #following = 0;

  /** A request for `count` blocks from `block` on. */
  request(block: number, count: number): void {
    const following = block === this.#next ? count : count - 1;
    // Nothing is before the first block, so it neither follows nor fails to.
    this.#blocks += this.#next < 0 ? count - 1 : count;
    this.#following += following;
    this.#next = block + count;
  }

  /** Of the requests since the last call; 1 if there were none. */
  takeScore(): number {
    const score = this.#blocks === 0 ? 1 : this.#following / this.#blocks;
    this.#blocks = 0;
    this.#following = 0;
    return score;
  }
}
