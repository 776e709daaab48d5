// @ts-check
/**
 * Kills the daemon of a mount again and again, and looks whether all that was acknowledged is there
 * afterwards.
 *
 *   node scripts/kill-cycles.mjs [--cycles 200] [--seed N] [--writers 4] [--power PERCENT] [--first CYCLE] [--keep] [--verbose]
 *
 * A volume on a loop device is mounted by the command; writers change files in directories of their
 * own and log outside the mount what they begin and what has returned (kill-cycles/writer.mjs),
 * while the tree of an earlier cycle is removed, so that blocks are used again. At a random moment
 * the daemon gets SIGKILL. Then `quarry mount` on the dangling mountpoint has to work, and the
 * trees are judged by the logs (kill-cycles/model.mjs has the rules). Now and then the dead mount
 * is unmounted first, or the volume is unmounted in order at the end, and `quarry fsck -n` has to
 * find nothing.
 *
 * SIGKILL alone loses nothing that was handed to the device. With --power the loop device is on a
 * disk of fault-disk.mjs, and in so many of a hundred cycles that one loses its power at the moment
 * of the kill: any subset of the sectors that were not flushed is as before.
 *
 * The seed decides what writers do and when the kill comes, not how far they are by then: a
 * violation need not show again with the same seed. So with a violation everything is kept: the
 * image, the logs, what was expected. Exit status 1 then.
 */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build, QUARRY } from './build.mjs';

if (!existsSync(QUARRY) && !(await build())) process.exit(2);
const { SeededRandom } = await import('../dist/sim/seeded-random.js');

const COMMAND = process.env.QUARRY_COMMAND ?? QUARRY;
const WRITER = fileURLToPath(new URL('kill-cycles/writer.mjs', import.meta.url));
const READER = fileURLToPath(new URL('kill-cycles/reader.mjs', import.meta.url));
const FAULT_DISK = fileURLToPath(new URL('fault-disk.mjs', import.meta.url));
const VOLUME_BYTES = 160 * 2 ** 20;
/** Small, so that it goes round and is full now and then. */
const JOURNAL_BYTES = 2 * 2 ** 20;
/** Shortest and longest life of a daemon after the writers have begun. */
const LIFE_MS = [10, 1500];
const COMMAND_LIMIT_MS = 60_000;
const WRITER_LIMIT_MS = 20_000;
/** One cycle in so many ends with an unmount in order and a check. */
const CHECK_EVERY = 4;

/** @typedef {{ status: number, out: string, err: string }} Result */

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`kill-cycles: ${message}`);
  process.exit(2);
}

function readOptions() {
  const text = /** @type {const} */ ({ type: 'string' });
  const flag = /** @type {const} */ ({ type: 'boolean' });
  try {
    const options = {
      cycles: text,
      seed: text,
      writers: text,
      power: text,
      first: text,
      keep: flag,
      verbose: flag,
    };
    return parseArgs({ options }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param {string} name
 * @param {string | undefined} text
 * @param {number} fallback
 * @param {number} least
 */
function numberOf(name, text, fallback, least) {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    refuse(`--${name} ${text} is not a whole number ≥ ${least}`);
  return value;
}

/**
 * Runs a program; kills it, and only it, at the limit.
 * @param {string} program @param {string[]} args @returns {Promise<Result>}
 */
function run(program, args, limitMs = COMMAND_LIMIT_MS) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      said.out += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      said.err += chunk;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (signal === 'SIGKILL') said.err += `no end after ${limitMs / 1000} s`;
      resolve({ status: code ?? 137, ...said });
    });
  });
}

/** @param {...string} args */
const quarry = (...args) => run(process.execPath, [COMMAND, ...args]);

/**
 * A result that has to be a success.
 * @param {string} what
 * @param {Promise<Result>} running
 * @param {number[]} allowed
 */
async function demand(what, running, allowed = [0]) {
  const result = await running;
  if (!allowed.includes(result.status)) {
    throw new Error(
      `${what}: exit status ${result.status}; ${(result.out + result.err).trim().slice(-2000)}`,
    );
  }
  return result;
}

/** @param {() => boolean} holds */
async function until(holds, limitMs = WRITER_LIMIT_MS) {
  const end = Date.now() + limitMs;
  while (!holds()) {
    if (Date.now() > end) return false;
    await sleep(5);
  }
  return true;
}

/**
 * The process that serves a directory, by its title: nothing has to be asked of it.
 * @param {string} directory
 */
function daemonOf(directory) {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const title = readIfThere(join('/proc', name, 'cmdline')).replace(/\0+$/, '');
    if (title.startsWith('quarry: ') && title.endsWith(` on ${directory}`)) return Number(name);
  }
  throw new Error(`no process serves ${directory}`);
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function scratchRoot() {
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize > 4 * VOLUME_BYTES ? '/dev/shm' : tmpdir();
}

