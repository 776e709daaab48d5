/** Blocks to cells to pictures: the Hilbert curve, the cells, SVG, text, PNG. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BlockMap, cellColor } from '../../src/pictures/block-map.ts';
import { CellCounts, CellLevel } from '../../src/pictures/cell-counts.ts';
import { cellsByPlace, hilbertGrid, rowsGrid } from '../../src/pictures/cell-grid.ts';
import { FREE_COLOR, mixed, OkabeIto } from '../../src/pictures/colors.ts';
import { hilbertPlaces } from '../../src/pictures/hilbert.ts';
import { pngOfSvg } from '../../src/pictures/png.ts';
import { svgOfMap } from '../../src/pictures/svg-map.ts';
import { textOfMap } from '../../src/pictures/text-map.ts';

/** The steps of a curve, and how many cells it visits. */
function walked(columns: number, rows: number): { steps: number[]; visited: number } {
  const { xs, ys } = hilbertPlaces(columns, rows);
  const seen = new Set<number>();
  const steps: number[] = [];
  for (const [i, x] of xs.entries()) {
    const y = ys[i] ?? -1;
    expect(x < columns && y >= 0 && y < rows).toBe(true);
    seen.add(y * columns + x);
    if (i > 0) steps.push(Math.abs(x - (xs[i - 1] ?? 0)) + Math.abs(y - (ys[i - 1] ?? 0)));
  }
  return { steps, visited: seen.size };
}

describe('the Hilbert curve', () => {
  test('visits every cell once and steps to neighbours, from the upper left to the upper right', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (a, b) => {
        const [columns, rows] = [2 * Math.max(a, b), 2 * Math.min(a, b)];
        const { steps, visited } = walked(columns, rows);
        expect(visited).toBe(columns * rows);
        expect(steps.every((step) => step === 1)).toBe(true);
        const { xs, ys } = hilbertPlaces(columns, rows);
        expect([xs[0], ys[0], xs.at(-1), ys.at(-1)]).toEqual([0, 0, columns - 1, 0]);
      }),
    );
  });

  test('with odd sides visits every cell once, with one diagonal step at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), (columns, rows) => {
        const { steps, visited } = walked(columns, rows);
        expect(visited).toBe(columns * rows);
        const others = steps.filter((step) => step !== 1);
        expect(others.length).toBeLessThanOrEqual(1);
        expect(others.every((step) => step === 2)).toBe(true);
      }),
    );
  });

  test.each([1, 2, 3, 5, 8])('of order %d fills one quarter after the other, and their quarters', (order) => {
    const side = 2 ** order;
    const { xs, ys } = hilbertPlaces(side, side);
    for (let size = side; size > 1; size /= 2) {
      for (let at = 0; at < side * side; at += size * size) {
        const squares = new Set<string>();
        for (let i = at; i < at + size * size; i++)
          squares.add(`${Math.floor((xs[i] ?? 0) / size)} ${Math.floor((ys[i] ?? 0) / size)}`);
        expect(squares.size).toBe(1);
      }
    }
  });
});

describe('grids', () => {
  test('along the curve: about square, and hardly larger than needed', () => {
    const sizes = [1, 4, 5, 2304, 50_000, 65_536].map((count) => {
      const { columns, rows } = hilbertGrid(count);
      return [columns, rows];
    });
    expect(sizes).toEqual([
      [2, 2],
      [2, 2],
      [4, 2],
      [48, 48],
      [224, 224],
      [256, 256],
    ]);
    const { columns, rows } = hilbertGrid(2000, 80);
    expect([columns, rows]).toEqual([80, 26]);
    expect(() => hilbertGrid(2 ** 25)).toThrow(RangeError);
  });

  test('rows', () => {
    const grid = rowsGrid(10, 4);
    expect([grid.columns, grid.rows]).toEqual([4, 3]);
    expect(grid.place(9)).toEqual({ x: 1, y: 2 });
    expect([...cellsByPlace(grid, 10)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1]);
  });
});

describe('cells', () => {
  test('sizes that do not divide: cells are equal, and the last one has the rest', () => {
    const cells = new CellCounts(10, 4, 2);
    expect([cells.blocksPerCell, cells.cellCount]).toEqual([3, 4]);
    expect([0, 1, 2, 3].map((cell) => cells.sizeOf(cell))).toEqual([3, 3, 3, 1]);
    const exact = new CellCounts(16, 4, 2);
    expect([exact.blocksPerCell, exact.cellCount]).toEqual([4, 4]);
    const few = new CellCounts(3, 100, 2);
    expect([few.blocksPerCell, few.cellCount]).toEqual([1, 3]);
  });

  test('a run is cut at the borders of cells, and at the ends of the volume', () => {
    const cells = new CellCounts(10, 4, 2);
    cells.add(2, 6, 1);
    expect([0, 1, 2, 3].map((cell) => cells.blocksOf(cell, 1))).toEqual([1, 3, 2, 0]);
    cells.add(8, 100, 0);
    cells.add(-5, 6, 0);
    expect([0, 1, 2, 3].map((cell) => cells.blocksOf(cell, 0))).toEqual([1, 0, 1, 1]);
    expect(cells.totals()).toEqual([3, 6]);
    cells.fillWith(1);
    expect(cells.totals()).toEqual([3, 7]);
  });

  test('the class that has most of what is in use, and the lower of two that have as much', () => {
    const cells = new CellCounts(40, 4, 4);
    cells.add(0, 10, 0);
    cells.add(10, 7, 0);
    cells.add(17, 1, 1);
    cells.add(18, 2, 3);
    cells.add(20, 5, 2);
    cells.add(25, 5, 1);
    cells.add(30, 2, 0);
    cells.add(32, 8, 3);
    const { classes, levels } = cells.map();
    expect([...classes]).toEqual([0, 3, 1, 3]);
    expect([...levels]).toEqual([CellLevel.empty, CellLevel.halfFull, CellLevel.full, CellLevel.partlyFree]);
  });

  test('agree with an array of blocks', () => {
    const run = fc.tuple(fc.nat(199), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 }));
    fc.assert(
      fc.property(fc.array(run, { maxLength: 20 }), fc.integer({ min: 1, max: 60 }), (runs, most) => {
        const blocks = new Uint8Array(200);
        for (const [at, length, value] of runs) blocks.fill(value, at, Math.min(200, at + length));
        const cells = new CellCounts(200, most, 4);
        for (const [at, value] of blocks.entries()) cells.add(at, 1, value);
        const { classes } = cells.map();
        for (let cell = 0; cell < cells.cellCount; cell++) {
          const part = blocks.subarray(cell * cells.blocksPerCell, (cell + 1) * cells.blocksPerCell);
          const counts = [1, 2, 3].map((value) => part.filter((found) => found === value).length);
          const most = Math.max(...counts);
          expect(classes[cell]).toBe(most === 0 ? 0 : counts.indexOf(most) + 1);
        }
      }),
    );
  });
});

