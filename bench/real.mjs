// @ts-check
/**
 * Real work on Quarry beside other filesystems, in seconds: `npm run bench:real -- --help`.
 *
 * As in main.mjs all systems stand on one RAM-backed loop device, and are measured in turn.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  framed,
  installedOnes,
  keepReport,
  machineOf,
  machineText,
  makeFolder,
  measureAll,
  onFreshMount,
} from './frame.mjs';
import {
  compile,
  isInstalled,
  keepAwake,
  makeLoopDevice,
  makeSlowDevice,
  SLOW_DISKS,
  Undo,
} from './machine.mjs';
import { prepareSources, REAL_GROUPS, REAL_ROWS } from './real-rows.mjs';
import { parseSystems, SYSTEM_NAMES } from './systems.mjs';
import { layOut, median } from './table.mjs';
import { prepareTree } from './tree.mjs';

const HELP = `npm run bench:real -- [options]     (as root)
  --systems LIST   of ${SYSTEM_NAMES.filter((name) => name !== 'raw' && name !== 'floor').join(', ')}; as for npm run bench; default: ext4, ntfs-3g, quarry
  --rows LIST      of ${REAL_ROWS.map(({ name }) => `'${name}'`).join(', ')}; default: all
  --runs N         the median of N (3)
  --files N        some so many files of /usr/share are the tree (12000)
  --tree DIR       this tree instead
  --disk NAME      not memory, but a disk that takes its time: hdd (4 ms a request, one after the
                   other, 10 ms a flush) or ssd (0.08 ms and 1 ms)
  --let-sleep      let idle CPUs sleep, and measure their wake-ups too
  --json           print JSON instead of a table`;

const DEVICE_BYTES = 6 * 2 ** 30;
const SLOW_DEVICE_BYTES = 3 * 2 ** 30;
const JUDGE = 'ext4';

const undo = new Undo();

function readOptions() {
  const { values } = parseArgs({
    options: {
      systems: { type: 'string', default: 'ext4,ntfs-3g,quarry' },
      rows: { type: 'string' },
      runs: { type: 'string', default: '3' },
      files: { type: 'string', default: '12000' },
      tree: { type: 'string' },
      disk: { type: 'string' },
      'let-sleep': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  // Some names of rows have a comma.
  const names = REAL_ROWS.map(({ name }) => name);
  const wanted = new Set(values.rows === undefined ? names : splitRows(values.rows, names));
  return { ...values, wanted, systems: parseSystems(values.systems), runs: Number(values.runs) };
}

/** @param {string} list @param {string[]} names @throws Error naming what is no row */
function splitRows(list, names) {
  const found = [];
  for (let rest = list; rest !== ''; ) {
    const name = [...names]
      .sort((a, b) => b.length - a.length)
      .find((one) => rest === one || rest.startsWith(`${one},`));
    if (name === undefined) throw new Error(`no row begins '${rest}'; see --help`);
    found.push(name);
    rest = rest.slice(name.length + 1);
  }
  return found;
}

/**
 * Seconds of each system, and those of the others over ext4's, with Quarry's targets.
 * @param {import('./table.mjs').Measured} measured
 * @param {import('./real-rows.mjs').RealRow[]} rows
 */
function table(measured, rows) {
  const systems = Object.keys(measured);
  const others = systems.filter((name) => name !== JUDGE && measured[JUDGE] !== undefined);
  const lines = rows.map((row) => {
    const values = systems.map((name) => median(measured[name]?.[row.name]));
    const judge = median(measured[JUDGE]?.[row.name]);
    const over = others.map((name) => {
      const value = median(measured[name]?.[row.name]);
      if (value === undefined || judge === undefined) return '-';
      const times = row.perSecond ? judge / value : value / judge;
      const goal = name.startsWith('quarry') && row.most !== undefined ? ` (≤${row.most.toFixed(2)})` : '';
      return `${times.toFixed(2)}${goal}`;
    });
    const text = (/** @type {number | undefined} */ value) =>
      value === undefined ? '-' : value.toFixed(row.perSecond ? 0 : 2);
    return [row.name, ...values.map(text), ...over];
  });
  return layOut([['', ...systems, ...others.map((name) => `${name} over ${JUDGE}`)], ...lines]);
}

/** @param {string} folder @param {string | undefined} disk */
function makeDevice(folder, disk) {
  if (disk === undefined) return makeLoopDevice(undo, '/dev/shm', DEVICE_BYTES);
  if (disk !== 'hdd' && disk !== 'ssd')
    throw new Error(`no disk '${disk}': there are ${Object.keys(SLOW_DISKS).join(', ')}`);
  return makeSlowDevice(undo, folder, SLOW_DEVICE_BYTES, disk);
}

async function main() {
  const options = readOptions();
  if (options.help) return console.log(HELP);
  if (process.getuid?.() !== 0)
    throw new Error('the benchmark makes loop devices and mounts: run it as root');
  const note = options.json ? () => {} : console.log;
  const { folder, directory } = makeFolder(undo);
  const names = await compile(fileURLToPath(new URL('names.c', import.meta.url)), folder);
  const device = await makeDevice(folder, options.disk);
  const { tree, treeFiles, treeBytes } = await prepareTree(options.tree, folder, Number(options.files));
  const sources = await prepareSources(folder, tree, names);
  const idle = options['let-sleep'] ? 'idle CPUs sleep (--let-sleep)' : keepAwake(undo);
  note(`${machineText()}; ${idle}`);
  note(
    `${device} over ${options.disk ?? 'tmpfs'}; a tree of ${treeFiles} entries, ${Math.round(treeBytes / 1e6)} MB`,
  );
  const { wanted, runs } = options;
  const systems = installedOnes(
    options.systems.filter(({ hasFiles, forgets }) => hasFiles && !forgets),
    note,
  );
  const groups = REAL_GROUPS.filter(({ needs }) => needs.every(isInstalled));
  const plan = { undo, systems, groups, wanted, runs, note };
  const { measured, failures } = await measureAll(plan, (system, group) =>
    onFreshMount(undo, system, { device, directory }, (remount) =>
      group.measure({ directory, remount, sources }),
    ),
  );
  if (undo.isOver) return;
  const report = { ...machineOf(!options['let-sleep']), runs: options.runs, measured, failures };
  const file = keepReport(report, '-real');
  if (options.json) return console.log(JSON.stringify(report));
  console.log(
    `\n${table(
      measured,
      REAL_ROWS.filter(({ name }) => options.wanted.has(name)),
    )}`,
  );
  console.log(`\n${file}`);
  if (failures.length) process.exitCode = 1;
}

await framed(undo, main);
