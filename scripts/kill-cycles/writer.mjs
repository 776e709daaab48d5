// @ts-check
/**
 * A process that changes files in a directory of its own until the filesystem dies under it, and
 * logs elsewhere what it begins and what has returned: `writer.mjs DIRECTORY LOG TAG SEED`. See
 * model.mjs for what the log promises.
 *
 * The log is appended to by single writes before and after each call, so it is right whenever this
 * process ends.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SeededRandom } from '../../dist/sim/seeded-random.js';
import { CELL_BYTES, cellText, TreeModel } from './model.mjs';

/** @typedef {import('./model.mjs').Operation} Operation */

const [directory = '', logFile = '', tag = '', seed = '0'] = process.argv.slice(2);
const MOST_FILES = 40;
const MOST_FOLDERS = 8;
/** Of one file, and of all. */
const MOST_CELLS = 6000;
const MOST_CELLS_IN_ALL = 60_000;
const OPEN_FILES = 6;

const random = new SeededRandom(Number(seed));
const log = openSync(logFile, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
const model = new TreeModel();
/** Files kept open, so that their dirty pages stay in the kernel. @type {Map<number, number>} */
const descriptors = new Map();
let number = 0;
let made = 0;

/** A whole number in [0, limit). @param {number} limit */
const below = (limit) => Math.floor((random.uint32() / 2 ** 32) * limit);
/** @template T @param {readonly T[]} list @returns {T | undefined} */
const oneOf = (list) => list[below(list.length)];

/** @param {unknown} entry */
function note(entry) {
  writeSync(log, `${JSON.stringify(entry)}\n`);
}

/** @param {string} path */
const inside = (path) => join(directory, path);

/** @param {'file' | 'folder' | 'symlink'} kind */
function pathsOf(kind) {
  return [...model.nodes].filter(([, node]) => node.kind === kind).map(([path]) => path);
}

/**
 * The descriptor of a file, opened by the path if need be.
 * @param {string} path
 * @param {number} file
 */
function descriptorOf(path, file) {
  const open = descriptors.get(file);
  if (open !== undefined) return open;
  if (descriptors.size >= OPEN_FILES) {
    const [oldest] = descriptors.keys();
    closeSync(/** @type {number} */ (descriptors.get(/** @type {number} */ (oldest))));
    descriptors.delete(/** @type {number} */ (oldest));
  }
  const descriptor = openSync(inside(path), 'r+');
  descriptors.set(file, descriptor);
  return descriptor;
}

/** @param {string} path @param {(descriptor: number) => void} use @param {number | string} flags */
function withDescriptor(path, flags, use) {
  const descriptor = openSync(inside(path), flags);
  try {
    use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** @param {number} descriptor @param {{ file: number, at: number, cells: number }} operation */
function writeCells(descriptor, { file, at, cells }) {
  const text = Array.from({ length: cells }, (_, index) => cellText(tag, file, number, at + index)).join('');
  const bytes = Buffer.from(text, 'latin1');
  const written = writeSync(descriptor, bytes, 0, bytes.length, at * CELL_BYTES);
  if (written !== bytes.length) throw Object.assign(new Error('short write'), { code: 'SHORT' });
}

/** @param {Operation} operation */
function call(operation) {
  const { op, path } = operation;
  if (op === 'mkdir') mkdirSync(inside(path));
  else if (op === 'rmdir') rmdirSync(inside(path));
  else if (op === 'unlink') unlinkSync(inside(path));
  else if (op === 'symlink') symlinkSync(operation.to, inside(path));
  else if (op === 'link') linkSync(inside(path), inside(operation.to));
  else if (op === 'rename') renameSync(inside(path), inside(operation.to));
  else if (op === 'create') withDescriptor(path, 'wx', () => {});
  else if (op === 'write') writeCells(descriptorOf(path, operation.file), operation);
  else if (op === 'truncate') ftruncateSync(descriptorOf(path, operation.file), operation.cells * CELL_BYTES);
  else if (op === 'fsync') fsyncSync(descriptorOf(path, operation.file));
  else if (op === 'fdatasync') fdatasyncSync(descriptorOf(path, operation.file));
  else if (op === 'dsync-write') {
    withDescriptor(path, constants.O_WRONLY | constants.O_DSYNC, (descriptor) =>
      writeCells(descriptor, operation),
    );
  } else if (op === 'fsyncdir') withDescriptor(path, 'r', fsyncSync);
  else syncAll(inside(path));
}

/** Node has no syncfs(2); sync(1) has. @param {string} path */
function syncAll(path) {
  const { status, stderr } = spawnSync('sync', ['-f', path], { encoding: 'utf8' });
  if (status !== 0)
    throw Object.assign(new Error(stderr), { code: /connect/i.test(stderr) ? 'ENOTCONN' : 'EIO' });
}

/** @param {Operation} operation */
function perform(operation) {
  number++;
  note({ begin: operation });
  call(operation);
  note({ end: number });
  model.begin(operation, number);
  model.returned(operation);
}

// ---- what to do next ----

function newPath() {
  const folder = below(3) === 0 ? '' : (oneOf(pathsOf('folder')) ?? '');
  return join(folder, `n${made++}`);
}

/** @returns {{ path: string, file: number } | undefined} */
function anyFile() {
  const path = oneOf(pathsOf('file'));
  const node = path === undefined ? undefined : model.nodes.get(path);
  return path !== undefined && node?.kind === 'file' ? { path, file: node.file } : undefined;
}

/** Lengths as files have them: mostly small, some inside the inode, some of many blocks. */
function someCells() {
  const kind = below(10);
  if (kind < 4) return 1 + below(5);
  if (kind < 8) return 1 + below(130);
  return 1 + below(2500);
}

/**
 * @param {{ path: string, file: number }} named
 * @param {'write' | 'dsync-write'} op
 * @returns {Operation}
 */
function writeTo(named, op) {
  const size = model.file(named.file).cells.length;
  const kind = below(4);
  const at = kind === 0 ? size : kind === 1 ? below(size + 1) : kind === 2 ? 0 : below(size + 200);
  const first = Math.min(at, MOST_CELLS);
  return { op, ...named, at: first, cells: Math.min(someCells(), MOST_CELLS - first + 1) };
}

/**
 * Write a new file beside, make it durable, put it in the old one's place, make that durable.
 * @param {string} target
 */
function replace(target) {
  const path = newPath();
  const file = ++made;
  perform({ op: 'create', path, file });
  perform({ op: 'write', path, file, at: 0, cells: someCells() });
  perform({ op: below(2) ? 'fsync' : 'fdatasync', path, file });
  perform({ op: 'rename', path, to: target });
  if (below(2)) perform({ op: 'fsyncdir', path: dirname(target) });
}

function isEmpty(/** @type {string} */ folder) {
  return ![...model.nodes.keys()].some((path) => path.startsWith(`${folder}/`));
}

function takeAway() {
  const symlink = oneOf(pathsOf('symlink'));
  const file = anyFile();
  if (symlink !== undefined && below(4) === 0) perform({ op: 'unlink', path: symlink });
  else if (file) {
    perform({ op: 'unlink', path: file.path });
    if (below(3) === 0) forgetDescriptor(file.file);
  }
  const folder = oneOf(pathsOf('folder').filter(isEmpty));
  if (folder !== undefined && below(3) === 0) perform({ op: 'rmdir', path: folder });
}

/** @param {number} file */
function forgetDescriptor(file) {
  const descriptor = descriptors.get(file);
  if (descriptor === undefined) return;
  descriptors.delete(file);
  closeSync(descriptor);
}

function makeSomething() {
  const kind = below(8);
  const file = anyFile();
  if (kind === 0 && pathsOf('folder').length < MOST_FOLDERS) perform({ op: 'mkdir', path: newPath() });
  else if (kind === 1)
    perform({ op: 'symlink', path: newPath(), to: `${tag}/${'x'.repeat(below(400))}${made++}` });
  else if (kind === 2 && file) perform({ op: 'link', path: file.path, to: newPath() });
  else perform({ op: 'create', path: newPath(), file: ++made });
}

function moveSomething() {
  const file = anyFile();
  const folder = oneOf(pathsOf('folder'));
  if (folder !== undefined && below(4) === 0) perform({ op: 'rename', path: folder, to: `d${made++}` });
  else if (file) perform({ op: 'rename', path: file.path, to: newPath() });
}

function syncSomething() {
  const file = anyFile();
  const kind = below(10);
  if (kind === 0) perform({ op: 'syncfs', path: '' });
  else if (kind < 4 || !file) perform({ op: 'fsyncdir', path: oneOf(pathsOf('folder')) ?? '' });
  else if (kind < 7) perform({ op: 'fsync', ...file });
  else if (kind < 9) perform({ op: 'fdatasync', ...file });
  else perform(writeTo(file, 'dsync-write'));
}

function step() {
  const file = anyFile();
  const cells = [...model.nodes.values()].reduce(
    (sum, node) => sum + (node.kind === 'file' ? model.file(node.file).cells.length : 0),
    0,
  );
  if (pathsOf('file').length > MOST_FILES || cells > MOST_CELLS_IN_ALL) return takeAway();
  const kind = below(20);
  if (kind < 4 || !file) makeSomething();
  else if (kind < 10) perform(writeTo(file, 'write'));
  else if (kind < 11)
    perform({
      op: 'truncate',
      ...file,
      cells: below(2) ? below(model.file(file.file).cells.length + 1) : someCells(),
    });
  else if (kind < 13) moveSomething();
  else if (kind < 14) takeAway();
  else if (kind < 16) replace(below(2) ? file.path : newPath());
  else syncSomething();
}

try {
  for (;;) step();
} catch (thrown) {
  note({ error: /** @type {NodeJS.ErrnoException} */ (thrown).code ?? String(thrown) });
}
