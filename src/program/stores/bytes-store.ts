/** A volume in an array of bytes: what is written to it is in the array at once. */
import type { BlockStore } from './block-store.ts';

const SECTOR_BYTES = 512;

/** @param bytes the volume; what is behind its last whole sector is left alone */
export function bytesStore(bytes: Uint8Array): BlockStore {
  return {
    sizeBytes: bytes.length - (bytes.length % SECTOR_BYTES),
    read: (into, offsetBytes) => into.set(bytes.subarray(offsetBytes, offsetBytes + into.length)),
    write: (from, offsetBytes) => bytes.set(from, offsetBytes),
    flush: () => {},
    discard: () => {},
  };
}
