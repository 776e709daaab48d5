/**
 * `quarry io`: how fast a block device or an image file is, by one of the engines of
 * `quarryfs/aio`.
 *
 * It reads. It writes only with --write, and then only to what nobody uses, and to what holds
 * something known only with --force.
 */

import type { AsyncFile, EngineName } from '../aio/file/async-file.ts';
import { openFile } from '../aio/file/open-file.ts';
import { MOST_FILE_DEPTH } from '../aio/limits.ts';
import { printable } from '../common/printable.ts';
import { isUtf8 } from '../path-bytes.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  printJson,
  type Terminal,
} from './command.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import { type IoWorkload, type Measurement, measure, WORKLOADS } from './io-measurement.ts';
import { requireOverwritable } from './overwrite.ts';
import { ProgressBar } from './progress.ts';
import { formatSize, parseSize } from './sizes.ts';
import { holding } from './storage-hold.ts';
import { factLines } from './table-text.ts';
import { inspectTarget, requireReadable, type Target } from './target.ts';

const ENGINES: readonly (EngineName | 'auto')[] = ['auto', 'uring', 'aio', 'direct', 'buffered', 'mmap'];
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;
/** Memory for all requests under way. */
const MAX_MEMORY_BYTES = 1024 ** 3;
const MAX_SECONDS = 86_400;

export interface IoCommandRequest {
  readonly target: string;
  readonly engine: EngineName | 'auto';
  readonly workload: IoWorkload;
  readonly blockBytes: number;
  readonly depth: number;
  readonly seconds: number;
  /** How much of the target to use; undefined = all. */
  readonly sizeBytes: number | undefined;
  readonly force: boolean;
  readonly json: boolean;
}

function oneOf<T extends string>(text: string, names: readonly T[], what: string): T {
  const found = names.find((name) => name === text);
  if (found === undefined) throw new UsageError(`${what} ${text} is none of ${names.join(', ')}`);
  return found;
}

/** Numbers that an option takes. */
interface NumberRule {
  readonly pattern: RegExp;
  readonly least: number;
  readonly most: number;
}

const DEPTH: NumberRule = { pattern: /^\d+$/, least: 1, most: MOST_FILE_DEPTH };
const SECONDS: NumberRule = { pattern: /^\d+(\.\d+)?$/, least: 0.01, most: MAX_SECONDS };

