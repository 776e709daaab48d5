/**
 * The page of `quarry watch --web`: takes the stream of events, and hands each to what shows it.
 *
 * Paused, it hangs up, which costs the mount nothing; when it goes on it is told everything again.
 */
import { numberText, percentText } from '../common/number-text.ts';
import { LiveCharts } from './charts.ts';
import { showFreeRuns } from './free-runs.ts';
import { MapView } from './map-view.ts';
import {
  type MapMessage,
  type MountMessage,
  type PageMessages,
  type RatePoint,
  ratePoint,
  type WatchFigures,
} from './messages.ts';
import { sizeText } from './size-text.ts';
import { showKinds, showPolicy, showTiles } from './tables.ts';

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`the page has no ${id}`);
}

const state = element('state', HTMLElement);
const notice = element('notice', HTMLElement);
const pause = element('pause', HTMLButtonElement);
const map = new MapView({
  frame: element('map-frame', HTMLElement),
  canvas: element('map', HTMLCanvasElement),
  cursor: element('map-cursor', HTMLElement),
  words: element('map-cell', HTMLElement),
});
const charts = new LiveCharts(element('charts', HTMLElement));

let points: RatePoint[] = [];
let mostPoints = 1;
let last: WatchFigures | undefined;
let source: EventSource | undefined;

function showLegend(): void {
  const entries: [color: string, words: string][] = [
    ['--map-free', 'free'],
    ['--map-used', 'in use; the fainter, the more is free'],
    ['--map-filled', 'has just been filled'],
    ['--map-freed', 'has just been freed'],
  ];
  element('map-legend', HTMLElement).replaceChildren(
    ...entries.map(([color, words]) => {
      const mark = document.createElement('i');
      mark.style.background = `var(${color})`;
      const entry = document.createElement('li');
      entry.append(mark, words);
      return entry;
    }),
  );
}

function showState(words: string, isLive: boolean): void {
  state.textContent = words;
  state.classList.toggle('live', isLive);
}

function showMount({ directory, intervalSeconds, ...mount }: MountMessage): void {
  showState('live', true);
  document.title = `${directory} – quarry watch`;
  element('directory', HTMLElement).textContent = directory;
  element('source', HTMLElement).textContent =
    `${mount.source}, looked at every ${numberText(intervalSeconds)} s`;
  ({ mostPoints } = mount);
  points = [...mount.history];
  charts.show(points);
  if (mount.figures !== null) showTables(mount.figures);
}

function showMap(message: MapMessage): void {
  map.take(message);
  if (!message.isWhole) return;
  const { blocksPerCell, blockBytes, blockCount } = message;
  element('map-reading', HTMLElement).textContent =
    `${sizeText(blockCount * blockBytes)}, wound along a Hilbert curve from the upper left to the upper right: what is near on the disk is near here. A cell is ${sizeText(blocksPerCell * blockBytes)}.`;
}

function showFigures(figures: WatchFigures): void {
  showState('live', true);
  points = [...points.slice(1 - mostPoints), ratePoint(figures)];
  charts.show(points);
  map.age();
  showTables(figures);
}

function showTables(figures: WatchFigures): void {
  last = figures;
  showTiles(element('tiles', HTMLElement), figures);
  showFreeRuns(element('runs', HTMLTableElement), figures);
  showKinds(element('kinds', HTMLTableElement), figures);
  showPolicy(element('policy', HTMLTableElement), figures);
  showNotice();
}

function showNotice(): void {
  const known = last?.space?.knownShare ?? 1;
  const words = [
    last?.readOnly ? `The volume is read-only. ${last.failure}` : '',
    last?.policy.fault ?? '',
    known < 1 ? `The map is being made: ${percentText(known)} so far.` : '',
  ].filter((text) => text !== '');
  notice.hidden = words.length === 0;
  const text = words.join(' ');
  if (notice.textContent !== text) notice.textContent = text;
}

/** What shows each kind of message. */
const SHOWN: { readonly [Name in keyof PageMessages]: (message: PageMessages[Name]) => void } = {
  mount: showMount,
  map: showMap,
  figures: showFigures,
  remark: ({ text }) => showState(text, false),
  end: ({ text }) => {
    source?.close();
    pause.disabled = true;
    showState(text, false);
  },
};

function listen(): void {
  const stream = new EventSource('events');
  const on = <Name extends keyof PageMessages>(name: Name) => {
    stream.addEventListener(name, (event: MessageEvent<string>) => SHOWN[name](JSON.parse(event.data)));
  };
  for (const name of Object.keys(SHOWN) as (keyof PageMessages)[]) on(name);
  stream.addEventListener('error', () => {
    const isOver = stream.readyState === EventSource.CLOSED;
    showState(isOver ? 'no longer connected' : 'connecting …', false);
  });
  source = stream;
}

pause.addEventListener('click', () => {
  const pauses = source !== undefined;
  pause.setAttribute('aria-pressed', String(pauses));
  pause.textContent = pauses ? 'Go on' : 'Pause';
  source?.close();
  source = undefined;
  if (pauses) showState('paused', false);
  else listen();
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  map.recolor();
  charts.redraw();
});

showLegend();
listen();
