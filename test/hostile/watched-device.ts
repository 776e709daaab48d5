/**
 * A device over the bytes of an image that watches who uses it: it counts requests, so that work
 * without end is noticed, and notes every request that a sound program never makes: outside of the
 * device, not in whole sectors, or a write where none may be. It carries such requests out as
 * errors, as a kernel would; the notes are in `offences`.
 */
import type { Device, IoCompletion, Memory } from '../../src/aio/device.ts';
import { discardError, transferError } from '../../src/aio/transfer-rules.ts';
import { remnantOf } from '../../src/sim/discarded.ts';
import { bytesOf, type DeviceRequest, RequestQueue } from '../../src/sim/request-queue.ts';
import type { ImageBytes } from './image-bytes.ts';

const EIO = 5;
const EROFS = 30;

/** Says why a write must not be, or nothing. */
export type WriteRule = (offset: number, bytes: Uint8Array) => string | undefined;

export interface WatchOptions {
  /** Requests after which the device calls it endless. */
  readonly mostRequests: number;
  /** None may be written at all. */
  readonly forbidWrites?: boolean;
  readonly rule?: WriteRule;
}

/** Memory of devices that were retired, by its length. */
const retired = new Map<number, Uint8Array[]>();
const MOST_RETIRED = 24;

export class WatchedDevice implements Device {
  readonly sizeBytes: number;
  readonly sectorBytes = 512;
  readonly discardBytes = 512;
  readonly readOnly = false;
  readonly offences: string[] = [];
  requests = 0;
  writes = 0;
  closed = false;
  readonly #bytes: ImageBytes;
  readonly #options: WatchOptions;
  readonly #memory: Uint8Array[] = [];
  readonly #queue = new RequestQueue((submitted) => this.#carryOut(submitted));

  constructor(bytes: ImageBytes, options: WatchOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.sizeBytes = Math.floor(bytes.sizeBytes / this.sectorBytes) * this.sectorBytes;
  }

  allocateMemory(lengthBytes: number): Memory {
    const bytes = retired.get(lengthBytes)?.pop()?.fill(0) ?? new Uint8Array(lengthBytes);
    this.#memory.push(bytes);
    return { bytes };
  }

  /**
   * Nobody uses the device any more, nor its memory: later devices may have that. Fresh memory
   * would take half of the time of a trial.
   */
  retire(): void {
    for (const bytes of this.#memory.splice(0)) {
      const list = retired.get(bytes.length);
      if (list === undefined) retired.set(bytes.length, [bytes]);
      else if (list.length < MOST_RETIRED) list.push(bytes);
    }
  }

  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ) {
    this.#queue.add({ operation: 'read', memory, memoryOffset, lengthBytes, deviceOffset, completion });
  }

  write(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ) {
    this.#queue.add({ operation: 'write', memory, memoryOffset, lengthBytes, deviceOffset, completion });
  }

  writeThrough(...write: Parameters<Device['writeThrough']>): void {
    this.write(...write);
  }

  flush(completion: IoCompletion): void {
    const nothing = { memory: undefined, memoryOffset: 0, lengthBytes: 0, deviceOffset: 0 };
    this.#queue.add({ operation: 'flush', ...nothing, completion });
  }

  discard(deviceOffset: number, lengthBytes: number, completion: IoCompletion): void {
    const nothing = { memory: undefined, memoryOffset: 0 };
    this.#queue.add({ operation: 'discard', ...nothing, lengthBytes, deviceOffset, completion });
  }

  submit(): void {
    this.#queue.submit();
  }

  async close(): Promise<void> {
    this.#queue.submit();
    this.closed = true;
  }

  #carryOut(submitted: DeviceRequest[]): DeviceRequest[] {
    for (const request of submitted) request.completion.ioDone(this.#outcome(request));
    return [];
  }

  #outcome(request: DeviceRequest): number {
    if (this.closed) this.#note(`${request.operation} after the device was closed`);
    if (++this.requests > this.#options.mostRequests) {
      this.#note('requests without end');
      return EIO;
    }
    const { operation, memory, memoryOffset, lengthBytes, deviceOffset } = request;
    if (operation === 'discard') return this.#discard(request);
    if (operation === 'flush' || memory === undefined) return 0;
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, false);
    if (error !== 0) {
      this.#note(`${operation} of ${lengthBytes} bytes at ${deviceOffset} of ${this.sizeBytes}`);
      return error;
    }
    if (operation === 'read') {
      this.#bytes.read(deviceOffset, bytesOf(request));
      return 0;
    }
    return this.#write(deviceOffset, bytesOf(request));
  }

  #discard({ deviceOffset, lengthBytes }: DeviceRequest): number {
    const error = discardError(this, deviceOffset, lengthBytes);
    if (error === 0) return this.#write(deviceOffset, remnantOf({ deviceOffset, lengthBytes }));
    this.#note(`discard of ${lengthBytes} bytes at ${deviceOffset} of ${this.sizeBytes}`);
    return error;
  }

  #write(offset: number, bytes: Uint8Array): number {
    this.writes++;
    if (this.#options.forbidWrites) {
      this.#note(`write of ${bytes.length} bytes at ${offset}, where nothing may be written`);
      return EROFS;
    }
    const wrong = this.#options.rule?.(offset, bytes);
    if (wrong !== undefined) this.#note(`write of ${bytes.length} bytes at ${offset}: ${wrong}`);
    this.#bytes.write(offset, bytes);
    return 0;
  }

  #note(offence: string): void {
    if (this.offences.length < 5) this.offences.push(offence);
  }
}
