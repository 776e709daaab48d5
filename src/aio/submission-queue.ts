/**
 * Requests on their way to a kernel queue and back: what every device and every file goes through.
 *
 *   const kernel = (onCompletions) => new native.UringQueue(256, onCompletions);
 *   const queue = new SubmissionQueue(kernel, 256);
 *   const of = { file: descriptor, depth: 128, alignBytes: 512 };
 *   const lane = queue.openLane(of, (completion, doneBytes, errno) => …);
 *   lane.transfer(QueueOperation.read, memoryId, 0, 4096, 65536, completion);
 *   queue.submit();
 *
 * A lane is the requests of one file. At most its `depth` of them, and the queue's `depth` of all
 * lanes, are with the kernel; the others wait in line. Lanes with something to do take turns at
 * being first.
 *
 * The rules that are kept here, once for everybody: 1. A request is in the table before the kernel
 * hears of it, so no completion can come too early. 2. A transfer that stops early goes on where it
 * stopped, in whole sectors: after a fraction of a sector a read has met the end
 *     of the file, and a write does that sector again.
 * 3. A read ends short only at the end of the file. A write that moves nothing is EIO. 4. EINTR
 * goes back in line; EAGAIN too, after a pause. 5. A request ends once, never from inside the call
 * that queued or submitted it. `onEnd` must not throw.
 *
 * No promise, closure or object is made per request, apart from the pieces of a scattered one.
 */
import { fdatasync, fsync } from 'node:fs';
import { constants } from 'node:os';
import {
  type IoQueueHandle,
  QUEUE_ENTRY_NUMBERS,
  QUEUE_SEGMENT_NUMBERS,
  QUEUE_SEGMENTS_PER_ENTRY,
  QueueOperation,
} from '../native.ts';
import { Lane, type LaneOptions, type OnEnd } from './lane.ts';
import { LONGEST_ENTRY_BYTES } from './limits.ts';
import { type MemoryPiece, piecesAfter, RequestTable } from './request-table.ts';

const { EAGAIN, ECANCELED, EINTR, EINVAL, EIO } = constants.errno;

/** Pause before asking again a kernel that had no room although nothing of ours was in flight. */
const RETRY_MILLISECONDS = 1;

/** Told whether the kernel gave a request up: 0 or a positive errno. */
type OnCancelled = (errno: number) => void;

/** Makes the kernel queue below; tests give one of their own here. */
export type OpenQueue = (onCompletions: (count: number) => void) => IoQueueHandle;

