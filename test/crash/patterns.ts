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

/** Fills `into`, which stands at `offset` in the file, with the pattern; number 0 means zeros. */
export function fillPattern(into: Uint8Array, offset: number, number: number): void {
  if (number === 0) {
    into.fill(0);
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
export function patternByte(offset: number, number: number): number {
  return number === 0 ? 0 : (patternOf(number % PATTERNS)[offset % PERIOD_BYTES] as number);
}

const POISON_BYTE = 0xfe;

/** A disk that held something else before. */
export function poisonedDisk(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(POISON_BYTE);
}

/** Says in words where bytes at `offset` of a file seem to come from. */
export function describeBytes(bytes: Uint8Array, offset: number, patterns: number): string {
  const probe = bytes.subarray(0, 16);
  if (probe.every((byte) => byte === POISON_BYTE)) return 'what the disk held before mkfs';
  if (probe.every((byte) => byte === 0)) return 'zeros';
  for (let number = 1; number <= patterns; number++) {
    if (probe.every((byte, i) => byte === patternByte(offset + i, number))) return `write ${number}`;
  }
  for (let number = 1; number <= patterns; number++) {
    const at = Buffer.from(patternOf(number % PATTERNS)).indexOf(probe);
    if (at >= 0) return `write ${number}, from place ${at} (mod ${PERIOD_BYTES}) of its file`;
  }
  return `bytes ${Buffer.from(probe).toString('hex')}`;
}
