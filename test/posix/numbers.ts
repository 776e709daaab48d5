/** Numbers as the kernel and the filesystem pass them on: moments, and devices. */
import type { Device } from './calls.ts';

const NS = 1_000_000_000n;

export interface Moment {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export function nanosecondsOf(seconds: number, nanoseconds: number): bigint {
  return BigInt(seconds) * NS + BigInt(nanoseconds);
}

/** Nanoseconds are 0 to 999,999,999 also before 1970. */
export function momentOf(ns: bigint): Moment {
  const nanoseconds = ((ns % NS) + NS) % NS;
  return { seconds: Number((ns - nanoseconds) / NS), nanoseconds: Number(nanoseconds) };
}

/** new_encode_dev in linux/kdev_t.h. */
export function encodedDevice({ major, minor }: Device): number {
  return ((minor & 0xff) | (major << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}

export function decodedDevice(number: number): Device {
  return { major: (number >>> 8) & 0xfff, minor: (number & 0xff) | ((number >>> 12) & 0xf_ff00) };
}
