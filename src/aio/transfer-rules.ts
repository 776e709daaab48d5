/**
 * The rules of use of a Device, checked in one place so that every kind of device refuses the same
 * requests.
 */
import { constants } from 'node:os';
import type { Device, Memory } from './device.ts';

const { EINVAL, EOPNOTSUPP, EROFS } = constants.errno;

/**
 * @returns 0 when the transfer keeps the rules of `device`, otherwise the errno that it ends with:
 * EINVAL when it is not in whole sectors, or leaves the device or the memory; EROFS for a write to
 * a read-only device.
 */
// biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
export function transferError(
  device: Device,
  memory: Memory,
  memoryOffset: number,
  lengthBytes: number,
  deviceOffset: number,
  writes: boolean,
): number {
  const sector = device.sectorBytes;
  if (!isWhole(memoryOffset, sector) || !isWhole(lengthBytes, sector) || !isWhole(deviceOffset, sector)) {
    return EINVAL;
  }
  if (memoryOffset + lengthBytes > memory.bytes.length) return EINVAL;
  if (deviceOffset + lengthBytes > device.sizeBytes) return EINVAL;
  return writes && device.readOnly ? EROFS : 0;
}

/** The same for a discard; EOPNOTSUPP where there is none. */
export function discardError(device: Device, deviceOffset: number, lengthBytes: number): number {
  const { sectorBytes, sizeBytes, readOnly, discardBytes } = device;
  if (!isWhole(deviceOffset, sectorBytes) || !isWhole(lengthBytes, sectorBytes)) return EINVAL;
  if (deviceOffset + lengthBytes > sizeBytes) return EINVAL;
  if (readOnly) return EROFS;
  return discardBytes === 0 ? EOPNOTSUPP : 0;
}

function isWhole(value: number, sectorBytes: number): boolean {
  return value >= 0 && value % sectorBytes === 0;
}
