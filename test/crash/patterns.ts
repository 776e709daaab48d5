/**
 * Bytes that say where they come from: each write has a number, and its bytes depend on that number
 * and their place in the file, so that a byte which turns up elsewhere, or stayed away, is noticed.
 * What the disk held before anything was written is poison, recognisable too. No byte of either is
 * zero.
 */

/**
 * Patterns repeat after so many bytes of a file: a prime, so that no shift by whole sectors goes
 * unnoticed.
 */
const PERIOD_BYTES = 7919;
/** Numbers of writes up to here have patterns of their own. */
const PATTERNS = 4096;

const cache = new Map<number, Uint8Array>();

function patternOf(number: number): Uint8Array {
  const known = cache.get(number);
  if (known) return known;
  const bytes = new Uint8Array(PERIOD_BYTES);
  let state = Math.imul(number + 1, 0x9e3779b1);
  for (let i = 0; i < PERIOD_BYTES; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    bytes[i] = 1 + ((state >>> 9) % 253);
  }
  cache.set(number, bytes);
  return bytes;
}

const POISON_BYTE = 0xfe;

/** A disk that held something else before. */
export function poisonedDisk(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(POISON_BYTE);
}

/** Bytes that were copied: they are known only when they were read. */
interface Literal {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The patterns of one workload: above 0 those of writes, below it what was copied, 0 for zeros. */
export class Patterns {
  /** How many writes have one. */
  writes = 0;
  readonly #literals: Literal[] = [];

  /** The number of a new write. */
  next(): number {
    return ++this.writes;
  }

  /** The number of these bytes at `offset` of a file. */
  literal(offset: number, bytes: Uint8Array): number {
    return -this.#literals.push({ offset, bytes: bytes.slice() });
  }

  #literal(number: number): Literal {
    const literal = this.#literals[-number - 1];
    if (literal === undefined) throw new Error(`no bytes ${number}`);
    return literal;
  }

  /** Fills `into`, which stands at `offset` in the file. */
  fill(into: Uint8Array, offset: number, number: number): void {
    if (number === 0) {
      into.fill(0);
      return;
    }
    if (number < 0) {
      const { offset: first, bytes } = this.#literal(number);
      into.set(bytes.subarray(offset - first, offset - first + into.length));
      return;
    }
    const pattern = patternOf(number % PATTERNS);
    let at = 0;
    while (at < into.length) {
      const from = (offset + at) % PERIOD_BYTES;
      const length = Math.min(PERIOD_BYTES - from, into.length - at);
      into.set(pattern.subarray(from, from + length), at);
      at += length;
    }
  }

  /** The byte of the pattern at `offset` in the file. */
  byteAt(offset: number, number: number): number {
    if (number === 0) return 0;
    if (number > 0) return patternOf(number % PATTERNS)[offset % PERIOD_BYTES] as number;
    const { offset: first, bytes } = this.#literal(number);
    return bytes[offset - first] as number;
  }

  name(number: number): string {
    if (number === 0) return 'zeros';
    return number > 0 ? `write ${number}` : `copy ${-number}`;
  }

  /** Says in words where bytes at `offset` of a file seem to come from. */
  describe(bytes: Uint8Array, offset: number): string {
    const probe = bytes.subarray(0, 16);
    if (probe.every((byte) => byte === POISON_BYTE)) return 'what the disk held before mkfs';
    if (probe.every((byte) => byte === 0)) return 'zeros';
    for (let number = 1; number <= this.writes; number++)
      if (probe.every((byte, i) => byte === this.byteAt(offset + i, number))) return `write ${number}`;
    for (let number = 1; number <= this.writes; number++) {
      const at = Buffer.from(patternOf(number % PATTERNS)).indexOf(probe);
      if (at >= 0) return `write ${number}, from place ${at} (mod ${PERIOD_BYTES}) of its file`;
    }
    return `bytes ${Buffer.from(probe).toString('hex')}`;
  }
}
