/**
 * A device in RAM, for tests and experiments: same rules, same order of events as a real one, no
 * disk.
 *
 * Memory is taken only where something was written. Content outlives the device: `reopen()` gives a
 * fresh device over the same bytes, as mounting again does, and `clone()` one over a copy.
 */
import { tell } from '../aio/local-completions.ts';
import { remnantOf } from './discarded.ts';
import { LocalDevice } from './local-device.ts';
import { bytesOf, type DeviceRequest, RequestQueue } from './request-queue.ts';
import { SparseBytes } from './sparse-bytes.ts';

export interface MemoryDeviceOptions {
  readonly readOnly?: boolean;
  /** What the device holds; default: zeros. */
  readonly content?: SparseBytes;
}

export class MemoryDevice extends LocalDevice {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly content: SparseBytes;
  readonly #queue = new RequestQueue((submitted) => this.#carryOut(submitted));

  /** @param sizeBytes a multiple of `sectorBytes`, which is a power of two from 512 to 4096. */
  constructor(sizeBytes: number, sectorBytes = 512, options: MemoryDeviceOptions = {}) {
    super();
    if (sizeBytes % sectorBytes !== 0)
      throw new RangeError(`${sizeBytes} is not a multiple of ${sectorBytes}`);
    this.sizeBytes = sizeBytes;
    this.sectorBytes = sectorBytes;
    this.readOnly = options.readOnly ?? false;
    this.content = options.content ?? new SparseBytes();
  }

  submit(): void {
    this.#queue.submit();
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

  protected accept(request: DeviceRequest): void {
    this.#queue.add(request);
  }

  protected get idle(): boolean {
    return this.#queue.idle;
  }

  #carryOut(submitted: DeviceRequest[]): DeviceRequest[] {
    for (const request of submitted) {
      if (request.operation === 'read') this.content.read(request.deviceOffset, bytesOf(request));
      else if (request.operation === 'write') this.content.write(request.deviceOffset, bytesOf(request));
      else if (request.operation === 'discard') this.content.write(request.deviceOffset, remnantOf(request));
      tell(request.completion, 0);
    }
    queueMicrotask(() => this.closeIfIdle());
    return [];
  }
}