/** Four cells in a square: free, data, data half free, journal. */
function sample(): BlockMap {
  const cells = new CellCounts(16, 4, 3);
  cells.add(0, 4, 0);
  cells.add(4, 4, 1);
  cells.add(8, 2, 1);
  cells.add(10, 2, 0);
  cells.add(12, 4, 2);
  return {
    title: 'A & <B>',
    subtitle: '16 blocks',
    legend: 'what blocks are',
    classes: [
      { name: 'free', color: FREE_COLOR, letters: '.' },
      { name: 'data', color: OkabeIto.skyBlue, letters: 'abc', amount: '6 blocks' },
      { name: 'journal', color: OkabeIto.purple, letters: 'J' },
      { name: 'nowhere', color: OkabeIto.black, letters: 'N' },
    ],
    cells: cells.map(),
    grid: hilbertGrid(4),
    ends: ['block 0', 'block 15'],
    reading: 'Read it so.',
  };
}

describe('SVG', () => {
  test('has one path for each colour, and its text escaped', () => {
    const svg = svgOfMap(sample());
    const fills = [...svg.matchAll(/<path fill="([^"]+)"/g)].map(([, fill]) => fill);
    expect(new Set(fills).size).toBe(fills.length);
    expect(fills.sort()).toEqual(
      [
        FREE_COLOR,
        OkabeIto.skyBlue,
        cellColor(sample().classes[1], CellLevel.halfFull),
        OkabeIto.purple,
      ].sort(),
    );
    expect(svg).toContain('A &amp; &lt;B&gt;');
    expect(svg).toContain('6 blocks');
    expect(svg).toContain('Read it so.');
    expect(svg).not.toContain('nowhere');
  });

  test('draws the cells where the curve has them', () => {
    const svg = svgOfMap(sample());
    const pathOf = (fill: string) => new RegExp(`<path fill="${fill}" d="([^"]+)"`).exec(svg)?.[1];
    expect(pathOf(FREE_COLOR)).toBe('M0 0h1v1h-1z');
    expect(pathOf(OkabeIto.skyBlue)).toBe('M0 1h1v1h-1z');
    expect(pathOf(OkabeIto.purple)).toBe('M1 0h1v1h-1z');
  });

  test('neighbours in a row are one rectangle', () => {
    const cells = new CellCounts(8, 8, 2);
    cells.add(0, 8, 1);
    const svg = svgOfMap({ ...sample(), cells: cells.map(), grid: rowsGrid(8, 4) });
    expect(svg).toContain('d="M0 0h4v1h-4zM0 1h4v1h-4z"');
  });

  test('a square that is not full says so', () => {
    const cells = new CellCounts(3, 3, 2);
    expect(svgOfMap({ ...sample(), cells: cells.map() })).toContain('blank: behind the end, block 15');
    expect(svgOfMap(sample())).not.toContain('blank');
  });
});

describe('text', () => {
  test('with letters', () => {
    const text = textOfMap(sample(), undefined);
    expect(text.split('\n').slice(0, 6)).toEqual(['A & <B>', '16 blocks', '', '.J', 'ca', '']);
    expect(text).toContain('  J    journal');
    expect(text.includes('\x1b')).toBe(false);
  });

  test('with colours, two cells in a character', () => {
    const text = textOfMap(sample(), 'true');
    const [red, green, blue] = [0x56, 0xb4, 0xe9];
    const rows = text.split('\n').filter((line) => line.includes('▀'));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toContain(`\x1b[38;2;237;237;237;48;2;${red};${green};${blue}m▀`);
    expect(textOfMap(sample(), '256')).toContain('\x1b[38;5;');
  });
});

test('colours are mixed by shares', () => {
  expect(mixed('#000000', '#ffffff', 0.5)).toBe('#808080');
  expect(mixed('#123456', '#ffffff', 1)).toBe('#123456');
});

test('no PNG without the renderer, and no other error hidden', async () => {
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error('no'), { code }));
  expect(await pngOfSvg('', 1, failing('ERR_MODULE_NOT_FOUND'))).toBeUndefined();
  expect(await pngOfSvg('', 1, failing('MODULE_NOT_FOUND'))).toBeUndefined();
  await expect(pngOfSvg('', 1, failing('EACCES'))).rejects.toThrow('no');
});

test('PNG by the renderer', async () => {
  const png = await pngOfSvg(svgOfMap(sample()), 2);
  expect(
    Buffer.from(png ?? [])
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
});
