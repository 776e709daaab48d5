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
import { type Device, type Memory, PromisedCompletion } from '../aio/device.ts';
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

/**
 * Where backups of a superblock really stand. All places are read at once, each to its own sectors.
 */
async function findBackups(device: Device): Promise<ByteRange[]> {
  const places = backupPlaces(device.sizeBytes);
  const spanBytes = Math.max(device.sectorBytes, SUPERBLOCK_BYTES);
  const memory = device.allocateMemory(spanBytes * places.length);
  const heads = places.map(({ offsetBytes }, index) =>
    readHead(device, offsetBytes, { memory, at: index * spanBytes }),
  );
  device.submit();
  const found = await Promise.all(heads);
  const ranges = places.map(({ offsetBytes }) => ({ offsetBytes, lengthBytes: SUPERBLOCK_BYTES }));
  return ranges.filter((_, index) => isSuperblock(found[index]));
}

function isSuperblock(head: DataView | undefined): boolean {
  return head !== undefined && MAGIC_BYTES.every((byte, index) => head.getUint8(index) === byte);
}

/**
 * The bytes of a superblock at this place, read to `target`; undefined where the device ends
 * before, or cannot be read. Whoever calls submits.
 */
async function readHead(
  device: Device,
  offsetBytes: number,
  target: { readonly memory: Memory; readonly at: number },
): Promise<DataView | undefined> {
  const { from, until } = sectorsOf(device, { offsetBytes, lengthBytes: SUPERBLOCK_BYTES });
  if (offsetBytes + SUPERBLOCK_BYTES > until) return undefined;
  const { memory, at } = target;
  const completion = new PromisedCompletion();
  device.read(memory, at, until - from, from, completion);
  if ((await completion.promise) !== 0) return undefined;
  const { buffer, byteOffset } = memory.bytes;
  return new DataView(buffer, byteOffset + at + offsetBytes - from, SUPERBLOCK_BYTES);
}
