/**
 * A device in RAM, for tests and experiments: same rules, same order of events as a real one, no disk.
 *
 * Memory is taken only where something was written. Content outlives the device: `reopen()` gives a fresh device over the
 * same bytes, as mounting again does, and `clone()` one over a copy.
 */
import { constants } from 'node:os';
import type { Device, IoCompletion, Memory } from './device.ts';
import { LocalCompletions, tell } from './local-completions.ts';
import { bytesOf, type DeviceRequest, RequestQueue } from './request-queue.ts';
import { SparseBytes } from './sparse-bytes.ts';
import { transferError } from './transfer-rules.ts';

const { EBADF } = constants.errno;

export interface MemoryDeviceOptions {
  readonly readOnly?: boolean;
  /** What the device holds; default: zeros. */
  readonly content?: SparseBytes;
}

export class MemoryDevice implements Device {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly content: SparseBytes;
  readonly #queue = new RequestQueue((submitted) => this.#carryOut(submitted));
  readonly #refused = new LocalCompletions(() => this.#closeIfIdle());
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;

  /** @param sizeBytes a multiple of `sectorBytes`, which is a power of two from 512 to 4096. */
  constructor(sizeBytes: number, sectorBytes = 512, options: MemoryDeviceOptions = {}) {
    if (sizeBytes % sectorBytes !== 0)
      throw new RangeError(`${sizeBytes} is not a multiple of ${sectorBytes}`);
    this.sizeBytes = sizeBytes;
    this.sectorBytes = sectorBytes;
    this.readOnly = options.readOnly ?? false;
    this.content = options.content ?? new SparseBytes();
  }

  allocateMemory(lengthBytes: number): Memory {
    return { bytes: new Uint8Array(lengthBytes) };
  }

  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#add({ operation: 'read', memory, memoryOffset, lengthBytes, deviceOffset, completion });
  }

  write(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#add({ operation: 'write', memory, memoryOffset, lengthBytes, deviceOffset, completion });
  }

  flush(completion: IoCompletion): void {
    this.#add({
      operation: 'flush',
      memory: undefined,
      memoryOffset: 0,
      lengthBytes: 0,
      deviceOffset: 0,
      completion,
    });
  }

  submit(): void {
    this.#queue.submit();
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = new Promise((resolve) => {
        this.#closed = resolve;
      });
      this.#queue.submit();
      this.#closeIfIdle();
    }
    return this.#closing;
  }

  /** A new device over the same bytes. */
  reopen(options: { readOnly?: boolean } = {}): MemoryDevice {
    return new MemoryDevice(this.sizeBytes, this.sectorBytes, { ...options, content: this.content });
  }

  /** A new device over a copy of the bytes as they are now. */
  clone(): MemoryDevice {
    return new MemoryDevice(this.sizeBytes, this.sectorBytes, { content: this.content.clone() });
  }

  /** A copy of some bytes, at once: for tests that look at or damage an image. */
  peek(deviceOffset: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    this.content.read(deviceOffset, bytes);
    return bytes;
  }

  /** Overwrites bytes, at once. */
  poke(deviceOffset: number, bytes: Uint8Array): void {
    this.content.write(deviceOffset, bytes);
  }

  #add(request: DeviceRequest): void {
    const error = this.#closing ? EBADF : requestError(this, request);
    if (error === 0) this.#queue.add(request);
    else this.#refused.end(request.completion, error);
  }

  #carryOut(submitted: DeviceRequest[]): DeviceRequest[] {
    for (const request of submitted) {
      if (request.operation === 'read') this.content.read(request.deviceOffset, bytesOf(request));
      else if (request.operation === 'write') this.content.write(request.deviceOffset, bytesOf(request));
      tell(request.completion, 0);
    }
    if (this.#closing) queueMicrotask(() => this.#closeIfIdle());
    return [];
  }

  #closeIfIdle(): void {
    if (!this.#closed || !this.#queue.idle || this.#refused.pending > 0) return;
    this.#closed();
    this.#closed = undefined;
  }
}

/** The errno that a request ends with at once; 0 when it keeps the rules of its device. */
export function requestError(device: Device, request: DeviceRequest): number {
  if (!request.memory) return 0;
  const { memory, memoryOffset, lengthBytes, deviceOffset, operation } = request;
  return transferError(device, memory, memoryOffset, lengthBytes, deviceOffset, operation === 'write');
}
