/**
 * Tries again to write what could not be written and is still in memory (lost-writes.ts).
 *
 * A try is an ordinary write, under the range lock like any other. Whatever happened to its range
 * while it waited for the lock made another range of what was left, which is tried in its turn, or
 * nothing. One that fails as before keeps its copy for the next sync; of that file no more is
 * tried. One that fails otherwise is lost for good.
 *
 * One after the other: they share one piece of memory, since a write fills the edges around its
 * data in place.
 */
import type { Memory } from '../../aio/device.ts';
import { earlyBufferBytes } from './early-writes.ts';
import { writeFile } from './file-writer.ts';
import type { LostRange } from './lost-ranges.ts';
import { mayPass } from './lost-writes.ts';
import type { WriteContext } from './write-plan.ts';

export class WriteRetry {
  readonly #context: WriteContext;
  #memory: Memory | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(context: WriteContext) {
    this.#context = context;
  }

  /**
   * Tries everything of one inode, or of all, once. Never rejects: what is still lost is with the
   * inode.
   */
  run(inode?: number): Promise<void> {
    if (this.#context.lost.kept(inode).size === 0) return Promise.resolve();
    this.#turn = this.#turn.then(() => this.#tryAll(inode));
    return this.#turn;
  }

  async #tryAll(inode: number | undefined): Promise<void> {
    for (const of of this.#context.lost.kept(inode).keys()) await this.#tryFile(of);
  }

  async #tryFile(inode: number): Promise<void> {
    const { lost } = this.#context;
    const tried = new Set<LostRange>();
    const next = () =>
      lost
        .kept(inode)
        .get(inode)
        ?.find((range) => !tried.has(range));
    for (let range = next(); range !== undefined; range = next()) {
      tried.add(range);
      if (!(await this.#try(inode, range))) return;
    }
  }

  /** False if it failed. */
  async #try(inode: number, range: LostRange): Promise<boolean> {
    const { lost } = this.#context;
    if (range.copy === undefined || !lost.has(inode, range)) return true;
    const thrown = await this.#write(inode, range, range.copy.memory);
    if (thrown === undefined) return true;
    if (!mayPass(thrown) && lost.has(inode, range)) lost.giveUp(range.copy);
    return false;
  }

  #write(inode: number, range: LostRange, copy: Memory): Promise<unknown> {
    const { lost, device } = this.#context;
    const { from, to, at } = range;
    const memory = this.#buffer();
    memory.bytes.set(copy.bytes.subarray(at, at + to - from));
    return new Promise((finished) => {
      writeFile(this.#context, {
        inode,
        offsetBytes: from,
        lengthBytes: to - from,
        memory,
        memoryOffset: 0,
        updateTimes: false,
        killPrivileges: false,
        mayEndEarly: false,
        accepted: true,
        stillWanted: () => lost.has(inode, range),
        finished,
      });
      device.submit();
    });
  }

  #buffer(): Memory {
    const { device, blockBytes } = this.#context;
    this.#memory ??= device.allocateMemory(earlyBufferBytes(blockBytes));
    return this.#memory;
  }
}
