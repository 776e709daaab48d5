/**
 * What it takes to read every file from a cold cache, directory by directory, by models of three
 * devices; and the same for a fresh copy, in which file lies behind file in that order.
 *
 *   disk   a seek takes least + (most − least) · √(distance / all); then half a turn; then the
 *          transfer. Over a gap ahead that the head passes sooner than it would seek, it waits.
 *   SSD    each request has its price, and each byte; where it lies is all the same. A request is
 *          of one extent and of bounded length.
 *
 * The shape of the seek curve is that of Ruemmler and Wilkes: An introduction to disk drive
 * modeling, IEEE Computer 1994; its numbers, and those of the SSDs, are of no drive in particular.
 */
import type { LaidExtent } from './layout.ts';
import { RequestStream } from './request-stream.ts';

export interface DiskModel {
  readonly leastSeekSeconds: number;
  readonly mostSeekSeconds: number;
  readonly turnSeconds: number;
  readonly bytesPerSecond: number;
}

export interface FlashModel {
  readonly requestSeconds: number;
  readonly bytesPerSecond: number;
  readonly mostRequestBytes: number;
}

export const DISK: DiskModel = {
  leastSeekSeconds: 0.8e-3,
  mostSeekSeconds: 16e-3,
  turnSeconds: 60 / 7200,
  bytesPerSecond: 180e6,
};
export const SATA_SSD: FlashModel = {
  requestSeconds: 60e-6,
  bytesPerSecond: 520e6,
  mostRequestBytes: 512 * 1024,
};
export const NVME_SSD: FlashModel = {
  requestSeconds: 12e-6,
  bytesPerSecond: 3e9,
  mostRequestBytes: 128 * 1024,
};

/** Seconds, and how many times as long as for the fresh copy. */
export interface ColdReadFigures {
  readonly diskSeconds: number;
  readonly diskSlowdown: number;
  readonly sataSeconds: number;
  readonly sataSlowdown: number;
  readonly nvmeSeconds: number;
  readonly nvmeSlowdown: number;
  /** Dynamic layout score of these reads. */
  readonly readScore: number;
}

/** One layout read on all three devices. */
class Reading {
  diskSeconds = 0;
  sataSeconds = 0;
  nvmeSeconds = 0;
  #headBytes = 0;

  constructor(readonly sizeBytes: number) {}

  /** A stretch that is read at once. */
  read(offsetBytes: number, lengthBytes: number): void {
    this.diskSeconds += this.#toReach(offsetBytes) + lengthBytes / DISK.bytesPerSecond;
    this.#headBytes = offsetBytes + lengthBytes;
    this.sataSeconds += flashSeconds(SATA_SSD, lengthBytes);
    this.nvmeSeconds += flashSeconds(NVME_SSD, lengthBytes);
  }

  #toReach(offsetBytes: number): number {
    const ahead = offsetBytes - this.#headBytes;
    if (ahead === 0) return 0;
    const { leastSeekSeconds, mostSeekSeconds, turnSeconds, bytesPerSecond } = DISK;
    const far = Math.sqrt(Math.abs(ahead) / this.sizeBytes);
    const seek = leastSeekSeconds + (mostSeekSeconds - leastSeekSeconds) * far + turnSeconds / 2;
    return ahead > 0 ? Math.min(seek, ahead / bytesPerSecond) : seek;
  }
}

function flashSeconds(model: FlashModel, lengthBytes: number): number {
  const requests = Math.ceil(lengthBytes / model.mostRequestBytes);
  return requests * model.requestSeconds + lengthBytes / model.bytesPerSecond;
}

/** Reads file after file, in the order given. */
export class ColdReadGatherer {
  readonly #blockBytes: number;
  readonly #aged: Reading;
  readonly #fresh: Reading;
  readonly #stream = new RequestStream();
  #freshBytes = 0;

  constructor(blockBytes: number, sizeBytes: number) {
    this.#blockBytes = blockBytes;
    this.#aged = new Reading(sizeBytes);
    this.#fresh = new Reading(sizeBytes);
  }

  add(extents: readonly LaidExtent[]): void {
    let blocks = 0;
    let start = 0;
    let length = 0;
    for (const extent of extents) {
      blocks += extent.length;
      if (length > 0 && extent.block === start + length) {
        length += extent.length;
        continue;
      }
      if (length > 0) this.#read(start, length);
      start = extent.block;
      length = extent.length;
    }
    if (length > 0) this.#read(start, length);
    if (blocks === 0) return;
    this.#fresh.read(this.#freshBytes, blocks * this.#blockBytes);
    this.#freshBytes += blocks * this.#blockBytes;
  }

  #read(start: number, length: number): void {
    this.#stream.request(start, length);
    this.#aged.read(start * this.#blockBytes, length * this.#blockBytes);
  }

  figures(): ColdReadFigures {
    const times = (one: number, other: number) => (other === 0 ? 1 : one / other);
    const { diskSeconds, sataSeconds, nvmeSeconds } = this.#aged;
    return {
      diskSeconds,
      diskSlowdown: times(diskSeconds, this.#fresh.diskSeconds),
      sataSeconds,
      sataSlowdown: times(sataSeconds, this.#fresh.sataSeconds),
      nvmeSeconds,
      nvmeSlowdown: times(nvmeSeconds, this.#fresh.nvmeSeconds),
      readScore: this.#stream.takeScore(),
    };
  }
}
