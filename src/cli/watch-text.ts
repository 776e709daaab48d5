/**
 * What `quarry watch` shows, as text: a screen that is drawn again and again, or a line for each
 * interval.
 */
import { durationText, numberText, percentText } from '../common/number-text.ts';
import { plural } from '../common/words.ts';
import type { KindFigures, SpaceFigures, WatchFigures } from '../page/messages.ts';
import { formatSize } from './sizes.ts';

/** How much room there is, in characters. */
export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

const LEVELS = '▁▂▃▄▅▆▇█';
/** From empty to full, in eighths of a character. */
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const BAR_COLUMNS = 40;
/** Rows for kinds of requests, with their head, and for figures of the policy. */
const MOST_KIND_ROWS = 13;
const MOST_POLICY_ROWS = 6;

function scoreText(score: number | null): string {
  return score === null ? '–' : score.toFixed(3);
}

/** As much of a line as there is room for. */
export function cutLine(line: string, columns: number): string {
  return [...line].slice(0, columns).join('');
}

/** The last values as a line of bars, each as high as its share of the highest. */
export function sparkline(values: readonly number[], columns: number): string {
  const shown = values.slice(-columns);
  const most = Math.max(0, ...shown);
  return shown
    .map((value) => LEVELS[most === 0 ? 0 : Math.round((value / most) * (LEVELS.length - 1))] ?? '')
    .join('');
}

/** A bar of `share` (0 to 1) of the columns. */
export function barText(share: number, columns = BAR_COLUMNS): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * columns * 8);
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

function kindLines(kinds: readonly KindFigures[], rows: number): string[] {
  if (rows < 2) return [];
  const head = '  kind                    /s    requests     refused         p50         p99';
  const lines = kinds.slice(0, rows - 1).map((kind) => {
    const cells = [
      numberText(kind.perSecond),
      numberText(kind.requests),
      numberText(kind.errors),
      durationText(kind.p50Microseconds),
      durationText(kind.p99Microseconds),
    ];
    return `  ${kind.name.padEnd(14)}${cells.map((cell) => cell.padStart(12)).join('')}`;
  });
  return [head, ...lines];
}

function spaceLines({ space, blockBytes }: WatchFigures, rows: number): string[] {
  if (space === null) return ['free space    too large to be followed'];
  const known = space.knownShare < 1 ? `; looked at ${percentText(space.knownShare)} so far` : '';
  const size = (blocks: number) => formatSize(blocks * blockBytes);
  const shown = rows > 1 ? space.histogram.slice(1 - rows) : [];
  const classes = shown.map(({ fromBlocks, runs, share }) => {
    const label = `${size(fromBlocks)}+`.padStart(10);
    return `  ${label} ${numberText(runs).padStart(9)} ${percentText(share).padStart(6)} ${barText(share)}`.trimEnd();
  });
  return [`free space    ${freeText(space, blockBytes)}${known}`, ...classes];
}

function freeText({ freeBlocks, freeRuns, largestRunBlocks }: SpaceFigures, blockBytes: number): string {
  const size = (blocks: number) => formatSize(blocks * blockBytes);
  return `${size(freeBlocks)} in ${plural(freeRuns, 'run')}, largest ${size(largestRunBlocks)}`;
}

function requestLine({ requests }: WatchFigures): string {
  if (requests === null) return 'requests      not counted by this FUSE layer';
  const { perSecond, bytesReadPerSecond, bytesWrittenPerSecond } = requests;
  return `requests      ${numberText(perSecond)}/s; read ${byteRate(bytesReadPerSecond)}, written ${byteRate(bytesWrittenPerSecond)}`;
}

function byteRate(bytesPerSecond: number): string {
  return `${formatSize(Math.round(bytesPerSecond))}/s`;
}

