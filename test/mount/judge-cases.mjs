// @ts-check
/**
 * Trees with one thing wrong each, for the judge of the kill cycles: whether it would see a loss.
 * Run by killed.test.ts.
 */
import { strict as assert } from 'node:assert';
import { judge } from '../../scripts/kill-cycles/judge.mjs';
import { CELL_BYTES, cellText } from '../../scripts/kill-cycles/model.mjs';

/** @typedef {import('../../scripts/kill-cycles/judge.mjs').Found} Found */

const TAG = 't';
const operations = [
  { op: 'mkdir', path: 'd' }, // 1
  { op: 'create', path: 'd/a', file: 1 }, // 2
  { op: 'write', path: 'd/a', file: 1, at: 0, cells: 3 }, // 3
  { op: 'fsync', path: 'd/a', file: 1 }, // 4
  { op: 'write', path: 'd/a', file: 1, at: 1, cells: 3 }, // 5
  { op: 'create', path: 'b', file: 2 }, // 6
  { op: 'write', path: 'b', file: 2, at: 0, cells: 1 }, // 7
  { op: 'rename', path: 'b', to: 'c' }, // 8
];

/** @param {number} returned @param {string} [error] */
function logOf(returned, error) {
  const lines = operations.flatMap((begin, index) => [
    { begin },
    ...(index < returned ? [{ end: index + 1 }] : []),
  ]);
  return [...lines, ...(error ? [{ error }] : [])].map((line) => `${JSON.stringify(line)}\n`).join('');
}

/**
 * A file of cells given as versions; 0 is a hole.
 * @param {number} file
 * @param {number[]} versions
 * @returns {Found}
 */
function fileOf(file, versions, { links = 1, inode = file } = {}) {
  const cells = versions.map((version, at) =>
    version === 0 ? '\0'.repeat(CELL_BYTES) : cellText(TAG, file, version, at),
  );
  return { kind: 'file', inode, links, bytes: Buffer.from(cells.join(''), 'latin1') };
}

/** @type {Found} */
const folder = { kind: 'folder' };
const log = logOf(7, 'ENOTCONN');

/**
 * @type {[what: string, log: string, tree: Record<string, Found>, expected: RegExp | undefined][]}
 */
const cases = [
  ['all of it', log, { d: folder, 'd/a': fileOf(1, [3, 5, 5, 5]), c: fileOf(2, [7]) }, undefined],
  ['before the rename', log, { d: folder, 'd/a': fileOf(1, [3, 3, 5, 5]), b: fileOf(2, []) }, undefined],
  ['what was durable, no more', log, { d: folder, 'd/a': fileOf(1, [3, 3, 3]) }, undefined],
  [
    'a hole where nothing was durable',
    log,
    { d: folder, 'd/a': fileOf(1, [3, 3, 3, 0]), c: fileOf(2, [0]) },
    undefined,
  ],
  ['the name lost', log, { d: folder }, /no state of the names/],
  ['the folder lost', log, {}, /no state of the names/],
  [
    'both names of the rename',
    log,
    { d: folder, 'd/a': fileOf(1, [3, 3, 3]), b: fileOf(2, []), c: fileOf(2, []) },
    /no state/,
  ],
  [
    'a name from nowhere',
    log,
    { d: folder, 'd/a': fileOf(1, [3, 3, 3]), x: fileOf(9, []) },
    /no state of the names/,
  ],
  ['a durable cell as a hole', log, { d: folder, 'd/a': fileOf(1, [0, 3, 3]) }, /zeros in cell 0/],
  ['durable cells cut off', log, { d: folder, 'd/a': fileOf(1, [3]) }, /ends after 1 cells, but cell 1/],
  [
    'a version that was never written there',
    log,
    { d: folder, 'd/a': fileOf(1, [5, 3, 3]) },
    /cell 0 is of operation 5/,
  ],
  ['bytes of another file', log, { d: folder, 'd/a': fileOf(2, [3, 3, 3], { inode: 1 }) }, /foreign bytes/],
  [
    'bytes of another place',
    log,
    {
      d: folder,
      'd/a': {
        ...fileOf(1, []),
        bytes: Buffer.from([0, 2, 2].map((at) => cellText(TAG, 1, 3, at)).join('')),
      },
    },
    /foreign bytes in cell 1/,
  ],
  [
    'half a cell',
    log,
    {
      d: folder,
      'd/a': { ...fileOf(1, []), bytes: Buffer.from(cellText(TAG, 1, 3, 0).repeat(4)).subarray(0, 200) },
    },
    /no whole number of cells/,
  ],
  [
    'a link count that is wrong',
    log,
    { d: folder, 'd/a': fileOf(1, [3, 3, 3], { links: 2 }) },
    /2 links, but 1 names/,
  ],
  [
    'an error that death does not explain',
    logOf(7, 'ENOENT'),
    { d: folder, 'd/a': fileOf(1, [3, 3, 3]) },
    /ended with ENOENT/,
  ],
  [
    'an old version after it was made durable',
    `${logOf(8)}{"begin":{"op":"syncfs","path":""}}\n{"end":9}\n`,
    { d: folder, 'd/a': fileOf(1, [3, 3, 5, 5]), c: fileOf(2, [7]) },
    /cell 1 is of operation 3/,
  ],
];

for (const [what, text, tree, expected] of cases) {
  const { violations } = judge(TAG, text, new Map(Object.entries(tree)));
  if (expected === undefined) assert.deepEqual(violations, [], what);
  else assert.match(violations.join('\n'), expected, what);
}
console.log(`${cases.length} cases as expected`);
