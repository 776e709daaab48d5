/**
 * The unfinished requests of an AioDevice, as numbers in typed arrays.
 *
 * A request is a token: an index into these arrays, reused when it ends, so that the hot path allocates
 * nothing. Tokens that wait for their turn stand in a first-in-first-out ring. The table doubles when it
 * is full; how many requests there are at most is decided by whoever owns the buffers.
 */
import type { IoCompletion } from './device.ts';

const FIRST_CAPACITY = 256;

export class RequestTable {
  opcode = new Uint8Array(FIRST_CAPACITY);
  memoryId = new Float64Array(FIRST_CAPACITY);
  memoryOffset = new Float64Array(FIRST_CAPACITY);
  lengthBytes = new Float64Array(FIRST_CAPACITY);
  deviceOffset = new Float64Array(FIRST_CAPACITY);
  readonly #completions: (IoCompletion | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  #capacity = FIRST_CAPACITY;
  #free: Int32Array = descending(0, FIRST_CAPACITY);
  #freeCount = FIRST_CAPACITY;
  #ring: Int32Array = new Int32Array(FIRST_CAPACITY);
  #ringStart = 0;
  #waiting = 0;

  /** Requests between `add` and `end`. */
  get unfinished(): number {
    return this.#capacity - this.#freeCount;
  }

  /** Requests in the ring. */
  get waiting(): number {
    return this.#waiting;
  }

  /** A new request, not yet in the ring; its other columns are for the caller to fill. */
  add(completion: IoCompletion): number {
    if (this.#freeCount === 0) this.#grow();
    const token = this.#free[--this.#freeCount] as number;
    this.#completions[token] = completion;
    return token;
  }

  /** Puts a request at the end of the ring. */
  enqueue(token: number): void {
    this.#ring[(this.#ringStart + this.#waiting++) & (this.#capacity - 1)] = token;
  }

  /** Takes the first request out of the ring, which must not be empty. */
  dequeue(): number {
    const token = this.#ring[this.#ringStart] as number;
    this.#ringStart = (this.#ringStart + 1) & (this.#capacity - 1);
    this.#waiting--;
    return token;
  }

  /** Forgets the request; returns whom to tell. */
  end(token: number): IoCompletion {
    const completion = this.#completions[token];
    if (completion === undefined) throw new Error(`request ${token} has ended already`);
    this.#completions[token] = undefined;
    this.#free[this.#freeCount++] = token;
    return completion;
  }

  #grow(): void {
    const before = this.#capacity;
    const after = before * 2;
    this.opcode = resized(this.opcode, new Uint8Array(after));
    this.memoryId = resized(this.memoryId, new Float64Array(after));
    this.memoryOffset = resized(this.memoryOffset, new Float64Array(after));
    this.lengthBytes = resized(this.lengthBytes, new Float64Array(after));
    this.deviceOffset = resized(this.deviceOffset, new Float64Array(after));
    for (let token = before; token < after; token++) this.#completions.push(undefined);
    this.#ring = unrolled(this.#ring, this.#ringStart, this.#waiting, after);
    this.#ringStart = 0;
    this.#free = resized(descending(before, after), new Int32Array(after));
    this.#freeCount = after - before;
    this.#capacity = after;
  }
}

/** The numbers from `to − 1` down to `from`, so that a stack gives the lowest first. */
function descending(from: number, to: number): Int32Array {
  return Int32Array.from({ length: to - from }, (_, at) => to - 1 - at);
}

function resized<A extends Uint8Array | Int32Array | Float64Array>(old: A, made: A): A {
  made.set(old);
  return made;
}

function unrolled(ring: Int32Array, start: number, count: number, capacity: number): Int32Array {
  const made = new Int32Array(capacity);
  for (let at = 0; at < count; at++) made[at] = ring[(start + at) & (ring.length - 1)] as number;
  return made;
}
