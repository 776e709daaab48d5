/**
 * Figures as tables. All text is set as text: nothing that a mount says becomes part of the page.
 */
import { durationText, numberText, percentText } from '../common/number-text.ts';
import type { WatchFigures } from './messages.ts';
import { sizeText } from './size-text.ts';

export function cell(text: string): HTMLTableCellElement {
  const made = document.createElement('td');
  made.textContent = text;
  return made;
}

export function headRow(names: readonly string[]): HTMLElement {
  const head = document.createElement('thead');
  const row = document.createElement('tr');
  for (const name of names) {
    const made = document.createElement('th');
    made.scope = 'col';
    made.textContent = name;
    row.append(made);
  }
  head.append(row);
  return head;
}

function rowOf(texts: readonly string[]): HTMLTableRowElement {
  const row = document.createElement('tr');
  row.append(...texts.map(cell));
  return row;
}

function groupRow(text: string): HTMLTableRowElement {
  const row = document.createElement('tr');
  row.className = 'group';
  const made = document.createElement('th');
  made.colSpan = 3;
  made.scope = 'rowgroup';
  made.textContent = text;
  row.append(made);
  return row;
}

export function showKinds(table: HTMLTableElement, { requests }: WatchFigures): void {
  const head = headRow(['kind', 'per second', 'refused', 'p50', 'p99']);
  const body = document.createElement('tbody');
  for (const { name, perSecond, errors, p50Microseconds, p99Microseconds } of requests?.kinds ?? []) {
    const latencies = [durationText(p50Microseconds), durationText(p99Microseconds)];
    body.append(rowOf([name, numberText(perSecond), numberText(errors), ...latencies]));
  }
  if (body.rows.length === 0)
    body.append(rowOf([requests === null ? 'not counted by this FUSE layer' : 'none', '', '', '', '']));
  table.replaceChildren(head, body);
}

/** `+5`, `−5`, nothing. */
function changeText(change: number): string {
  if (change === 0) return '';
  return `${change > 0 ? '+' : '−'}${numberText(Math.abs(change))}`;
}

export function showPolicy(table: HTMLTableElement, figures: WatchFigures): void {
  const { allocations, commits, policy } = figures;
  const body = document.createElement('tbody');
  const size = (blocks: number) => sizeText(blocks * figures.blockBytes);
  const mean = allocations.meanDataRunBlocks;
  body.append(
    groupRow('allocations in the interval'),
    rowOf(['runs, of data and metadata', numberText(allocations.runs), '']),
    rowOf(['blocks', numberText(allocations.blocks), size(allocations.blocks)]),
    rowOf([
      'mean run of data',
      mean === null ? '–' : `${numberText(mean)} blocks`,
      mean === null ? '' : size(mean),
    ]),
    rowOf(['goals hit', percentText(allocations.goalHitShare), `of ${numberText(allocations.dataGoals)}`]),
    rowOf(['blocks freed', numberText(allocations.freedBlocks), size(allocations.freedBlocks)]),
    groupRow('commits in the interval'),
    rowOf(['commits', numberText(commits.commits), '']),
    rowOf(['checkpoints', numberText(commits.checkpoints), '']),
    rowOf(['flushes of the device', numberText(commits.flushes), '']),
    rowOf(['metadata blocks to the journal', numberText(commits.metadataBlocksLogged), '']),
    rowOf(['metadata blocks to their places', numberText(commits.metadataBlocksWritten), '']),
    groupRow(`policy ${policy.name}`),
  );
  if (policy.passedOver > 0) body.append(rowOf(['passed over', numberText(policy.passedOver), '']));
  for (const { name, value, change } of policy.figures)
    body.append(rowOf([name, numberText(value), changeText(change)]));
  if (policy.figures.length === 0) body.append(rowOf(['it counts nothing itself', '', '']));
  table.replaceChildren(body);
}

/** The figures that are looked at first. */
export function showTiles(
  list: HTMLElement,
  { requests, space, allocations, blockBytes }: WatchFigures,
): void {
  const tiles: [name: string, value: string][] = [
    ['requests/s', requests === null ? '–' : numberText(requests.perSecond)],
    ['read/s', requests === null ? '–' : sizeText(requests.bytesReadPerSecond)],
    ['written/s', requests === null ? '–' : sizeText(requests.bytesWrittenPerSecond)],
    ['latency p99', requests?.requests ? durationText(requests.p99Microseconds) : '–'],
    ['free', space === null ? '–' : sizeText(space.freeBlocks * blockBytes)],
    ['free runs', space === null ? '–' : numberText(space.freeRuns)],
    ['largest free run', space === null ? '–' : sizeText(space.largestRunBlocks * blockBytes)],
    ['layout score', allocations.layoutScore === null ? '–' : allocations.layoutScore.toFixed(3)],
  ];
  list.replaceChildren(
    ...tiles.map(([name, value]) => {
      const tile = document.createElement('div');
      const term = document.createElement('dt');
      const detail = document.createElement('dd');
      term.textContent = name;
      detail.textContent = value;
      tile.append(term, detail);
      return tile;
    }),
  );
}
