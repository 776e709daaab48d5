// @ts-check
/**
 * `npm run hostile`: hostile images, thousands of them, each from a seed: mounted, read, written,
 * checked, repaired.
 *
 *   npm run hostile -- [--seed N] [--count M | --minutes M] [--workers W] [--image TEXT]… [--regressions] [--patience SECONDS]
 *
 * The images are tried in child processes with bounded memory (test/hostile/child.ts). One that
 * ends its child, or keeps it busy for longer than `--patience` seconds (20), is reported like any
 * other failure, and a new child goes on with the next. Without `--count` or `--minutes` it is
 * 2,000 images; `--regressions` adds those that found bugs once. Of each failure the shortest image
 * is sought that fails the same way, by leaving out mutations. Exit status 1 if anything failed.
 */
import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { localProgram, ROOT, runHere } from './build.mjs';

const OUTPUT = join(ROOT, 'build/hostile');
const CHILD = join(OUTPUT, 'test/hostile/child.js');
/** An image takes some milliseconds. */
const DEFAULT_PATIENCE_SECONDS = 20;
const HEAP_MEGABYTES = 400;
const BATCH = 100;
const SHOWN = 12;
const SECONDS_BETWEEN_LINES = 60;

/**
 * @typedef {{ signature: string, detail: string, text: string, seed: number | undefined }} Found
 */
/** @typedef {{ images: number, found: Found[] }} BatchResult */
/** @typedef {{ from?: number, count?: number, texts?: string[] }} Batch */

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`hostile: ${message}`);
  process.exit(2);
}

function readOptions() {
  try {
    const text = /** @type {const} */ ({ type: 'string' });
    const image = /** @type {const} */ ({ type: 'string', multiple: true });
    const flag = /** @type {const} */ ({ type: 'boolean' });
    return parseArgs({
      options: {
        seed: text,
        count: text,
        minutes: text,
        workers: text,
        image,
        patience: text,
        regressions: flag,
        built: flag,
      },
    }).values;
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
  if (!Number.isFinite(value) || value < least) refuse(`--${name} ${text} is not a number ≥ ${least}`);
  return value;
}

/** Compiles the sources and the tests that try images; the addon is that of the package around them. */
async function compile() {
  mkdirSync(OUTPUT, { recursive: true });
  return (await runHere(localProgram('tsc'), ['-p', 'test/hostile/tsconfig.json'])) === 0;
}

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
// A child in an endless loop would not notice that it is alone.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

/** One child, replaced by a new one whenever it dies or has to be ended. */
class Worker {
  /** @param {string} note file in which the child says which image it tries */
  constructor(note) {
    this.note = note;
    /** @type {import('node:child_process').ChildProcess | undefined} */
    this.child = undefined;
  }

  async start() {
    const child = fork(CHILD, [this.note], {
      execArgv: [`--max-old-space-size=${HEAP_MEGABYTES}`, '--enable-source-maps'],
    });
    this.child = child;
    children.add(child);
    child.once('close', () => children.delete(child));
    await new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', (code) => reject(new Error(`a child did not start: status ${code}`)));
    });
    child.removeAllListeners('exit');
  }

  /** @returns {{ seed: number | undefined, text: string }} the image that the child was at */
  current() {
    const [seed = '', text = ''] = readFileSync(this.note, 'utf8').trimEnd().split(' ');
    return { seed: seed === '' ? undefined : Number(seed), text };
  }

  /**
   * Tries a batch; one that the child does not survive is tried again without the image that ended
   * it.
   * @param {Batch} batch @returns {Promise<BatchResult>}
   */
  async run(batch) {
    if (this.child === undefined) await this.start();
    const outcome = await this.attempt(batch);
    if (typeof outcome !== 'string') return outcome;
    const { seed, text } = batch.texts ? { seed: undefined, text: batch.texts.join(' ') } : this.current();
    this.child = undefined;
    const died = { signature: outcome, detail: outcome, text, seed };
    if (batch.texts !== undefined || seed === undefined) return { images: 1, found: [died] };
    const { from = 0, count = 0 } = batch;
    // What came before was well, or is found again.
    const before = seed > from ? await this.run({ from, count: seed - from }) : { images: 0, found: [] };
    const rest = await this.run({ from: seed + 1, count: from + count - seed - 1 });
    return { images: before.images + 1 + rest.images, found: [...before.found, died, ...rest.found] };
  }

  /** @param {Batch} batch @returns {Promise<BatchResult | string>} */
  attempt(batch) {
    const child = this.child;
    if (child === undefined) throw new Error('no child');
    return new Promise((resolve) => {
      let last = '';
      let quiet = 0;
      const watch = setInterval(() => {
        const { seed, text } = this.current();
        const now = `${seed} ${text}`;
        quiet = now === last ? quiet + 1 : 0;
        last = now;
        if (quiet < patience) return;
        finish('hang');
        child.kill('SIGKILL');
      }, 1000);
      /** @param {BatchResult | string} outcome */
      const finish = (outcome) => {
        clearInterval(watch);
        child.removeAllListeners('message');
        child.removeAllListeners('exit');
        resolve(outcome);
      };
      child.once('message', (result) => finish(/** @type {BatchResult} */ (result)));
      child.once('exit', (code, signal) => finish(`the process died: ${signal ?? `status ${code}`}`));
      child.send(batch);
    });
  }

  async stop() {
    this.child?.disconnect();
  }
}

