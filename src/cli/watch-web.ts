/**
 * `quarry watch --web`: the page, its server and its feed put together.
 *
 * The page's scripts are built beside this file; the chart library `uplot` is an optional peer,
 * served from where it is installed, so that nothing comes from a network. While no page is open
 * the mount is not asked.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { printable } from '../common/printable.ts';
import { codeOf } from '../common/thrown.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import type { Terminal } from './command.ts';
import { CommandError } from './failure.ts';
import { type PageFile, PageServer } from './page-server.ts';
import { WatchFeed } from './watch-feed.ts';
import { MountEnded, WatchedMount } from './watched-mount.ts';

/** What to install for the page. */
const CHART_LIBRARY = 'uplot';

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';
/** What stands as it is in the sources, … */
const WRITTEN: readonly (readonly [path: string, file: string, type: string])[] = [
  ['', 'src/page/page.html', 'text/html; charset=utf-8'],
  ['page.css', 'src/page/page.css', STYLE],
  ['icon.svg', 'src/page/icon.svg', 'image/svg+xml'],
];
/** … and modules that are built, at paths by which they find each other. */
const MODULES = [
  'common/number-text.js',
  'page/main.js',
  'page/charts.js',
  'page/free-runs.js',
  'page/map-view.js',
  'page/messages.js',
  'page/size-text.js',
  'page/tables.js',
  'pictures/cell-grid.js',
  'pictures/colors.js',
  'pictures/hilbert.js',
];
/** Of the chart library. */
const CHART_FILES: readonly (readonly [path: string, file: string, type: string])[] = [
  ['uplot.js', 'uPlot.iife.min.js', SCRIPT],
  ['uplot.css', 'uPlot.min.css', STYLE],
];

/** Where the chart library's files are. @throws CommandError that says what to install */
export function chartFolder(resolve = createRequire(import.meta.url).resolve): string {
  try {
    return dirname(resolve(CHART_LIBRARY));
  } catch (thrown) {
    if (!/MODULE_NOT_FOUND$/.test(codeOf(thrown))) throw thrown;
    throw new CommandError(
      `the page needs ${CHART_LIBRARY}: run 'npm install ${CHART_LIBRARY}', or watch on the terminal`,
    );
  }
}

function fileAt(path: string, type: string): PageFile {
  return { type, read: () => readFileSync(path) };
}

/** All files of the page by their paths. */
export function pageFiles(charts: string): Map<string, PageFile> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  return new Map([
    ...WRITTEN.map(([path, file, type]) => [path, fileAt(join(root, file), type)] as const),
    ...MODULES.map((path) => [path, fileAt(join(root, 'dist', path), SCRIPT)] as const),
    ...CHART_FILES.map(([path, file, type]) => [path, fileAt(join(charts, file), type)] as const),
  ]);
}

export interface WebRequest {
  readonly intervalSeconds: number;
  readonly port: number;
  readonly signal: AbortSignal;
}

function listenError(thrown: unknown, port: number): unknown {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'is in use',
    EACCES: 'is for root only',
  };
  const reason = reasons[codeOf(thrown)];
  return reason === undefined ? thrown : new CommandError(`port ${port} ${reason}: choose another one`);
}

/**
 * Serves the page until the mount or the watcher ends.
 * @throws MountEnded, CommandError
 */
export async function watchOnPage(
  mount: MountRecord,
  { intervalSeconds, port, signal }: WebRequest,
  terminal: Terminal,
): Promise<void> {
  const files = pageFiles(chartFolder());
  const title = { directory: printable(mount.directory), source: printable(mount.source), intervalSeconds };
  const feed: WatchFeed = new WatchFeed(title, () => watched.wake());
  const watched = new WatchedMount(mount, {
    intervalSeconds,
    withMap: true,
    signal,
    silent: (line) => feed.remark(printable(line)),
    isWanted: () => feed.isWatched,
  });
  // Whoever may not watch is told now, and not on an empty page.
  await watched.probe();
  if (signal.aborted) return;
  const server = new PageServer({
    files,
    streamPath: 'events',
    takeStream: (response) => feed.take(response),
  });
  await server.listen(port).catch((thrown: unknown) => Promise.reject(listenError(thrown, port)));
  terminal.out(`${server.address}\n`);
  try {
    for await (const observation of watched.observe()) feed.observed(observation);
    feed.end('The watch was ended.');
  } catch (thrown) {
    feed.end(thrown instanceof MountEnded ? printable(thrown.message) : 'The watch has failed.');
    throw thrown;
  } finally {
    await server.close();
  }
}
