/**
 * What devices without a kernel share: requests become objects, those that break the rules are
 * refused, and close waits for the rest.
 *
 * A device of this kind says what it does with a request that keeps the rules (`accept`), and
 * whether it has any left (`idle`); it calls `closeIfIdle` when it may have come to its end.
 */
import { constants } from 'node:os';
import type { Device, IoCompletion, Memory } from '../aio/device.ts';
import { LocalCompletions } from '../aio/local-completions.ts';
import { discardError, transferError } from '../aio/transfer-rules.ts';
import type { DeviceRequest } from './request-queue.ts';

const { EBADF } = constants.errno;

export abstract class LocalDevice implements Device {
  abstract readonly sizeBytes: number;
  abstract readonly sectorBytes: number;
  abstract readonly readOnly: boolean;

  /** Any sector may be given back. */
  get discardBytes(): number {
    return this.sectorBytes;
  }

  readonly #refused = new LocalCompletions(() => this.closeIfIdle());
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;

  /** Takes a request that keeps the rules. */
  protected abstract accept(request: DeviceRequest): void;

  /** Has every request that was accepted ended? */
  protected abstract get idle(): boolean;

  abstract submit(): void;

  allocateMemory(lengthBytes: number): Memory {
    return { bytes: new Uint8Array(lengthBytes) };
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#take({ operation: 'read', memory, memoryOffset, lengthBytes, deviceOffset, completion });
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  write(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#take({ operation: 'write', memory, memoryOffset, lengthBytes, deviceOffset, completion });
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  writeThrough(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#take({
      operation: 'write',
      through: true,
      memory,
      memoryOffset,
      lengthBytes,
      deviceOffset,
      completion,
    });
  }

  flush(completion: IoCompletion): void {
    this.#take({
      operation: 'flush',
      memory: undefined,
      memoryOffset: 0,
      lengthBytes: 0,
      deviceOffset: 0,
      completion,
    });
  }

  discard(deviceOffset: number, lengthBytes: number, completion: IoCompletion): void {
    const nothing = { memory: undefined, memoryOffset: 0 };
    this.#take({ operation: 'discard', ...nothing, lengthBytes, deviceOffset, completion });
  }

  #take(request: DeviceRequest): void {
    const error = this.#closing ? EBADF : this.#ruleBroken(request);
    if (error === 0) this.accept(request);
    else this.#refused.end(request.completion, error);
  }

  /** The errno that a request ends with at once; 0 when it keeps the rules. */
  #ruleBroken({ operation, memory, memoryOffset, lengthBytes, deviceOffset }: DeviceRequest): number {
    if (operation === 'discard') return discardError(this, deviceOffset, lengthBytes);
    if (!memory) return 0;
    return transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, operation === 'write');
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = new Promise((resolve) => {
        this.#closed = resolve;
      });
      this.submit();
      this.closeIfIdle();
    }
    return this.#closing;
  }

  protected closeIfIdle(): void {
    if (!this.#closed || !this.idle || this.#refused.pending > 0) return;
    this.#closed();
    this.#closed = undefined;
  }
}
