// @ts-check
/**
 * `quarry fsck` beside `e2fsck -f`, on equal trees in volumes of equal size: time and peak memory.
 *
 * The tree: directories of 10,000 files each, one file in ten with 4 KiB of data, on each
 * filesystem in turn, mounted from the same loop device. A checker runs three times, the device's
 * pages dropped before each; the least counts, since nothing makes it faster than it is.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { framed } from './frame.mjs';
import { compile, dropCaches, makeLoopDevice, run, Undo } from './machine.mjs';
import { parseSystems } from './systems.mjs';
import { layOut } from './table.mjs';

const HELP = `npm run bench:fsck -- [options]     (as root)
  --files N    files in the tree (1000000)
  --size GIB   size of the volume (16: ext4 has an inode for each 16 KiB)
  --runs N     of each checker (3)`;

const FILES_IN_DIRECTORY = 10_000;
const WITH_DATA = 10;
const QUARRY = process.env.QUARRY_COMMAND ?? fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

const undo = new Undo();

/** @type {Record<string, { says: string, command: (device: string) => string[] }>} */
const CHECKERS = {
  quarry: { says: 'quarry fsck -n', command: (device) => [process.execPath, QUARRY, 'fsck', '-n', device] },
  ext4: { says: 'e2fsck -f -n', command: (device) => ['e2fsck', '-f', '-n', device] },
};

/**
 * Runs a checker to its end, which must find nothing.
 * @param {string[]} words
 * @returns {Promise<{ seconds: number, peakBytes: number }>}
 */
function measure([command = '', ...args]) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    let peakBytes = 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk;
      });
    }
    const look = setInterval(() => {
      peakBytes = Math.max(peakBytes, residentPeak(child.pid));
    }, 20);
    child.on('error', reject);
    child.on('exit', (code) => {
      clearInterval(look);
      const seconds = (performance.now() - start) / 1000;
      if (code === 0) resolve({ seconds, peakBytes });
      else reject(new Error(`${command} ${args.join(' ')}: ${code}: ${said.slice(-500)}`));
    });
  });
}

/** The most memory that a process has had in RAM, in bytes. @param {number | undefined} pid */
function residentPeak(pid) {
  try {
    const [, kibibytes = '0'] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kibibytes) * 1024;
  } catch {
    return 0; // it has just ended
  }
}

/**
 * @param {string} names the compiled helper
 * @param {string} directory
 * @param {number} files
 */
async function makeTree(names, directory, files) {
  for (let made = 0, index = 0; made < files; made += FILES_IN_DIRECTORY, index++) {
    const here = join(directory, `d${index}`);
    mkdirSync(here);
    const count = Math.min(FILES_IN_DIRECTORY, files - made);
    const withData = Math.floor(count / WITH_DATA);
    mkdirSync(join(here, 'data'));
    await run(names, ['create', here, String(count - withData), '0']);
    await run(names, ['create', join(here, 'data'), String(withData), '4096']);
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      files: { type: 'string', default: '1000000' },
      size: { type: 'string', default: '16' },
      runs: { type: 'string', default: '3' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const files = Number(values.files);
  const folder = mkdtempSync('/dev/shm/quarry-fsck-');
  undo.push(`folder ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  const names = await compile(fileURLToPath(new URL('names.c', import.meta.url)), folder);
  const directory = join(folder, 'mnt');
  mkdirSync(directory);
  const device = await makeLoopDevice(undo, folder, Number(values.size) * 2 ** 30);
  const rows = [['', 'seconds', 'peak MB', 'files/s']];
  for (const [name, { says, command }] of Object.entries(CHECKERS)) {
    const [system] = parseSystems(name);
    if (system === undefined) throw new Error(`no system ${name}`);
    await system.format(device);
    const unmount = await system.mount(device, directory);
    const undoMount = undo.push(`mount of ${name}`, unmount);
    await makeTree(names, directory, files);
    await undoMount();
    let best = { seconds: Number.POSITIVE_INFINITY, peakBytes: 0 };
    for (let i = 0; i < Number(values.runs); i++) {
      await dropCaches();
      const once = await measure(command(device));
      if (once.seconds < best.seconds) best = once;
    }
    rows.push([
      says,
      best.seconds.toFixed(2),
      (best.peakBytes / 1e6).toFixed(0),
      Math.round(files / best.seconds).toLocaleString('en'),
    ]);
  }
  console.log(
    `${files.toLocaleString('en')} files in a volume of ${values.size} GiB, ${device} over tmpfs\n`,
  );
  console.log(layOut(rows));
}

await framed(undo, main);
