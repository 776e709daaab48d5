// @ts-check
/**
 * The rows: what is measured, in which unit, and how.
 *
 * Rows that need the same preparation form a group. A group gets a place with a freshly made,
 * freshly mounted filesystem, and answers with one number per row; bigger is better in all of them.
 * `place.remount()` unmounts, drops the caches and mounts again.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { dropCaches, run } from './machine.mjs';

const MIB = 1024 * 1024;

/**
 * @typedef {object} Place
 * @property {string} directory where the filesystem is mounted
 * @property {string} device
 * @property {boolean} hasFiles
 * @property {() => Promise<void>} remount
 * @property {string} names the compiled helper
 * @property {string} tree the tree that is copied
 * @property {number} treeFiles
 * @property {Sizes} sizes
 *
 * @typedef {object} Sizes
 * @property {number} names files made in one directory
 * @property {number} streamBytes
 * @property {number} directBytes
 * @property {number} directSeconds length of one fio run
 *
 * @typedef {object} Row
 * @property {string} name
 * @property {string} unit
 * @property {string} says
 *
 * @typedef {object} Group
 * @property {boolean} needsFiles
 * @property {Row[]} rows
 * @property {(place: Place, wanted: Set<string>) => Promise<Record<string, number>>} measure
 */

/** @type {Group[]} */
export const GROUPS = [
  {
    needsFiles: true,
    rows: [
      { name: 'create', unit: 'files/s', says: 'empty files in one directory' },
      { name: 'stat', unit: 'files/s', says: 'lstat of each, right after' },
      { name: 'stat-missing', unit: 'names/s', says: 'lstat of names that are not there, each once' },
      { name: 'stat-cold', unit: 'files/s', says: 'lstat of each after drop_caches' },
      { name: 'unlink', unit: 'files/s', says: 'of each' },
    ],
    measure: measureNames,
  },
  {
    needsFiles: true,
    rows: [{ name: 'create-4k', unit: 'files/s', says: 'files of 4 KiB in one directory' }],
    measure: async (place) => ({ 'create-4k': await names(place, 'create', makeDirectory(place), 4096) }),
  },
  {
    needsFiles: true,
    rows: [
      { name: 'cp', unit: 'files/s', says: 'cp -a of a real tree' },
      { name: 'cp-sync', unit: 'files/s', says: 'the same with the sync after it: until all is on disk' },
    ],
    measure: measureCopy,
  },
  {
    needsFiles: true,
    rows: [
      { name: 'write', unit: 'MB/s', says: 'dd bs=1M conv=fsync' },
      { name: 'read', unit: 'MB/s', says: 'dd bs=1M after a remount and drop_caches' },
    ],
    measure: measureStream,
  },
  {
    needsFiles: false,
    rows: [
      { name: 'randread-1', unit: 'IOPS', says: 'direct, 4 KiB, depth 1' },
      { name: 'randread-32', unit: 'IOPS', says: 'direct, 4 KiB, depth 32' },
      { name: 'randwrite-1', unit: 'IOPS', says: 'direct, 4 KiB, depth 1' },
      { name: 'randwrite-32', unit: 'IOPS', says: 'direct, 4 KiB, depth 32' },
      { name: 'read-1m', unit: 'MB/s', says: 'direct, 1 MiB, depth 4' },
      { name: 'write-1m', unit: 'MB/s', says: 'direct, 1 MiB, depth 4' },
    ],
    measure: measureDirect,
  },
  {
    needsFiles: true,
    rows: [
      { name: 'fsync-1', unit: 'writes/s', says: '4 KiB written at random and fsynced, by one process' },
      { name: 'fsync-16', unit: 'writes/s', says: 'the same by 16 processes, each in a file of its own' },
    ],
    measure: measureFsync,
  },
];

export const ROWS = GROUPS.flatMap((group) => group.rows);

/** @param {Place} place */
function makeDirectory(place) {
  const directory = join(place.directory, 'names');
  mkdirSync(directory, { recursive: true });
  return directory;
}

/**
 * @param {Place} place
 * @param {string} action
 * @param {string} directory
 * @param {number} [bytes]
 * @returns {Promise<number>} names per second
 */
async function names(place, action, directory, bytes = 0) {
  const count = place.sizes.names;
  const seconds = Number(await run(place.names, [action, directory, String(count), String(bytes)]));
  return count / seconds;
}

