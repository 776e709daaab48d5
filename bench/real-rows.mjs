// @ts-check
/**
 * Real work: what programs do all day, in seconds, each on a filesystem freshly made and mounted.
 *
 * A group is a sequence on one mount; each row of it is timed by itself. Targets are times over
 * ext4's in the same run, for Quarry.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dropCaches, isInstalled, run } from './machine.mjs';

/**
 * @typedef {object} RealPlace
 * @property {string} directory where the filesystem is mounted
 * @property {() => Promise<void>} remount unmounts, drops all caches, mounts
 * @property {Sources} sources
 *
 * @typedef {object} Sources in memory
 * @property {string} folder
 * @property {string} tree
 * @property {string} archive the tree as a tar file
 * @property {string} repository a bare one of the tree, with branches `one` and `two`
 * @property {string} names the compiled helper
 *
 * @typedef {object} RealRow
 * @property {string} name
 * @property {string} says
 * @property {number} [most] times ext4's seconds
 * @property {boolean} [perSecond] more is better: transactions per second
 *
 * @typedef {object} RealGroup
 * @property {RealRow[]} rows
 * @property {string[]} needs programs
 * @property {(place: RealPlace) => Promise<Record<string, number>>} measure
 */

const APPENDS = 20_000;
const COMMITS = 2000;
const BULK_ROWS = 200_000;
const SECONDS_OF_PGBENCH = 10;

/**
 * @param {string} script for sh, which has the words as $1, $2, …
 * @param {...string} words
 * @returns {Promise<number>} seconds
 */
async function time(script, ...words) {
  const start = performance.now();
  await run('sh', ['-c', script, 'sh', ...words]);
  return (performance.now() - start) / 1000;
}

/** @type {RealGroup[]} */
export const REAL_GROUPS = [
  {
    needs: ['tar'],
    rows: [
      { name: 'tar x', says: 'unpack the tree, and sync', most: 2.0 },
      { name: 'cp -a', says: 'copy it within the mount, and sync', most: 2.0 },
      { name: 'find, cold', says: 'find -newer, nothing cached', most: 1.5 },
      { name: 'grep, cold', says: 'grep -r, nothing cached', most: 1.5 },
      { name: 'grep, warm', says: 'the same again', most: 1.3 },
      { name: 'du, warm', says: 'du -s', most: 2.0 },
      { name: 'rm -rf', says: 'all of it', most: 1.7 },
    ],
    measure: measureTree,
  },
  {
    needs: ['git'],
    rows: [
      { name: 'git clone', says: 'of a local repository, by its protocol', most: 2.2 },
      { name: 'git status', says: 'right after', most: 1.1 },
      { name: 'git switch', says: 'to a branch that differs in a quarter of the files, and back', most: 2.0 },
    ],
    measure: measureGit,
  },
  {
    needs: ['rsync'],
    rows: [
      { name: 'rsync -a', says: 'the tree into the mount', most: 3.0 },
      { name: 'rsync again', says: 'nothing to do', most: 1.5 },
    ],
    measure: measureRsync,
  },
  {
    needs: ['sqlite3'],
    rows: [
      { name: 'sqlite commits', says: `${COMMITS} transactions of one row, WAL`, most: 1.4 },
      { name: 'sqlite bulk', says: `${BULK_ROWS} rows in one transaction`, most: 1.1 },
    ],
    measure: measureSqlite,
  },
  {
    needs: ['fio'],
    rows: [{ name: 'random 8K', says: '4 jobs, buffered, half writes, fsync every 64', most: 1.5 }],
    measure: measureRandom,
  },
  {
    needs: [],
    rows: [{ name: 'appends', says: `${APPENDS} of 120 bytes`, most: 1.1 }],
    measure: async ({ directory, sources }) => ({
      appends: Number(await run(sources.names, ['append', directory, String(APPENDS), '120'])),
    }),
  },
  {
    needs: ['pgbench'],
    rows: [{ name: 'pgbench', says: 'transactions per second, 4 clients', most: 1 / 0.85, perSecond: true }],
    measure: measurePostgres,
  },
];

export const REAL_ROWS = REAL_GROUPS.flatMap(({ rows }) => rows);

/**
 * The archive and the repository, of the tree.
 * @param {string} folder
 * @param {string} tree
 * @param {string} names
 * @returns {Promise<Sources>}
 */
export async function prepareSources(folder, tree, names) {
  const archive = join(folder, 'tree.tar');
  await run('tar', ['-C', folder, '-cf', archive, 'tree']);
  const repository = join(folder, 'repository.git');
  if (isInstalled('git')) await makeRepository(join(folder, 'work'), tree, repository);
  return { folder, tree, archive, repository, names };
}

/**
 * @param {string} work
 * @param {string} tree
 * @param {string} repository
 */
async function makeRepository(work, tree, repository) {
  cpSync(tree, work, { recursive: true, verbatimSymlinks: true });
  const git = 'git -c user.name=bench -c user.email=bench@localhost -c gc.auto=0';
  await run('sh', [
    '-c',
    `cd "$1" && git init -q -b one && ${git} add -A && ${git} commit -q -m one && git switch -q -c two &&
      git ls-files -s | awk -F'\\t' '/^100/ && NR % 4 == 0 {print $2}' | while read -r name; do
        echo changed >> "$name"
      done 2> /dev/null; ${git} commit -q -a -m two && git switch -q one && git clone -q --bare . "$2" && rm -rf "$1"`,
    'sh',
    work,
    repository,
  ]);
}

