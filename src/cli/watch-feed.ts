/**
 * The stream of events to the pages of `quarry watch --web` (Server-Sent Events, as the HTML
 * standard has them).
 *
 * A page that comes is told everything there is: the mount, the rates before it came, the whole
 * map. From then on it is sent what every page is: the figures of each interval, and the cells that
 * changed; the figures first, by which a page knows that what changed before has aged. A page that
 * does not keep up is cut off; its browser comes again, and is told
 * everything.
 */
import type { ServerResponse } from 'node:http';
import {
  type MapMessage,
  type MountMessage,
  type PageMessages,
  type RatePoint,
  ratePoint,
  type WatchFigures,
} from '../page/messages.ts';
import { refuse } from './page-server.ts';
import type { MountSample } from './watch-sample.ts';
import type { Observation } from './watched-mount.ts';

const MOST_PAGES = 16;
/** What may wait to be sent to a page: a whole map is some 200 KiB. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024;
/** Points that the charts show: ten minutes of seconds. */
const MOST_POINTS = 600;
/** How soon a browser comes again that was cut off. */
const RETRY_MILLISECONDS = 2000;

export type MountTitle = Pick<MountMessage, 'directory' | 'source' | 'intervalSeconds'>;

/** An event as it is sent. Its data has no line ends: it is JSON. */
export function eventText<Name extends keyof PageMessages>(name: Name, message: PageMessages[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(message)}\n\n`;
}

export class WatchFeed {
  readonly #title: MountTitle;
  /** Told when the first page comes. */
  readonly #wanted: () => void;
  readonly #pages = new Set<ServerResponse>();
  #history: RatePoint[] = [];
  /** What all pages show; undefined where counting began anew. */
  #figures: WatchFigures | undefined;
  #epoch = 0;
  #map: Omit<MapMessage, 'cells' | 'isWhole'> | undefined;
  /** Free blocks of the cells that are known. */
  readonly #cells = new Map<number, number>();

  constructor(title: MountTitle, wanted: () => void) {
    this.#title = title;
    this.#wanted = wanted;
  }

  /** Whether anybody looks. */
  get isWatched(): boolean {
    return this.#pages.size > 0;
  }

  /** Takes a page's request for the stream. */
  take(response: ServerResponse): void {
    if (this.#pages.size >= MOST_PAGES) {
      refuse(response, 503);
      return;
    }
    response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    response.write(`retry: ${RETRY_MILLISECONDS}\n\n`);
    // Those of a page that has gone are of whenever it went.
    const figures = (this.isWatched && this.#figures) || null;
    const mount = { ...this.#title, mostPoints: MOST_POINTS, history: this.#history, figures };
    response.write(eventText('mount', mount));
    const whole = this.#wholeMap();
    if (whole !== undefined) response.write(eventText('map', whole));
    this.#pages.add(response);
    response.on('close', () => this.#pages.delete(response));
    if (this.#pages.size === 1) this.#wanted();
  }

  /** Takes what was observed, and tells all pages. */
  observed({ figures, sample }: Observation): void {
    this.#figures = figures;
    if (figures !== undefined) {
      this.#history = [...this.#history.slice(1 - MOST_POINTS), ratePoint(figures)];
      this.#tell(eventText('figures', figures));
    }
    const map = this.#changedMap(sample);
    if (map !== undefined && (map.isWhole || map.cells.length > 0)) this.#tell(eventText('map', map));
  }

  remark(text: string): void {
    this.#tell(eventText('remark', { text }));
  }

  /** The last event. */
  end(text: string): void {
    this.#tell(eventText('end', { text }));
    for (const page of this.#pages) page.end();
  }

  #wholeMap(): MapMessage | undefined {
    return this.#map && { ...this.#map, isWhole: true, cells: [...this.#cells].flat() };
  }

  #changedMap({ epoch, blockBytes, blockCount, survey }: MountSample): MapMessage | undefined {
    if (survey?.cells === undefined) return undefined;
    const isWhole = epoch !== this.#epoch;
    if (isWhole) this.#cells.clear();
    this.#epoch = epoch;
    const { blocksPerCell, cellCount, cells } = survey;
    this.#map = { blockBytes, blockCount, blocksPerCell, cellCount };
    for (let i = 0; i + 1 < cells.length; i += 2) this.#cells.set(cells[i] ?? 0, cells[i + 1] ?? 0);
    return { ...this.#map, isWhole, cells };
  }

  #tell(text: string): void {
    for (const page of this.#pages) {
      page.write(text);
      if (page.writableLength > MOST_WAITING_BYTES) page.destroy();
    }
  }
}