export class SubmissionQueue<Completion> {
  /** Most requests with the kernel at once, of all lanes. */
  readonly depth: number;
  readonly requests = new RequestTable<Lane<Completion>, Completion | OnCancelled>();
  readonly #kernel: IoQueueHandle;
  readonly #entries: Float64Array;
  readonly #segments: Float64Array;
  readonly #completions: Float64Array;
  /** Lanes with waiting requests. */
  #ready: Lane<Completion>[] = [];
  #inKernel = 0;
  #completing = false;
  #batchTime = 0;
  #retrying = false;
  #scheduled = false;
  #localEnds: { token: number; errno: number }[] = [];
  readonly #submitScheduled = () => {
    this.#scheduled = false;
    this.#handOver();
  };

  constructor(open: OpenQueue, depth: number) {
    this.depth = depth;
    this.#kernel = open((count) => this.#finish(count));
    this.#entries = this.#kernel.entries;
    this.#segments = this.#kernel.segments;
    this.#completions = this.#kernel.completions;
  }

  openLane(options: LaneOptions, onEnd: OnEnd<Completion>): Lane<Completion> {
    return new Lane(this, options, onEnd);
  }

  /**
   * Hands over what waits. From inside `onEnd` it need not be called: the end of the batch does it,
   * for all at once.
   */
  submit(): void {
    if (!this.#completing) this.#handOver();
  }

  /** Hands over what waits at the end of this turn, together with what comes until then. */
  schedule(): void {
    if (this.#scheduled || this.#completing) return;
    this.#scheduled = true;
    queueMicrotask(this.#submitScheduled);
  }

  /**
   * Waits, blocking, for what the kernel still has. Requests that have not ended never will: let
   * them end first.
   */
  close(): void {
    this.#kernel.close();
  }

  statistics(): ReturnType<IoQueueHandle['statistics']> {
    return this.#kernel.statistics();
  }

  /** performance.now(), read once for each batch of completions. */
  now(): number {
    return this.#completing ? this.#batchTime : performance.now();
  }

  /** The kernel queue, for those who know its kind. */
  get kernel(): IoQueueHandle {
    return this.#kernel;
  }

  /** Puts a request in line. */
  enqueue(lane: Lane<Completion>, token: number): void {
    if (lane.waiting.count === 0) this.#ready.push(lane);
    lane.waiting.push(token);
  }

  /** Ends a request that the kernel does not have, soon. */
  endSoon(token: number, errno: number): void {
    if (this.#localEnds.length === 0) queueMicrotask(() => this.#tellLocalEnds());
    this.#localEnds.push({ token, errno });
  }

  /**
   * Asks for a request to end early. `onCancelled` hears 0 when it will end with ECANCELED, and
   * otherwise why it will not. Either way the request itself ends as all do.
   */
  cancel(token: number, onCancelled: OnCancelled): void {
    const { requests } = this;
    const lane = requests.ownerOf(token);
    requests.givenUp[token] = 1;
    if (requests.inKernel[token] === 0) {
      this.#cancelWaiting(lane, token, onCancelled);
    } else if (this.#inKernel >= this.depth) {
      queueMicrotask(() => onCancelled(EAGAIN));
    } else {
      const cancel = requests.add(QueueOperation.cancel, lane, onCancelled);
      requests.fileOffset[cancel] = token;
      requests.entryBytes[cancel] = -1; // no result is the length of this
      this.#fillEntry(0, cancel, lane, 0);
      this.#inKernel++;
      this.#kernel.submit(1);
    }
  }

  #cancelWaiting(lane: Lane<Completion>, token: number, onCancelled: OnCancelled): void {
    const waited = lane.waiting.remove(token);
    if (lane.waiting.count === 0) this.#ready = this.#ready.filter((other) => other !== lane);
    if (waited) this.endSoon(token, ECANCELED);
    queueMicrotask(() => onCancelled(waited ? 0 : EINVAL));
  }

  #tellLocalEnds(): void {
    const ends = this.#localEnds;
    this.#localEnds = [];
    for (const { token, errno } of ends) this.#end(token, errno);
  }

  #handOver(): void {
    while (this.#ready.length > 0 && this.#inKernel < this.depth && !this.#retrying) {
      const count = this.#fillEntries();
      if (count === 0) return;
      this.#inKernel += count;
      this.#kernel.submit(count);
    }
  }

  /** Fills as many entries as there is room for; returns how many. */
  #fillEntries(): number {
    const room = this.depth - this.#inKernel;
    const { segments } = this.#kernel;
    let segmentPlace = 0;
    let count = 0;
    for (let turn = this.#ready.length; turn > 0 && count < room; turn--) {
      const lane = this.#ready[0] as Lane<Completion>;
      while (lane.waiting.count > 0 && lane.inKernel < lane.depth && count < room) {
        if (segmentPlace + QUEUE_SEGMENTS_PER_ENTRY > segments.length / QUEUE_SEGMENT_NUMBERS) return count;
        segmentPlace = this.#fillEntry(count++, lane.waiting.shift(), lane, segmentPlace);
        lane.inKernel++;
      }
      this.#ready.shift();
      if (lane.waiting.count > 0) this.#ready.push(lane);
    }
    return count;
  }

  /** Fills one entry, and its segments from `segmentPlace` on; returns the place after them. */
  #fillEntry(at: number, token: number, lane: Lane<Completion>, segmentPlace: number): number {
    const { requests } = this;
    const entries = this.#entries;
    const place = at * QUEUE_ENTRY_NUMBERS;
    requests.inKernel[token] = 1;
    entries[place] = requests.operation[token] as number;
    entries[place + 1] = lane.file;
    entries[place + 5] = requests.fileOffset[token] as number;
    entries[place + 6] = token;
    const pieces = requests.pieces[token];
    if (pieces) return this.#fillSegments(place, token, pieces, segmentPlace);
    const length = Math.min(requests.leftBytes[token] as number, LONGEST_ENTRY_BYTES);
    if (requests.operation[token] !== QueueOperation.cancel) requests.entryBytes[token] = length;
    entries[place + 2] = requests.memoryId[token] as number;
    entries[place + 3] = requests.memoryOffset[token] as number;
    entries[place + 4] = length;
    entries[place + 7] = 0;
    return segmentPlace;
  }

  #fillSegments(place: number, token: number, pieces: MemoryPiece[], segmentPlace: number): number {
    const segments = this.#segments;
    let lengthBytes = 0;
    let count = 0;
    for (const piece of pieces) {
      if (count === QUEUE_SEGMENTS_PER_ENTRY || lengthBytes === LONGEST_ENTRY_BYTES) break;
      const taken = Math.min(piece.lengthBytes, LONGEST_ENTRY_BYTES - lengthBytes);
      const at = (segmentPlace + count++) * QUEUE_SEGMENT_NUMBERS;
      segments[at] = piece.memoryId;
      segments[at + 1] = piece.memoryOffset;
      segments[at + 2] = taken;
      lengthBytes += taken;
    }
    this.requests.entryBytes[token] = lengthBytes;
    this.#entries[place + 2] = 0;
    this.#entries[place + 3] = segmentPlace;
    this.#entries[place + 4] = lengthBytes;
    this.#entries[place + 7] = count;
    return segmentPlace + count;
  }

  /** The kernel ended `count` requests. */
  #finish(count: number): void {
    const completions = this.#completions;
    this.#inKernel -= count;
    this.#completing = true;
    this.#batchTime = performance.now();
    try {
      for (let at = 0; at < count * 2; at += 2) {
        this.#finishOne(completions[at] as number, completions[at + 1] as number);
      }
    } finally {
      this.#completing = false;
    }
    this.#handOver();
  }

  #finishOne(token: number, result: number): void {
    const { requests } = this;
    if (requests.operation[token] === QueueOperation.cancel) {
      (requests.end(token) as OnCancelled)(-result);
      return;
    }
    requests.inKernel[token] = 0;
    requests.ownerOf(token).inKernel--;
    if (result < 0) this.#finishFailed(token, -result);
    else if (result === requests.leftBytes[token]) {
      requests.doneBytes[token] = (requests.doneBytes[token] as number) + result;
      requests.leftBytes[token] = 0;
      this.#end(token, 0);
    } else this.#finishPart(token, result);
  }

  #finishFailed(token: number, errno: number): void {
    const { requests } = this;
    const operation = requests.operation[token];
    if (requests.givenUp[token] === 1 && (errno === EINTR || errno === EAGAIN)) this.#end(token, ECANCELED);
    else if (errno === EINTR) this.enqueue(requests.ownerOf(token), token);
    else if (errno === EAGAIN) this.#retryLater(token);
    else if (errno === EINVAL && (operation === QueueOperation.dataSync || operation === QueueOperation.sync))
      this.#syncInThread(token, operation === QueueOperation.dataSync);
    else this.#end(token, errno);
  }

  /** A transfer moved less than all: what one entry could hold, or less than that. */
  #finishPart(token: number, movedBytes: number): void {
    const { requests } = this;
    const lane = requests.ownerOf(token);
    const early = movedBytes !== requests.entryBytes[token];
    const fraction = early ? movedBytes % lane.alignBytes : 0;
    const operation = requests.operation[token];
    const writes = operation === QueueOperation.write || operation === QueueOperation.writeThrough;
    const goOnBytes = writes ? movedBytes - fraction : movedBytes;
    this.#advance(token, goOnBytes);
    if (writes && goOnBytes === 0) this.#end(token, EIO);
    else if (!writes && (movedBytes === 0 || fraction !== 0)) this.#end(token, 0);
    else if (requests.givenUp[token] === 1) this.#end(token, ECANCELED);
    else {
      if (early) lane.continued++;
      this.enqueue(lane, token);
    }
  }

  #advance(token: number, bytes: number): void {
    const { requests } = this;
    requests.doneBytes[token] = (requests.doneBytes[token] as number) + bytes;
    requests.leftBytes[token] = (requests.leftBytes[token] as number) - bytes;
    requests.fileOffset[token] = (requests.fileOffset[token] as number) + bytes;
    const pieces = requests.pieces[token];
    if (pieces) requests.pieces[token] = piecesAfter(pieces, bytes);
    else requests.memoryOffset[token] = (requests.memoryOffset[token] as number) + bytes;
  }

  #end(token: number, errno: number): void {
    const { requests } = this;
    const lane = requests.ownerOf(token);
    const doneBytes = requests.doneBytes[token] as number;
    const whole = requests.leftBytes[token] === 0;
    lane.unfinished--;
    lane.onEnd(requests.end(token) as Completion, doneBytes, errno, whole);
  }

  #retryLater(token: number): void {
    this.enqueue(this.requests.ownerOf(token), token);
    if (this.#retrying) return;
    this.#retrying = true;
    setTimeout(() => {
      this.#retrying = false;
      this.#handOver();
    }, RETRY_MILLISECONDS);
  }

  /** For files whose filesystem knows no asynchronous fsync. */
  #syncInThread(token: number, dataOnly: boolean): void {
    const done = (error: NodeJS.ErrnoException | null) =>
      this.#end(token, error ? Math.abs(error.errno ?? EIO) : 0);
    const { descriptor } = this.requests.ownerOf(token);
    if (dataOnly) fdatasync(descriptor, done);
    else fsync(descriptor, done);
  }
}
