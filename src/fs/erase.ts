/**
 * Making a device forget the volume it holds, so that no power cut brings it back: neither for a
 * mount, which reads the superblock at block 0, nor for a repair, which looks for the backup where
 * it may stand.
 *
 *   superblock ──flush── backups ──flush──  and only now may anything else be written
 *
 * With the first flush the old volume cannot be mounted, and is otherwise as it was: a repair finds
 * all of it by the backup. With the second it is gone. In no state may a part of it be overwritten
 * while the rest can still be had.
 */
import { type Device, PromisedCompletion } from '../aio/device.ts';
import { fsErrorFromNumber } from './base/errors.ts';
import { backupPlaces } from './format/backup-places.ts';
import { MAGIC_BYTES, SUPERBLOCK_BYTES } from './format/format.ts';
import { flushDevice } from './journal/block-transfers.ts';

export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Zeros at most this much in one request. */
const MOST_ZEROS_BYTES = 1024 * 1024;

/**
 * Erases the superblock and every backup of a volume that may be there.
 * @throws FsError of the device
 */
export async function eraseVolume(device: Device): Promise<void> {
  const backups = await findBackups(device);
  await zeroRanges(device, [{ offsetBytes: 0, lengthBytes: SUPERBLOCK_BYTES }]);
  await flushDevice(device);
  if (backups.length === 0) return;
  await zeroRanges(device, backups);
  await flushDevice(device);
}

/**
 * Zeros the ranges, and what else is in their sectors, as far as the device has them.
 * @throws FsError of the device
 */
export async function zeroRanges(device: Device, ranges: readonly ByteRange[]): Promise<void> {
  const memory = device.allocateMemory(MOST_ZEROS_BYTES);
  const ended: Promise<number>[] = [];
  for (const range of ranges) {
    const { from, until } = sectorsOf(device, range);
    for (let at = from; at < until; at += MOST_ZEROS_BYTES) {
      const completion = new PromisedCompletion();
      device.write(memory, 0, Math.min(MOST_ZEROS_BYTES, until - at), at, completion);
      ended.push(completion.promise);
    }
  }
  device.submit();
  for (const errno of await Promise.all(ended)) if (errno !== 0) throw fsErrorFromNumber(errno);
}

function sectorsOf(device: Device, { offsetBytes, lengthBytes }: ByteRange): { from: number; until: number } {
  const { sectorBytes, sizeBytes } = device;
  const from = Math.floor(offsetBytes / sectorBytes) * sectorBytes;
  const until = Math.ceil((offsetBytes + lengthBytes) / sectorBytes) * sectorBytes;
  return { from, until: Math.min(until, sizeBytes) };
}

/** Where backups of a superblock really stand. */
async function findBackups(device: Device): Promise<ByteRange[]> {
  const found: ByteRange[] = [];
  for (const { offsetBytes } of backupPlaces(device.sizeBytes)) {
    const head = await readHead(device, offsetBytes);
    if (head && isSuperblock(head)) found.push({ offsetBytes, lengthBytes: SUPERBLOCK_BYTES });
  }
  return found;
}

function isSuperblock(head: DataView): boolean {
  return MAGIC_BYTES.every((byte, index) => head.getUint8(index) === byte);
}

/**
 * The bytes of a superblock at this place; undefined where the device ends before, or cannot be
 * read.
 */
async function readHead(device: Device, offsetBytes: number): Promise<DataView | undefined> {
  const { from, until } = sectorsOf(device, { offsetBytes, lengthBytes: SUPERBLOCK_BYTES });
  if (offsetBytes < 0 || offsetBytes + SUPERBLOCK_BYTES > until) return undefined;
  const memory = device.allocateMemory(until - from);
  const completion = new PromisedCompletion();
  device.read(memory, 0, until - from, from, completion);
  device.submit();
  if ((await completion.promise) !== 0) return undefined;
  const { buffer, byteOffset } = memory.bytes;
  return new DataView(buffer, byteOffset + offsetBytes - from, SUPERBLOCK_BYTES);
}
