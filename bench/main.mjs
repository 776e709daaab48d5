// @ts-check
/**
 * Quarry beside other filesystems, on one device and in one run. `npm run bench -- --help`.
 *
 * For each run, each system is formatted on the same RAM-backed loop device and measured in turn,
 * so that what drifts on the machine drifts for all; the table shows medians. A system that fails
 * in one group loses the rows of that group and goes on with the next.
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
import { compile, keepAwake, makeLoopDevice, Undo } from './machine.mjs';
import { GROUPS, ROWS } from './rows.mjs';
import { DEFAULT_SYSTEMS, parseSystems, SYSTEM_NAMES } from './systems.mjs';
import { medianTable, ratios, ratioTable } from './table.mjs';
import { prepareTree } from './tree.mjs';

const HELP = `npm run bench -- [options]     (as root)
  --systems LIST   of ${SYSTEM_NAMES.join(', ')}; with mount options: 'quarry:-o spin=0', of another checkout:
                   quarry@DIR; 'floor:noxattr': asked for no attributes; default: all installed, and
                   quarry over io_uring
  --rows LIST      of ${ROWS.map(({ name }) => name).join(', ')}; default: all
  --runs N         the median of N (3)
  --quick          one run, a fifth of the work
  --tree DIR       the tree for cp -a (some 5,000 files from all over /usr/share)
  --let-sleep      let idle CPUs sleep, and measure their wake-ups too
  --json           print JSON instead of tables`;

const DEVICE_BYTES = 4 * 2 ** 30;
const TREE_FILES = 5000;
const SIZES = { names: 20_000, streamBytes: 2 ** 30, directBytes: 2 ** 29, directSeconds: 3 };
const QUICK_SIZES = { names: 4000, streamBytes: 2 ** 28, directBytes: 2 ** 28, directSeconds: 1 };

const undo = new Undo();

/** Reads the command line. */
function readOptions() {
  const { values } = parseArgs({
    options: {
      systems: { type: 'string', default: DEFAULT_SYSTEMS },
      rows: { type: 'string' },
      runs: { type: 'string' },
      tree: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'let-sleep': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const wanted = new Set(values.rows?.split(',') ?? ROWS.map(({ name }) => name));
  for (const row of wanted) {
    if (!ROWS.some(({ name }) => name === row)) throw new Error(`no row '${row}'; see --help`);
  }
  return {
    ...values,
    wanted,
    systems: parseSystems(values.systems),
    runs: Number(values.runs ?? (values.quick ? 1 : 3)),
    sizes: values.quick ? QUICK_SIZES : SIZES,
  };
}

async function main() {
  const options = readOptions();
  if (options.help) return console.log(HELP);
  if (process.getuid?.() !== 0)
    throw new Error('the benchmark makes loop devices and mounts: run it as root');
  const note = options.json ? () => {} : console.log;

  const { folder, directory } = makeFolder(undo);
  const names = await compile(fileURLToPath(new URL('names.c', import.meta.url)), folder);
  const device = await makeLoopDevice(undo, '/dev/shm', DEVICE_BYTES);
  const tree = await prepareTree(options.tree, folder, options.quick ? TREE_FILES / 5 : TREE_FILES);
  const idle = options['let-sleep'] ? 'idle CPUs sleep (--let-sleep)' : keepAwake(undo);
  note(`${machineText()}; ${idle}`);
  note(
    `${device} over tmpfs, ${DEVICE_BYTES / 2 ** 30} GiB; ${options.sizes.names} names; cp -a of ${tree.treeFiles} files, ${Math.round(tree.treeBytes / 1e6)} MB; runs: ${options.runs}`,
  );

  const { wanted, runs } = options;
  const systems = installedOnes(options.systems, note);
  for (const system of systems) await system.prepare?.(folder);
  const machine = { device, directory, names, ...tree, sizes: options.sizes };
  const plan = { undo, systems, groups: GROUPS, wanted, runs, note };
  const { measured, failures } = await measureAll(plan, async (system, group) => {
    const { hasFiles } = system;
    if (group.needsFiles && !hasFiles) return undefined;
    return onFreshMount(undo, system, machine, (remount) =>
      group.measure({ ...machine, hasFiles, remount }, wanted),
    );
  });
  if (undo.isOver) return;
  const rows = ROWS.filter(({ name }) => options.wanted.has(name));
  const found = ratios(measured, rows);
  const report = {
    ...machineOf(!options['let-sleep']),
    runs: options.runs,
    sizes: options.sizes,
    tree: { files: tree.treeFiles, bytes: tree.treeBytes },
    measured,
    ratios: found,
    failures,
  };
  const file = keepReport(report, '');
  if (options.json) return console.log(JSON.stringify(report));
  console.log(`\n${medianTable(measured, rows)}`);
  if (found.length) console.log(`\n${ratioTable(found, rows)}`);
  console.log(`\n${file}`);
  if (failures.length) process.exitCode = 1;
}

await framed(undo, main);
