/**
 * Which data transfers may still touch a block that was freed?
 *
 * Every transfer enters the current epoch when its blocks are looked up and leaves it when it is
 * done. Freed blocks are put behind the epoch that was current when their freeing became durable:
 * when no transfer of that epoch or an earlier one is in flight, nothing can reach them any more,
 * and they may be handed out again.
 */
import { strict as assert } from 'node:assert';

interface Gate {
  readonly epoch: number;
  readonly open: () => void;
}

export class IoEpochs {
  #current = 0;
  /**
   * Transfers in flight, by epoch; only epochs that have some, in their order, since only the
   * current one is ever added.
   */
  readonly #inFlight = new Map<number, number>();
  /** By epoch. */
  readonly #gates: Gate[] = [];

  /** Returns the epoch to leave later. */
  enter(): number {
    const epoch = this.#current;
    this.#inFlight.set(epoch, (this.#inFlight.get(epoch) ?? 0) + 1);
    return epoch;
  }

  leave(epoch: number): void {
    const left = (this.#inFlight.get(epoch) ?? 0) - 1;
    assert(left >= 0, 'a transfer leaves the epoch that it entered, once');
    if (left > 0) {
      this.#inFlight.set(epoch, left);
      return;
    }
    this.#inFlight.delete(epoch);
    this.#openGates();
  }

  /**
   * Calls `open` when every transfer that has entered so far has left; at once if there is none.
   */
  afterAllSoFar(open: () => void): void {
    this.#gates.push({ epoch: this.#current, open });
    this.#current++;
    this.#openGates();
  }

  #openGates(): void {
    if (this.#gates.length === 0) return;
    const [oldest = Number.POSITIVE_INFINITY] = this.#inFlight.keys();
    const closed = this.#gates.findIndex((gate) => gate.epoch >= oldest);
    for (const gate of this.#gates.splice(0, closed < 0 ? this.#gates.length : closed)) gate.open();
  }
}
