/**
 * Arguments and results of READ and WRITE: the object that the filesystem is given.
 *
 * The bytes stand in the slot of the request, and `finished` ends that.
 */
import type { Memory } from '../../aio/device.ts';
import type { ReadRequest, WriteRequest } from '../../fs/base/filesystem.ts';

/** The request that the transfer belongs to. */
interface Owner {
  synchronous: boolean;
  dataOnly: boolean;
  readonly memory: Memory;
  readonly memoryOffset: number;
  readonly isLimited: boolean;
  finished(thrown: unknown): void;
}

export class Transfer implements ReadRequest, WriteRequest {
  inode = 0;
  offsetBytes = 0;
  lengthBytes = 0;
  /** READ: the access time may move. */
  movesAccessTime = false;
  /** READ: where the bytes stand, and how many there are. */
  resultOffset = 0;
  resultBytes = 0;
  /** WRITE: mtime and ctime are ours to move. */
  updateTimes = false;
  /** WRITE: set-user-id and set-group-id go. */
  killPrivileges = false;
  /** WRITE: it comes from the page cache … */
  fromCache = false;
  /** … of a kernel that knows nothing of capabilities … */
  dropsCapability = false;
  /** … and may be answered before the data is on the device. */
  mayEndEarly = false;
  /** WRITE: the flags of the file want it. */
  mustBeDurable = false;
  /** WRITE: it went past the page cache, which may hold older bytes. */
  pastCache = false;
  readonly memory: Memory;
  /** Of the payload: page-aligned. */
  readonly memoryOffset: number;
  readonly #owner: Owner;

  constructor(owner: Owner) {
    this.#owner = owner;
    this.memory = owner.memory;
    this.memoryOffset = owner.memoryOffset;
  }

  /** Of what a cache held nobody knows who wrote it. */
  get isLimited(): boolean {
    return this.fromCache || this.#owner.isLimited;
  }

  finished(thrown: unknown): void {
    if (this.mustBeDurable) {
      this.#owner.synchronous = true;
      this.#owner.dataOnly = false;
    }
    this.#owner.finished(thrown);
  }
}
