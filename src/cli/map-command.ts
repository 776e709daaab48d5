/**
 * `quarry map`: draws which blocks of a volume hold what, as SVG, PNG, or text for the terminal; or
 * tells it as JSON. Writes nothing to the volume.
 */
import { writeFileSync } from 'node:fs';
import { printable, printableJson } from '../common/printable.ts';
import { plural } from '../common/words.ts';
import { systemPath } from '../path-bytes.ts';
import type { BlockMap } from '../pictures/block-map.ts';
import { type CellGrid, type GridLayout, hilbertGrid, rowsGrid } from '../pictures/cell-grid.ts';
import { pngOfSvg, RENDERER } from '../pictures/png.ts';
import { svgOfMap } from '../pictures/svg-map.ts';
import { textOfMap } from '../pictures/text-map.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  say,
  type Terminal,
  type TerminalScreen,
} from './command.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import { mapJson } from './map-json.ts';
import { type MeasuredVolume, withMeasuredVolume } from './measured-volume.ts';
import { type NamedPlace, namedVolume } from './named-place.ts';
import { ProgressBar } from './progress.ts';
import { formatSize } from './sizes.ts';
import { type ClassedVolume, classVolume, type MapSubject, type MapTime } from './volume-map.ts';

/** A picture has at most so many cells: 256 × 256. */
const PICTURE_CELLS = 65536;
const PICTURE_COLUMNS = 256;
/** The width of a terminal that does not tell, and the most that is used of one. */
const TEXT_COLUMNS = 80;
const MOST_TEXT_COLUMNS = 256;
/** Rows of text that a map has at most. */
const TEXT_ROWS = 32;
/** Pixels of a PNG for each of the SVG. */
const PNG_SCALE = 2;

type MapForm = 'svg' | 'png' | 'txt' | 'json';

interface MapChoice {
  readonly form: MapForm;
  /** Undefined for standard output. */
  readonly file: string | undefined;
  readonly layout: GridLayout;
  readonly by: MapSubject;
  readonly time: MapTime;
}

function oneOf<T extends string>(option: string, text: string | undefined, known: readonly [T, ...T[]]): T {
  if (text === undefined) return known[0];
  const found = known.find((name) => name === text);
  if (found !== undefined) return found;
  throw new UsageError(`--${option} ${text} is unknown: say one of ${known.join(', ')}`);
}

/** Judges the options. @throws UsageError */
export function mapChoice(options: OptionValues): MapChoice {
  const png = optionText(options, 'png');
  const svg = optionText(options, 'svg');
  const json = optionGiven(options, 'json');
  const layout = optionText(options, 'layout');
  const forms = [png !== undefined, svg !== undefined, optionGiven(options, 'txt'), json];
  if (forms.filter(Boolean).length > 1)
    throw new UsageError('give only one of --png, --svg, --txt and --json');
  if (json && layout !== undefined) throw new UsageError('--layout is for pictures: --json has none');
  return {
    form: json ? 'json' : png !== undefined ? 'png' : svg !== undefined ? 'svg' : 'txt',
    file: png ?? svg,
    layout: oneOf('layout', layout, ['hilbert', 'rows']),
    by: oneOf('by', optionText(options, 'by'), ['kind', 'age', 'extents']),
    time: oneOf('time', optionText(options, 'time'), ['birth', 'modified']),
  };
}

/** How many cells the map has at most. */
function mostCells({ form }: MapChoice, { screen }: Terminal): number {
  if (form !== 'txt') return PICTURE_CELLS;
  const columns = textColumns(screen);
  // With colours, a character shows two cells.
  const rows = screen?.colors === undefined ? TEXT_ROWS : 2 * TEXT_ROWS;
  return columns * Math.min(rows, columns);
}

/** An even number, as the curve likes it. */
function textColumns(screen: TerminalScreen | undefined): number {
  // A terminal that does not know its width says 0.
  const columns = Math.min(screen?.columns || TEXT_COLUMNS, MOST_TEXT_COLUMNS);
  return Math.max(8, columns - (columns % 2));
}

function gridOf({ form, layout }: MapChoice, cellCount: number, { screen }: Terminal): CellGrid {
  if (layout === 'rows') return rowsGrid(cellCount, form === 'txt' ? textColumns(screen) : PICTURE_COLUMNS);
  return form === 'txt' ? hilbertGrid(cellCount, textColumns(screen)) : hilbertGrid(cellCount);
}

