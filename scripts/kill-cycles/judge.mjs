// @ts-check
/**
 * Compares a tree found after a crash with the log of its writer. Pure: the tree comes as data, so
 * that tests can hand over bad ones.
 */
import { CELL_BYTES, parseCell, signatureOf, TreeModel, ZERO } from './model.mjs';

/**
 * @typedef {import('./model.mjs').Operation} Operation
 * @typedef {{ kind: 'folder' } | { kind: 'symlink', to: string } | { kind: 'file', inode: number,
 * links: number, bytes: Uint8Array }} Found
 * @typedef {{ violations: string[], acknowledged: number, cells: number, operations: number }}
 * Verdict
 */

/** Errors that a call ends with when the daemon dies. A write may have filled some pages before. */
const DEATH = new Set(['ENOTCONN', 'ECONNABORTED', 'EIO', 'SHORT']);
const MOST_VIOLATIONS = 20;

/**
 * Reads the lines of a log. A last line that is cut off is not there.
 * @param {string} log
 * @returns {{ operations: Operation[], returned: number, error: { code: string, operation:
 * Operation } | undefined }} the operations begun, how
 *   many of them returned, and what the one after those ended with
 */
export function readLog(log) {
  /** @type {Operation[]} */
  const operations = [];
  let returned = 0;
  let error;
  for (const line of log.slice(0, log.lastIndexOf('\n') + 1).split('\n')) {
    if (line === '') continue;
    const entry = JSON.parse(line);
    if (entry.begin !== undefined) operations.push(entry.begin);
    else if (entry.end !== undefined) returned = entry.end;
    else if (entry.error !== undefined)
      error = { code: entry.error, operation: /** @type {Operation} */ (operations.at(-1)) };
  }
  return { operations, returned, error };
}

/**
 * Operations are numbered from 1.
 * @param {string} tag of the writer's cells
 * @param {string} log @param {Map<string, Found>} tree by path relative to the writer's directory
 * @returns {Verdict}
 */
export function judge(tag, log, tree) {
  const { operations, returned, error } = readLog(log);
  const model = new TreeModel();
  /** @type {string[]} */
  const violations = [];
  if (error && !DEATH.has(error.code)) {
    violations.push(
      `operation ${operations.length} ${JSON.stringify(error.operation)} ended with ${error.code}`,
    );
  }
  const found = signatureOf([...tree].map(([path, node]) => [path, describe(node)]));
  const { candidates, durable, last } = perform(model, operations, returned, found);
  const verdict = { violations, acknowledged: model.acknowledged, cells: 0, operations: operations.length };
  if (candidates.length === 0) {
    violations.push(
      `no state of the names from operation ${durable} to ${operations.length} is what is there`,
    );
    violations.push(...differences(last, found));
    return verdict;
  }
  // Equal names may be other files: one that was made again under its old name. Any state in which
  // all is right will do.
  const tried = candidates.map((names) => judgeFiles(tag, names, model, tree));
  const best =
    tried.find(({ wrong }) => wrong.length === 0) ?? /** @type {(typeof tried)[0]} */ (tried.at(-1));
  verdict.cells = best.cells;
  violations.push(...best.wrong);
  judgeLinks(tree, violations);
  violations.length = Math.min(violations.length, MOST_VIOLATIONS);
  return verdict;
}

/**
 * Performs the log, and keeps each state of the names since the last durable one that looks like
 * what was found.
 * @param {TreeModel} model @param {Operation[]} operations @param {number} returned @param {string}
 * found
 */
function perform(model, operations, returned, found) {
  /** @type {Map<string, import('./model.mjs').Node>[]} */
  let candidates = [];
  let durable = 0;
  let last = model.signature();
  if (last === found) candidates.push(new Map(model.nodes));
  operations.forEach((operation, index) => {
    const number = index + 1;
    model.begin(operation, number);
    const changed = NAME_CHANGES.has(operation.op);
    if (changed) last = model.signature();
    const synced = number <= returned && model.returned(operation);
    if (synced) {
      durable = number;
      candidates = [];
    }
    if (last === found && (changed || synced)) candidates.push(new Map(model.nodes));
  });
  return { candidates, durable, last };
}

/**
 * @param {string} tag @param {Map<string, import('./model.mjs').Node>} names @param {TreeModel}
 * model @param {Map<string, Found>} tree
 */
function judgeFiles(tag, names, model, tree) {
  /** @type {string[]} */
  const wrong = [];
  let cells = 0;
  for (const [path, node] of names) {
    const there = tree.get(path);
    if (node.kind !== 'file' || there?.kind !== 'file') continue;
    cells += judgeFile(tag, path, node.file, model, there, wrong);
  }
  return { wrong, cells };
}

const NAME_CHANGES = new Set(['mkdir', 'rmdir', 'create', 'symlink', 'link', 'rename', 'unlink']);

/** @param {Found} node */
function describe(node) {
  if (node.kind === 'file') return `file ${node.inode}`;
  return node.kind === 'symlink' ? `symlink to ${node.to}` : 'folder';
}

/** @param {string} wanted @param {string} found */
function differences(wanted, found) {
  const [wantedLines, foundLines] = [wanted.split('\n'), found.split('\n')];
  const missing = wantedLines
    .filter((line) => !foundLines.includes(line))
    .map((line) => `  not there: ${line}`);
  const surplus = foundLines
    .filter((line) => !wantedLines.includes(line))
    .map((line) => `  not known: ${line}`);
  return [...missing, ...surplus].slice(0, MOST_VIOLATIONS);
}

/**
 * @param {string} tag @param {string} path @param {number} file @param {TreeModel} model
 * @param {Found & { kind: 'file' }} there @param {string[]} violations
 * @returns {number} cells looked at
 */
function judgeFile(tag, path, file, model, { bytes }, violations) {
  const expected = model.file(file);
  const say = (/** @type {string} */ what) => violations.push(`${path} (file ${file}): ${what}`);
  if (bytes.length % CELL_BYTES !== 0) say(`${bytes.length} bytes are no whole number of cells`);
  const count = Math.floor(bytes.length / CELL_BYTES);
  for (let at = 0; at < count; at++) {
    const raw = bytes.subarray(at * CELL_BYTES, (at + 1) * CELL_BYTES);
    if (raw.every((byte) => byte === 0)) {
      if (!expected.allows(at, ZERO))
        say(
          `zeros in cell ${at}, which holds ${expected.cells[at]} and was never a hole since it was durable`,
        );
      continue;
    }
    const text = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('latin1');
    const cell = parseCell(text);
    if (!cell || cell.tag !== tag || cell.file !== file || cell.at !== at)
      say(`foreign bytes in cell ${at}: ${JSON.stringify(text)}`);
    else if (!expected.allows(at, cell.version))
      say(`cell ${at} is of operation ${cell.version}; the writer's last is ${expected.cells[at]}`);
  }
  const needed = expected.firstNeeded(count);
  if (needed >= 0) say(`ends after ${count} cells, but cell ${needed} was durable`);
  return count;
}

/** @param {Map<string, Found>} tree @param {string[]} violations */
function judgeLinks(tree, violations) {
  /** @type {Map<number, number>} */
  const names = new Map();
  for (const node of tree.values())
    if (node.kind === 'file') names.set(node.inode, (names.get(node.inode) ?? 0) + 1);
  for (const [path, node] of tree) {
    if (node.kind === 'file' && node.links !== names.get(node.inode)) {
      violations.push(`${path}: ${node.links} links, but ${names.get(node.inode)} names`);
    }
  }
}