function numberIn(text: string, what: string, { pattern, least, most }: NumberRule): number {
  const value = pattern.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${what} ${text} is no number from ${least} to ${most}`);
}

/** Judges the command line. @throws UsageError */
export function ioRequest(args: readonly string[], options: OptionValues): IoCommandRequest {
  const workload = oneOf(optionText(options, 'rw') ?? 'randread', WORKLOADS, '--rw');
  const blockBytes = parseSize(optionText(options, 'bs') ?? '4K', '--bs');
  const depth = numberIn(optionText(options, 'depth') ?? '32', '--depth', DEPTH);
  const size = optionText(options, 'size');
  if (blockBytes < 1 || blockBytes > MAX_BLOCK_BYTES) {
    throw new UsageError(`--bs must be from 1 byte to ${formatSize(MAX_BLOCK_BYTES)}`);
  }
  if (blockBytes * depth > MAX_MEMORY_BYTES) {
    throw new UsageError(`--bs times --depth must not exceed ${formatSize(MAX_MEMORY_BYTES)}`);
  }
  if (workload.endsWith('write') && !optionGiven(options, 'write')) {
    throw new UsageError(`--rw ${workload} overwrites the target: say --write as well if that is meant`);
  }
  return {
    target: argumentAt(args, 0),
    engine: oneOf(optionText(options, 'engine') ?? 'auto', ENGINES, '--engine'),
    workload,
    blockBytes,
    depth,
    seconds: numberIn(optionText(options, 'seconds') ?? '5', '--seconds', SECONDS),
    sizeBytes: size === undefined ? undefined : parseSize(size, '--size'),
    force: optionGiven(options, 'force'),
    json: optionGiven(options, 'json'),
  };
}

/** How much of the target is used: whole blocks. @throws CommandError */
function usableBytes(target: Target, request: IoCommandRequest): number {
  const wished = request.sizeBytes ?? target.sizeBytes;
  if (wished > target.sizeBytes) {
    throw new CommandError(
      `--size ${formatSize(wished)} is more than ${target.path} has: ${formatSize(target.sizeBytes)}`,
    );
  }
  if (wished < request.blockBytes) {
    throw new CommandError(
      `${formatSize(wished)} of ${target.path} are less than one request of ${formatSize(request.blockBytes)}`,
    );
  }
  return wished - (wished % request.blockBytes);
}

function isWriting({ workload }: IoCommandRequest): boolean {
  return workload.endsWith('write');
}

/** Opens the target, which is held if it is to be written. */
function openTarget(target: Target, request: IoCommandRequest): Promise<AsyncFile> {
  const { engine, depth: queueDepth } = request;
  return openFile(target.path, { engine, queueDepth, flags: isWriting(request) ? 'r+' : 'r' });
}

async function measureTarget(request: IoCommandRequest, terminal: Terminal): Promise<IoReport> {
  const target = inspectTarget(request.target);
  if (!isUtf8(target.path)) throw new CommandError(`${target.path} is not UTF-8: measure it by another name`);
  requireReadable(target);
  const sizeBytes = usableBytes(target, request);
  if (!isWriting(request)) return await measureOpened(target, request, sizeBytes, terminal);
  return await holding(target, 'exclusive', () => {
    requireOverwritable(target, request.force);
    return measureOpened(target, request, sizeBytes, terminal);
  });
}

async function measureOpened(
  target: Target,
  request: IoCommandRequest,
  sizeBytes: number,
  terminal: Terminal,
): Promise<IoReport> {
  const file = await openTarget(target, request);
  const bar = terminal.interactive && !request.json ? new ProgressBar(terminal) : undefined;
  // What loads it is not to be measured.
  await bar?.ready();
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const { workload, blockBytes, depth, seconds } = request;
    const result = await measure(
      file,
      { workload, blockBytes, depth, seconds, sizeBytes },
      (passed) => bar?.update(workload, passed, seconds),
      interrupt.signal,
    );
    const { engine } = file.options;
    return { target: target.path, engine, workload, blockBytes, depth, sizeBytes, ...result };
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    bar?.clear();
    await file.close();
  }
}

interface IoReport extends Measurement {
  readonly target: string;
  readonly engine: EngineName;
  readonly workload: IoWorkload;
  readonly blockBytes: number;
  readonly depth: number;
  readonly sizeBytes: number;
}

/** Microseconds with three digits or so, in the unit that suits. */
function timeText(microseconds: number): string {
  if (microseconds >= 1e6) return `${(microseconds / 1e6).toFixed(2)} s`;
  if (microseconds >= 1000) return `${(microseconds / 1000).toFixed(2)} ms`;
  return `${microseconds.toFixed(microseconds < 10 ? 2 : 0)} µs`;
}

/** The report as people read it. */
export function ioText(report: IoReport): string {
  const { latencyUs: latency } = report;
  const how = `${report.workload}, ${formatSize(report.blockBytes)} at depth ${report.depth}, engine ${report.engine}`;
  return `${printable(report.target)}: ${how}, ${report.seconds.toFixed(1)} s on ${formatSize(report.sizeBytes)}\n${factLines(
    [
      ['IOPS', Math.round(report.iops).toLocaleString('en-US')],
      ['throughput', `${(report.bytesPerSecond / 1e6).toFixed(1)} MB/s`],
      [
        'latency',
        `p50 ${timeText(latency.p50)}, p90 ${timeText(latency.p90)}, p99 ${timeText(latency.p99)}, max ${timeText(latency.max)}`,
      ],
      ['CPU per I/O', timeText(report.cpuUsPerRequest)],
    ],
  )}`;
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = ioRequest(args, options);
  let report: IoReport;
  try {
    report = await measureTarget(request, terminal);
  } catch (thrown) {
    throw targetError(thrown, request.target);
  }
  if (request.json) printJson(terminal, report);
  else terminal.out(ioText(report));
  return 0;
}

export const ioCommand: CommandDefinition = {
  name: 'io',
  summary: 'measure how fast a block device or image file is',
  arguments: [{ name: 'target', text: 'block device or file' }],
  options: [
    { flags: '-e, --engine <name>', text: `one of ${ENGINES.join(', ')} (default auto)` },
    { flags: '-r, --rw <workload>', text: `one of ${WORKLOADS.join(', ')} (default randread)` },
    { flags: '-b, --bs <size>', text: 'bytes per request (default 4K)' },
    { flags: '-d, --depth <number>', text: 'requests under way at once (default 32)' },
    { flags: '-t, --seconds <number>', text: 'how long (default 5)' },
    { flags: '-s, --size <size>', text: 'use only so much of the target, from its start; by default all' },
    { flags: '-w, --write', text: 'allow randwrite and write, which destroy what the target holds' },
    { flags: '-f, --force', text: 'with --write: also overwrite a known filesystem or partition table' },
    JSON_OPTION,
  ],
  notes: `Latencies are from the submission of a request to its end; CPU per I/O is the processor time of this process, user and
system. Nothing is ever written without --write, and never to what is mounted or held open by someone else. Ctrl-C
ends the measurement early and prints what there is.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
