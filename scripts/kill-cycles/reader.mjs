// @ts-check
/**
 * Reads the trees of all writers of one cycle and judges them by their logs: `reader.mjs DIRECTORY
 * LOGS TAG WRITERS [EARLIER]`; prints a verdict of all as JSON, with a fingerprint of the trees,
 * and one of the directory EARLIER, which nobody has changed since. A process of its own, so that a
 * mount that hangs hangs nobody else.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { judge } from './judge.mjs';

/** @typedef {import('./judge.mjs').Found} Found */

/**
 * @param {string} directory @param {string} below path from there @param {Map<string, Found>} into
 */
function readTree(directory, below, into) {
  for (const name of readdirSync(join(directory, below))) {
    const path = join(below, name);
    const status = lstatSync(join(directory, path));
    if (status.isDirectory()) {
      into.set(path, { kind: 'folder' });
      readTree(directory, path, into);
    } else if (status.isSymbolicLink())
      into.set(path, { kind: 'symlink', to: readlinkSync(join(directory, path)) });
    else {
      const bytes = readFileSync(join(directory, path));
      into.set(path, { kind: 'file', inode: status.ino, links: status.nlink, bytes });
    }
  }
  return into;
}

/** @param {Map<string, Found>} tree */
function fingerprint(tree) {
  const hash = createHash('sha256');
  for (const [path, node] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const what =
      node.kind === 'file' ? `file ${node.inode} ${node.links} ${node.bytes.length}` : JSON.stringify(node);
    hash.update(`${path}\0${what}\0`);
    if (node.kind === 'file') hash.update(node.bytes);
  }
  return hash.digest('hex');
}

const [directory = '', logs = '', tag = '', writers = '0', earlier] = process.argv.slice(2);
const fingerprints = { now: fingerprint(readTree(directory, '', new Map())), earlier: '' };
if (earlier) fingerprints.earlier = fingerprint(readTree(earlier, '', new Map()));
const all = {
  fingerprints,
  acknowledged: 0,
  cells: 0,
  operations: 0,
  violations: /** @type {string[]} */ ([]),
};
for (let writer = 0; writer < Number(writers); writer++) {
  const name = `w${writer}`;
  const log = join(logs, `${tag}-${name}.log`);
  const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
  const verdict = judge(`${tag}${name}`, text, readTree(join(directory, name), '', new Map()));
  all.acknowledged += verdict.acknowledged;
  all.cells += verdict.cells;
  all.operations += verdict.operations;
  all.violations.push(...verdict.violations.map((what) => `${name}: ${what}`));
}
console.log(JSON.stringify(all));
