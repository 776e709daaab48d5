// @ts-check
/**
 * Real programs on real mounts: what people bring, and what it says of itself afterwards.
 *
 *   node scripts/programs.mjs [--only NAME,...] [--image] [--keep] [--list]
 *
 * Each program gets a new volume on a loop device (--image: on an image file), mounted by the
 * command for everybody. It works there and judges the result with its own means (a database by its
 * checksums and sums, git by fsck, rsync by a second run with -c). Then the volume is unmounted, and
 * `quarry fsck -n` has to find nothing. As root, since most of them mount, change owners, or become
 * somebody else. What is not installed is named and left out; `debootstrap` and `npm` need a
 * network. Exit status 1 if anything failed.
 *
 * The programs are in programs/cases.mjs. A run of all takes some five minutes.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build, QUARRY } from './build.mjs';
import { CASES } from './programs/cases.mjs';
import { Missing, run } from './programs/run.mjs';

const VOLUME_BYTES = 6 * 2 ** 30;

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`programs: ${message}`);
  process.exit(2);
}

function readOptions() {
  const flag = /** @type {const} */ ({ type: 'boolean' });
  try {
    const options = { only: /** @type {const} */ ({ type: 'string' }), image: flag, keep: flag, list: flag };
    return parseArgs({ options }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string | undefined} only */
function chosen(only) {
  if (only === undefined) return CASES;
  return only.split(',').map((name) => {
    const found = CASES.find((each) => each.name === name);
    return found ?? refuse(`no program '${name}': ${CASES.map((each) => each.name).join(', ')}`);
  });
}

/** A mounted volume, and a directory beside it that is not on it. */
class Place {
  /** @param {boolean} onImage */
  constructor(onImage) {
    this.onImage = onImage;
    this.root = mkdtempSync(join(tmpdir(), 'quarry-programs-'));
    this.image = join(this.root, 'volume.img');
    this.directory = join(this.root, 'mnt');
    this.beside = join(this.root, 'beside');
    this.target = this.image;
    this.mounted = false;
  }

  async begin() {
    for (const directory of [this.directory, this.beside]) mkdirSync(directory);
    await run('chmod', ['755', this.root]);
    writeFileSync(this.image, '');
    truncateSync(this.image, VOLUME_BYTES);
    if (!this.onImage) {
      this.target = (await run('losetup', ['--direct-io=on', '--show', '-f', this.image])).trim();
      await run('blockdev', ['--setrw', this.target]);
    }
    await this.quarry('mkfs', this.target);
    await this.quarry('mount', this.target, this.directory, '-o', 'allow_other,dev,suid');
    this.mounted = true;
  }

  /** @param {...string} args */
  quarry(...args) {
    return run(process.execPath, [QUARRY, ...args]);
  }

  /** Unmounted, it has to be sound. */
  async judge() {
    await this.quarry('umount', this.directory);
    this.mounted = false;
    await this.quarry('fsck', '-n', this.target);
  }

  /** @param {boolean} keep */
  async end(keep) {
    if (this.mounted) await this.quarry('umount', this.directory).catch(warn);
    if (keep) return console.log(`  kept: ${this.image}`);
    if (this.target !== this.image) await run('losetup', ['-d', this.target]).catch(warn);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** @param {unknown} thrown */
function warn(thrown) {
  console.error(`  ${thrown instanceof Error ? thrown.message : String(thrown)}`);
}

/**
 * @param {(typeof CASES)[number]} program
 * @param {{ image?: boolean, keep?: boolean }} options
 * @returns {Promise<'passed' | 'failed' | 'left out'>}
 */
async function tryOne(program, { image = false, keep = false }) {
  const started = Date.now();
  const place = new Place(image);
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;
  try {
    await place.begin();
    const told = await program.run(place);
    await place.judge();
    console.log(`${program.name}: passed, ${seconds()}${told === undefined ? '' : `: ${told}`}`);
    return 'passed';
  } catch (thrown) {
    if (thrown instanceof Missing) {
      console.log(`${program.name}: left out: ${thrown.message}`);
      return 'left out';
    }
    console.log(`${program.name}: FAILED, ${seconds()}`);
    warn(thrown);
    return 'failed';
  } finally {
    await place.end(keep);
  }
}

const options = readOptions();
if (options.list) {
  for (const { name, what } of CASES) console.log(`${name.padEnd(12)} ${what}`);
  process.exit(0);
}
if (process.getuid?.() !== 0) refuse('must be root: programs mount, and become somebody else');
if (!existsSync('/dev/fuse')) refuse('there is no /dev/fuse');
if (!existsSync(QUARRY) && !(await build())) process.exit(2);
const counts = { passed: 0, failed: 0, 'left out': 0 };
for (const program of chosen(options.only)) counts[await tryOne(program, options)]++;
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts['left out']} left out`);
process.exitCode = counts.failed > 0 ? 1 : 0;