/** @param {Place} place */
async function measureNames(place) {
  const directory = makeDirectory(place);
  const create = await names(place, 'create', directory);
  const stat = await names(place, 'stat', directory);
  const missing = await names(place, 'missing', directory);
  await dropCaches();
  const cold = await names(place, 'stat', directory);
  const unlink = await names(place, 'unlink', directory);
  return { create, stat, 'stat-missing': missing, 'stat-cold': cold, unlink };
}

/** @param {Place} place */
async function measureCopy(place) {
  const start = performance.now();
  await run('cp', ['-a', place.tree, join(place.directory, 'tree')]);
  const copied = performance.now();
  await run('sync', ['-f', place.directory]);
  const perSecond = (/** @type {number} */ end) => place.treeFiles / ((end - start) / 1000);
  return { cp: perSecond(copied), 'cp-sync': perSecond(performance.now()) };
}

/** @param {Place} place @param {Set<string>} wanted */
async function measureStream(place, wanted) {
  const file = join(place.directory, 'stream');
  const megabytes = place.sizes.streamBytes / MIB;
  const write = await timeBytes(place.sizes.streamBytes, () =>
    run('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M', `count=${megabytes}`, 'conv=fsync']),
  );
  if (!wanted.has('read')) return { write };
  await place.remount();
  const read = await timeBytes(place.sizes.streamBytes, () =>
    run('dd', [`if=${file}`, 'of=/dev/null', 'bs=1M']),
  );
  return { write, read };
}

/**
 * @param {number} bytes
 * @param {() => Promise<unknown>} action
 * @returns {Promise<number>} 10^6 bytes per second
 */
async function timeBytes(bytes, action) {
  const start = performance.now();
  await action();
  return bytes / 1e6 / ((performance.now() - start) / 1000);
}

/** @param {Place} place @param {Set<string>} wanted */
async function measureDirect(place, wanted) {
  const file = place.hasFiles ? join(place.directory, 'direct') : place.device;
  const megabytes = place.sizes.directBytes / MIB;
  if (place.hasFiles) {
    await run('dd', ['if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${megabytes}`, 'conv=fsync']);
    await place.remount();
  } else {
    await run('dd', ['if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${megabytes}`, 'oflag=direct']);
  }
  /** @type {Record<string, number>} */
  const result = {};
  for (const [row, how, block, depth] of /** @type {const} */ ([
    ['randread-1', 'randread', '4k', 1],
    ['randread-32', 'randread', '4k', 32],
    ['randwrite-1', 'randwrite', '4k', 1],
    ['randwrite-32', 'randwrite', '4k', 32],
    ['read-1m', 'read', '1m', 4],
    ['write-1m', 'write', '1m', 4],
  ])) {
    if (!wanted.has(row)) continue;
    const job = await fio(place, file, how, block, depth);
    result[row] = block === '4k' ? job.iops : job.bw_bytes / 1e6;
  }
  return result;
}

/** @param {Place} place @param {Set<string>} wanted */
async function measureFsync(place, wanted) {
  /** @type {Record<string, number>} */
  const result = {};
  for (const processes of [1, 16]) {
    const row = `fsync-${processes}`;
    if (!wanted.has(row)) continue;
    const output = await run('fio', [
      '--name=fsync',
      `--directory=${place.directory}`,
      '--filename_format=fsync.$jobnum',
      '--size=16m',
      '--rw=randwrite',
      '--bs=4k',
      '--ioengine=psync',
      '--fsync=1',
      `--numjobs=${processes}`,
      '--time_based',
      `--runtime=${place.sizes.directSeconds}`,
      '--group_reporting',
      '--output-format=json',
    ]);
    result[row] = JSON.parse(output).jobs[0].write.iops;
  }
  return result;
}

/**
 * @param {Place} place
 * @param {string} file
 * @param {'randread' | 'randwrite' | 'read' | 'write'} how
 * @param {string} block
 * @param {number} depth
 * @returns {Promise<{ iops: number, bw_bytes: number }>}
 */
async function fio(place, file, how, block, depth) {
  const output = await run('fio', [
    '--name=direct',
    `--filename=${file}`,
    `--size=${place.sizes.directBytes}`,
    '--ioengine=libaio',
    '--direct=1',
    `--rw=${how}`,
    `--bs=${block}`,
    `--iodepth=${depth}`,
    '--time_based',
    `--runtime=${place.sizes.directSeconds}`,
    '--ramp_time=300ms',
    '--randseed=1',
    '--allow_file_create=0',
    '--output-format=json',
  ]);
  const [job] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
  if (job.error) throw new Error(`fio ${how} ${block} at depth ${depth}: error ${job.error}`);
  return how.endsWith('read') ? job.read : job.write;
}