function allocationLine({ allocations, seconds }: WatchFigures): string {
  const { runsPerSecond, blocksPerSecond, goalHitShare, layoutScore, freedBlocks } = allocations;
  return `allocations   ${numberText(runsPerSecond)}/s, ${numberText(blocksPerSecond)} blocks/s; goals hit ${percentText(goalHitShare)}; score ${scoreText(layoutScore)}; freed ${numberText(freedBlocks / seconds)}/s`;
}

function commitLine({ commits }: WatchFigures): string {
  const { checkpoints, flushes, metadataBlocksLogged, metadataBlocksWritten } = commits;
  return `commits       ${commits.commits}, checkpoints ${checkpoints}, flushes ${flushes}; metadata blocks ${metadataBlocksLogged} logged, ${metadataBlocksWritten} home`;
}

function policyLines({ policy }: WatchFigures): string[] {
  const figures = policy.figures.map(({ name, value, change }) => {
    const sign = change > 0 ? '+' : '';
    return `  ${name.padEnd(28)} ${numberText(value).padStart(14)}${change === 0 ? '' : `  ${sign}${numberText(change)}`}`;
  });
  const passedOver = policy.passedOver > 0 ? `; passed over ${policy.passedOver} times` : '';
  const fault = policy.fault === '' ? '' : `; ${policy.fault}`;
  return [`policy        ${policy.name}${passedOver}${fault}`, ...figures.slice(0, MOST_POLICY_ROWS)];
}

function stateLines({ readOnly, failure }: WatchFigures): string[] {
  if (!readOnly) return [];
  return [`read-only     ${failure === '' ? 'nothing is written' : failure}`];
}

/** What stands on the screen whatever its size. */
function fixedLines(title: string, figures: WatchFigures, rates: readonly number[], columns: number) {
  const line = sparkline(rates, Math.max(0, columns - 14));
  return {
    head: [title, '', requestLine(figures), ...(figures.requests === null ? [] : [`              ${line}`])],
    middle: ['', allocationLine(figures), commitLine(figures), ''],
    foot: ['', ...policyLines(figures), ...stateLines(figures)],
  };
}

/**
 * A line for each row of the screen, none wider than it. Kinds of requests and classes of free runs
 * share what the rest leaves: the most frequent, and the longest.
 */
export function screenLines(
  title: string,
  figures: WatchFigures,
  rates: readonly number[],
  { columns, rows }: ScreenSize,
): string[] {
  const { head, middle, foot } = fixedLines(title, figures, rates, columns);
  const left = Math.max(0, rows - head.length - middle.length - foot.length - 1);
  const wanted = Math.min(MOST_KIND_ROWS, (figures.requests?.kinds.length ?? 0) + 1);
  const classes = figures.space?.histogram.length ?? 0;
  const kinds = kindLines(
    figures.requests?.kinds ?? [],
    Math.min(wanted, Math.max(Math.ceil(left / 2), left - classes)),
  );
  const space = spaceLines(figures, left - kinds.length + 1);
  const lines = [...head, ...kinds, ...middle, ...space, ...foot];
  return lines.slice(0, rows).map((line) => cutLine(line, columns));
}

/** All of it in one line, for a file or a pipe. */
export function intervalLine(figures: WatchFigures): string {
  const { requests, allocations, space, commits, blockBytes, time } = figures;
  const parts = [time.slice(11, 19)];
  if (requests !== null) {
    parts.push(
      `${numberText(requests.perSecond)} requests/s`,
      `p50 ${durationText(requests.p50Microseconds)}`,
      `p99 ${durationText(requests.p99Microseconds)}`,
      `read ${byteRate(requests.bytesReadPerSecond)}`,
      `written ${byteRate(requests.bytesWrittenPerSecond)}`,
    );
  }
  parts.push(`allocated ${numberText(allocations.blocksPerSecond)} blocks/s`);
  parts.push(`score ${scoreText(allocations.layoutScore)}`);
  if (space !== null) parts.push(`free ${freeText(space, blockBytes)}`);
  parts.push(plural(commits.commits, 'commit'));
  return parts.join('  ');
}
