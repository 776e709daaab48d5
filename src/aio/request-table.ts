/**
 * The unfinished requests of a SubmissionQueue, as numbers in typed arrays.
 *
 * A request is a token: an index into these arrays, reused when it ends, so that the hot path
 * allocates nothing. The table doubles when it is full; how many requests there are at most is
 * decided by whoever owns the buffers.
 */
const FIRST_CAPACITY = 256;

/** One piece of a scattered transfer: part of a numbered memory. */
export interface MemoryPiece {
  readonly memoryId: number;
  readonly memoryOffset: number;
  readonly lengthBytes: number;
}

/** @typeParam Owner whom a request belongs to. @typeParam Completion who is told of its end. */
export class RequestTable<Owner, Completion> {
  /** QueueOperation. */
  operation = new Uint8Array(FIRST_CAPACITY);
  memoryId = new Float64Array(FIRST_CAPACITY);
  memoryOffset = new Float64Array(FIRST_CAPACITY);
  /** Where in the file the next entry begins. */
  fileOffset = new Float64Array(FIRST_CAPACITY);
  /** Bytes still to move. */
  leftBytes = new Float64Array(FIRST_CAPACITY);
  /** Bytes moved. */
  doneBytes = new Float64Array(FIRST_CAPACITY);
  /** Bytes of the entry that the kernel has. */
  entryBytes = new Float64Array(FIRST_CAPACITY);
  /** 1 from the hand-over to the completion. */
  inKernel = new Uint8Array(FIRST_CAPACITY);
  /** 1 when it was given up: what stops early is not continued. */
  givenUp = new Uint8Array(FIRST_CAPACITY);
  /** What is left of a scattered transfer. */
  readonly pieces: (MemoryPiece[] | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  readonly #owners: (Owner | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  readonly #completions: (Completion | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  #capacity = FIRST_CAPACITY;
  #free: Int32Array = descending(0, FIRST_CAPACITY);
  #freeCount = FIRST_CAPACITY;

  /**
   * A new request; its numbers are for the caller to fill, except that nothing is done and nobody
   * gave it up.
   */
  add(operation: number, owner: Owner, completion: Completion): number {
    if (this.#freeCount === 0) this.#grow();
    const token = this.#free[--this.#freeCount] as number;
    this.operation[token] = operation;
    this.leftBytes[token] = 0;
    this.doneBytes[token] = 0;
    this.inKernel[token] = 0;
    this.givenUp[token] = 0;
    this.#owners[token] = owner;
    this.#completions[token] = completion;
    return token;
  }

  ownerOf(token: number): Owner {
    const owner = this.#owners[token];
    if (owner === undefined) throw new Error(`request ${token} has ended already`);
    return owner;
  }

  /** Forgets the request; returns whom to tell. */
  end(token: number): Completion {
    const completion = this.#completions[token];
    if (completion === undefined) throw new Error(`request ${token} has ended already`);
    this.#completions[token] = undefined;
    this.#owners[token] = undefined;
    this.pieces[token] = undefined;
    this.#free[this.#freeCount++] = token;
    return completion;
  }

  #grow(): void {
    const before = this.#capacity;
    const after = before * 2;
    this.operation = resized(this.operation, new Uint8Array(after));
    this.memoryId = resized(this.memoryId, new Float64Array(after));
    this.memoryOffset = resized(this.memoryOffset, new Float64Array(after));
    this.fileOffset = resized(this.fileOffset, new Float64Array(after));
    this.leftBytes = resized(this.leftBytes, new Float64Array(after));
    this.doneBytes = resized(this.doneBytes, new Float64Array(after));
    this.entryBytes = resized(this.entryBytes, new Float64Array(after));
    this.inKernel = resized(this.inKernel, new Uint8Array(after));
    this.givenUp = resized(this.givenUp, new Uint8Array(after));
    for (let token = before; token < after; token++) {
      this.#owners.push(undefined);
      this.#completions.push(undefined);
      this.pieces.push(undefined);
    }
    this.#free = resized(descending(before, after), new Int32Array(after));
    this.#freeCount = after - before;
    this.#capacity = after;
  }
}

/** The numbers from `to − 1` down to `from`, so that a stack gives the lowest first. */
function descending(from: number, to: number): Int32Array {
  return Int32Array.from({ length: to - from }, (_, at) => to - 1 - at);
}

function resized<A extends Uint8Array | Int32Array | Float64Array>(old: A, made: A): A {
  made.set(old);
  return made;
}

/** What is left of `pieces` without their first `bytes`. */
export function piecesAfter(pieces: MemoryPiece[], bytes: number): MemoryPiece[] {
  let skipped = bytes;
  const whole = pieces.findIndex((piece) => {
    if (skipped < piece.lengthBytes) return true;
    skipped -= piece.lengthBytes;
    return false;
  });
  const cut = pieces[whole];
  if (cut === undefined) return [];
  const rest = {
    memoryId: cut.memoryId,
    memoryOffset: cut.memoryOffset + skipped,
    lengthBytes: cut.lengthBytes - skipped,
  };
  return [rest, ...pieces.slice(whole + 1)];
}
