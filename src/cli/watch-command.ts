/**
 * `quarry watch`: what happens on a mount, as it happens: on the terminal, line by line, as JSON,
 * or on a page for the browser.
 */
import { printable, printableJson } from '../common/printable.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import type { WatchFigures } from '../page/messages.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { UsageError } from './failure.ts';
import { endOnSignals, parseCount, parseInterval } from './intervals.ts';
import { requireMount } from './mountpoint.ts';
import { WatchScreen } from './watch-screen.ts';
import { cutLine, intervalLine, type ScreenSize, screenLines } from './watch-text.ts';
import { watchOnPage } from './watch-web.ts';
import { MountEnded, WatchedMount } from './watched-mount.ts';

const MOST_PORT = 65535;
/** Rates that the line of bars can show. */
const RATES_KEPT = 400;

export interface WatchChoice {
  readonly form: 'screen' | 'lines' | 'json' | 'web';
  readonly intervalSeconds: number;
  /** Infinite: until somebody ends it. */
  readonly count: number;
  /** Of the page; 0 for any that is free. */
  readonly port: number;
}

function parsePort(value: OptionValues[string]): number {
  if (value === true) return 0;
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : -1;
  if (port >= 0 && port <= MOST_PORT) return port;
  throw new UsageError(`--web ${value} is not a port: write --web=8080, or --web behind the directory`);
}

/** Judges the options. @throws UsageError */
export function watchChoice(options: OptionValues, isScreen: boolean): WatchChoice {
  const isJson = optionGiven(options, 'json');
  const isWeb = options.web !== undefined;
  if (isJson && isWeb) throw new UsageError('give only one of --json and --web');
  if (isWeb && options.count !== undefined) throw new UsageError('--count does not go with --web');
  return {
    form: isWeb ? 'web' : isJson ? 'json' : isScreen ? 'screen' : 'lines',
    intervalSeconds: parseInterval(optionText(options, 'interval')),
    count: parseCount(optionText(options, 'count')),
    port: isWeb ? parsePort(options.web) : 0,
  };
}

/** Shows figures, one after the other. */
interface Display {
  begin?(): void;
  show(figures: WatchFigures): void;
  /** A word about the watch itself. */
  remark(line: string): void;
  end?(): void;
}

function screenDisplay(mount: MountRecord, { intervalSeconds }: WatchChoice, terminal: Terminal): Display {
  const screen = new WatchScreen(terminal, process.stdout);
  const rates: number[] = [];
  let last: WatchFigures | undefined;
  let remark = '';
  const lines = (size: ScreenSize): readonly string[] => {
    const time = last === undefined ? '' : ` at ${new Date(last.time).toLocaleTimeString('en-GB')}`;
    const title = `${printable(mount.directory)}${time}, every ${intervalSeconds} s; Ctrl-C ends${remark}`;
    return last === undefined ? [cutLine(title, size.columns)] : screenLines(title, last, rates, size);
  };
  return {
    begin() {
      screen.enter();
      screen.show(lines);
    },
    show(figures) {
      last = figures;
      remark = '';
      rates.push(figures.requests?.perSecond ?? 0);
      if (rates.length > RATES_KEPT) rates.shift();
      screen.show(lines);
    },
    remark(line) {
      remark = ` — ${printable(line)}`;
      screen.show(lines);
    },
    end: () => screen.leave(),
  };
}

function lineDisplay(isJson: boolean, terminal: Terminal): Display {
  return {
    show: (figures) =>
      terminal.out(`${isJson ? printableJson(figures, 0) : printable(intervalLine(figures))}\n`),
    remark: (line) => say(terminal, line),
  };
}

async function showAll(
  mount: MountRecord,
  { intervalSeconds, count }: WatchChoice,
  display: Display,
  signal: AbortSignal,
): Promise<void> {
  const watched = new WatchedMount(mount, {
    intervalSeconds,
    withMap: false,
    signal,
    silent: display.remark,
  });
  let left = count;
  for await (const { figures } of watched.observe()) {
    if (figures === undefined) continue;
    display.show(figures);
    if (--left <= 0) return;
  }
}

async function watch(
  mount: MountRecord,
  choice: WatchChoice,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (choice.form === 'web') {
    await watchOnPage(mount, { ...choice, signal }, terminal);
    return;
  }
  const isScreen = choice.form === 'screen';
  const display = isScreen
    ? screenDisplay(mount, choice, terminal)
    : lineDisplay(choice.form === 'json', terminal);
  display.begin?.();
  try {
    await showAll(mount, choice, display, signal);
  } finally {
    display.end?.();
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const choice = watchChoice(options, terminal.screen !== undefined);
  const mount = await requireMount(argumentAt(args, 0));
  const { signal, release } = endOnSignals();
  try {
    await watch(mount, choice, terminal, signal);
  } catch (thrown) {
    if (!(thrown instanceof MountEnded) || !thrown.orderly) throw thrown;
    say(terminal, thrown.message);
  } finally {
    release();
  }
  return 0;
}

export const watchCommand: CommandDefinition = {
  name: 'watch',
  summary: 'show what happens on a mount, as it happens',
  arguments: [{ name: 'dir', text: 'where it is mounted, or what is mounted' }],
  options: [
    { flags: '--interval <seconds>', text: 'how long between two looks; 1 if not given' },
    { flags: '--count <count>', text: 'end after so many; by default when it is interrupted' },
    { flags: '--json', text: 'a line of JSON for each' },
    { flags: '--web [port]', text: 'a page for the browser, on this machine only; write --web=8080' },
  ],
  notes: `On a terminal it is drawn in place, otherwise there is a line for each interval. Ctrl-C ends it.
Only root and the owner of the mount may watch. docs/WATCH.md tells what the figures mean.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
