/**
 * Writes that nobody waits for, held for a moment, so that those which lie side by side on the
 * device go to it as one.
 *
 *   writeLater ─▶ held ─▶ 64 of them, 1 MiB, 2 ms, or somebody waits: sorted ─▶ runs ─▶ the lane
 *
 * Many small files are many small requests to the device otherwise, though their blocks follow each
 * other. As long as the device is busy with earlier ones, they are held on, up to twice as many:
 * they would wait there as well, and a slow disk gets fewer and longer ones. Where whoever waits
 * has cut the moment short, the next ones are not held: a program that writes and syncs in turns
 * gains nothing by it.
 *
 * A run that fails is tried again write by write: an error is that of the write that it belongs to.
 */
import { QueueOperation } from '../native.ts';
import type { IoCompletion, Memory } from './device.ts';
import type { Lane } from './lane.ts';
import { BUSY_FACTOR, LONGEST_GATHERED_BYTES, MOST_GATHERED, MOST_GATHERED_BYTES } from './limits.ts';
import { tell } from './local-completions.ts';

const MOMENT_MILLISECONDS = 2;
/** Not held, after somebody could not wait. */
const PROMPT_WRITES = 64;

interface HeldWrite {
  /** Not collected as long as it is held. */
  readonly memory: Memory;
  readonly memoryId: number;
  readonly memoryOffset: number;
  readonly lengthBytes: number;
  readonly deviceOffset: number;
  readonly completion: IoCompletion;
}

function enqueue(lane: Lane<IoCompletion>, write: HeldWrite, completion: IoCompletion): void {
  const { memoryId, memoryOffset, lengthBytes, deviceOffset } = write;
  lane.transfer(QueueOperation.write, memoryId, memoryOffset, lengthBytes, deviceOffset, completion);
}

/** Whether it begins where the other ends. */
function follows(write: HeldWrite | undefined, other: HeldWrite | undefined): boolean {
  return (
    write !== undefined &&
    other !== undefined &&
    write.deviceOffset === other.deviceOffset + other.lengthBytes
  );
}

/** One, or several side by side, as one request. */
class Run implements IoCompletion {
  constructor(
    readonly lane: Lane<IoCompletion>,
    readonly writes: readonly HeldWrite[],
    readonly over: () => void,
  ) {}

  ioDone(errno: number): void {
    if (errno === 0 || this.writes.length === 1)
      for (const { completion } of this.writes) tell(completion, errno);
    else for (const write of this.writes) enqueue(this.lane, write, write.completion);
    this.over();
  }
}

export class GatheredWrites {
  readonly #lane: Lane<IoCompletion>;
  readonly #submit: () => void;
  #held: HeldWrite[] = [];
  #heldBytes = 0;
  /** How many of the next are not to be held. */
  #prompt = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Runs that the device has, … */
  #underWay = 0;
  /** … and whether what is held goes as soon as it has none. */
  #due = false;
  readonly #over = () => {
    if (--this.#underWay === 0 && this.#due) this.#handOver();
  };

  /** @param submit hands over what is in line */
  constructor(lane: Lane<IoCompletion>, submit: () => void) {
    this.#lane = lane;
    this.#submit = submit;
  }

  /** Whether one of that length is to be held now. */
  takes(lengthBytes: number): boolean {
    if (lengthBytes > LONGEST_GATHERED_BYTES) return false;
    if (this.#prompt === 0) return true;
    this.#prompt--;
    return false;
  }

  /** @param memoryId the number of `memory` */
  // biome-ignore lint/complexity/useMaxParams: as Lane.transfer.
  hold(
    memory: Memory,
    memoryId: number,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#held.push({ memory, memoryId, memoryOffset, lengthBytes, deviceOffset, completion });
    this.#heldBytes += lengthBytes;
    const factor = this.#underWay > 0 ? BUSY_FACTOR : 1;
    if (this.#held.length >= MOST_GATHERED * factor || this.#heldBytes >= MOST_GATHERED_BYTES * factor)
      this.#handOver();
    else if (!this.#due) this.#timer ??= setTimeout(() => this.#momentOver(), MOMENT_MILLISECONDS);
  }

  #momentOver(): void {
    this.#timer = undefined;
    if (this.#underWay > 0) this.#due = true;
    else this.#handOver();
  }

  /** Somebody waits. */
  hurry(): void {
    this.#prompt = PROMPT_WRITES;
    if (this.#held.length > 0) this.#handOver();
  }

  #handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = false;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    held.sort((one, other) => one.deviceOffset - other.deviceOffset);
    for (let from = 0; from < held.length; ) {
      let to = from + 1;
      while (follows(held[to], held[to - 1])) to++;
      this.#enqueue(held.slice(from, to));
      from = to;
    }
    this.#submit();
  }

  #enqueue(run: HeldWrite[]): void {
    const [first] = run;
    if (first === undefined) return;
    this.#underWay++;
    const completion = new Run(this.#lane, run, this.#over);
    if (run.length === 1) {
      enqueue(this.#lane, first, completion);
      return;
    }
    const lengthBytes = run.reduce((sum, write) => sum + write.lengthBytes, 0);
    this.#lane.transferPieces(QueueOperation.write, [...run], lengthBytes, first.deviceOffset, completion);
  }
}
