/**
 * Blocks that are being given back in steps: who finds the volume out of space meanwhile waits for
 * them.
 *
 * A task counts from its first step, or from when it has its lock, to its last. One that still
 * waits for a lock does not: whoever holds that lock may be the one who waits for space.
 */
import { strict as assert } from 'node:assert';
export class Freeing {
  #tasks = 0;
  #waiting: (() => void)[] = [];

  get underWay(): boolean {
    return this.#tasks > 0;
  }

  /** Does anybody wait for a step? */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  begin(): void {
    this.#tasks++;
  }

  /** A step is done. */
  stepped(): void {
    if (this.#waiting.length === 0) return;
    for (const tell of this.#waiting.splice(0)) tell();
  }

  end(): void {
    assert(this.#tasks > 0, 'a task ends once');
    this.#tasks--;
    this.stepped();
  }

  /** Calls back when the next step of any task is done. Only while one is under way. */
  afterStep(done: () => void): void {
    this.#waiting.push(done);
  }
}
