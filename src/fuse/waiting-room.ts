/**
 * Requests whose answers wait for something that the kernel does first.
 *
 * Before some answers the kernel is told to write out what it has cached (notices.ts), and what it
 * writes comes as requests. Were every slot of the channel held by somebody who waits for that,
 * none of them could be received, and all would wait for ever. So only so many wait in their slots.
 * The bytes of the others are kept here, their slots are free, and each comes again, in its order,
 * into the slot of one that has been answered.
 */
import type { FuseRequest } from './request.ts';

/** A request without a slot. */
export interface KeptRequest {
  readonly bytes: Uint8Array;
  /** When it came, as performance.now() has it. */
  readonly arrivedMs: number;
}

export class WaitingRoom {
  readonly #most: number;
  #inside = 0;
  readonly #outside: KeptRequest[] = [];

  /** @param most requests that may wait in their slots at once */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether the request may wait in its slot; if not, its bytes are kept. */
  enter(request: FuseRequest): boolean {
    if (request.waits) return true;
    if (this.#inside >= this.#most) {
      this.#outside.push({ bytes: request.copy(), arrivedMs: performance.now() });
      return false;
    }
    this.#inside++;
    request.waits = true;
    return true;
  }

  /** A request is over. Returns the one that takes its slot, and its place; undefined for none. */
  leave(request: FuseRequest): KeptRequest | undefined {
    if (!request.waits) return undefined;
    request.waits = false;
    const next = this.#outside.shift();
    if (next === undefined) this.#inside--;
    return next;
  }
}