/**
 * Leaves out mutations as long as the failure stays the same.
 * @param {Worker} worker
 * @param {Found} found
 */
async function shortest(worker, found) {
  let { text } = found;
  for (let i = text.split('/').length - 1; i > 0; i--) {
    const parts = text.split('/');
    if (parts.length <= 2) break;
    parts.splice(i, 1);
    const shorter = parts.join('/');
    const { found: again } = await worker.run({ texts: [shorter] });
    if (again.some(({ signature }) => signature === found.signature)) text = shorter;
  }
  return text;
}

/** @param {Worker} worker @param {Found[]} all */
async function report(worker, all) {
  /** @type {Map<string, Found[]>} */
  const bySignature = new Map();
  for (const found of all)
    bySignature.set(found.signature, [...(bySignature.get(found.signature) ?? []), found]);
  const groups = [...bySignature].sort((a, b) => b[1].length - a[1].length);
  for (const [signature, group] of groups.slice(0, SHOWN)) {
    const [first] = group.sort((a, b) => a.text.length - b.text.length);
    if (first === undefined) continue;
    const text = await shortest(worker, first);
    console.log(`\n${group.length} × ${signature}`);
    console.log(first.detail.split('\n').slice(0, 12).join('\n'));
    console.log(`seed ${first.seed ?? 'none'}: ${first.text}\nrepeat: npm run hostile -- --image ${text}`);
  }
  if (groups.length > SHOWN) console.log(`… and ${groups.length - SHOWN} more kinds of failure`);
}

/** @returns {Promise<string[]>} the images that found bugs */
async function regressions() {
  const module = await import(pathToFileURL(join(OUTPUT, 'test/hostile/regressions.js')).href);
  return module.REGRESSIONS.map((/** @type {{ image: string }} */ { image }) => image);
}

const options = readOptions();
if (!options.built && !(await compile())) process.exit(1);
const texts = [...(options.image ?? []), ...(options.regressions ? await regressions() : [])];
const givenOnly = options.image !== undefined;
const seed = Math.floor(numberOf('seed', options.seed, Date.now() % 1e9, 0));
const minutes = options.minutes === undefined ? undefined : numberOf('minutes', options.minutes, 1, 0.01);
const count = Math.floor(
  numberOf('count', options.count, minutes === undefined ? 2000 : Number.MAX_SAFE_INTEGER, 1),
);
const patience = numberOf('patience', options.patience, DEFAULT_PATIENCE_SECONDS, 1);
const workerCount = Math.floor(numberOf('workers', options.workers, availableParallelism(), 1));
const folder = mkdtempSync(join(tmpdir(), 'quarry-hostile-'));
const began = performance.now();
const end = began + (minutes ?? Number.POSITIVE_INFINITY) * 60_000;
let next = 0;
let images = 0;
/** @type {Found[]} */
const all = [];

/** Says the first of each kind at once. @param {Found} found */
function note(found) {
  if (!all.some(({ signature }) => signature === found.signature)) {
    console.log(`failure: ${found.signature}\n  ${found.text}`);
  }
  all.push(found);
}

let nextLine = began + SECONDS_BETWEEN_LINES * 1000;

/** @param {Worker} worker */
async function lane(worker) {
  while (next < count && performance.now() < end) {
    const from = seed + next;
    const length = Math.min(BATCH, count - next);
    next += length;
    const result = await worker.run({ from, count: length });
    images += result.images;
    result.found.forEach(note);
    if (performance.now() >= nextLine) {
      nextLine = performance.now() + SECONDS_BETWEEN_LINES * 1000;
      console.log(`${images} images, ${all.length} failures`);
    }
  }
}

try {
  const workers = Array.from(
    { length: givenOnly ? 1 : workerCount },
    (_, i) => new Worker(join(folder, `note-${i}`)),
  );
  const [first] = workers;
  if (first === undefined) refuse('no workers');
  for (const text of texts) {
    const result = await first.run({ texts: [text] });
    images += result.images;
    result.found.forEach(note);
  }
  if (!givenOnly) await Promise.all(workers.map(lane));
  const seconds = (performance.now() - began) / 1000;
  await report(first, all);
  for (const worker of workers) await worker.stop();
  const what = givenOnly ? 'as given' : `from seed ${seed}`;
  console.log(
    `hostile: ${images} images ${what}, ${(images / seconds).toFixed(0)} images/s, ${all.length} failures`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = all.length > 0 ? 1 : 0;
