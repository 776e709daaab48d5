/**
 * Discards: the device is told of blocks that hold nothing any more.
 *
 * A block may be discarded when it could as well be handed out (J6): its freeing is durable, and
 * nobody reads it any more. Until its discard has ended it is withheld from whoever asks for space,
 * so that no write can be overtaken by it. A crash on the way harms nothing, since nothing on disk
 * speaks of what a free block holds.
 *
 * With `-o discard` what a commit freed comes here (`take`) on its way back into the free space,
 * and waits in line: one discard is under way at a time, runs that touch each other are one, short
 * ones go back at once. When too much is waiting, or somebody finds the volume out of space, what
 * waits goes back as it is; FITRIM (trimming.ts) finds it later.
 */
import { type Device, PromisedCompletion } from '../../aio/device.ts';
import type { Run } from '../../alloc/allocator.ts';
import { asError, Errno, fsErrorFromNumber } from '../base/errors.ts';
import type { Turns } from '../base/turns.ts';
import type { Layout } from '../format/layout.ts';
import type { SpaceMap, Withheld, WithheldRequest } from '../transaction/space-map.ts';

/** Of one discard: devices hold up others for longer ones. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Runs that wait. */
const MOST_WAITING = 4096;
/** How long the end of a mount waits for what waits. */
const LAST_MILLISECONDS = 2000;

export interface DiscardParts {
  readonly device: Device;
  readonly layout: Layout;
  readonly space: SpaceMap;
  readonly turns: Turns;
  readonly log: (line: string) => void;
  /** False where the volume may be damaged: what it calls free is in doubt then. */
  readonly isSound: () => boolean;
  /** Told of a bug: what is in memory of the space is in doubt. */
  readonly broken: (error: Error) => void;
}

export interface DiscardCounters {
  /** Discards that ended well, and their blocks. */
  readonly discards: number;
  readonly discardedBlocks: number;
  readonly discardFailures: number;
  /** Blocks that were to be discarded with `-o discard`, and went back without. */
  readonly discardPassedOverBlocks: number;
}

export class Discards {
  readonly #parts: DiscardParts;
  #isOn = false;
  /** In order of their commits. */
  #waiting: Run[] = [];
  #work: Promise<void> | undefined;
  /** Runs that are withheld, and who waits for one. */
  #withheld = 0;
  #wanting: (() => void)[] = [];
  /** Runs of the line that came back. */
  #ended = 0;
  /** When what still waits goes back. */
  #ends = Number.POSITIVE_INFINITY;
  #discards = 0;
  #discardedBlocks = 0;
  #failures = 0;
  #passedOverBlocks = 0;

  constructor(parts: DiscardParts) {
    this.#parts = parts;
  }

  /** Whether freed blocks are discarded from now on. */
  turn(on: boolean): void {
    const { device, log } = this.#parts;
    this.#isOn = on && !device.readOnly && device.discardBytes > 0;
    if (on && !device.readOnly && device.discardBytes === 0) log('discard: the device does not know it');
  }

  /** The shortest run worth a discard. */
  get leastBlocks(): number {
    const { device, layout } = this.#parts;
    return Math.max(1, Math.ceil(device.discardBytes / layout.blockBytes));
  }

