/** Values of the format as texts: volume ids, times, names. */
import { printableJson } from '../common/printable.ts';

export function hexText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Bytes by themselves: `48 65 6c`. */
export function spacedHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** 8-4-4-4-12 hexadecimal digits (RFC 9562). @param uuid 16 bytes */
export function formatUuid(uuid: Uint8Array): string {
  return hexText(uuid).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Seconds since 1970 as ISO 8601; undefined for 0 and for what no calendar has. */
export function timeText(seconds: number): string | undefined {
  const date = new Date(seconds * 1000);
  return seconds === 0 || Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace('.000Z', 'Z');
}

/** The name as it is; undefined if it is not UTF-8. */
export function utf8Text(name: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(name);
  } catch {
    return undefined;
  }
}

/** A name as people can read it, whatever its bytes. */
export function nameText(name: Uint8Array): string {
  const text = utf8Text(name);
  return text === undefined ? `bytes ${hexText(name)}` : printableJson(text);
}
