// @ts-check
/**
 * The engines of `quarryfs/aio` beside fio and Node's own calls, in one run. `npm run bench:aio --
 * --help`.
 *
 * For each run, each cell (workload, size of requests, depth) is measured by all contenders in
 * turn, each in a process of its own, so that what drifts on the machine drifts for all; the tables
 * show medians. A contender that fails in one cell loses that cell.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { framed, keepReport, machineOf, machineText } from './frame.mjs';
import { isInstalled, keepAwake, makeLoopDevice, run, Undo } from './machine.mjs';
import { layOut, median } from './table.mjs';

const CONTENDERS = [
  'fio-libaio',
  'fio-uring',
  'aio',
  'uring',
  'direct',
  'buffered',
  'mmap',
  'fs.read',
  'fs.promises',
];
const DEFAULT_CONTENDERS = ['fio-libaio', 'fio-uring', 'aio', 'uring', 'direct', 'fs.read', 'fs.promises'];
const TARGETS = ['loop', 'file'];

/**
 * @typedef {{ name: string, workload: 'randread' | 'randwrite' | 'read' | 'write', blockBytes:
 * number, depth: number }} Cell
 */

/** @type {Cell[]} */
const CELLS = [
  .../** @type {const} */ (['randread', 'randwrite']).flatMap((workload) =>
    [1, 8, 32, 128].map((depth) => ({ name: `${workload}-${depth}`, workload, blockBytes: 4096, depth })),
  ),
  .../** @type {const} */ (['read', 'write']).map((workload) => ({
    name: `${workload}-1m-4`,
    workload,
    blockBytes: 2 ** 20,
    depth: 4,
  })),
];

/**
 * What the engines promise: IOPS over another contender's, in the same run.
 * @type {{ of: string, over: string, cells: RegExp, atLeast: number }[]}
 */
const PROMISES = [
  { of: 'aio', over: 'fio-libaio', cells: /-(32|128)$/, atLeast: 0.95 },
  { of: 'aio', over: 'fio-libaio', cells: /-1$/, atLeast: 0.7 },
  { of: 'uring', over: 'fio-uring', cells: /-(32|128)$/, atLeast: 0.95 },
  { of: 'uring', over: 'fio-uring', cells: /-1$/, atLeast: 0.7 },
  { of: 'aio', over: 'fs.read', cells: /-32$/, atLeast: 2 },
  { of: 'uring', over: 'fs.read', cells: /-32$/, atLeast: 2 },
];

const HELP = `npm run bench:aio -- [options]     (as root)
  --contenders LIST  of ${CONTENDERS.join(', ')}; default: ${DEFAULT_CONTENDERS.join(', ')}
  --targets LIST     of loop (a loop device over tmpfs), file (ext4 on such a device); default: both
  --cells LIST       of ${CELLS.map(({ name }) => name).join(', ')}; default: all
  --runs N           the median of N (3)
  --seconds N        of each measurement (2)
  --quick            one run of a second
  --spin N           spinUs of our engines, in microseconds
  --let-sleep        let idle CPUs sleep, and measure their wake-ups too
  --json             print JSON instead of tables`;

const SIZE_BYTES = 2 ** 28;
const DEVICE_BYTES = 2 ** 29;

const undo = new Undo();

/**
 * @param {string | undefined} list
 * @param {readonly string[]} known
 * @param {readonly string[]} otherwise
 */
function listed(list, known, otherwise) {
  if (list === undefined) return [...otherwise];
  const names = list.split(',');
  const bad = names.find((name) => !known.includes(name));
  if (bad !== undefined) throw new Error(`no '${bad}': there are ${known.join(', ')}`);
  return names;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      contenders: { type: 'string' },
      targets: { type: 'string' },
      cells: { type: 'string' },
      runs: { type: 'string' },
      seconds: { type: 'string' },
      spin: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'let-sleep': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const cellNames = CELLS.map(({ name }) => name);
  const wanted = listed(values.cells, cellNames, cellNames);
  return {
    ...values,
    contenders: listed(values.contenders, CONTENDERS, DEFAULT_CONTENDERS),
    targets: listed(values.targets, TARGETS, TARGETS),
    cells: CELLS.filter(({ name }) => wanted.includes(name)),
    runs: Number(values.runs ?? (values.quick ? 1 : 3)),
    seconds: Number(values.seconds ?? (values.quick ? 1 : 2)),
    spinUs: values.spin === undefined ? undefined : Number(values.spin),
  };
}

