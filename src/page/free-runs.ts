/** The free runs by their length, as a table with bars. */
import { numberText, percentText } from '../common/number-text.ts';
import type { WatchFigures } from './messages.ts';
import { sizeText } from './size-text.ts';
import { cell, headRow } from './tables.ts';

function barCell(share: number): HTMLTableCellElement {
  const bar = document.createElement('i');
  bar.style.width = `${100 * share}%`;
  const made = cell('');
  made.className = 'bar';
  if (share > 0) made.append(bar);
  return made;
}

export function showFreeRuns(table: HTMLTableElement, { space, blockBytes }: WatchFigures): void {
  if (space === null) {
    table.replaceChildren(headRow(['The volume is too large for its free space to be followed.']));
    return;
  }
  const body = document.createElement('tbody');
  for (const { fromBlocks, runs, share } of space.histogram) {
    const row = body.insertRow();
    row.append(
      cell(`${sizeText(fromBlocks * blockBytes)}+`),
      cell(numberText(runs)),
      cell(percentText(share)),
      barCell(share),
    );
  }
  table.replaceChildren(headRow(['length', 'runs', 'of free space', '']), body);
}
