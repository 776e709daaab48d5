/**
 * FITRIM: the device is told of all free runs of a range of the volume, beside all else.
 *
 * What was freed just before is made durable first, so that `rm` and then `fstrim` gives back what
 * one expects. The range is gone through from group to group, in steps: a transaction that changes
 * nothing finds some free runs and withholds them, they are discarded one after the other, and each
 * goes back when that is done. So a step withholds little, and whoever finds the volume out of
 * space waits for the end of one discard, and looks again. One trim is under way at a time.
 */
import { Errno, fsError, fsErrorFromNumber } from '../base/errors.ts';
import type { TrimRequest } from '../base/filesystem.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { type OperationRunner, transact } from '../transaction/operation-runner.ts';
import type { Withheld } from '../transaction/space-map.ts';
import type { DiscardParts, Discards } from './discards.ts';

/** Of one step. */
const MOST_RUNS = 64;
/** Groups without any free run that is long enough, that one step passes. */
const MOST_GROUPS = 64;

export interface TrimParts extends Omit<DiscardParts, 'isSound' | 'broken'> {
  readonly runner: OperationRunner;
  readonly discards: Discards;
  readonly tx: { readonly readOnly: boolean };
  /** What was freed so far becomes free for good. */
  readonly makeFree: () => Promise<void>;
}

/** Blocks from and to which a trim goes, and how long a run must be. */
interface Range {
  readonly from: BlockNumber;
  readonly limit: BlockNumber;
  readonly minimumBlocks: number;
}

export class Trimming {
  readonly #parts: TrimParts;
  #turn: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #halts = 0;

  constructor(parts: TrimParts) {
    this.#parts = parts;
  }

  /** What is under way ends after its next discard, with EINTR. Resolves when it has. */
  async halt(): Promise<void> {
    if (this.#underWay === 0) return;
    this.#halts++;
    await this.#turn.catch(() => {});
    this.#halts--;
  }

  /**
   * @returns bytes that were discarded
   * @throws FsError EINVAL, EROFS, EOPNOTSUPP; EINTR where it was halted; the error of the device
   */
  trim(request: TrimRequest): Promise<number> {
    if (this.#halts > 0) return Promise.reject(fsError('EINTR'));
    this.#underWay++;
    const turned = this.#turn
      .catch(() => {})
      .then(() => this.#trim(request))
      .finally(() => {
        this.#underWay--;
      });
    this.#turn = turned;
    return turned;
  }

  /** @throws EROFS also of a volume at rest, which a trim does not wake */
  #expectWritable(): void {
    if (this.#parts.tx.readOnly) throw fsError('EROFS');
  }

  /** As ext4 judges the numbers. */
  #rangeOf({ startBytes, lengthBytes, minimumBytes }: TrimRequest): Range {
    const { device, layout, discards } = this.#parts;
    const { blockBytes, blockCount, spaceStart, spaceBlocks, bitsPerBlock } = layout;
    this.#expectWritable();
    if (device.discardBytes === 0) throw fsError('EOPNOTSUPP');
    const minimumBlocks = Math.max(discards.leastBlocks, Math.ceil(minimumBytes / blockBytes));
    const start = Math.floor(startBytes / blockBytes);
    if (start >= blockCount || lengthBytes < blockBytes) throw fsError('EINVAL');
    if (minimumBytes > bitsPerBlock * blockBytes) throw fsError('EINVAL');
    const limit = Math.min(start + Math.floor(lengthBytes / blockBytes), spaceStart + spaceBlocks);
    return { from: Math.max(start, spaceStart), limit, minimumBlocks };
  }

  async #trim(request: TrimRequest): Promise<number> {
    const { layout, turns, makeFree } = this.#parts;
    const { from, limit, minimumBlocks } = this.#rangeOf(request);
    await makeFree();
    let bytes = 0;
    for (let at = from; at < limit; ) {
      if (this.#halts > 0) throw fsError('EINTR');
      const { runs, next } = await this.#withhold({ from: at, limit, minimumBlocks });
      bytes += (await this.#discard(runs)) * layout.blockBytes;
      at = next;
      // Who waits for what was withheld comes first.
      await new Promise<void>((resolve) => turns.later(resolve));
    }
    return bytes;
  }

  #withhold({ from, limit, minimumBlocks }: Range): Promise<Withheld> {
    const { layout, space, discards } = this.#parts;
    const { bitsPerBlock, spaceStart } = layout;
    return transact(this.#parts, () => {
      this.#expectWritable();
      let at = from;
      for (let groups = 0; groups < MOST_GROUPS && at < limit; groups++) {
        const group = Math.floor((at - spaceStart) / bitsPerBlock);
        if (space.index.freeInGroup(group) >= minimumBlocks) break;
        at = spaceStart + (group + 1) * bitsPerBlock;
      }
      if (at >= limit) return { runs: [], next: at };
      const mostBlocks = Math.max(minimumBlocks, discards.mostBlocks);
      return discards.withhold({ from: at, limit, minimumBlocks, mostBlocks, mostRuns: MOST_RUNS });
    });
  }

  /** @returns blocks discarded */
  async #discard(runs: Withheld['runs']): Promise<number> {
    const { discards } = this.#parts;
    let blocks = 0;
    let errno = 0;
    for (const run of runs) {
      if (errno === 0 && this.#halts > 0) errno = Errno.EINTR;
      // What a damaged volume calls free is in doubt.
      if (errno === 0 && this.#parts.tx.readOnly) errno = Errno.EROFS;
      if (errno === 0) errno = await discards.run(run);
      if (errno === 0) blocks += run.length;
      discards.giveBack(run);
    }
    if (errno !== 0) throw fsErrorFromNumber(errno);
    return blocks;
  }
}
