/**
 * A small disk in one flat buffer that can be set back: made for examining thousands of crash
 * states a second.
 *
 *   const mark = disk.mark();          what follows can be undone
 *   disk.write(offset, bytes);         before a sector changes, its content goes on the undo stack
 *   disk.device({ log })               a Device over the same bytes, whose writes are undone too
 *   disk.rollback(mark);               as it was, at the cost of the sectors changed since
 *
 * Devices end their requests in order, in rounds of microtasks; if they get a log, they record in
 * it what crash states are made of. The memory they hand out belongs to the disk: `recycle`, called
 * when no device is in use, takes all of it back.
 */

import type { Device, Memory } from '../aio/device.ts';
import { tell } from '../aio/local-completions.ts';
import { CRASH_SECTOR_BYTES, type DeviceEvent } from './crash-image.ts';
import { remnantOf } from './discarded.ts';
import { LocalDevice } from './local-device.ts';
import type { DeviceRequest } from './request-queue.ts';

/** A reaction to it costs a third of what `queueMicrotask` does. */
const SOON = Promise.resolve();

export interface CrashDeviceOptions {
  readonly readOnly?: boolean;
  /** Takes every write and flush from now on. */
  readonly log?: DeviceEvent[] | undefined;
}

export class CrashDisk {
  /** Old contents of sectors, one after the other; `#undoSectors` says of which. */
  #undoBytes = new Uint8Array(256 * CRASH_SECTOR_BYTES);
  readonly #undoSectors: number[] = [];
  readonly #spare = new Map<number, Memory[]>();
  readonly #lent: Memory[] = [];

  /** @param bytes what it holds: whole sectors; they are used, not copied */
  constructor(readonly bytes: Uint8Array) {
    if (bytes.length % CRASH_SECTOR_BYTES !== 0) throw new RangeError('a disk has whole sectors');
  }

  /** A place to roll back to. Marks nest. */
  mark(): number {
    return this.#undoSectors.length;
  }

  /** Were there writes since the mark? */
  changedSince(mark: number): boolean {
    return this.#undoSectors.length > mark;
  }

