// @ts-check
/**
 * How long others wait while one does much: the latency of a `stat` by another process under each
 * long piece of work, and the longest turn of the daemon's event loop meanwhile, as a table in
 * Markdown.
 *
 * The name of each `stat` is a new one, so that each is a request to the daemon, of what its cache
 * holds. The volume lies on a loop device over a tmpfs; what is truncated, removed and listed is in
 * the daemon's cache as far as that is large enough.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { framed } from './frame.mjs';
import {
  keepAwake,
  makeLoopDevice,
  run,
  startDaemon,
  Undo,
  unmountByForce,
  waitForExit,
} from './machine.mjs';

const HELP = `npm run turns -- [options]     (as root)
  --extents N   pieces of the files that are truncated and removed (300000)
  --names N     names in the directory that is listed (1000000)
  --depth N     levels of the chain of directories (60000)
  --let-sleep   leave idle processors as they are`;

const QUARRY = process.env.QUARRY_COMMAND ?? fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const LOADS = fileURLToPath(new URL('turns.py', import.meta.url));
const VOLUME_BYTES = 16 * 2 ** 30;
const IDLE_SECONDS = '5';
/** Moves to the end of the chain and back. */
const MOVES = '20';
/** Of a run of names, so many make commits and checkpoints; the probe sees several of both. */
const NAMES_PER_COMMIT_LOAD = '200000';

const undo = new Undo();

/**
 * @typedef {{ count: number, p50: number, p99: number, p999: number, most: number }} Latencies in
 * ms
 * @typedef {{ what: string, prepare?: () => Promise<unknown>, work: () => Promise<unknown> }} Load
 */

/**
 * Calls stat from now on until `stop` is called, which resolves to what it saw.
 * @param {string} directory
 */
async function startProbe(directory) {
  const child = spawn('python3', [LOADS, 'probe', directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  await lines.next();
  return async () => {
    child.stdin.end();
    const { value } = await lines.next();
    return /** @type {Latencies} */ (JSON.parse(value));
  };
}

/**
 * Turns so far, by the µs that they were shorter than.
 * @param {string} directory
 * @returns {Promise<Record<string, number>>}
 */
async function turnsSoFar(directory) {
  const stat = JSON.parse(await run(process.execPath, [QUARRY, 'stat', '--json', directory]));
  return stat.turns.shorterThanMicroseconds;
}

/** @param {string} directory @param {Load} load @returns {Promise<string[]>} a row */
async function measure(directory, { what, prepare, work }) {
  await prepare?.();
  await run('sync', ['-f', directory]);
  const before = await turnsSoFar(directory);
  const stop = await startProbe(directory);
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  const { count, p50, p99, p999, most } = await stop();
  const after = await turnsSoFar(directory);
  const grown = Object.keys(after).filter((bucket) => (after[bucket] ?? 0) > (before[bucket] ?? 0));
  const longest = Math.max(...grown.map(Number)) / 1000;
  const times = [p50, p99, p999, most].map((milliseconds) => milliseconds.toFixed(2));
  return [what, seconds.toFixed(1), count.toLocaleString('en'), ...times, longest.toPrecision(3)];
}

/**
 * @param {string} directory
 * @param {Record<string, string | boolean | undefined>} sizes
 * @returns {Load[]}
 */
function loads(directory, sizes) {
  const at = (/** @type {string} */ name) => join(directory, name);
  const load = (/** @type {unknown[]} */ ...words) => run('python3', [LOADS, ...words.map(String)]);
  const extents = Number(sizes.extents).toLocaleString('en');
  return [
    { what: 'nothing', work: () => run('sleep', [IDLE_SECONDS]) },
    {
      what: `truncate of ${extents} pieces`,
      prepare: () => load('scatter', at('cut'), sizes.extents),
      work: () => run('truncate', ['-s', '0', at('cut')]),
    },
    {
      what: `rm of ${extents} pieces`,
      prepare: () => load('scatter', at('removed'), sizes.extents),
      work: async () => {
        await run('rm', [at('removed')]);
        await freed(directory);
      },
    },
    {
      what: 'creates, with their commits and checkpoints',
      work: () => load('names', at('commits'), NAMES_PER_COMMIT_LOAD),
    },
    {
      what: `reading ${Number(sizes.names).toLocaleString('en')} names`,
      prepare: () => load('names', at('names'), sizes.names),
      work: () => load('list', at('names')),
    },
    {
      what: `rename below ${Number(sizes.depth).toLocaleString('en')} levels`,
      prepare: () => load('chain', at('chain'), sizes.depth),
      work: () => load('ancestors', at('chain'), sizes.depth, MOVES),
    },
  ];
}

/** Waits until nothing is being given back any more. @param {string} directory */
async function freed(directory) {
  for (let last = -1, now = 0; last !== now; ) {
    last = now;
    await run('sleep', ['0.3']);
    const stat = JSON.parse(await run(process.execPath, [QUARRY, 'stat', '--json', directory]));
    now = stat.space.freeBlocks;
  }
}

/** @param {string[][]} rows the first is the head */
function markdown([head = [], ...rows]) {
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

async function main() {
  const { values } = parseArgs({
    options: {
      extents: { type: 'string', default: '300000' },
      names: { type: 'string', default: '1000000' },
      depth: { type: 'string', default: '60000' },
      'let-sleep': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  if (!values['let-sleep']) console.log(`${keepAwake(undo)}\n`);
  const folder = mkdtempSync('/dev/shm/quarry-turns-');
  undo.push(`folder ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  const directory = join(folder, 'mnt');
  mkdirSync(directory);
  const device = await makeLoopDevice(undo, folder, VOLUME_BYTES);
  await run(process.execPath, [QUARRY, 'mkfs', '--quiet', device]);
  const daemon = await startDaemon(
    process.execPath,
    [QUARRY, 'mount', '--foreground', device, directory],
    directory,
  );
  undo.push(`mount of ${device}`, async () => {
    await unmountByForce(directory);
    await waitForExit(daemon, 60_000);
  });
  const rows = [
    ['', 'seconds', 'stats', 'p50 ms', 'p99 ms', 'p99.9 ms', 'longest ms', 'turns shorter than ms'],
  ];
  for (const load of loads(directory, values)) rows.push(await measure(directory, load));
  console.log(markdown(rows));
}

await framed(undo, main);
