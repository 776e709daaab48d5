/** Volume ids as a command line has them, 8-4-4-4-12 hexadecimal digits (RFC 9562). */
import { UsageError } from './failure.ts';

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** @returns 16 bytes @throws UsageError */
export function parseUuid(text: string): Uint8Array {
  if (!UUID_PATTERN.test(text)) {
    throw new UsageError(`--uuid ${text} is not an id: write it as uuidgen prints it, or leave it out`);
  }
  return new Uint8Array(Buffer.from(text.replaceAll('-', ''), 'hex'));
}
