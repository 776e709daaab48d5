/**
 * A device that a program brings along: what a volume can be kept on, beside files and disks.
 *
 *   const store = {
 *     sizeBytes: 64 * 2 ** 20,
 *     async read(into, offsetBytes) { … },
 *     async write(from, offsetBytes) { … },
 *     async flush() { … },
 *   };
 *
 * What is rejected with a `code` of the system (EIO, ENOSPC, …) ends the request so; anything else
 * is EIO. A store that is slow, or answers in another order, is fine. One that loses what `flush`
 * covered loses volumes.
 */
import type { IoCompletion } from '../../aio/device.ts';
import { tell } from '../../aio/local-completions.ts';
import { LocalDevice } from '../../sim/local-device.ts';
import { bytesOf, type DeviceRequest } from '../../sim/request-queue.ts';
import { errnoOfThrown } from '../system-error.ts';

export interface BlockStore {
  /** A multiple of `sectorBytes`. */
  readonly sizeBytes: number;
  /** What reads and writes are multiples of: a power of two from 512 (the default) to 4096. */
  readonly sectorBytes?: number;
  /** Default: false. */
  readonly readOnly?: boolean;
  /** Fills all of the array with what stands from there on. */
  read(into: Uint8Array, offsetBytes: number): Promise<void> | void;
  /** Stores all of the array; it is not changed before this ends. */
  write(from: Uint8Array, offsetBytes: number): Promise<void> | void;
  /**
   * When it ends, every write that had ended when it was called survives a crash. Any other may be
   * there, be absent, or be there in part.
   */
  flush(): Promise<void> | void;
  /** What the range holds is of no use any more. */
  discard?(offsetBytes: number, lengthBytes: number): Promise<void> | void;
  /** Called once when a volume on it is closed, and nothing is under way any more. */
  close?(): Promise<void> | void;
}

const LEAST_SECTOR_BYTES = 512;
const MOST_SECTOR_BYTES = 4096;

/** @throws TypeError, RangeError for what is no store */
function requireStore(store: BlockStore): void {
  const { sizeBytes, sectorBytes = LEAST_SECTOR_BYTES } = store;
  for (const name of ['read', 'write', 'flush'] as const) {
    if (typeof store[name] !== 'function') throw new TypeError(`a block store needs a function ${name}`);
  }
  const isPower = Number.isInteger(Math.log2(sectorBytes));
  if (!isPower || sectorBytes < LEAST_SECTOR_BYTES || sectorBytes > MOST_SECTOR_BYTES)
    throw new RangeError(`sectorBytes ${sectorBytes} of a block store is no power of two from 512 to 4096`);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes % sectorBytes !== 0)
    throw new RangeError(`sizeBytes ${sizeBytes} of a block store is no multiple of ${sectorBytes}`);
}

/** A store as the device that a volume wants. */
export class StoreDevice extends LocalDevice {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly #store: BlockStore;
  readonly #keepsStore: boolean;
  #queued: DeviceRequest[] = [];
  #underWay = 0;
  #closing: Promise<void> | undefined;

  /** @param options `keepsStore`: the store outlives the device */
  constructor(
    store: BlockStore,
    options: { readonly readOnly?: boolean; readonly keepsStore?: boolean } = {},
  ) {
    super();
    requireStore(store);
    this.#store = store;
    this.#keepsStore = options.keepsStore ?? false;
    this.sizeBytes = store.sizeBytes;
    this.sectorBytes = store.sectorBytes ?? LEAST_SECTOR_BYTES;
    this.readOnly = (options.readOnly ?? false) || (store.readOnly ?? false);
  }

  override get discardBytes(): number {
    return this.#store.discard === undefined ? 0 : this.sectorBytes;
  }

  submit(): void {
    for (const request of this.#queued.splice(0)) {
      this.#underWay++;
      void this.#carryOut(request);
    }
  }

  override close(): Promise<void> {
    this.#closing ??= super.close().then(() => (this.#keepsStore ? undefined : this.#store.close?.()));
    return this.#closing;
  }

  protected accept(request: DeviceRequest): void {
    this.#queued.push(request);
  }

  protected get idle(): boolean {
    return this.#queued.length === 0 && this.#underWay === 0;
  }

  async #carryOut(request: DeviceRequest): Promise<void> {
    let errno = 0;
    try {
      await this.#perform(request);
    } catch (thrown) {
      errno = errnoOfThrown(thrown);
    }
    this.#end(request.completion, errno);
  }

  /** A flush covers what had ended before, as that of the store does. */
  async #perform(request: DeviceRequest): Promise<void> {
    const { operation, deviceOffset, lengthBytes, through } = request;
    // Never inside the call that queued it.
    await undefined;
    if (operation === 'read') await this.#store.read(bytesOf(request), deviceOffset);
    else if (operation === 'write') await this.#store.write(bytesOf(request), deviceOffset);
    else if (operation === 'discard') await this.#store.discard?.(deviceOffset, lengthBytes);
    else await this.#store.flush();
    if (through) await this.#store.flush();
  }

  #end(completion: IoCompletion, errno: number): void {
    this.#underWay--;
    tell(completion, errno);
    this.submit();
    this.closeIfIdle();
  }
}
