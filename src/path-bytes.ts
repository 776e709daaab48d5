/**
 * Paths of any bytes as texts. A path is bytes to the kernel, and Node makes texts of them by
 * UTF-8, which loses what is none.
 *
 * Here each byte that is not part of UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, as Python
 * does it: such a text can be joined, cut and compared like any other, and `systemPath` gives back
 * the very bytes, for the functions of node:fs. The addon understands such texts itself. Shown to
 * people they are question marks.
 */
import { readlinkSync, realpathSync } from 'node:fs';
import { isAbsolute, join, normalize, resolve } from 'node:path';

const FIRST_BYTE = 0x80;
const FIRST_SURROGATE = 0xdc80;
const LONGEST_SEQUENCE = 4;
/** A low surrogate that no high one precedes. */
const LONE = /(?<![\ud800-\udbff])[\udc80-\udcff]/;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The text of a path. */
export function pathText(bytes: Uint8Array): string {
  const whole = decoded(bytes);
  if (whole !== undefined) return whole;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const { length, found } = characterAt(bytes, at);
    text += found;
    at += length;
  }
  return text;
}

function characterAt(bytes: Uint8Array, at: number): { length: number; found: string } {
  const byte = bytes[at] as number;
  if (byte < FIRST_BYTE) return { length: 1, found: String.fromCharCode(byte) };
  for (let length = 2; length <= LONGEST_SEQUENCE && at + length <= bytes.length; length++) {
    const found = decoded(bytes.subarray(at, at + length));
    if (found !== undefined) return { length, found };
  }
  return { length: 1, found: String.fromCharCode(FIRST_SURROGATE - FIRST_BYTE + byte) };
}

/** Whether the path is UTF-8, so that programs can be given it as an argument. */
export function isUtf8(path: string): boolean {
  return !LONE.test(path);
}

/** The bytes of a path. */
export function pathBytes(path: string): Buffer {
  if (isUtf8(path)) return Buffer.from(path);
  const parts: Buffer[] = [];
  for (const character of path) {
    const code = character.charCodeAt(0);
    const isByte = character.length === 1 && code >= FIRST_SURROGATE && code < FIRST_SURROGATE + FIRST_BYTE;
    parts.push(isByte ? Buffer.from([code - FIRST_SURROGATE + FIRST_BYTE]) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}

/** The path as the functions of node:fs take it. */
export function systemPath(path: string): string | Buffer {
  return isUtf8(path) ? path : pathBytes(path);
}

/** realpath(3). @throws what the system says */
export function realPathOf(path: string): string {
  return pathText(realpathSync.native(systemPath(path), 'buffer'));
}

/** The target of a symbolic link. @throws what the system says */
export function linkTarget(path: string): string {
  return pathText(readlinkSync(systemPath(path), 'buffer'));
}

/** The path as an absolute one; links are not followed. */
export function absolutePath(path: string): string {
  if (isAbsolute(path)) return resolve(path);
  return normalize(join(workingDirectory(), path)).replace(/(.)\/$/, '$1');
}

function workingDirectory(): string {
  try {
    return linkTarget('/proc/self/cwd');
  } catch {
    return process.cwd();
  }
}
