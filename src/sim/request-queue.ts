/**
 * What devices without a kernel have in common: requests as objects, queued, submitted, and carried
 * out later.
 *
 * Requests run in rounds, from a microtask, so never inside the call that queued or submitted them.
 * What completions queue is submitted at the end of the round. A round that causes the next one
 * keeps the event loop waiting; every sixty-fourth lets it turn.
 */
import type { IoCompletion, Memory } from '../aio/device.ts';

const ROUNDS_PER_TURN = 64;

/**
 * A request with its rules checked. A flush and a discard have no memory; for a flush the numbers
 * are 0.
 */
export interface DeviceRequest {
  readonly operation: 'read' | 'write' | 'flush' | 'discard';
  /** Of a write: it is durable when it is done. */
  readonly through?: boolean;
  readonly memory: Memory | undefined;
  readonly memoryOffset: number;
  readonly lengthBytes: number;
  readonly deviceOffset: number;
  readonly completion: IoCompletion;
}

/** The bytes in memory that a transfer reads or fills. */
export function bytesOf(request: DeviceRequest): Uint8Array {
  const end = request.memoryOffset + request.lengthBytes;
  return request.memory?.bytes.subarray(request.memoryOffset, end) ?? new Uint8Array(0);
}

/** @typeParam Request what its device remembers of a request. */
export class RequestQueue<Request extends DeviceRequest = DeviceRequest> {
  #queued: Request[] = [];
  #submitted: Request[] = [];
  #scheduled = false;
  #rounds = 0;
  readonly #carryOut: (submitted: Request[]) => Request[];
  readonly #run = () => this.#round();

  /**
   * @param carryOut ends some or all of the submitted requests; returns those that it left for the
   * next round.
   */
  constructor(carryOut: (submitted: Request[]) => Request[]) {
    this.#carryOut = carryOut;
  }

  get idle(): boolean {
    return this.#queued.length === 0 && this.#submitted.length === 0 && !this.#scheduled;
  }

  add(request: Request): void {
    this.#queued.push(request);
  }

  submit(): void {
    if (this.#queued.length === 0) return;
    if (this.#submitted.length === 0) this.#submitted = this.#queued;
    else this.#submitted.push(...this.#queued);
    this.#queued = [];
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (++this.#rounds % ROUNDS_PER_TURN === 0) setImmediate(this.#run);
    else queueMicrotask(this.#run);
  }

  #round(): void {
    const submitted = this.#submitted;
    this.#submitted = [];
    const left = this.#carryOut(submitted);
    this.#submitted = left.concat(this.#submitted);
    this.#scheduled = false;
    this.submit();
    if (this.#submitted.length > 0) this.#schedule();
  }
}
