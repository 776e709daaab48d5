/**
 * A device in RAM that behaves as badly as the Device contract allows, repeatably.
 *
 * Requests end in a random order, some much later than others; chosen ones fail. Everything written
 * and flushed is recorded, so that `crash(seed)`, or `crashImage` at any earlier place of the log,
 * gives a disk that power loss may leave. The same seed and the same use give the same behaviour.
 */
import { strict as assert } from 'node:assert';
import { tell } from '../aio/local-completions.ts';
import { crashImage, type DeviceEvent, type RecordedDevice } from './crash-image.ts';
import { remnantOf } from './discarded.ts';
import { LocalDevice } from './local-device.ts';
import type { MemoryDevice } from './memory-device.ts';
import { bytesOf, type DeviceRequest, RequestQueue } from './request-queue.ts';
import { SeededRandom } from './seeded-random.ts';
import { SparseBytes } from './sparse-bytes.ts';

/** A request about to be carried out, as a fault sees it. */
export interface FaultSite {
  readonly operation: DeviceRequest['operation'];
  readonly deviceOffset: number;
  readonly lengthBytes: number;
  /** Requests of this device so far, this one included. */
  readonly ordinal: number;
}

/**
 * Decides whether a request fails: 0, or the errno it ends with. A failed write changes nothing.
 */
export type Fault = (site: FaultSite) => number;

export interface SimulatedDeviceOptions {
  readonly sizeBytes: number;
  /** Default 512. */
  readonly sectorBytes?: number;
  /** Default 1. */
  readonly seed?: number;
  readonly readOnly?: boolean;
  /** What the device holds at first, which is taken as durable; default: zeros. It is copied. */
  readonly content?: SparseBytes;
  /**
   * Share of the requests that are held back for many rounds, while others overtake them; default
   * 0.
   */
  readonly stragglers?: number;
  /** Default: none fails. */
  readonly fault?: Fault;
}

/** A fault that hits a share of the requests, of all operations or of one. */
export function faultAtRate(
  seed: number,
  rate: number,
  errno: number,
  operation?: FaultSite['operation'],
): Fault {
  const random = new SeededRandom(seed);
  return (site) => {
    const hit = random.chance(rate);
    return hit && (operation === undefined || operation === site.operation) ? errno : 0;
  };
}

interface RecordedRequest extends DeviceRequest {
  readonly request: number;
  /** What a write was given when it was queued, or a discard leaves. */
  readonly data: Uint8Array;
  /** Rounds for which it is held back. */
  heldRounds: number;
}

/** A straggler is held back for at most so many rounds: long enough for some commits. */
const MOST_HELD_ROUNDS = 200;

const EMPTY = new Uint8Array(0);

export class SimulatedDevice extends LocalDevice implements RecordedDevice {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly initialContent: SparseBytes;
  /** Replaceable at any time. */
  fault: Fault;
  readonly #log: DeviceEvent[] = [];
  readonly #content: SparseBytes;
  readonly #random: SeededRandom;
  readonly #stragglers: number;
  readonly #queue = new RequestQueue<RecordedRequest>((submitted) => this.#carryOut(submitted));
  #requests = 0;
  #carriedOut = 0;

  constructor(options: SimulatedDeviceOptions) {
    super();
    this.sizeBytes = options.sizeBytes;
    this.sectorBytes = options.sectorBytes ?? 512;
    this.readOnly = options.readOnly ?? false;
    this.initialContent = options.content?.clone() ?? new SparseBytes();
    this.#content = this.initialContent.clone();
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#stragglers = options.stragglers ?? 0;
    this.fault = options.fault ?? (() => 0);
  }

  /** The history so far: where power may be cut. */
  get log(): readonly DeviceEvent[] {
    return this.#log;
  }

  submit(): void {
    this.#queue.submit();
  }

  /**
   * One disk that power loss right now may leave; requests in flight may have reached it, or not.
   */
  crash(seed: number): MemoryDevice {
    return crashImage(this, this.#log.length, seed);
  }

  protected get idle(): boolean {
    return this.#queue.idle;
  }

  protected accept(asked: DeviceRequest): void {
    const made = { ...asked, request: this.#requests++, data: EMPTY, heldRounds: this.#holdBack() };
    const { operation, request, deviceOffset, through } = made;
    if (operation === 'write') {
      made.data = bytesOf(asked).slice();
      const event = { kind: 'write-queued', request, deviceOffset, data: made.data } as const;
      this.#log.push(through ? { ...event, through } : event);
    } else if (operation === 'discard') {
      made.data = remnantOf(asked, request);
      this.#log.push({ kind: 'write-queued', request, deviceOffset, data: made.data });
    } else if (operation === 'flush') this.#log.push({ kind: 'flush-queued', request });
    this.#queue.add(made);
  }

  #holdBack(): number {
    if (this.#stragglers === 0 || !this.#random.chance(this.#stragglers)) return 0;
    return 1 + this.#random.below(MOST_HELD_ROUNDS);
  }

  /** Ends a random share of the requests, in random order; the others stay for later rounds. */
  #carryOut(requests: RecordedRequest[]): RecordedRequest[] {
    const ready = requests.filter((request) => request.heldRounds-- <= 0);
    const held = requests.filter((request) => !ready.includes(request));
    const shuffled = this.#random.shuffle(ready);
    const count = shuffled.length === 0 ? 0 : 1 + this.#random.below(shuffled.length);
    for (const request of shuffled.slice(0, count)) this.#carryOutOne(request);
    queueMicrotask(() => this.closeIfIdle());
    return [...shuffled.slice(count), ...held];
  }

  #carryOutOne(request: RecordedRequest): void {
    const { operation, deviceOffset, lengthBytes } = request;
    const errno = this.fault({ operation, deviceOffset, lengthBytes, ordinal: ++this.#carriedOut });
    if (errno === 0 && operation === 'read') this.#content.read(deviceOffset, bytesOf(request));
    if (operation === 'write') assertUnchanged(request);
    if (errno === 0 && (operation === 'write' || operation === 'discard'))
      this.#content.write(deviceOffset, request.data);
    if (operation !== 'read') {
      const logged = operation === 'discard' ? 'write' : operation;
      this.#log.push({ kind: `${logged}-${errno === 0 ? 'done' : 'failed'}`, request: request.request });
    }
    tell(request.completion, errno);
  }
}

/**
 * The memory of a write belongs to the device until its completion; who changes it gets torn data
 * on a real disk.
 */
function assertUnchanged(request: RecordedRequest): void {
  const now = bytesOf(request);
  assert(
    Buffer.compare(now, request.data) === 0,
    `write at ${request.deviceOffset} was changed while in flight`,
  );
}
