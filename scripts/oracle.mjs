// @ts-check
/**
 * `npm run oracle`: random work of several processes on real mounts, and all that statx, listings
 * and reads say beside a model.
 *
 *   npm run oracle -- [--seed N] [--minutes M | --rounds R] [--batches B] [--remounts K] [--without CLASS,…] [--system quarry|ext4|fuse2fs]
 *
 * One round is one seed: a volume, `--batches` batches of steps before each of `--remounts`
 * remounts; the next round has the next seed. Without a length it is 1 minute. `--without` leaves
 * out classes of comparison, so that what is known to differ does not hide the rest: access,
 * attributes, blocks, content, direct-aio, error, handle, listing, parent, set-id, times. `--system
 * ext4` plays it on ext4, where nothing may differ: the oracle judged by the kernel's own. Needs
 * root and a C compiler.
 *
 * A difference ends the run with exit status 1, the shortest list of steps found that leads to it,
 * and the command that repeats the round. The rounds are played by test/mount/oracle.test.ts.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build, localProgram, runHere } from './build.mjs';

const SYSTEMS = ['quarry', 'ext4', 'fuse2fs'];

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`oracle: ${message}`);
  process.exit(2);
}

/**
 * @param {string} name
 * @param {string | undefined} text
 * @param {number} fallback
 * @param {number} least
 */
function numberOf(name, text, fallback, least) {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isFinite(value) || value < least) refuse(`--${name} ${text} is not a number ≥ ${least}`);
  return value;
}

function readOptions() {
  try {
    const text = /** @type {const} */ ({ type: 'string' });
    return parseArgs({
      options: {
        seed: text,
        minutes: text,
        rounds: text,
        batches: text,
        remounts: text,
        without: text,
        system: text,
      },
    }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

const options = readOptions();
if (process.getuid?.() !== 0) refuse('it makes loop devices, mounts, and changes owners: run it as root');
const system = options.system ?? 'quarry';
if (!SYSTEMS.includes(system)) refuse(`no system '${system}': ${SYSTEMS.join(', ')}`);
const seed = Math.floor(numberOf('seed', options.seed, Date.now() % 1e9, 0));
const isCounted = options.rounds !== undefined;
const rounds = Math.floor(numberOf('rounds', options.rounds, Number.MAX_SAFE_INTEGER, 1));
const minutes = numberOf('minutes', options.minutes, isCounted ? 0 : 1, isCounted ? 0 : 0.01);
const batches = Math.floor(numberOf('batches', options.batches, 400, 1));
const remounts = Math.floor(numberOf('remounts', options.remounts, 2, 1));

if (system === 'quarry' && !(await build())) process.exit(2);
const folder = mkdtempSync(join(tmpdir(), 'quarry-oracle-'));
const summary = join(folder, 'summary.txt');
// Ctrl-C ends the rounds, which clear up; what is left to do here is to say what was done.
process.on('SIGINT', () => {});
try {
  console.log(`oracle: seed ${seed}, ${system}, ${minutes ? `${minutes} minutes` : `${rounds} rounds`}`);
  writeFileSync(summary, '');
  const env = {
    ...process.env,
    QUARRY_TEST_SYSTEM: system,
    QUARRY_ORACLE_SEED: `${seed}`,
    QUARRY_ORACLE_MINUTES: `${minutes}`,
    QUARRY_ORACLE_ROUNDS: `${rounds}`,
    QUARRY_ORACLE_BATCHES: `${batches}`,
    QUARRY_ORACLE_REMOUNTS: `${remounts}`,
    QUARRY_ORACLE_WITHOUT: options.without ?? '',
    QUARRY_ORACLE_SUMMARY: summary,
  };
  const status = await runHere(
    localProgram('vitest'),
    ['run', 'test/mount/oracle.test.ts', '--reporter=dot'],
    env,
  );
  const lines = readFileSync(summary, 'utf8').split('\n').filter(Boolean);
  for (const line of lines) console.log(line);
  const total = lines.reduce((sum, line) => sum + Number(/(\d+) checks/.exec(line)?.[1] ?? 0), 0);
  const outcome = status === 0 ? 'no difference' : 'FAILED';
  console.log(`oracle: ${lines.length} rounds from seed ${seed}, ${total} checks: ${outcome}`);
  if (status !== 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
