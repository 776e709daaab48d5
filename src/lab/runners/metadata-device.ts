/**
 * A device in memory that keeps metadata only: data may be written to it and read from it, and
 * reads as zeros.
 *
 * Every block of metadata says what it is in its first bytes, and the data of a model is zeros. So
 * a block that begins with zeros is data, or empty, and is not kept; what stood there before is
 * forgotten. Memory grows with the metadata of a volume, not with its size.
 */
import { strict as assert } from 'node:assert';
import type { Memory } from '../../aio/device.ts';
import { tell } from '../../aio/local-completions.ts';
import { LocalDevice } from '../../sim/local-device.ts';
import { bytesOf, type DeviceRequest, RequestQueue } from '../../sim/request-queue.ts';
import { RequestStream } from '../measures/request-stream.ts';
import { WriteTrace } from '../measures/write-trace.ts';

/** Blocks that are told apart: the smallest that a volume may have. */
const UNIT_BYTES = 512;
/** The length of the magic number that metadata begins with. */
const MAGIC_BYTES = 4;

export class MetadataDevice extends LocalDevice {
  readonly sizeBytes: number;
  readonly sectorBytes = 512;
  readonly readOnly = false;
  readonly blockBytes: number;
  /** Blocks of metadata by their number. */
  readonly #kept = new Map<number, Uint8Array>();
  /** A bit for each block, set where one is kept. */
  readonly #isKept: Uint32Array;
  readonly #queue = new RequestQueue((submitted) => this.#carryOut(submitted));
  #dataMemory: Memory | undefined;
  /** Writes of data in the order in which they came, and all writes. */
  readonly dataWrites = new RequestStream();
  readonly allWrites = new RequestStream();
  /** Some of the writes, for a picture of them. */
  readonly trace = new WriteTrace();
  writtenBytes = 0;
  flushes = 0;

  /** @param blockBytes of the volume on it; `sizeBytes` is a multiple of it. */
  constructor(sizeBytes: number, blockBytes: number) {
    super();
    assert(sizeBytes % blockBytes === 0 && blockBytes % UNIT_BYTES === 0, 'a device of whole blocks');
    this.sizeBytes = sizeBytes;
    this.blockBytes = blockBytes;
    this.#isKept = new Uint32Array(Math.ceil(sizeBytes / blockBytes / 32));
  }

  /** A new device over the same blocks. */
  reopen(): MetadataDevice {
    const device = new MetadataDevice(this.sizeBytes, this.blockBytes);
    for (const [block, bytes] of this.#kept) device.#keep(block, bytes);
    return device;
  }

  /** Memory whose content is data, whatever it is. */
  allocateDataMemory(lengthBytes: number): Memory {
    this.#dataMemory = this.allocateMemory(lengthBytes);
    return this.#dataMemory;
  }

  /** Memory that what is kept takes, in bytes. */
  get keptBytes(): number {
    return this.#kept.size * this.blockBytes;
  }

  submit(): void {
    this.#queue.submit();
  }

  protected accept(request: DeviceRequest): void {
    this.#queue.add(request);
  }

  protected get idle(): boolean {
    return this.#queue.idle;
  }

  #carryOut(submitted: DeviceRequest[]): DeviceRequest[] {
    for (const request of submitted) {
      if (request.operation === 'read') this.#read(request);
      else if (request.operation === 'write') this.#write(request);
      else this.flushes++;
      tell(request.completion, 0);
    }
    queueMicrotask(() => this.closeIfIdle());
    return [];
  }

  #write(request: DeviceRequest): void {
    this.writtenBytes += request.lengthBytes;
    const { blockBytes } = this;
    const first = Math.floor(request.deviceOffset / blockBytes);
    const end = Math.ceil((request.deviceOffset + request.lengthBytes) / blockBytes);
    this.allWrites.request(first, end - first);
    this.trace.add(first, request.lengthBytes / blockBytes, request.memory === this.#dataMemory);
    if (request.memory === this.#dataMemory) {
      this.dataWrites.request(first, end - first);
      this.#forget(first, end);
      return;
    }
    const bytes = bytesOf(request);
    for (let at = 0; at < bytes.length; ) {
      const place = request.deviceOffset + at;
      const block = Math.floor(place / blockBytes);
      const start = place - block * blockBytes;
      const end = Math.min(blockBytes, start + bytes.length - at);
      this.#writePart(block, start, bytes.subarray(at, at + end - start));
      at += end - start;
    }
  }

  /** A part of one block, or all of it. */
  #writePart(block: number, start: number, bytes: Uint8Array): void {
    const kept = this.#kept.get(block);
    if (start === 0 && !hasMagic(bytes)) {
      this.#forget(block, block + 1);
    } else if (kept !== undefined) {
      kept.set(bytes, start);
    } else if (start === 0 || !isZero(bytes)) {
      const fresh = new Uint8Array(this.blockBytes);
      fresh.set(bytes, start);
      this.#keep(block, fresh);
    }
  }

  #keep(block: number, bytes: Uint8Array): void {
    this.#kept.set(block, bytes);
    this.#isKept[block >>> 5] = (this.#isKept[block >>> 5] ?? 0) | (1 << (block & 31));
  }

  #forget(first: number, end: number): void {
    for (let block = first; block < end; ) {
      const word = this.#isKept[block >>> 5] ?? 0;
      if (word === 0) {
        block = ((block >>> 5) + 1) << 5;
        continue;
      }
      if (word & (1 << (block & 31))) {
        this.#kept.delete(block);
        this.#isKept[block >>> 5] = word & ~(1 << (block & 31));
      }
      block++;
    }
  }

  #read(request: DeviceRequest): void {
    const bytes = bytesOf(request);
    bytes.fill(0);
    const { blockBytes } = this;
    const end = request.deviceOffset + bytes.length;
    for (let block = Math.floor(request.deviceOffset / blockBytes); block * blockBytes < end; block++) {
      const kept = this.#kept.get(block);
      if (kept === undefined) continue;
      const from = Math.max(block * blockBytes, request.deviceOffset);
      const to = Math.min((block + 1) * blockBytes, end);
      const start = from - block * blockBytes;
      bytes.set(kept.subarray(start, start + to - from), from - request.deviceOffset);
    }
  }
}

function hasMagic(bytes: Uint8Array): boolean {
  for (let at = 0; at < MAGIC_BYTES; at++) if (bytes[at] !== 0) return true;
  return false;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
