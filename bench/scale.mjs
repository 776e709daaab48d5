// @ts-check
/**
 * What an operation costs on a volume with very many files, in one directory of very many names,
 * and on one of very many blocks, beside one with few.
 *
 * The files have no data and are made in this process, on the device, by the volume's own code; so
 * ten million take minutes. Then the volume is mounted. Before anything is timed the daemon has made,
 * looked at and removed names elsewhere, so that no compiling is in the figures. Files to be looked
 * at are chosen at random from all, with the caches of kernel and daemon empty at first: most are in
 * no block that was read before.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { framed, machineText } from './frame.mjs';
import {
  compile,
  dropCaches,
  keepAwake,
  makeLoopDevice,
  run,
  startDaemon,
  Undo,
  unmountByForce,
  waitForExit,
} from './machine.mjs';
import { layOut } from './table.mjs';

const HELP = `npm run bench:scale -- [options]     (as root)
  --files LIST     files of the volumes, in directories of 10,000 (10000,1000000,10000000)
  --names N        names in one directory; 0 for none (1000000)
  --large GIB      size of a volume with the fewest of those files; 0 for none (16384)
  --size GIB       size of the others (16)
  --let-sleep      leave idle processors as they are`;

const QUARRY = process.env.QUARRY_COMMAND ?? fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const IN_DIRECTORY = 10_000;
/** Names that are made, removed, and looked at. */
const CALLS = 20_000;
const WARM_UP_ROUNDS = 3;
/** Looks at random files, and reads a directory. Each name by its number, as `nameOf` has it. */
const LOOKER = `
import os, random, sys, time
directory, files, per, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
random.seed(1)
def path(number): return '%s/d%d/f%d' % (directory, number // per, number)
paths = [path(random.randrange(files)) for _ in range(calls)]
began = time.perf_counter()
for name in paths: os.lstat(name)
looked = time.perf_counter()
listed = sum(1 for _ in os.scandir('%s/d%d' % (directory, (files - 1) // per // 2)))
read = time.perf_counter()
os.statvfs(directory)
print(looked - began, (read - looked) / listed, time.perf_counter() - read)
`;

const undo = new Undo();

/**
 * @typedef {{ title: string, files: number, perDirectory: number, gibibytes: number }} Shape
 * @typedef {Record<string, string>} Figures
 */

/**
 * Makes the files of a shape on a volume that is not mounted.
 * @param {string} target
 * @param {Shape} shape
 */
async function fill(target, { files, perDirectory }) {
  const [{ openVolume }, { openKernelDevice }] = await Promise.all([
    import('../dist/fs/volume.js'),
    import('../dist/aio/kernel-device.js'),
  ]);
  const device = openKernelDevice(target, { readOnly: false });
  const volume = await openVolume(device, { readOnly: false, commitSeconds: 5 });
  const caller = { uid: 0, gid: 0, umask: 0o22 };
  let inode = 0;
  /** @param {number} parent @param {string} name @param {number} mode */
  const make = (parent, name, mode) =>
    new Promise((resolve, reject) => {
      const bytes = Buffer.from(name);
      volume.execute({
        perform: (tx) => {
          inode = volume.create(tx, parent, bytes, { mode, deviceNumber: 0, caller });
        },
        finished: (thrown) => (thrown === undefined ? resolve(inode) : reject(thrown)),
      });
    });
  for (let first = 0; first < files; first += perDirectory) {
    const directory = await make(1, `d${first / perDirectory}`, 0o040755);
    const end = Math.min(first + perDirectory, files);
    for (let number = first; number < end; number++) await make(directory, `f${number}`, 0o100644);
  }
  await volume.unmount();
}

