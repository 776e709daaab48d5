// @ts-check
/**
 * What the benchmark does to the machine, and how it takes all of it back: processes, loop devices,
 * mounts, files.
 *
 * Everything that must be undone is pushed on one `Undo` stack the moment it exists; the stack runs
 * from the top at the end, after an error, and on Ctrl-C. Only processes started here are ended, by
 * their number.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const FAULT_DISK = fileURLToPath(new URL('../scripts/fault-disk.mjs', import.meta.url));

/** Longest time one command may take before it counts as hung. */
const COMMAND_LIMIT_MS = 900_000;

/** A stack of things to undo, each run once, whatever the others did. */
export class Undo {
  /** @type {{ what: string, how: () => unknown }[]} */
  #steps = [];
  /** Somebody ended the run: what fails from now on does so for that reason. */
  isOver = false;

  /**
   * @param {string} what
   * @param {() => unknown} how
   * @returns {() => Promise<void>} does it now
   */
  push(what, how) {
    const step = { what, how };
    this.#steps.push(step);
    return async () => {
      const at = this.#steps.indexOf(step);
      if (at < 0) return;
      this.#steps.splice(at, 1);
      await how();
    };
  }

  async run() {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.how();
      } catch (error) {
        console.error(`could not undo: ${step.what}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
}

/**
 * Children that run now, so that an interrupt can end them.
 * @type {Set<import('node:child_process').ChildProcess>}
 */
const running = new Set();

export function endCommands() {
  for (const child of running) child.kill('SIGKILL');
}

/**
 * Runs one command to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, limitMs?: number }} [options]
 * @returns {Promise<string>} its standard output
 * @throws Error with the end of what it said, if it fails or takes too long
 */
export function run(command, args, { cwd, limitMs = COMMAND_LIMIT_MS } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    const timer = setTimeout(() => {
      err += `no end after ${limitMs / 1000} s`;
      child.kill('SIGKILL');
      reject(new Error(`${command} ${args.join(' ')}: ${err}`));
    }, limitMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      if (code === 0) resolve(out);
      else
        reject(
          new Error(`${command} ${args.join(' ')}: ${signal ?? code}: ${(err || out).trim().slice(-500)}`),
        );
    });
  });
}

/** @param {string} command */
export function isInstalled(command) {
  const folders = `${process.env.PATH}:/usr/sbin:/sbin`.split(':');
  return folders.some((folder) => existsSync(join(folder, command)));
}

/** @param {string} directory */
export function isMountPoint(directory) {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === directory);
}

/**
 * Starts a daemon in the foreground and waits until `directory` is a mount point.
 * @param {string} command
 * @param {string[]} args
 * @param {string} directory
 * @returns {Promise<import('node:child_process').ChildProcess>}
 */
export async function startDaemon(command, args, directory) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said = (said + chunk).slice(-500);
  });
  child.on('error', (error) => {
    said += error.message;
  });
  for (let waited = 0; waited < 20_000; waited += 20) {
    if (isMountPoint(directory)) return child;
    if (child.exitCode !== null || child.signalCode !== null) break;
    await sleep(20);
  }
  child.kill('SIGKILL');
  throw new Error(`${command} ${args.join(' ')} did not mount: ${said.trim()}`);
}

/**
 * Waits for a child to end by itself, then makes sure.
 * @param {import('node:child_process').ChildProcess} child
 * @param {number} limitMs
 */
export async function waitForExit(child, limitMs) {
  for (let waited = 0; waited < limitMs; waited += 10) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    await sleep(10);
  }
  child.kill('SIGKILL');
  throw new Error(`the daemon (process ${child.pid}) did not end within ${limitMs / 1000} s of its unmount`);
}

/** @param {string} directory */
export async function unmountByForce(directory) {
  if (isMountPoint(directory)) await run('umount', ['-l', directory], { limitMs: 20_000 });
}

/**
 * A loop device over a sparse file in memory, reached by direct I/O.
 * @param {Undo} undo
 * @param {string} folder where the file goes: a tmpfs
 * @param {number} sizeBytes
 * @param {string} [name] where there are several
 */
export async function makeLoopDevice(undo, folder, sizeBytes, name = 'device') {
  const file = join(folder, `quarry-bench-${process.pid}-${name}.img`);
  closeSync(openSync(file, 'wx'));
  undo.push(`file ${file}`, () => unlinkSync(file));
  truncateSync(file, sizeBytes);
  const device = (await run('losetup', ['--find', '--show', '--direct-io=on', file])).trim();
  undo.push(`loop device ${device}`, () => run('losetup', ['--detach', device]));
  return device;
}

/** Milliseconds that a request and a flush take, and whether there is one arm for all. */
export const SLOW_DISKS = /** @type {const} */ ({
  hdd: { request: 4, flush: 10, order: 'one' },
  ssd: { request: 0.08, flush: 1, order: 'all' },
});

/**
 * A loop device over a disk that takes its time: scripts/fault-disk.mjs, in a process of its own.
 * @param {Undo} undo
 * @param {string} folder
 * @param {number} sizeBytes at most 4 GiB
 * @param {keyof typeof SLOW_DISKS} kind
 */
export async function makeSlowDevice(undo, folder, sizeBytes, kind) {
  const directory = join(folder, kind);
  mkdirSync(directory);
  const disk = spawn(process.execPath, [FAULT_DISK, directory, String(sizeBytes)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  undo.push(`disk on ${directory}`, async () => {
    await unmountByForce(directory);
    await waitForExit(disk, 20_000);
  });
  await once(disk.stdout, 'data');
  const { request, flush, order } = SLOW_DISKS[kind];
  disk.stdin.write(`slow ${flush} ${request} ${order}\n`);
  await once(disk.stdout, 'data');
  const device = (
    await run('losetup', ['--find', '--show', '--direct-io=on', join(directory, 'disk')])
  ).trim();
  undo.push(`loop device ${device}`, () => run('losetup', ['--detach', device]));
  return device;
}

/** Forgets clean pages, names and inodes, after writing the dirty ones. */
export async function dropCaches() {
  await run('sync', []);
  writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/**
 * Compiles the helper that makes names and spins.
 * @param {string} source
 * @param {string} folder
 */
export async function compile(source, folder) {
  const program = join(folder, basename(source, '.c'));
  await run(process.env.CC ?? 'cc', ['-O2', '-Wall', '-o', program, source]);
  return program;
}

/**
 * Asks the kernel for a wake-up latency of nothing while the benchmark runs (PM QoS): an idle CPU
 * polls instead of halting. Without it a virtual machine measures its exits to the host, a bare one
 * its sleep states.
 *
 * Busy loops of idle priority do the same at a price: the scheduler lets such a loop go first now
 * and then, for a whole tick, while a kernel thread waits.
 * @param {Undo} undo
 * @returns {string} how the CPUs wait now
 */
export function keepAwake(undo) {
  const file = '/dev/cpu_dma_latency';
  if (!existsSync(file)) return `the kernel has no ${file}: idle CPUs sleep`;
  const descriptor = openSync(file, 'r+');
  undo.push(file, () => closeSync(descriptor));
  writeSync(descriptor, new Uint8Array(4));
  return 'idle CPUs poll (--let-sleep: as they are)';
}
