/**
 * How much of what is given goes to small new files, in the recent past: where the area of the
 * small ones should end.
 *
 * What was given counts for half as soon as as much as the whole space was given since.
 */
export class SizeShares {
  #small = 0;
  #all = 0;

  /** Blocks were given; all of them add up to the space until they count for half. */
  gave(blocks: number, isSmall: boolean, blockCount: number): void {
    this.#all += blocks;
    if (isSmall) this.#small += blocks;
    if (this.#all < blockCount) return;
    this.#all /= 2;
    this.#small /= 2;
  }

  /** From 0 to 1; 0 as long as nothing was given. */
  get ofSmall(): number {
    return this.#all === 0 ? 0 : this.#small / this.#all;
  }
}
