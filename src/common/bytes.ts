/** Bytes, looked at. */

/** Numbers of 64 bits are read in two halves. */
export const TWO_32 = 2 ** 32;

/** A view of these bytes, wherever they lie in their buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && hasBytesAt(a, 0, b);
}

/** Whether `wanted` stands in `bytes` from `at` on. */
export function hasBytesAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}
