/**
 * The Device contract: where bytes are kept.
 *
 * A device moves bytes between its own aligned memory and byte offsets. Requests are queued by
 * `read`, `write`, `writeThrough`, `flush` and `discard`, and handed over together by `submit`;
 * each one ends with exactly one call of `ioDone` on its completion, never from inside these calls
 * themselves.
 *
 * A `discard` says that what a range holds is of no use any more. From its submission on, and after
 * power loss, every sector of the range reads as before or as anything, until it is written again;
 * such a write may be queued only when the discard has ended.
 *
 * The durability promise, on which everything above rests: after a flush is done, every write that
 * was done before that flush was queued survives power loss, and so does a `writeThrough` as soon
 * as it is done; any other write may be absent, torn at 512-byte sectors, or reordered.
 *
 * Transfers must be multiples of `sectorBytes` in offset and length, at memory offsets that are
 * multiples of `sectorBytes`. A device completes short transfers itself: a completion means all
 * bytes, or an error.
 */

/** Aligned memory that belongs to one device. `bytes` starts at a page boundary. */
export interface Memory {
  readonly bytes: Uint8Array;
}

/** Receives the end of one queued request. */
export interface IoCompletion {
  /** @param errno 0 on success, otherwise a positive errno value (EIO = 5, …). Must not throw. */
  ioDone(errno: number): void;
}

export interface Device {
  /** Usable length, in bytes; a multiple of `sectorBytes`. */
  readonly sizeBytes: number;
  /** Smallest unit of a transfer, in bytes: 512 to 4096, a power of two. */
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  /** The shortest range worth a discard, in bytes; 0 where the device discards nothing. */
  readonly discardBytes: number;

  /**
   * Aligned, zeroed memory for transfers of this device. Lives until the device is closed and it is
   * unreachable.
   */
  allocateMemory(lengthBytes: number): Memory;

  /** Queues a read of `lengthBytes` at `deviceOffset` into `memory` at `memoryOffset`. */
  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void;

  /**
   * Queues a write; `memory` must not change until the completion. On a read-only device it ends
   * with EROFS.
   */
  write(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void;

  /**
   * As `write`, for what nobody waits for: it may be held for some milliseconds, so that writes
   * beside it go to the device with it, and `submit` does not hand it over. `hurry` does. Devices
   * without it have `write`.
   */
  writeLater?(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void;

  /** Somebody waits for what `writeLater` holds. */
  hurry?(): void;

  /**
   * Queues a write that survives power loss as soon as it is done. It says nothing of other writes.
   * Costs a round trip less than a write and a flush; a drive with FUA is spared the rest of its
   * cache.
   */
  writeThrough(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void;

  /** Queues a flush, which covers every write that was done before this call. */
  flush(completion: IoCompletion): void;

  /**
   * Queues a discard of whole sectors. It ends with EROFS on a read-only device, with EOPNOTSUPP
   * where the device discards nothing.
   */
  discard(deviceOffset: number, lengthBytes: number, completion: IoCompletion): void;

  /**
   * Hands everything queued to the kernel, in one system call where the queue depth allows it. What
   * is queued from inside `ioDone` is handed over by the device itself, when it has told all
   * completions at hand.
   */
  submit(): void;

  /** Waits for what is in flight, then releases the device. Idempotent. */
  close(): Promise<void>;
}

/**
 * Turns one device request into a promise, for paths where a promise costs nothing that matters.
 */
export class PromisedCompletion implements IoCompletion {
  readonly promise: Promise<number>;
  #resolve: (errno: number) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  ioDone(errno: number): void {
    this.#resolve(errno);
  }
}
