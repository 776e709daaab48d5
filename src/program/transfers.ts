/**
 * Bytes of files to and from a program's own memory, by way of the device's: a volume moves whole
 * blocks in memory of a kind that its device can use, and a program has any array.
 *
 * Pieces of up to 1 MiB; the memory for them is kept, a few of each size. A short write is copied
 * by the volume and answered before it is on the device, as a kernel's page cache does it: `sync`
 * says what became of it.
 */
import type { Device, Memory } from '../aio/device.ts';
import type { ReadRequest, WriteRequest } from '../fs/base/filesystem.ts';
import type { Volume } from '../fs/volume.ts';

/** Sizes of pieces. */
const SMALL_BYTES = 64 * 1024;
const LARGE_BYTES = 1024 * 1024;
/** How many of each are kept, … */
const MOST_KEPT = 4;
/** … and how many pieces of one read are under way. */
const MOST_READS = 4;

/** Memory of one size, and those of it that nobody uses. */
class MemoryShelf {
  readonly #free: Memory[] = [];

  constructor(
    private readonly device: Device,
    private readonly lengthBytes: number,
  ) {}

  take(): Memory {
    return this.#free.pop() ?? this.device.allocateMemory(this.lengthBytes);
  }

  give(memory: Memory): void {
    if (this.#free.length < MOST_KEPT) this.#free.push(memory);
  }
}

export class Transfers {
  readonly #volume: Volume;
  readonly #mayEndEarly: boolean;
  readonly #small: MemoryShelf;
  readonly #large: MemoryShelf;

  /** @param mayEndEarly false: a write is answered when it is on the device */
  constructor(volume: Volume, device: Device, mayEndEarly: boolean) {
    this.#volume = volume;
    this.#mayEndEarly = mayEndEarly;
    const room = 2 * volume.blockBytes;
    this.#small = new MemoryShelf(device, SMALL_BYTES + room);
    this.#large = new MemoryShelf(device, LARGE_BYTES + room);
  }

  /**
   * Fills the array from byte `offset` of the file on, as far as the file goes.
   * @returns how many bytes it filled
   * @throws FsError EISDIR, EINVAL, EIO
   */
  async read(inode: number, into: Uint8Array, offset: number, movesAccessTime = true): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const pieces: Promise<number>[] = [];
      const batchEnd = Math.min(into.length, done + MOST_READS * LARGE_BYTES);
      for (let at = done; at < batchEnd; at += LARGE_BYTES) {
        const piece = into.subarray(at, Math.min(batchEnd, at + LARGE_BYTES));
        pieces.push(this.#readPiece(inode, piece, offset + at, movesAccessTime));
      }
      this.#volume.submit();
      // All of them, also after a failure: the array is the caller's again when this ends.
      for (const ended of await Promise.allSettled(pieces)) {
        if (ended.status === 'rejected') throw ended.reason;
        done += ended.value;
      }
      if (done < batchEnd) break;
    }
    return done;
  }

  #readPiece(
    inode: number,
    into: Uint8Array,
    offsetBytes: number,
    movesAccessTime: boolean,
  ): Promise<number> {
    const shelf = this.#shelfFor(into.length);
    const memory = shelf.take();
    return new Promise((resolve, reject) => {
      const request: ReadRequest = {
        inode,
        offsetBytes,
        lengthBytes: into.length,
        memory,
        memoryOffset: 0,
        movesAccessTime,
        resultOffset: 0,
        resultBytes: 0,
        finished: (thrown) => {
          const { resultOffset, resultBytes } = request;
          if (thrown === undefined) {
            into.set(memory.bytes.subarray(resultOffset, resultOffset + resultBytes));
            resolve(resultBytes);
          } else reject(thrown);
          shelf.give(memory);
        },
      };
      this.#volume.read(request);
    });
  }

  /**
   * Writes all of the array from byte `offset` of the file on; what is before a failure is written.
   * @returns whether the file wants to be durable
   * @throws FsError EFBIG, ENOSPC, EROFS, EPERM, EISDIR, EIO
   */
  async write(inode: number, from: Uint8Array, offset: number, killPrivileges: boolean): Promise<boolean> {
    let mustBeDurable = false;
    for (let at = 0; at < from.length; at += LARGE_BYTES) {
      const piece = from.subarray(at, at + LARGE_BYTES);
      if (await this.#writePiece(inode, piece, offset + at, killPrivileges)) mustBeDurable = true;
    }
    return mustBeDurable;
  }

  #writePiece(
    inode: number,
    from: Uint8Array,
    offsetBytes: number,
    killPrivileges: boolean,
  ): Promise<boolean> {
    const shelf = this.#shelfFor(from.length);
    const memory = shelf.take();
    memory.bytes.set(from);
    return new Promise((resolve, reject) => {
      const request: WriteRequest = {
        inode,
        offsetBytes,
        lengthBytes: from.length,
        memory,
        memoryOffset: 0,
        updateTimes: true,
        killPrivileges,
        mayEndEarly: this.#mayEndEarly,
        // Whoever writes hears of it, and now is when: what a write takes away goes with it.
        fromCache: false,
        finished: (thrown) => {
          shelf.give(memory);
          if (thrown === undefined) resolve(request.mustBeDurable === true);
          else reject(thrown);
        },
      };
      this.#volume.write(request);
      this.#volume.submit();
    });
  }

  #shelfFor(lengthBytes: number): MemoryShelf {
    return lengthBytes <= SMALL_BYTES ? this.#small : this.#large;
  }
}