/** A disk that loses power on demand, in a process of its own. */
class PowerDisk {
  /** @param {string} directory where its file appears */
  constructor(directory) {
    this.directory = directory;
    this.child = spawn(process.execPath, [FAULT_DISK, directory, String(VOLUME_BYTES)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async answer() {
    const { value } = await this.lines.next();
    return JSON.parse(value ?? '{"error":"the disk is gone"}');
  }

  /** @param {string} command */
  async say(command) {
    this.child.stdin.write(`${command}\n`);
    return await this.answer();
  }

  async end() {
    await run('umount', [this.directory]);
    this.child.kill('SIGKILL');
  }
}

class KillCycles {
  /** @param {{ seed: number, writers: number, power: number, verbose: boolean }} options */
  constructor({ seed, writers, power, verbose }) {
    this.power = power;
    /** @type {PowerDisk | undefined} */
    this.disk = undefined;
    this.seed = seed;
    this.writers = writers;
    this.verbose = verbose;
    this.scratch = mkdtempSync(join(scratchRoot(), 'quarry-kill-'));
    this.directory = join(this.scratch, 'mnt');
    this.image = join(this.scratch, 'volume.img');
    this.target = '';
    /** Of the mount, while there is one. */
    this.pid = 0;
    /** @type {import('node:child_process').ChildProcess[]} */
    this.children = [];
    this.counts = {
      acknowledged: 0,
      cells: 0,
      operations: 0,
      checks: 0,
      dirtyChecks: 0,
      cuts: 0,
      lostSectors: 0,
    };
    /**
     * @type {{ tag: string, fingerprint: string } | undefined} The tree that nobody changes any
     * more, and how it was found.
     */
    this.settled = undefined;
  }

  async prepare() {
    mkdirSync(this.directory);
    if (this.power > 0) await this.#startDisk();
    else await demand('truncate', run('truncate', ['-s', String(VOLUME_BYTES), this.image]));
    const loop = await demand('losetup', run('losetup', ['--find', '--show', '--direct-io=on', this.image]));
    this.target = loop.out.trim();
    await demand(
      'mkfs',
      quarry('mkfs', '--force', '--quiet', '--journal-size', String(JOURNAL_BYTES), this.target),
    );
    await this.mount();
  }

  async #startDisk() {
    const directory = join(this.scratch, 'disk');
    mkdirSync(directory);
    this.disk = new PowerDisk(directory);
    await this.disk.answer();
    this.image = join(directory, 'disk');
  }

  async mount() {
    const { err } = await demand('mount', quarry('mount', '-o', 'commit=1', this.target, this.directory));
    if (this.verbose && err !== '') console.log(err.trim());
    this.pid = daemonOf(this.directory);
  }

  /** @param {number} cycle */
  tagOf(cycle) {
    return `c${cycle}`;
  }

  /**
   * Starts writers and a remover, kills the daemon, waits for all to end.
   * @param {number} cycle @param {{ uint32(): number }} random
   */
  async killOnce(cycle, random) {
    const folder = join(this.directory, this.tagOf(cycle));
    const homes = Array.from({ length: this.writers }, (_, writer) => join(folder, `w${writer}`));
    await demand('mkdir', run('sh', ['-ec', 'mkdir -p "$@"; sync -f "$1"', 'sh', ...homes]));
    const logs = homes.map((_, writer) => join(this.scratch, `${this.tagOf(cycle)}-w${writer}.log`));
    homes.forEach((home, writer) => {
      const tag = `${this.tagOf(cycle)}w${writer}`;
      const args = [WRITER, home, /** @type {string} */ (logs[writer]), tag, String(random.uint32())];
      this.children.push(spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] }));
    });
    this.children.push(
      spawn('rm', ['-rf', join(this.directory, this.tagOf(cycle - 2))], { stdio: 'ignore' }),
    );
    await until(() => logs.every((log) => existsSync(log) && statSync(log).size > 0));
    const [shortest = 0, longest = 0] = LIFE_MS;
    await sleep(shortest + (random.uint32() / 2 ** 32) * (longest - shortest));
    const early = this.children.slice(0, -1).filter((child) => child.exitCode !== null);
    if (this.disk && random.uint32() % 100 < this.power) await this.#cutAndKill(this.disk, random.uint32());
    else process.kill(this.pid, 'SIGKILL');
    await this.#afterDeath();
    await this.disk?.say('mend');
    if (early.length > 0)
      throw new Error(`${early.length} writers ended before the kill; see the ends of their logs`);
  }

  /**
   * The daemon is stopped first: it must not see the disk fail.
   * @param {PowerDisk} disk
   * @param {number} seed
   */
  async #cutAndKill(disk, seed) {
    process.kill(this.pid, 'SIGSTOP');
    try {
      const { lost } = await disk.say(`cut ${seed}`);
      this.counts.cuts++;
      this.counts.lostSectors += lost;
    } finally {
      process.kill(this.pid, 'SIGKILL');
    }
  }

  async #afterDeath() {
    // One that nobody collects has ended as well.
    const gone = await until(() => !/\) [^Z]/.test(readIfThere(`/proc/${this.pid}/stat`)));
    this.pid = 0;
    if (!gone) throw new Error('the daemon did not end after SIGKILL');
    const ended = await until(() =>
      this.children.every((child) => child.exitCode !== null || child.signalCode !== null),
    );
    if (!ended) throw new Error('a writer hangs although the daemon is gone');
    this.children = [];
  }

  /** @param {number} cycle */
  async judge(cycle) {
    const tag = this.tagOf(cycle);
    const args = [READER, join(this.directory, tag), this.scratch, tag, String(this.writers)];
    if (this.settled) args.push(join(this.directory, this.settled.tag));
    const { out } = await demand('reader', run(process.execPath, args));
    const { violations, fingerprints, ...counts } = JSON.parse(out);
    if (this.settled && fingerprints.earlier !== this.settled.fingerprint) {
      violations.push(`the tree ${this.settled.tag} of the cycle before, which nobody touched, has changed`);
    }
    this.settled = { tag, fingerprint: fingerprints.now };
    this.counts.acknowledged += counts.acknowledged;
    this.counts.cells += counts.cells;
    this.counts.operations += counts.operations;
    if (violations.length > 0) throw new Error(violations.join('\n'));
    for (let writer = 0; writer < this.writers; writer++)
      rmSync(join(this.scratch, `${tag}-w${writer}.log`), { force: true });
    return counts;
  }

  async check() {
    this.counts.checks++;
    await demand('fsck -n', quarry('fsck', '-n', this.target));
  }

  /** @param {number} cycle */
  async cycle(cycle) {
    const random = new SeededRandom(this.seed * 1_000_003 + cycle);
    await this.killOnce(cycle, random);
    // Either way has to be fit to clear the dead mount: unmounting it, or mounting on it.
    if (random.uint32() % 3 === 0) {
      await demand('umount of the dead mount', quarry('umount', this.directory));
      await this.check();
      this.counts.dirtyChecks++;
    }
    await this.mount();
    const counts = await this.judge(cycle);
    if (cycle % CHECK_EVERY === 0) {
      await demand('umount', quarry('umount', this.directory));
      await this.check();
      await this.mount();
    }
    return counts;
  }

  /**
   * Takes everything back, whatever state it is in.
   * @param {boolean} keep the image and the logs
   */
  async end(keep) {
    for (const child of this.children) child.kill('SIGKILL');
    if (this.pid !== 0) {
      const { status } = await quarry('umount', this.directory);
      if (status !== 0 && existsSync(`/proc/${this.pid}`)) process.kill(this.pid, 'SIGKILL');
    }
    if (readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${this.directory} `)) {
      await run('umount', ['-l', this.directory]);
    }
    if (this.target !== '') await run('losetup', ['--detach', this.target]);
    await this.disk?.end();
    rmSync(join('/run/quarry', `${this.directory.slice(1).replaceAll('/', '-')}.log`), { force: true });
    if (!keep) rmSync(this.scratch, { recursive: true, force: true });
  }
}

const options = readOptions();
const cycles = numberOf('cycles', options.cycles, 200, 1);
const first = numberOf('first', options.first, 1, 1);
const seed = numberOf('seed', options.seed, Date.now() % 1_000_000, 0);
const writers = numberOf('writers', options.writers, 4, 1);
const power = numberOf('power', options.power, 0, 0);
const begun = Date.now();
const killing = new KillCycles({ seed, writers, power, verbose: options.verbose === true });
let done = 0;
let violation = '';
try {
  console.log(`kill-cycles: seed ${seed}, ${cycles} cycles, ${writers} writers, power cut in ${power} %`);
  await killing.prepare();
  for (let cycle = first; cycle < first + cycles; cycle++) {
    const counts = await killing.cycle(cycle).catch((error) => {
      throw new Error(`cycle ${cycle}: ${error instanceof Error ? error.message : error}`);
    });
    done++;
    if (options.verbose) console.log(`cycle ${cycle}: ${JSON.stringify(counts)}`);
  }
  await demand('umount', quarry('umount', killing.directory));
  killing.pid = 0;
  await killing.check();
} catch (error) {
  violation = error instanceof Error ? error.message : String(error);
} finally {
  await killing.end(violation !== '' || options.keep === true);
}
const { operations, acknowledged, cells, checks, dirtyChecks, cuts, lostSectors } = killing.counts;
const seconds = ((Date.now() - begun) / 1000).toFixed(0);
console.log(
  `kill-cycles: ${done} cycles in ${seconds} s, ${operations} operations, ${acknowledged} acknowledgements and ${cells} cells checked, ${cuts} power cuts lost ${lostSectors} sectors, ${checks} times fsck -n (${dirtyChecks} before recovery), ${violation === '' ? 0 : 1} violations`,
);
if (violation !== '') {
  console.error(`VIOLATION, seed ${seed}: ${violation}`);
  console.error(
    `image and logs are in ${killing.scratch}; again: node scripts/kill-cycles.mjs --seed ${seed} --cycles ${cycles} --writers ${writers} --power ${power}`,
  );
  process.exitCode = 1;
}
