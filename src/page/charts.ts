/**
 * The charts over time, drawn by uPlot: one quantity each, at most two lines, told apart by colour
 * and by dashes. Their cursors move together.
 */
import { durationText, numberText } from '../common/number-text.ts';
import { colorOf } from './map-view.ts';
import type { RatePoint } from './messages.ts';
import { sizeText } from './size-text.ts';

interface Line {
  readonly label: string;
  readonly of: (point: RatePoint) => number | null;
}

interface ChartKind {
  readonly title: string;
  readonly text: (value: number) => string;
  readonly lines: readonly [Line] | readonly [Line, Line];
  readonly isLogarithmic?: boolean;
  /** Where the axis ends if nothing is higher. */
  readonly most?: number;
  /** Distances between the lines of the grid; by default decimal ones. */
  readonly steps?: number[];
}

/** Of sizes: powers of two, from a byte to a pebibyte. */
const BINARY_STEPS = Array.from({ length: 51 }, (_, power) => 2 ** power);

const KINDS: readonly ChartKind[] = [
  {
    title: 'Requests per second',
    text: numberText,
    lines: [{ label: 'all kinds', of: ({ requests }) => requests }],
  },
  {
    title: 'Bytes per second',
    text: sizeText,
    steps: BINARY_STEPS,
    lines: [
      { label: 'written', of: ({ bytesWritten }) => bytesWritten },
      { label: 'read', of: ({ bytesRead }) => bytesRead },
    ],
  },
  {
    title: 'Latency',
    text: durationText,
    isLogarithmic: true,
    lines: [
      { label: 'p50', of: ({ p50Microseconds }) => p50Microseconds },
      { label: 'p99', of: ({ p99Microseconds }) => p99Microseconds },
    ],
  },
  {
    title: 'Blocks per second',
    text: numberText,
    lines: [
      { label: 'allocated', of: ({ blocksAllocated }) => blocksAllocated },
      { label: 'freed', of: ({ blocksFreed }) => blocksFreed },
    ],
  },
  {
    title: 'Free runs',
    text: numberText,
    lines: [{ label: 'in the volume', of: ({ freeRuns }) => freeRuns }],
  },
  {
    title: 'Layout score',
    text: (value) => value.toFixed(2),
    most: 1,
    lines: [{ label: 'of the data allocated', of: ({ layoutScore }) => layoutScore }],
  },
];

const HEIGHT = 150;
const AXIS_WIDTH = 70;
const DASHES = [6, 4];
const COLORS = ['--accent', '--second'];
const SYNCHRONIZED = { sync: { key: 'time' }, y: false, drag: { x: false, y: false } };

/** `14:03:59`, as the clock of this machine has it. */
function clockText(seconds: number): string {
  return new Date(1000 * seconds).toLocaleTimeString('en-GB');
}

/** Powers of ten only; others would be too near to each other. */
function decadesOnly(_: uPlot, splits: number[]): (number | null)[] {
  return splits.map((value) => (Number.isInteger(Math.log10(value)) ? value : null));
}

class Chart {
  readonly #kind: ChartKind;
  readonly #plot: uPlot;
  readonly #values: HTMLElement[] = [];
  readonly figure: HTMLElement;

  constructor(kind: ChartKind) {
    this.#kind = kind;
    this.figure = document.createElement('figure');
    this.figure.append(this.#caption());
    const box = document.createElement('div');
    box.setAttribute('aria-hidden', 'true');
    this.figure.append(box);
    this.#plot = new uPlot(this.#options(), [[], ...kind.lines.map(() => [])] as uPlot.AlignedData, box);
    new ResizeObserver(() => {
      if (box.clientWidth > 0) this.#plot.setSize({ width: box.clientWidth, height: HEIGHT });
    }).observe(box);
  }

  #caption(): HTMLElement {
    const caption = document.createElement('figcaption');
    const title = document.createElement('b');
    title.textContent = this.#kind.title;
    caption.append(title);
    for (const [i, { label }] of this.#kind.lines.entries()) {
      const words = document.createElement('span');
      const mark = document.createElement('i');
      mark.className = i === 1 ? 'dashed' : '';
      mark.style.color = `var(${COLORS[i] ?? ''})`;
      const value = document.createElement('span');
      this.#values.push(value);
      words.append(mark, `${label} `, value);
      caption.append(words);
    }
    return caption;
  }

  #options(): uPlot.Options {
    const { lines, text, isLogarithmic, most = 0, steps } = this.#kind;
    const quiet = () => colorOf('--quiet');
    const grid = { stroke: () => colorOf('--grid'), width: 1 };
    return {
      width: 300,
      height: HEIGHT,
      legend: { show: false },
      cursor: SYNCHRONIZED,
      scales: {
        y: isLogarithmic
          ? { distr: 3 }
          : { range: (_, __, found) => [0, Math.max(most, found ?? 0) * 1.05 || 1] },
      },
      axes: [
        {
          stroke: quiet,
          grid,
          ticks: { show: false },
          size: 28,
          space: 80,
          values: (_, splits) => splits.map(clockText),
        },
        {
          stroke: quiet,
          grid,
          ticks: { show: false },
          size: AXIS_WIDTH,
          values: (_, splits) => splits.map((value) => (value === null ? '' : text(value))),
          ...(isLogarithmic ? { filter: decadesOnly } : {}),
          ...(steps ? { incrs: steps } : {}),
        },
      ],
      series: [
        {},
        ...lines.map(({ label }, i) => ({
          label,
          stroke: () => colorOf(COLORS[i] ?? ''),
          width: 2,
          points: { show: false },
          ...(i === 1 ? { dash: DASHES } : {}),
        })),
      ],
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx ?? undefined)] },
    };
  }

  show(points: readonly RatePoint[]): void {
    const times = points.map(({ seconds }) => seconds);
    const values = this.#kind.lines.map(({ of }) => points.map(of));
    this.#plot.setData([times, ...values] as uPlot.AlignedData);
    this.#tell(this.#plot.cursor.idx ?? undefined);
  }

  /** What the lines are where the cursor is, or at last. */
  #tell(index: number | undefined): void {
    for (const [i, element] of this.#values.entries()) {
      const values = this.#plot.data[i + 1] ?? [];
      const value = index === undefined ? values.at(-1) : values[index];
      element.textContent = typeof value === 'number' ? this.#kind.text(value) : '–';
    }
  }

  redraw(): void {
    this.#plot.redraw(false, true);
  }
}

export class LiveCharts {
  readonly #charts = KINDS.map((kind) => new Chart(kind));

  constructor(place: HTMLElement) {
    place.replaceChildren(...this.#charts.map(({ figure }) => figure));
  }

  show(points: readonly RatePoint[]): void {
    for (const chart of this.#charts) chart.show(points);
  }

  /** The user's colours have changed. */
  redraw(): void {
    for (const chart of this.#charts) chart.redraw();
  }
}