/** @param {RealPlace} place */
async function measureTree({ directory, remount, sources }) {
  const unpacked = await time('tar -C "$1" -xf "$2" && sync -f "$1"', directory, sources.archive);
  const copied = await time('cp -a "$1/tree" "$1/copy" && sync -f "$1"', directory);
  await remount();
  const found = await time('find "$1/tree" -newer /etc/passwd > /dev/null', directory);
  await dropCaches();
  const grep = 'grep -r "no such text anywhere" "$1/tree" > /dev/null || true';
  const cold = await time(grep, directory);
  const warm = await time(grep, directory);
  const counted = await time('du -s "$1/tree" > /dev/null', directory);
  const removed = await time('rm -rf "$1/tree" "$1/copy"', directory);
  return {
    'tar x': unpacked,
    'cp -a': copied,
    'find, cold': found,
    'grep, cold': cold,
    'grep, warm': warm,
    'du, warm': counted,
    'rm -rf': removed,
  };
}

/** @param {RealPlace} place */
async function measureGit({ directory, sources }) {
  const clone = await time('git clone -q --no-local "$2" "$1/clone"', directory, sources.repository);
  const status = await time('cd "$1/clone" && git status > /dev/null', directory);
  const change = await time('cd "$1/clone" && git switch -q two && git switch -q one', directory);
  return { 'git clone': clone, 'git status': status, 'git switch': change };
}

/** @param {RealPlace} place */
async function measureRsync({ directory, sources }) {
  const copy = 'rsync -a "$2" "$1/"';
  const first = await time(copy, directory, sources.tree);
  const again = await time(copy, directory, sources.tree);
  return { 'rsync -a': first, 'rsync again': again };
}

/** @param {RealPlace} place */
async function measureSqlite({ directory, sources }) {
  const commits = join(sources.folder, 'commits.sql');
  const insert = (/** @type {number} */ i) => `INSERT INTO t VALUES(${i}, 'some text of a row, ${i}');\n`;
  const head = 'PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);\n';
  if (!existsSync(commits)) {
    writeFileSync(commits, head + Array.from({ length: COMMITS }, (_, i) => insert(i)).join(''));
    const rows = Array.from({ length: BULK_ROWS }, (_, i) => insert(i)).join('');
    writeFileSync(join(sources.folder, 'bulk.sql'), `${head}BEGIN;\n${rows}COMMIT;\n`);
  }
  const work = 'sqlite3 "$1/$3.db" < "$2/$3.sql" > /dev/null';
  const small = await time(work, directory, sources.folder, 'commits');
  const bulk = await time(work, directory, sources.folder, 'bulk');
  return { 'sqlite commits': small, 'sqlite bulk': bulk };
}

/** @param {RealPlace} place */
async function measureRandom({ directory }) {
  const words = ['--name=random', `--directory=${directory}`, '--size=32m', '--rw=randrw', '--bs=8k'];
  words.push('--ioengine=psync', '--fsync=64', '--numjobs=4', '--group_reporting', '--output-format=json');
  const output = await run('fio', words);
  const [job] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
  return { 'random 8K': job.job_runtime / 1000 / 4 };
}

/** Where Debian keeps the server's programs. */
function postgresFolder() {
  const root = '/usr/lib/postgresql';
  const [version] = existsSync(root) ? readdirSync(root).sort().reverse() : [];
  return version === undefined ? undefined : join(root, version, 'bin');
}

/** The server lives in the mount, its socket beside it. @param {RealPlace} place */
async function measurePostgres({ directory, sources }) {
  const programs = postgresFolder();
  if (programs === undefined) return {};
  const socket = join(sources.folder, 'socket');
  mkdirSync(socket, { recursive: true });
  for (const folder of [sources.folder, socket]) chmodSync(folder, 0o777);
  chmodSync(directory, 0o777);
  const data = join(directory, 'data');
  const asPostgres = (/** @type {string} */ script) =>
    run('runuser', ['-u', 'postgres', '--', 'sh', '-c', script, 'sh', programs, data, socket]);
  await asPostgres('"$1/initdb" -D "$2" -A trust > /dev/null');
  const options = `-c listen_addresses= -c unix_socket_directories=${socket}`;
  await asPostgres(`"$1/pg_ctl" -D "$2" -l "$3/log" -w -o '${options}' start > /dev/null`);
  try {
    await asPostgres('"$1/pgbench" -h "$3" -i -q -s 5 postgres > /dev/null 2>&1');
    const said = await asPostgres(
      `"$1/pgbench" -h "$3" -c 4 -j 2 -T ${SECONDS_OF_PGBENCH} postgres 2> /dev/null`,
    );
    return { pgbench: Number(/tps = ([\d.]+)/.exec(said)?.[1]) };
  } catch (error) {
    const log = readFileSync(join(socket, 'log'), 'utf8').slice(-300);
    throw new Error(`${error instanceof Error ? error.message : error}; the server said: ${log}`);
  } finally {
    await asPostgres('"$1/pg_ctl" -D "$2" -m immediate -w stop > /dev/null');
  }
}