  /** Undoes every write since the mark. */
  rollback(mark: number): void {
    for (let at = this.#undoSectors.length - 1; at >= mark; at--) {
      const from = at * CRASH_SECTOR_BYTES;
      const offset = (this.#undoSectors[at] as number) * CRASH_SECTOR_BYTES;
      this.bytes.set(this.#undoBytes.subarray(from, from + CRASH_SECTOR_BYTES), offset);
    }
    this.#undoSectors.length = mark;
  }

  /** Lets the writes so far stand for good: marks end. */
  settle(): void {
    this.#undoSectors.length = 0;
  }

  /** Writes whole sectors, undoably. */
  write(offset: number, data: Uint8Array): void {
    const first = offset / CRASH_SECTOR_BYTES;
    const count = data.length / CRASH_SECTOR_BYTES;
    const at = this.#undoSectors.length;
    this.#reserveUndo((at + count) * CRASH_SECTOR_BYTES);
    this.#undoBytes.set(this.bytes.subarray(offset, offset + data.length), at * CRASH_SECTOR_BYTES);
    for (let i = 0; i < count; i++) this.#undoSectors.push(first + i);
    this.bytes.set(data, offset);
  }

  #reserveUndo(lengthBytes: number): void {
    if (lengthBytes <= this.#undoBytes.length) return;
    const larger = new Uint8Array(Math.max(lengthBytes, 2 * this.#undoBytes.length));
    larger.set(this.#undoBytes);
    this.#undoBytes = larger;
  }

  device(options: CrashDeviceOptions = {}): Device {
    return new CrashDiskDevice(this, options.readOnly ?? false, options.log);
  }

  /** Zeroed memory for a device. */
  lend(lengthBytes: number): Memory {
    const spare = this.#spare.get(lengthBytes)?.pop();
    spare?.bytes.fill(0);
    const memory = spare ?? { bytes: new Uint8Array(lengthBytes) };
    this.#lent.push(memory);
    return memory;
  }

  /** Takes back all memory that devices were given. */
  recycle(): void {
    for (const memory of this.#lent) {
      const spare = this.#spare.get(memory.bytes.length);
      if (spare) spare.push(memory);
      else this.#spare.set(memory.bytes.length, [memory]);
    }
    this.#lent.length = 0;
  }
}

class CrashDiskDevice extends LocalDevice {
  readonly sizeBytes: number;
  readonly sectorBytes = CRASH_SECTOR_BYTES;
  #queued: DeviceRequest[] = [];
  #submitted: DeviceRequest[] = [];
  /** Numbers of the submitted requests in the log. */
  #numbers: number[] = [];
  #queuedNumbers: number[] = [];
  #nextNumber: number;
  #scheduled = false;
  readonly #round = () => this.#carryOut();

  constructor(
    readonly disk: CrashDisk,
    readonly readOnly: boolean,
    readonly log: DeviceEvent[] | undefined,
  ) {
    super();
    this.sizeBytes = disk.bytes.length;
    this.#nextNumber = log?.length ?? 0;
  }

  override allocateMemory(lengthBytes: number): Memory {
    return this.disk.lend(lengthBytes);
  }

  submit(): void {
    if (this.#queued.length > 0) {
      this.#submitted.push(...this.#queued);
      this.#numbers.push(...this.#queuedNumbers);
      this.#queued.length = 0;
      this.#queuedNumbers.length = 0;
    }
    if (this.#scheduled || this.#submitted.length === 0) return;
    this.#scheduled = true;
    SOON.then(this.#round);
  }

  protected accept(request: DeviceRequest): void {
    this.#queued.push(request);
    this.#queuedNumbers.push(this.#nextNumber);
    if (this.log) this.#record(this.log, request);
  }

  protected get idle(): boolean {
    return !this.#scheduled && this.#queued.length === 0;
  }

  #record(log: DeviceEvent[], queued: DeviceRequest) {
    const { operation, memory, memoryOffset, lengthBytes, deviceOffset, through = false } = queued;
    const request = this.#nextNumber++;
    if (operation === 'write' && memory) {
      const data = memory.bytes.slice(memoryOffset, memoryOffset + lengthBytes);
      log.push({ kind: 'write-queued', request, deviceOffset, data, through });
    } else if (operation === 'discard') {
      const data = remnantOf(queued);
      log.push({ kind: 'write-queued', request, deviceOffset, data });
    } else if (operation === 'flush') log.push({ kind: 'flush-queued', request });
  }

  #carryOut(): void {
    const submitted = this.#submitted;
    const numbers = this.#numbers;
    this.#submitted = [];
    this.#numbers = [];
    for (let i = 0; i < submitted.length; i++) {
      const request = submitted[i] as DeviceRequest;
      this.#carryOutOne(request);
      if (this.log && request.operation !== 'read') {
        const kind = request.operation === 'flush' ? 'flush-done' : 'write-done';
        this.log.push({ kind, request: numbers[i] as number });
      }
      tell(request.completion, 0);
    }
    this.#scheduled = false;
    this.submit();
    if (!this.#scheduled) this.closeIfIdle();
  }

  #carryOutOne(request: DeviceRequest): void {
    const { operation, memory, memoryOffset, lengthBytes, deviceOffset } = request;
    const { disk } = this;
    if (operation === 'discard') disk.write(deviceOffset, remnantOf(request));
    if (!memory) return;
    if (operation === 'write') {
      disk.write(deviceOffset, memory.bytes.subarray(memoryOffset, memoryOffset + lengthBytes));
    } else {
      memory.bytes.set(disk.bytes.subarray(deviceOffset, deviceOffset + lengthBytes), memoryOffset);
    }
  }
}
