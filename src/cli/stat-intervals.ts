/**
 * `quarry stat --interval`: what a mount does in each interval. Anybody may ask it who may ask for
 * the counters, since these are all that is needed: whoever watches subtracts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { durationText, numberText } from '../common/number-text.ts';
import { printableJson } from '../common/printable.ts';
import { codeOf } from '../common/thrown.ts';
import { type MountRecord, mountTable } from '../fuse/mount-table.ts';
import type { MeterReading } from '../fuse/request-meter.ts';
import type { KindFigures, RequestFigures } from '../page/messages.ts';
import { askMount } from './ask-mount.ts';
import { say, type Terminal } from './command.ts';
import { CommandError } from './failure.ts';
import { endOnSignals } from './intervals.ts';
import { formatSize } from './sizes.ts';
import { requestFigures } from './watch-figures.ts';
import { countOf, requestsOf } from './watch-sample.ts';

export interface IntervalChoice {
  readonly intervalSeconds: number;
  /** Infinite: until somebody ends it. */
  readonly count: number;
  readonly isJson: boolean;
}

/** The counters of a mount, as far as intervals are made of them. */
export interface StatSample {
  readonly pid: number;
  /** When they came, by a clock that never goes back. */
  readonly milliseconds: number;
  readonly requests: MeterReading;
  readonly transfers: number;
  readonly commits: number;
}

/** What happened between two samples. */
export interface IntervalFigures {
  /** ISO 8601. */
  readonly time: string;
  readonly seconds: number;
  readonly requests: RequestFigures;
  /** Reads and writes of the device, and commits, per second. */
  readonly transfersPerSecond: number;
  readonly commitsPerSecond: number;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return Object(value) as Fields;
}

/** Whatever a server says. @returns undefined where its layer does not count requests */
export function statSample(answer: unknown, milliseconds: number): StatSample | undefined {
  const { pid, session, device, volume } = fieldsOf(answer);
  const { operations, latencies, bytesRead, bytesWritten } = fieldsOf(session);
  if (latencies === undefined) return undefined;
  const histograms = fieldsOf(latencies);
  const kinds = Object.entries(fieldsOf(operations)).map(([name, count]) => [
    name,
    { ...fieldsOf(count), latencies: histograms[name] },
  ]);
  const requests = requestsOf({ bytesRead, bytesWritten, kinds: Object.fromEntries(kinds) });
  if (requests === undefined) return undefined;
  return {
    pid: countOf(pid),
    milliseconds,
    requests,
    transfers: countOf(fieldsOf(device).submitted),
    commits: countOf(fieldsOf(volume).commits),
  };
}

export function intervalFigures(before: StatSample, after: StatSample, now: Date): IntervalFigures {
  const seconds = Math.max(0.001, (after.milliseconds - before.milliseconds) / 1000);
  return {
    time: now.toISOString(),
    seconds,
    requests: requestFigures(after.requests, before.requests, seconds),
    transfersPerSecond: Math.max(0, after.transfers - before.transfers) / seconds,
    commitsPerSecond: Math.max(0, after.commits - before.commits) / seconds,
  };
}

function kindLine({ name, perSecond, requests, errors, p50Microseconds, p99Microseconds }: KindFigures) {
  const errorsPerSecond = requests === 0 ? 0 : (errors / requests) * perSecond;
  const cells = [numberText(perSecond), numberText(errorsPerSecond), durationText(p50Microseconds)];
  const text = [...cells, durationText(p99Microseconds)].map((cell) => cell.padStart(12)).join('');
  return `  ${name.padEnd(16)}${text}\n`;
}

/** A line for all of it, and under a head one for each operation that there was. */
export function intervalText({ time, requests, ...rates }: IntervalFigures): string {
  const bytes = (perSecond: number) => `${formatSize(Math.round(perSecond))}/s`;
  const facts = [
    `${numberText(requests.perSecond)} requests/s`,
    `read ${bytes(requests.bytesReadPerSecond)}`,
    `written ${bytes(requests.bytesWrittenPerSecond)}`,
    `device ${numberText(rates.transfersPerSecond)} transfers/s`,
    `${numberText(rates.commitsPerSecond)} commits/s`,
  ];
  const head = `  ${'operation'.padEnd(16)}${['/s', 'errors/s', 'p50', 'p99'].map((word) => word.padStart(12)).join('')}\n`;
  const kinds = requests.kinds.map(kindLine).join('');
  return `${time.slice(0, 19)}Z  ${facts.join('  ')}\n${kinds === '' ? '' : head}${kinds}`;
}

async function sampleOf(mount: MountRecord, limitMs: number, signal: AbortSignal): Promise<StatSample> {
  const answer = await askMount(mount, 'stat', { limitMs, signal });
  const sample = statSample(answer, performance.now());
  if (sample !== undefined) return sample;
  throw new CommandError(`the daemon of ${mount.directory} does not count requests`);
}

function isMounted({ id, directory }: MountRecord): boolean {
  return mountTable().some((mount) => mount.id === id && mount.directory === directory);
}

/** Shows intervals until there were enough, somebody ends it, or the mount is gone. */
export async function showIntervals(
  mount: MountRecord,
  choice: IntervalChoice & { readonly limitMs: number },
  terminal: Terminal,
): Promise<void> {
  const { signal, release } = endOnSignals();
  try {
    await showEach(mount, choice, terminal, signal);
  } catch (thrown) {
    if (signal.aborted || codeOf(thrown) === 'ABORT_ERR') return;
    if (isMounted(mount)) throw thrown;
    say(terminal, `${mount.directory} was unmounted`);
  } finally {
    release();
  }
}

async function showEach(
  mount: MountRecord,
  { intervalSeconds, count, isJson, limitMs }: IntervalChoice & { readonly limitMs: number },
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  let before = await sampleOf(mount, limitMs, signal);
  for (let left = count; left > 0 && !signal.aborted; left--) {
    await sleep(before.milliseconds + 1000 * intervalSeconds - performance.now(), undefined, { signal });
    const after = await sampleOf(mount, limitMs, signal);
    // Another daemon's counters have nothing to do with those before.
    if (after.pid === before.pid) {
      const figures = intervalFigures(before, after, new Date());
      terminal.out(isJson ? `${printableJson(figures, 0)}\n` : intervalText(figures));
    }
    before = after;
  }
}