/**
 * The device itself, or a file on ext4 on it: written once, so that every block is there.
 * @param {string} kind
 * @param {string} folder
 */
async function makeTarget(kind, folder) {
  const device = await makeLoopDevice(undo, folder, DEVICE_BYTES, kind);
  let path = device;
  if (kind === 'file') {
    const directory = join(folder, 'mnt');
    mkdirSync(directory);
    await run('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', device]);
    await run('mount', ['-t', 'ext4', device, directory]);
    undo.push(`mount of ${device}`, () => run('umount', [directory]));
    path = join(directory, 'data');
  }
  const count = `count=${SIZE_BYTES / 2 ** 20}`;
  await run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', count, 'oflag=direct']);
  return path;
}

/** @typedef {{ iops: number, cpuUs: number, p50Us: number, p99Us: number }} Result */

/**
 * @param {string} contender
 * @param {string} path
 * @param {Cell} cell
 * @param {number} seconds
 * @returns {Promise<Result>}
 */
async function measureFio(contender, path, cell, seconds) {
  const output = await run('fio', [
    '--name=aio',
    `--filename=${path}`,
    `--size=${SIZE_BYTES}`,
    `--ioengine=${contender === 'fio-uring' ? 'io_uring' : 'libaio'}`,
    '--direct=1',
    `--rw=${cell.workload}`,
    `--bs=${cell.blockBytes}`,
    `--iodepth=${cell.depth}`,
    '--time_based',
    `--runtime=${seconds}`,
    '--ramp_time=300ms',
    '--randseed=1',
    '--allow_file_create=0',
    '--output-format=json',
  ]);
  const [job] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
  if (job.error) throw new Error(`fio: error ${job.error}`);
  const side = cell.workload.endsWith('read') ? job.read : job.write;
  const percentiles = side.clat_ns.percentile;
  return {
    iops: side.iops,
    cpuUs: (((job.usr_cpu + job.sys_cpu) / 100) * 1e6) / side.iops,
    p50Us: percentiles['50.000000'] / 1000,
    p99Us: percentiles['99.000000'] / 1000,
  };
}

/**
 * @param {string} contender
 * @param {string} path
 * @param {Cell} cell
 * @param {ReturnType<typeof readOptions>} options
 * @returns {Promise<Result>}
 */
async function measureOne(contender, path, cell, options) {
  if (contender.startsWith('fio-')) return measureFio(contender, path, cell, options.seconds);
  const { workload, blockBytes, depth } = cell;
  const { seconds, spinUs } = options;
  const load = { how: contender, path, workload, blockBytes, depth, seconds, sizeBytes: SIZE_BYTES, spinUs };
  const program = fileURLToPath(new URL('aio-load.mjs', import.meta.url));
  return JSON.parse(await run(process.execPath, [program, JSON.stringify(load)]));
}

/**
 * Target, cell, contender → its results.
 * @typedef {Record<string, Record<string, Record<string, Result[]>>>} Measured
 */

/** @param {Result[] | undefined} results @param {keyof Result} what */
function medianOf(results, what) {
  return median(results?.map((result) => result[what]));
}

/** @param {Measured} measured */
function ratiosOf(measured) {
  return Object.entries(measured).flatMap(([target, cells]) =>
    Object.entries(cells).flatMap(([cell, results]) =>
      PROMISES.filter(({ cells: of }) => of.test(cell)).flatMap(({ of, over, atLeast }) => {
        const ours = medianOf(results[of], 'iops');
        const theirs = medianOf(results[over], 'iops');
        if (ours === undefined || theirs === undefined) return [];
        return { target, cell, of, over, ratio: ours / theirs, atLeast, met: ours / theirs >= atLeast };
      }),
    ),
  );
}

/**
 * @param {Measured[string]} cells
 * @param {string[]} contenders
 * @param {string} title
 * @param {(results: Result[] | undefined) => string} show
 */
