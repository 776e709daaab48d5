/**
 * The requests of one file or device, on their way through a SubmissionQueue.
 *
 * A lane knows what is in line, how many are with the kernel, and whom to tell; when its requests
 * move is decided by the queue, which is also the only one to change the counters here. Made by
 * `SubmissionQueue.openLane`.
 */
import type { MemoryPiece, RequestTable } from './request-table.ts';
import { TokenRing } from './token-ring.ts';

/**
 * Told of the end of a request: bytes moved, 0 or a positive errno, and whether that was all that
 * was asked for.
 */
export type OnEnd<Completion> = (
  completion: Completion,
  doneBytes: number,
  errno: number,
  whole: boolean,
) => void;

export interface LaneOptions {
  /** A descriptor, or −1 − the id of a MappedFile. */
  readonly file: number;
  /** The descriptor under it, for what no queue can do. */
  readonly descriptor: number;
  /** Most requests with the kernel at once. */
  readonly depth: number;
  /** Sector: where a transfer that stopped early may go on. 1 for I/O that is not direct. */
  readonly alignBytes: number;
}

/** What a lane needs of its queue. */
export interface LaneQueue<Completion> {
  readonly depth: number;
  readonly requests: Pick<
    RequestTable<Lane<Completion>, Completion>,
    'memoryId' | 'memoryOffset' | 'fileOffset' | 'leftBytes' | 'inKernel' | 'pieces' | 'add'
  >;
  /** Puts a request in line. */
  enqueue(lane: Lane<Completion>, token: number): void;
  /** Ends a request that moves nothing, later. */
  endSoon(token: number, errno: number): void;
}

/** The requests of one file or device. */
export class Lane<Completion> {
  readonly file: number;
  readonly descriptor: number;
  readonly depth: number;
  readonly alignBytes: number;
  readonly onEnd: OnEnd<Completion>;
  /**
   * For the queue: in line, with the kernel, not ended, and how often a transfer that stopped early
   * went on.
   */
  readonly waiting = new TokenRing();
  inKernel = 0;
  unfinished = 0;
  continued = 0;
  readonly #queue: LaneQueue<Completion>;

  /** Use `openLane`. */
  constructor(queue: LaneQueue<Completion>, options: LaneOptions, onEnd: OnEnd<Completion>) {
    this.#queue = queue;
    this.file = options.file;
    this.descriptor = options.descriptor;
    this.depth = Math.min(options.depth, queue.depth);
    this.alignBytes = options.alignBytes;
    this.onEnd = onEnd;
  }

  /** Queues a transfer of one piece of memory; returns its token, which is good until it ends. */
  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  transfer(
    operation: number,
    memoryId: number,
    memoryOffset: number,
    lengthBytes: number,
    fileOffset: number,
    completion: Completion,
  ): number {
    const { requests } = this.#queue;
    const token = requests.add(operation, this, completion);
    requests.memoryId[token] = memoryId;
    requests.memoryOffset[token] = memoryOffset;
    requests.leftBytes[token] = lengthBytes;
    requests.fileOffset[token] = fileOffset;
    this.unfinished++;
    if (lengthBytes === 0) this.#queue.endSoon(token, 0);
    else this.#queue.enqueue(this, token);
    return token;
  }

  /** Queues a transfer of several pieces, in order. The array becomes the queue's. */
  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  transferPieces(
    operation: number,
    pieces: MemoryPiece[],
    lengthBytes: number,
    fileOffset: number,
    completion: Completion,
  ): number {
    const { requests } = this.#queue;
    const token = requests.add(operation, this, completion);
    requests.pieces[token] = pieces;
    requests.leftBytes[token] = lengthBytes;
    requests.fileOffset[token] = fileOffset;
    this.unfinished++;
    if (lengthBytes === 0) this.#queue.endSoon(token, 0);
    else this.#queue.enqueue(this, token);
    return token;
  }

  /** Queues QueueOperation.sync or .dataSync. */
  sync(operation: number, completion: Completion): number {
    const { requests } = this.#queue;
    const token = requests.add(operation, this, completion);
    requests.memoryId[token] = 0;
    requests.memoryOffset[token] = 0;
    requests.fileOffset[token] = 0;
    this.unfinished++;
    this.#queue.enqueue(this, token);
    return token;
  }

  /** Whether the kernel has the request. */
  isInKernel(token: number): boolean {
    return this.#queue.requests.inKernel[token] === 1;
  }
}
