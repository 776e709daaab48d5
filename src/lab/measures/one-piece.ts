/**
 * When a file in one piece finds no room, by its size.
 *
 * A volume of ours scatters a file over as many extents as it takes, and refuses it only when there
 * is no block left. What fails much sooner, and tells policies apart, is to have it in one piece:
 *
 *   full     how full the volume would be when the first piece of that size finds no run, if from
 *            now on nothing came but such pieces and none went: from each free run as many are cut
 *            as it has room for, and what is left of it is too short
 *   without  how full it was when a look first found no run of that size; −1 if each look found one
 *
 * Both count what is free, wherever it lies. No run crosses from one group to the next: a fresh
 * volume, too, has room for a piece of 64 MiB only as often as its groups have.
 */

/** Sizes of pieces, by name. */
export const PIECES = {
  '4KiB': 2 ** 12,
  '16KiB': 2 ** 14,
  '64KiB': 2 ** 16,
  '256KiB': 2 ** 18,
  '1MiB': 2 ** 20,
  '4MiB': 2 ** 22,
  '16MiB': 2 ** 24,
  '64MiB': 2 ** 26,
} as const;

export type PieceName = keyof typeof PIECES;

/** Shares of the space in use. */
export type OnePieceFigures = Readonly<Record<`full${PieceName}` | `without${PieceName}`, number>>;

interface Piece {
  readonly name: PieceName;
  readonly blocks: number;
  /** Blocks in all pieces that there is room for. */
  usableBlocks: number;
  /** Fullness when there was room for none. */
  without: number;
}

export class OnePieceGatherer {
  readonly #spaceBlocks: number;
  readonly #pieces: readonly Piece[];
  /** As of this look. */
  freeBlocks = 0;

  /** @param spaceBlocks in use and free, but for what is in use for ever */
  constructor(blockBytes: number, spaceBlocks: number) {
    this.#spaceBlocks = spaceBlocks;
    this.#pieces = (Object.keys(PIECES) as PieceName[]).map((name) => ({
      name,
      blocks: Math.ceil(PIECES[name] / blockBytes),
      usableBlocks: 0,
      without: -1,
    }));
  }

  /** A new look at the volume: its free runs follow, then `endLook`. */
  beginLook(): void {
    this.freeBlocks = 0;
    for (const piece of this.#pieces) piece.usableBlocks = 0;
  }

  add(length: number): void {
    this.freeBlocks += length;
    for (const piece of this.#pieces) piece.usableBlocks += length - (length % piece.blocks);
  }

  endLook(): void {
    const fullness = 1 - this.freeBlocks / this.#spaceBlocks;
    for (const piece of this.#pieces)
      if (piece.usableBlocks === 0 && piece.without < 0) piece.without = fullness;
  }

  /** As of the last look, and of all of them. */
  figures(): OnePieceFigures {
    const usedBlocks = this.#spaceBlocks - this.freeBlocks;
    const figures = this.#pieces.flatMap(({ name, usableBlocks, without }) => [
      [`full${name}`, (usedBlocks + usableBlocks) / this.#spaceBlocks],
      [`without${name}`, without],
    ]);
    return Object.fromEntries(figures) as OnePieceFigures;
  }
}
