/**
 * Requests of block traces, from the two kinds of text that are commonest:
 *
 *   blkparse   the text of blkparse(1): `8,0 3 11 0.009507758 697 C W 223490 + 8 [kjournald]`, in
 *              sectors of 512 bytes; other lines, such as its summary, are passed over
 *   msr        the CSV of the MSR Cambridge traces (Narayanan, Donnelly and Rowstron, FAST 2008):
 *              `128166372003061629,usr,0,Write,10659131392,512,331`, in 100 ns and bytes
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { WorkloadLoadError } from './workload-load-error.ts';

export interface TraceRequest {
  /** Which disk it was on. */
  readonly disk: string;
  readonly isWrite: boolean;
  /** What was written before is to be durable with it. */
  readonly isFlush: boolean;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** From anywhere on. */
  readonly seconds: number;
}

export type TraceKind = 'blkparse' | 'msr';

const SECTOR_BYTES = 512;
const READ_BYTES = 64 * 1024;
const LONGEST_LINE = 4096;
const BLKPARSE =
  /^\s*(\d+,\d+)\s+\d+\s+\d+\s+(\d+\.\d+)\s+\d+\s+([A-Z])\s+([A-Z]+)\s+(\d{1,15}) \+ (\d{1,10})/;
const MSR = /^(\d{1,20}),([^,]*,\d+),(Read|Write),(\d{1,15}),(\d{1,10}),\d+\s*$/;

/** The kind of a trace by the end of its name; undefined if it is none. */
export function traceKindOf(path: string): TraceKind | undefined {
  if (path.endsWith('.blkparse')) return 'blkparse';
  return path.endsWith('.csv') ? 'msr' : undefined;
}

/** Lines without their ends. @throws WorkloadLoadError for what is no text */
function* linesOf(path: string): Generator<string> {
  const descriptor = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(READ_BYTES);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for (let count = readSync(descriptor, bytes); count > 0; count = readSync(descriptor, bytes)) {
      const lines = (rest + decoder.write(Buffer.from(bytes.subarray(0, count)))).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LONGEST_LINE) throw new WorkloadLoadError(`${path} is no text of a block trace`);
      yield* lines;
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The events of a blkparse text that stand for requests: completed ones if it has them, otherwise
 * those that were issued, or queued.
 */
function actionIn(path: string): string {
  const found = new Set<string>();
  for (const line of linesOf(path)) {
    const action = BLKPARSE.exec(line)?.[3];
    if (action !== undefined) found.add(action);
  }
  return ['C', 'D', 'Q'].find((action) => found.has(action)) ?? '';
}

function* blkparseRequests(path: string): Generator<TraceRequest> {
  const wanted = actionIn(path);
  for (const line of linesOf(path)) {
    const found = BLKPARSE.exec(line);
    if (found === null) continue;
    const [, disk = '', seconds, action, kind = '', sector, sectors] = found;
    if (action !== wanted) continue;
    yield {
      disk,
      // A discard is D, also DW; a flush before or with a write is F.
      isWrite: kind.includes('W') && !kind.includes('D'),
      isFlush: kind.includes('F'),
      offsetBytes: Number(sector) * SECTOR_BYTES,
      lengthBytes: Number(sectors) * SECTOR_BYTES,
      seconds: Number(seconds),
    };
  }
}

function* msrRequests(path: string): Generator<TraceRequest> {
  let number = 0;
  for (const line of linesOf(path)) {
    number++;
    if (line.trim() === '') continue;
    const found = MSR.exec(line);
    if (found === null)
      throw new WorkloadLoadError(`${path}: line ${number} is none of an MSR Cambridge trace`);
    const [, time, disk = '', kind, offset, size] = found;
    yield {
      disk,
      isWrite: kind === 'Write',
      isFlush: false,
      offsetBytes: Number(offset),
      lengthBytes: Number(size),
      seconds: Number(time) / 1e7,
    };
  }
}

/** All requests of a trace, in its order. @throws WorkloadLoadError, or the error of the file */
export function requestsOf(path: string, kind: TraceKind): Generator<TraceRequest> {
  return kind === 'msr' ? msrRequests(path) : blkparseRequests(path);
}
