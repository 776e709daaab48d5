// @ts-check
/**
 * `npm run fuzz`: the model-based tests for as long as you like, each from a seed of its own.
 *
 *   npm run fuzz -- [--target alloc|volume|…] [--seed N] [--minutes M] [--rounds R]
 *
 * Without `--target` all targets run in turn and share the time (1 minute if nothing is said). Each
 * target is a test file that reads QUARRY_FUZZ_SEED, QUARRY_FUZZ_MINUTES and QUARRY_FUZZ_ROUNDS,
 * and appends lines about what it did to the file QUARRY_FUZZ_SUMMARY. A failure prints the seed
 * and the command that repeats it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { localProgram, runHere } from './build.mjs';

/** What can be fuzzed, and the test file that does it. */
const TARGETS = new Map([
  ['alloc', 'test/unit/alloc-fuzz.test.ts'],
  ['volume', 'test/suite/volume-fuzz.test.ts'],
]);

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`fuzz: ${message}`);
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
    return parseArgs({ options: { target: text, seed: text, minutes: text, rounds: text } }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} path of the project */
function isThere(path) {
  return existsSync(fileURLToPath(new URL(`../${path}`, import.meta.url)));
}

const options = readOptions();
const chosen = options.target === undefined ? [...TARGETS.keys()] : [options.target];
const targets = chosen.map((name) => [
  name,
  TARGETS.get(name) ?? refuse(`no target '${name}': ${[...TARGETS.keys()]}`),
]);
const present = targets.filter(([, file]) => isThere(file));
if (present.length === 0) refuse(`${targets[0][1]} is not there`);

const seed = Math.floor(numberOf('seed', options.seed, Date.now() % 1e9, 0));
const rounds = options.rounds === undefined ? undefined : numberOf('rounds', options.rounds, 1, 1);
const minutes = numberOf('minutes', options.minutes, 1, 0.01) / present.length;
const folder = mkdtempSync(join(tmpdir(), 'quarry-fuzz-'));
const summary = join(folder, 'summary.txt');
try {
  for (const [name, file] of present) {
    console.log(
      `fuzz ${name}: seed ${seed}, ${rounds === undefined ? `${minutes} minutes` : `${rounds} rounds`}`,
    );
    writeFileSync(summary, '');
    const env = { ...process.env, QUARRY_FUZZ_SEED: `${seed}`, QUARRY_FUZZ_SUMMARY: summary };
    Object.assign(
      env,
      rounds === undefined ? { QUARRY_FUZZ_MINUTES: `${minutes}` } : { QUARRY_FUZZ_ROUNDS: `${rounds}` },
    );
    const status = await runHere(localProgram('vitest'), ['run', file, '--reporter=dot'], env);
    process.stdout.write(readFileSync(summary, 'utf8'));
    console.log(`fuzz ${name}: ${status === 0 ? 'no difference found' : 'FAILED'}`);
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
