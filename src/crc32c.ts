/**
 * CRC-32C for everyone above: one neutral place, so that the filesystem need not know the native
 * addon, nor whether there is one.
 */
import { crc32cInScript } from './common/crc32c-script.ts';
import { addon } from './native.ts';

/**
 * @param bytes what holds the bytes
 * @param from first byte
 * @param to one past the last byte
 * @param seed 0 to begin, or the checksum of what came before
 * @returns the CRC-32C (RFC 3720) as an unsigned 32-bit number
 */
export const crc32c: (bytes: Uint8Array, from: number, to: number, seed: number) => number =
  addon?.crc32c ?? crc32cInScript;