function tableOf(cells, contenders, title, show) {
  const lines = Object.entries(cells).map(([cell, results]) => [
    cell,
    ...contenders.map((contender) => show(results[contender])),
  ]);
  return layOut([[title, ...contenders], ...lines]);
}

/** @param {number | undefined} value @param {number} digits */
function shown(value, digits = 0) {
  return value === undefined
    ? '-'
    : value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** @param {Measured} measured @param {string[]} contenders */
function printTables(measured, contenders) {
  for (const [target, cells] of Object.entries(measured)) {
    const tables = [
      tableOf(cells, contenders, `${target}: IOPS`, (results) => shown(medianOf(results, 'iops'))),
      tableOf(cells, contenders, 'CPU per I/O, µs', (results) => shown(medianOf(results, 'cpuUs'), 1)),
      tableOf(
        cells,
        contenders,
        'latency p50/p99, µs',
        (results) => `${shown(medianOf(results, 'p50Us'))}/${shown(medianOf(results, 'p99Us'))}`,
      ),
    ];
    console.log(`\n${tables.join('\n\n')}`);
  }
  const ratios = ratiosOf(measured);
  if (ratios.length === 0) return;
  const lines = ratios.map(({ target, cell, of, over, ratio, atLeast, met }) => [
    `${target} ${cell}: ${of} over ${over}`,
    ratio.toFixed(2),
    `≥ ${atLeast}`,
    met ? 'met' : 'MISSED',
  ]);
  console.log(`\n${layOut([['ratio of IOPS', '', 'target', ''], ...lines])}`);
}

async function main() {
  const options = readOptions();
  if (options.help) return console.log(HELP);
  if (process.getuid?.() !== 0)
    throw new Error('the benchmark makes loop devices and a mount: run it as root');
  const note = options.json ? () => {} : console.log;
  const folder = mkdtempSync('/dev/shm/quarry-bench-aio-');
  undo.push(folder, () => rmSync(folder, { recursive: true, force: true }));

  const contenders = options.contenders.filter(
    (contender) => !contender.startsWith('fio-') || isInstalled('fio'),
  );
  if (contenders.length < options.contenders.length) note('left out: fio (not installed)');
  /** @type {[string, string][]} */
  const paths = [];
  for (const target of options.targets) paths.push([target, await makeTarget(target, folder)]);
  const idle = options['let-sleep'] ? 'idle CPUs sleep (--let-sleep)' : keepAwake(undo);
  note(`${machineText()}; ${idle}; runs: ${options.runs}`);

  /** @type {Measured} */
  const measured = Object.fromEntries(
    options.targets.map((target) => [
      target,
      Object.fromEntries(options.cells.map(({ name }) => [name, {}])),
    ]),
  );
  /** @type {string[]} */
  const failures = [];
  for (let runNumber = 1; runNumber <= options.runs; runNumber++) {
    // Each run begins with another: the first and the last do not find the machine alike.
    const begin = runNumber % contenders.length;
    const inTurn = [...contenders.slice(begin), ...contenders.slice(0, begin)];
    for (const [target, path] of paths) {
      for (const cell of options.cells) {
        const perContender = measured[target]?.[cell.name] ?? {};
        for (const contender of inTurn) {
          try {
            const result = await measureOne(contender, path, cell, options);
            perContender[contender] = [...(perContender[contender] ?? []), result];
          } catch (error) {
            if (undo.isOver) return;
            failures.push(
              `${target} ${cell.name} ${contender}: ${error instanceof Error ? error.message : error}`,
            );
            console.error(`failed: ${failures.at(-1)}`);
          }
        }
      }
      note(`run ${runNumber}: ${target} done`);
    }
  }
  const report = {
    ...machineOf(!options['let-sleep']),
    runs: options.runs,
    seconds: options.seconds,
    spinUs: options.spinUs,
    measured,
    ratios: ratiosOf(measured),
    failures,
  };
  const file = keepReport(report, '-aio');
  if (options.json) return console.log(JSON.stringify(report));
  printTables(measured, contenders);
  console.log(`\n${file}`);
  if (failures.length > 0) process.exitCode = 1;
}

await framed(undo, main);
