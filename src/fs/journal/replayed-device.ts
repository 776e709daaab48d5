/**
 * A device as it would be after recovery, for mounts that may not write: blocks that the journal
 * holds come from memory, all others from the device. Only transfers of exactly one block are
 * looked up, as the block cache makes them; data is never in the journal.
 */
import type { Device, IoCompletion, Memory } from '../../aio/device.ts';
import { Errno } from '../base/errors.ts';

export class ReplayedDevice implements Device {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly readOnly = true;
  readonly discardBytes = 0;

  constructor(
    private readonly device: Device,
    private readonly blockBytes: number,
    private readonly blocks: ReadonlyMap<number, Uint8Array>,
  ) {
    this.sizeBytes = device.sizeBytes;
    this.sectorBytes = device.sectorBytes;
  }

  allocateMemory(lengthBytes: number): Memory {
    return this.device.allocateMemory(lengthBytes);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const bytes =
      lengthBytes === this.blockBytes ? this.blocks.get(deviceOffset / this.blockBytes) : undefined;
    if (bytes === undefined) {
      this.device.read(memory, memoryOffset, lengthBytes, deviceOffset, completion);
      return;
    }
    memory.bytes.set(bytes, memoryOffset);
    this.#answer(completion, 0);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  write(
    _memory: Memory,
    _memoryOffset: number,
    _lengthBytes: number,
    _deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#answer(completion, Errno.EROFS);
  }

  writeThrough(...write: Parameters<Device['writeThrough']>): void {
    this.write(...write);
  }

  flush(completion: IoCompletion): void {
    this.#answer(completion, 0);
  }

  discard(_deviceOffset: number, _lengthBytes: number, completion: IoCompletion): void {
    this.#answer(completion, Errno.EROFS);
  }

  /** Hands over what the completion queues, as every device does. */
  #answer(completion: IoCompletion, errno: number): void {
    queueMicrotask(() => {
      completion.ioDone(errno);
      this.device.submit();
    });
  }

  submit(): void {
    this.device.submit();
  }

  close(): Promise<void> {
    return this.device.close();
  }
}