  get mostBlocks(): number {
    return Math.max(this.leastBlocks, Math.floor(MOST_BYTES / this.#parts.layout.blockBytes));
  }

  /**
   * Runs whose blocks may be handed out.
   * @returns those that go back into the free space at once
   */
  take(freed: readonly Run[]): readonly Run[] {
    if (!this.#isOn) return freed;
    const { leastBlocks } = this;
    const atOnce: Run[] = [];
    for (const run of joined(freed, this.#parts.layout.bitsPerBlock)) {
      if (run.length < leastBlocks) atOnce.push(run);
      else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(run);
      else {
        this.#passedOverBlocks += run.length;
        atOnce.push(run);
      }
    }
    this.#begin();
    return atOnce;
  }

  #begin(): void {
    if (this.#work !== undefined || this.#waiting.length === 0) return;
    this.#work = this.#discardAll()
      .catch((thrown) => this.#parts.broken(asError(thrown)))
      .finally(() => {
        this.#work = undefined;
        this.#tell();
        this.#begin();
      });
  }

  async #discardAll(): Promise<void> {
    const { space, turns, isSound } = this.#parts;
    const goesOn = () => this.#isOn && isSound() && turns.now() < this.#ends;
    while (this.#waiting.length > 0) {
      if (!goesOn()) this.#passOver();
      const run = this.#waiting.shift();
      if (run === undefined) return;
      const errno = await this.run(run, () => goesOn() && this.#wanting.length === 0);
      space.release([run]);
      this.#ended++;
      this.#tell();
      if (errno === Errno.EOPNOTSUPP) this.#isOn = false;
    }
  }

  /**
   * Discards blocks that nobody can get meanwhile.
   * @param goesOn asked before all but the first piece of a run that is too long for one discard:
   * where blocks are large, one is of gigabytes
   * @returns 0, or the errno of the device
   */
  async run({ start, length }: Run, goesOn = () => true): Promise<number> {
    const { layout } = this.#parts;
    const { mostBlocks } = this;
    for (let done = 0; done < length; done += mostBlocks) {
      if (done > 0 && !goesOn()) {
        this.#passedOverBlocks += length - done;
        return 0;
      }
      const blocks = Math.min(mostBlocks, length - done);
      const errno = await this.#discard(layout.spaceStart + start + done, blocks);
      if (errno !== 0) return errno;
    }
    return 0;
  }

  async #discard(block: number, blocks: number): Promise<number> {
    const { device, layout, log } = this.#parts;
    const { blockBytes } = layout;
    const completion = new PromisedCompletion();
    device.discard(block * blockBytes, blocks * blockBytes, completion);
    device.submit();
    const errno = await completion.promise;
    if (errno === 0) {
      this.#discards++;
      this.#discardedBlocks += blocks;
    } else if (this.#failures++ === 0) {
      log(
        `discarding ${blocks} blocks from ${block} on failed (${fsErrorFromNumber(errno).code}), which is told once`,
      );
    }
    return errno;
  }

  /** Free runs, to be given back one by one when they are discarded. May miss. */
  withhold(request: WithheldRequest): Withheld {
    const withheld = this.#parts.space.withhold(request);
    this.#withheld += withheld.runs.length;
    return withheld;
  }

  giveBack(run: Run): void {
    this.#parts.space.giveBack([run]);
    this.#withheld--;
    this.#tell();
  }

  #somethingBack(): Promise<void> {
    return new Promise((resolve) => this.#wanting.push(resolve));
  }

  /** Something came back. */
  #tell(): void {
    for (const tell of this.#wanting.splice(0)) tell();
  }

  /**
   * What waits goes back; resolves when the run that is being discarded has, too, or one that is
   * withheld. What commits free meanwhile is not waited for.
   */
  async makeFree(): Promise<void> {
    this.#passOver();
    const ended = this.#ended;
    if (this.#work === undefined && this.#withheld > 0) await this.#somethingBack();
    while (this.#work !== undefined && this.#ended === ended) await this.#somethingBack();
  }

  /** Resolves when nothing waits any more, soon. */
  async finish(): Promise<void> {
    this.#ends = this.#parts.turns.now() + LAST_MILLISECONDS;
    while (this.#work !== undefined) await this.#work;
    this.#ends = Number.POSITIVE_INFINITY;
  }

  #passOver(): void {
    const runs = this.#waiting;
    this.#waiting = [];
    for (const { length } of runs) this.#passedOverBlocks += length;
    this.#parts.space.release(runs);
  }

  counters(): DiscardCounters {
    return {
      discards: this.#discards,
      discardedBlocks: this.#discardedBlocks,
      discardFailures: this.#failures,
      discardPassedOverBlocks: this.#passedOverBlocks,
    };
  }
}

/** The runs in order of their places; those that touch in one group are one. */
function joined(runs: readonly Run[], groupBlocks: number): Run[] {
  const found: Run[] = [];
  for (const { start, length } of [...runs].sort((a, b) => a.start - b.start)) {
    const last = found.at(-1);
    if (last === undefined || last.start + last.length !== start || start % groupBlocks === 0)
      found.push({ start, length });
    else found[found.length - 1] = { start: last.start, length: last.length + length };
  }
  return found;
}