/** The map in words and colours. */
function describeMap(
  named: NamedPlace,
  { source, mountedOn, committed }: MeasuredVolume,
  { cells, classes, legend }: ClassedVolume,
  grid: CellGrid,
): BlockMap {
  const { blockBytes, blockCount } = source.layout;
  const size = (blocks: number) => formatSize(blocks * blockBytes);
  const totals = cells.totals();
  const cell = `${plural(cells.blocksPerCell, 'block')}, ${size(cells.blocksPerCell)}`;
  const moved = committed ? ', read after a commit' : '';
  return {
    title: `Blocks of ${printable(named.target.path)}`,
    subtitle: `${size(blockCount)} in ${plural(blockCount, 'block')} of ${formatSize(blockBytes)}; a cell is ${cell}${
      mountedOn === undefined ? '' : `; mounted${moved}`
    }`,
    legend,
    classes: classes.map((found, i) => {
      const total = totals[i] ?? 0;
      return total === 0
        ? found
        : {
            ...found,
            amount: `${size(total)}, ${percentText(total / blockCount)}`,
          };
    }),
    cells: cells.map(),
    grid,
    ends: ['block 0', `block ${blockCount - 1}, ${size(blockCount)}`],
    reading: readingOf(grid, cell, mountedOn !== undefined),
  };
}

function percentText(share: number): string {
  if (share < 0.0001) return 'below 0.01 %';
  return `${(100 * share).toFixed(share < 0.01 ? 2 : 1)} %`;
}

function readingOf({ layout, columns }: CellGrid, cell: string, isMounted: boolean): string {
  const way =
    layout === 'hilbert'
      ? 'The volume is wound along a Hilbert curve from the upper left to the upper right, so that blocks near each other on the disk are near each other here, and one run of blocks is one patch'
      : `The volume goes from left to right and from top to bottom, ${columns} cells a row, so that one run of blocks is a bar`;
  const live = isMounted ? ' It was mounted while it was read, and may have moved meanwhile.' : '';
  return `How to read it: ${way}. A cell is ${cell}; it shows what most of its blocks in use are, and is paler where some of them are free. Specks are fragments.${live}`;
}

async function drawn(choice: MapChoice, map: BlockMap, terminal: Terminal): Promise<string | Uint8Array> {
  if (choice.form === 'txt') return textOfMap(map, terminal.screen?.colors);
  const svg = svgOfMap(map);
  if (choice.form === 'svg') return svg;
  const png = await pngOfSvg(svg, PNG_SCALE);
  if (png === undefined)
    throw new CommandError(`PNG needs ${RENDERER}: run 'npm install ${RENDERER}', or draw with --svg`);
  return png;
}

function writePicture(file: string, picture: string | Uint8Array): void {
  try {
    writeFileSync(systemPath(file), picture);
  } catch (thrown) {
    throw targetError(thrown, file);
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const choice = mapChoice(options);
  const named = await namedVolume(argumentAt(args, 0));
  const isData = choice.form === 'json';
  const wantsBar = optionGiven(options, 'progress') || (terminal.interactive && !isData);
  const bar = wantsBar ? new ProgressBar(terminal) : undefined;
  const picture = await withMeasuredVolume(named.target, named.mount, terminal, async (volume) => {
    const classed = await classVolume(volume.source, {
      by: choice.by,
      time: choice.time,
      nowSeconds: Date.now() / 1000,
      mostCells: mostCells(choice, terminal),
      progress: (stage, done, total) => bar?.update(stage, done, total),
    }).finally(() => bar?.clear());
    if (isData) {
      const question = { ...choice, name: named.path, target: named.target.path };
      return `${printableJson(mapJson(question, volume, classed), 0)}\n`;
    }
    sayFaults(classed, terminal);
    const grid = gridOf(choice, classed.cells.cellCount, terminal);
    return await drawn(choice, describeMap(named, volume, classed, grid), terminal);
  });
  if (choice.file !== undefined) writePicture(choice.file, picture);
  else terminal.out(String(picture));
  return 0;
}

function sayFaults({ faults }: ClassedVolume, terminal: Terminal): void {
  for (const fault of faults.first) say(terminal, fault);
  const more = faults.count - faults.first.length;
  if (more > 0) say(terminal, `… and ${more} more that could not be read`);
}

export const mapCommand: CommandDefinition = {
  name: 'map',
  summary: 'draw which blocks of a volume hold what',
  arguments: [{ name: 'target', text: 'block device, image file, or the directory of a mount' }],
  options: [
    { flags: '--png <file>', text: `write a picture; needs ${RENDERER}` },
    { flags: '--svg <file>', text: 'write a drawing' },
    { flags: '--txt', text: 'draw with characters, as wide as the terminal (the default)' },
    { flags: '--by <what>', text: 'colours by kind (the default), age, or extents of the file' },
    { flags: '--time <which>', text: 'what age is of: birth (the default), or modified' },
    { flags: '--layout <how>', text: 'along a hilbert curve (the default), or in rows' },
    { flags: '--progress', text: 'show a progress bar; by default where standard error is a terminal' },
    JSON_OPTION,
  ],
  notes:
    'A mounted volume is committed first, and moves while it is read.\ndocs/FRAGMENTATION.md shows pictures and how to read them.',
  usageStatus: 2,
  failureStatus: 1,
  run,
};