/** The most memory that a process has had in RAM, in bytes. @param {number | undefined} pid */
function residentPeak(pid) {
  const [, kibibytes = '0'] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/** @param {() => Promise<unknown>} work @returns {Promise<number>} seconds */
async function time(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** @param {string[]} words */
const quarry = (...words) => run(process.execPath, [QUARRY, ...words], { limitMs: 600_000 });

/**
 * @param {Shape} shape
 * @param {string} folder
 * @param {string} names the compiled helper
 * @returns {Promise<Figures>}
 */
async function measure(shape, folder, names) {
  const directory = join(folder, 'mnt');
  const device = await makeLoopDevice(
    undo,
    folder,
    shape.gibibytes * 2 ** 30,
    shape.title.replace(/\W/g, '-'),
  );
  const mkfs = await time(() => quarry('mkfs', '--force', '--quiet', device));
  await fill(device, shape);
  await dropCaches();
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let daemon;
  const mount = await time(async () => {
    daemon = await startDaemon(
      process.execPath,
      [QUARRY, 'mount', '--foreground', device, directory],
      directory,
    );
  });
  const undoMount = undo.push(`mount of ${shape.title}`, () => unmountByForce(directory));
  /** @param {string} action @param {string} where */
  const each = async (action, where) =>
    (Number(await run(names, [action, join(directory, where), String(CALLS), '0'])) / CALLS) * 1e6;
  for (const where of ['warm', 'new']) mkdirSync(join(directory, where));
  for (let round = 0; round < WARM_UP_ROUNDS; round++)
    for (const action of ['create', 'stat', 'missing', 'unlink']) await each(action, 'warm');
  await dropCaches();
  const looks = await run(
    'python3',
    ['-c', LOOKER, directory, ...[shape.files, shape.perDirectory, CALLS].map(String)],
    { limitMs: 600_000 },
  );
  const [looked = 0, listed = 0, statvfs = 0] = looks.trim().split(' ').map(Number);
  const created = await each('create', 'new');
  const removed = await each('unlink', 'new');
  const peak = residentPeak(daemon?.pid);
  const unmount = await time(async () => {
    await run('umount', [directory]);
    if (daemon) await waitForExit(daemon, 60_000);
  });
  await undoMount();
  await dropCaches();
  const check = await time(() => quarry('fsck', '-n', device));
  return {
    'mkfs, s': mkfs.toFixed(2),
    'mount, s': mount.toFixed(2),
    'df, ms': (statvfs * 1e3).toFixed(2),
    'lstat of any, µs': ((looked / CALLS) * 1e6).toFixed(1),
    'list, µs a name': (listed * 1e6).toFixed(2),
    'create, µs': created.toFixed(1),
    'unlink, µs': removed.toFixed(1),
    'daemon at most, MB': (peak / 1e6).toFixed(0),
    'umount, s': unmount.toFixed(2),
    'fsck -n, s': check.toFixed(2),
  };
}

/** @param {Record<string, string>} values */
function shapesOf({ files = '', names = '0', large = '0', size = '16' }) {
  const counts = files.split(',').map(Number);
  const least = Math.min(...counts);
  const gibibytes = Number(size);
  /** @type {Shape[]} */
  const shapes = counts.map((count) => ({
    title: `${count.toLocaleString('en')} files`,
    files: count,
    perDirectory: IN_DIRECTORY,
    gibibytes,
  }));
  if (Number(names) > 0) {
    const title = `${Number(names).toLocaleString('en')} in one directory`;
    shapes.push({ title, files: Number(names), perDirectory: Number(names), gibibytes });
  }
  if (Number(large) > 0) {
    const title = `${least.toLocaleString('en')} files, ${Number(large).toLocaleString('en')} GiB`;
    shapes.push({ title, files: least, perDirectory: IN_DIRECTORY, gibibytes: Number(large) });
  }
  return shapes;
}

async function main() {
  const text = /** @type {const} */ ({ type: 'string' });
  const { values } = parseArgs({
    options: {
      files: { ...text, default: '10000,1000000,10000000' },
      names: { ...text, default: '1000000' },
      large: { ...text, default: '16384' },
      size: { ...text, default: '16' },
      'let-sleep': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { 'let-sleep': letSleep, help, ...wanted } = values;
  const shapes = shapesOf(wanted);
  console.log(`${machineText()}; ${letSleep ? 'idle CPUs as they are' : keepAwake(undo)}\n`);
  const folder = mkdtempSync('/dev/shm/quarry-scale-');
  undo.push(`folder ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'mnt'));
  const names = await compile(fileURLToPath(new URL('names.c', import.meta.url)), folder);
  /** @type {Figures[]} */
  const columns = [];
  for (const shape of shapes) {
    columns.push(await measure(shape, folder, names));
    console.error(`${shape.title}: done`);
  }
  const rows = Object.keys(columns[0] ?? {}).map((row) => [row, ...columns.map((one) => one[row] ?? '')]);
  console.log(layOut([['', ...shapes.map(({ title }) => title)], ...rows]));
}

await framed(undo, main);
