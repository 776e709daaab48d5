/**
 * A block trace as a workload: each disk of it is one file, whose ranges are written as the disk
 * was.
 *
 * A trace knows no files: nothing is made, removed or appended to, so that little of what
 * allocators differ in can show, but for the order in which a file's holes are filled. The parts of
 * a disk, of a mebibyte each, that the trace never writes are left out; the others are written once
 * in order, then the volume is 'filled', and the trace follows.
 */
import { messageOf } from '../../common/thrown.ts';
import type { LabOperation } from '../operation.ts';
import { contentHash } from './content-hash.ts';
import { requestsOf, type TraceKind } from './trace-requests.ts';
import { writeRange, writeWhole } from './whole-file.ts';
import type { Workload, WorkloadPlace } from './workload.ts';
import { WorkloadLoadError } from './workload-load-error.ts';

const PART_BYTES = 1024 * 1024;
/** How full the volume is that is taken where nobody asked for a size. */
const FULLNESS = 0.8;

interface TracedDisk {
  /** The number of its file. */
  readonly file: number;
  /** Where each part of the disk that is written lies in the file, in parts. */
  readonly places: Map<number, number>;
}

interface Trace {
  readonly path: string;
  readonly kind: TraceKind;
  readonly disks: ReadonlyMap<string, TracedDisk>;
  readonly fileBytes: number;
  readonly churnBytes: number;
  readonly writes: number;
}

/** @throws WorkloadLoadError */
export async function loadBlockTrace(path: string, kind: TraceKind): Promise<Workload> {
  try {
    const trace = survey(path, kind);
    if (trace.writes === 0) throw new WorkloadLoadError(`${path}: there is no write in this trace`);
    return {
      name: path,
      says: `a block trace, ${trace.disks.size === 1 ? 'its disk' : 'each of its disks'} as one file: ${trace.writes} writes`,
      source: path,
      content: await contentHash(path),
      sizeBytes: Math.ceil(trace.fileBytes / FULLNESS),
      churnBytes: trace.churnBytes,
      operations: (place) => replayTrace(trace, place),
    };
  } catch (thrown) {
    throw thrown instanceof WorkloadLoadError
      ? thrown
      : new WorkloadLoadError(`${path} cannot be read: ${messageOf(thrown)}`);
  }
}

/** Reads all of it once. */
function survey(path: string, kind: TraceKind): Trace {
  const disks = new Map<string, TracedDisk>();
  let churnBytes = 0;
  let writes = 0;
  for (const { disk, isWrite, offsetBytes, lengthBytes } of requestsOf(path, kind)) {
    if (!isWrite || lengthBytes === 0) continue;
    writes++;
    churnBytes += lengthBytes;
    const { places } = diskOf(disks, disk);
    const end = Math.ceil((offsetBytes + lengthBytes) / PART_BYTES);
    for (let part = Math.floor(offsetBytes / PART_BYTES); part < end; part++) places.set(part, 0);
  }
  let parts = 0;
  for (const { places } of disks.values()) {
    const written = [...places.keys()].sort((one, other) => one - other);
    for (const [at, part] of written.entries()) places.set(part, at);
    parts += written.length;
  }
  return { path, kind, disks, fileBytes: parts * PART_BYTES, churnBytes, writes };
}

function diskOf(disks: Map<string, TracedDisk>, name: string): TracedDisk {
  const known = disks.get(name);
  if (known !== undefined) return known;
  const made = { file: disks.size + 1, places: new Map<number, number>() };
  disks.set(name, made);
  return made;
}

function* replayTrace(trace: Trace, { capacityBytes }: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const { path, kind, disks, fileBytes } = trace;
  if (fileBytes > capacityBytes) {
    const needed = Math.ceil(fileBytes / PART_BYTES);
    throw new WorkloadLoadError(`${path}: what is written in it takes ${needed} MiB: give a larger --size`);
  }
  for (const { file, places } of disks.values()) yield* writeWhole(file, 0, places.size * PART_BYTES);
  yield 'filled';
  let now: number | undefined;
  for (const { disk, isWrite, isFlush, offsetBytes, lengthBytes, seconds } of requestsOf(path, kind)) {
    const target = disks.get(disk);
    if (target === undefined) continue;
    if (now !== undefined && seconds > now) yield { kind: 'wait', seconds: seconds - now };
    now = Math.max(seconds, now ?? seconds);
    // What is one range on the disk is one in the file: all parts of it are there.
    const place = target.places.get(Math.floor(offsetBytes / PART_BYTES));
    if (isWrite && place !== undefined)
      yield* writeRange(target.file, place * PART_BYTES + (offsetBytes % PART_BYTES), lengthBytes);
    if (isFlush) yield { kind: 'sync', file: target.file };
  }
}
