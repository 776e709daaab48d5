// @ts-check
/**
 * Several clients at once: what 1, 2, 4 and 8 processes get done together, each in a directory of
 * its own, on Quarry and beside it on ext4.
 *
 * All rows of a system are measured on one mount that has done each of them before, so that no
 * compiling is in the figures. Reads and writes of data go past the page cache, by fio.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { framed, machineText } from './frame.mjs';
import { compile, dropCaches, isInstalled, keepAwake, makeLoopDevice, run, Undo } from './machine.mjs';
import { missingPrograms, parseSystems } from './systems.mjs';
import { layOut } from './table.mjs';

const HELP = `npm run bench:clients -- [options]     (as root)
  --systems LIST   as npm run bench has them (quarry,ext4)
  --runs N         of which each figure is the median (3)
  --names N        names of all clients together (24000)
  --seconds N      of each run of fio (2)
  --let-sleep      leave idle processors as they are`;

const CLIENTS = [1, 2, 4, 8];
const VOLUME_BYTES = 4 * 2 ** 30;
const FILE_BYTES = 64 * 2 ** 20;
/** Of data: what fio is told. */
const TRANSFERS = /** @type {const} */ ([
  ['4 KiB read', 'randread', '4k'],
  ['4 KiB write', 'randwrite', '4k'],
]);

const undo = new Undo();

/**
 * @typedef {{ directory: string, names: string, count: number, seconds: number }} Place
 */

/**
 * Operations per second of so many processes together.
 * @param {Place} place
 * @param {number} clients
 * @returns {Promise<Record<string, number>>}
 */
async function measureNames({ directory, names, count }, clients) {
  const places = Array.from({ length: clients }, (_, index) => join(directory, `client-${index}`));
  for (const place of places) mkdirSync(place, { recursive: true });
  const each = Math.floor(count / clients);
  /** @param {string} action @param {number} [bytes] */
  const together = async (action, bytes = 0) => {
    const start = performance.now();
    await Promise.all(places.map((place) => run(names, [action, place, String(each), String(bytes)])));
    return (each * clients) / ((performance.now() - start) / 1000);
  };
  const create = await together('create');
  const missing = await together('missing');
  await dropCaches();
  const stat = await together('stat');
  const unlink = await together('unlink');
  const withData = await together('create', 4096);
  await together('unlink');
  return { create, 'create 4 KiB': withData, 'stat, cold': stat, 'stat, missing': missing, unlink };
}

/**
 * @param {Place} place
 * @param {number} clients
 * @returns {Promise<Record<string, number>>}
 */
async function measureData({ directory, seconds }, clients) {
  /** @type {Record<string, number>} */
  const figures = {};
  for (const [row, how, block] of TRANSFERS) {
    const said = await run('fio', [
      ...['--name=client', `--directory=${directory}`, `--numjobs=${clients}`, `--size=${FILE_BYTES}`],
      ...[`--rw=${how}`, `--bs=${block}`, '--direct=1', '--ioengine=psync', '--time_based'],
      ...[`--runtime=${seconds}`, '--group_reporting', '--output-format=json'],
    ]);
    const [job] = JSON.parse(said.slice(said.indexOf('{'))).jobs;
    figures[row] = how === 'randread' ? job.read.iops : job.write.iops;
  }
  return figures;
}

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

/**
 * @param {import('./systems.mjs').System} system
 * @param {Omit<Place, 'directory'> & { folder: string, device: string, runs: number }} plan
 * @returns {Promise<string[][]>} a line for each row
 */
async function measure(system, { folder, device, runs, ...rest }) {
  const directory = join(folder, 'mnt');
  await system.format(device);
  const unmount = undo.push(`mount of ${system.name}`, await system.mount(device, directory));
  const place = { ...rest, directory };
  const all = async (/** @type {number} */ clients) => ({
    ...(await measureNames(place, clients)),
    ...(await measureData(place, clients)),
  });
  await all(1);
  /** @type {Map<string, number[][]>} */
  const found = new Map();
  for (let turn = 0; turn < runs; turn++) {
    for (const [index, clients] of CLIENTS.entries()) {
      for (const [row, perSecond] of Object.entries(await all(clients))) {
        const counts = found.get(row) ?? CLIENTS.map(() => []);
        counts[index]?.push(perSecond);
        found.set(row, counts);
      }
    }
  }
  await unmount();
  return [...found].map(([row, counts]) => [
    row,
    system.name,
    ...counts.map((values) => Math.round(median(values)).toLocaleString('en')),
    (median(counts.at(-1) ?? []) / median(counts[0] ?? [])).toFixed(2),
  ]);
}

async function main() {
  const text = /** @type {const} */ ({ type: 'string' });
  const { values } = parseArgs({
    options: {
      systems: { ...text, default: 'quarry,ext4' },
      runs: { ...text, default: '3' },
      names: { ...text, default: '24000' },
      seconds: { ...text, default: '2' },
      'let-sleep': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  if (!isInstalled('fio')) throw new Error('fio is not installed');
  const systems = parseSystems(values.systems);
  for (const system of systems) {
    const missing = missingPrograms(system);
    if (missing.length > 0) throw new Error(`${system.name} needs ${missing.join(', ')}`);
  }
  console.log(
    `${machineText()}; ${values['let-sleep'] ? 'idle CPUs as they are' : keepAwake(undo)}; per second, all clients together\n`,
  );
  const folder = mkdtempSync('/dev/shm/quarry-clients-');
  undo.push(`folder ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'mnt'));
  const names = await compile(fileURLToPath(new URL('names.c', import.meta.url)), folder);
  const device = await makeLoopDevice(undo, folder, VOLUME_BYTES);
  const plan = { folder, device, names, count: Number(values.names), seconds: Number(values.seconds) };
  /** @type {string[][]} */
  const lines = [];
  for (const system of systems)
    lines.push(...(await measure(system, { ...plan, runs: Number(values.runs) })));
  const order = [...new Set(lines.map(([row]) => row))];
  lines.sort(([a = ''], [b = '']) => order.indexOf(a) - order.indexOf(b));
  console.log(layOut([['', 'on', ...CLIENTS.map(String), '8 over 1'], ...lines]));
}

await framed(undo, main);
