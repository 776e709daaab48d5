/**
 * What a disk may hold after power loss: the Device contract, turned into images.
 *
 * A device log is the history of a device as its user saw it: when each write and flush was queued,
 * and when it was done. Power may be cut after any event of it. `crashImage` then makes one of the
 * many disks that the contract allows:
 *   a write that was done before some flush was queued, and that flush was done: there, whole
 *   a write-through that was done: there, whole
 *   any other write: there, absent, or torn at 512-byte sectors, in any order with the others of
 *   its kind
 *
 * A write that failed may be there like one that never ended, until a flush queued after its
 * failure is done; from then on it is absent.
 */
import { MemoryDevice } from './memory-device.ts';
import { SeededRandom } from './seeded-random.ts';
import type { SparseBytes } from './sparse-bytes.ts';

/** Power loss tears a write between units of this size, never inside one. */
export const CRASH_SECTOR_BYTES = 512;

/** `request` numbers the requests of one device in the order they were queued. */
export type DeviceEvent =
  | {
      readonly kind: 'write-queued';
      readonly request: number;
      readonly deviceOffset: number;
      readonly data: Uint8Array;
      /** Durable as soon as it is done. */
      readonly through?: boolean;
    }
  | { readonly kind: 'write-done'; readonly request: number }
  | { readonly kind: 'write-failed'; readonly request: number }
  | { readonly kind: 'flush-queued'; readonly request: number }
  | { readonly kind: 'flush-done'; readonly request: number }
  | { readonly kind: 'flush-failed'; readonly request: number };

/** Where power loss finds a device: its geometry, what it held when the log began, and the log. */
export interface RecordedDevice {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly initialContent: SparseBytes;
  readonly log: readonly DeviceEvent[];
}

interface RecordedWrite {
  readonly deviceOffset: number;
  readonly data: Uint8Array;
  readonly through?: boolean;
  /** Place in the log where it was done or failed; undefined while in flight. */
  endedAt: number | undefined;
  failed: boolean;
}

/**
 * One legal disk after power was cut.
 * @param eventCount how many events of the log happened; 0 to its length
 * @param seed chooses among the legal disks
 */
export function crashImage(device: RecordedDevice, eventCount: number, seed: number): MemoryDevice {
  const random = new SeededRandom(seed);
  const content = device.initialContent.clone();
  const { durable, volatile } = writesAt(device.log, eventCount);
  for (const write of durable) content.write(write.deviceOffset, write.data);
  // A seed is also a taste: some lose nearly everything, some nearly nothing, and ends are where
  // bugs live.
  const survival = random.pick([0, 0.1, 0.5, 0.9, 1]);
  const tearing = random.pick([0, 0.3, 1]);
  for (const write of random.shuffle(volatile)) {
    if (!random.chance(survival)) continue;
    if (random.chance(tearing)) tear(content, write, random);
    else content.write(write.deviceOffset, write.data);
  }
  return new MemoryDevice(device.sizeBytes, device.sectorBytes, { content });
}

/** The writes that must be there, in the order they ended, and those that may be. */
function writesAt(
  log: readonly DeviceEvent[],
  eventCount: number,
): { durable: RecordedWrite[]; volatile: RecordedWrite[] } {
  const writes = new Map<number, RecordedWrite>();
  const flushQueuedAt = new Map<number, number>();
  // Every write that ended before this place in the log is covered by a flush.
  let coveredUntil = -1;
  for (const [at, event] of log.slice(0, eventCount).entries()) {
    if (event.kind === 'write-queued')
      writes.set(event.request, { ...event, endedAt: undefined, failed: false });
    else if (event.kind === 'flush-queued') flushQueuedAt.set(event.request, at);
    else if (event.kind === 'flush-done') {
      coveredUntil = Math.max(coveredUntil, flushQueuedAt.get(event.request) ?? -1);
    } else if (event.kind !== 'flush-failed')
      endWrite(writes, event.request, at, event.kind === 'write-failed');
  }
  const all = [...writes.values()];
  const isCovered = ({ endedAt, through, failed }: RecordedWrite) =>
    endedAt !== undefined && (endedAt < coveredUntil || (through === true && !failed));
  const durable = all.filter((write) => isCovered(write) && !write.failed);
  durable.sort((left, right) => (left.endedAt ?? 0) - (right.endedAt ?? 0));
  return { durable, volatile: all.filter((write) => !isCovered(write)) };
}

function endWrite(writes: Map<number, RecordedWrite>, request: number, at: number, failed: boolean): void {
  const write = writes.get(request);
  if (write === undefined) throw new Error(`the log ends write ${request}, which it never began`);
  write.endedAt = at;
  write.failed = failed;
}

function tear(content: SparseBytes, write: RecordedWrite, random: SeededRandom): void {
  for (let at = 0; at < write.data.length; at += CRASH_SECTOR_BYTES) {
    if (random.chance(0.5))
      content.write(write.deviceOffset + at, write.data.subarray(at, at + CRASH_SECTOR_BYTES));
  }
}
