/** Numbers of devices as stat(2) has them in 32 bits (new_encode_dev in the kernel). */

export function deviceMajor(device: number): number {
  return (device >>> 8) & 0xfff;
}

export function deviceMinor(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}

/** Undefined for what 32 bits do not hold. */
export function deviceNumber(major: number, minor: number): number | undefined {
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) return undefined;
  return (minor & 0xff) + major * 0x100 + (minor >>> 8) * 0x10_0000;
}
