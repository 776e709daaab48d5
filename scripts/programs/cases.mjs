// @ts-check
/** The programs of programs.mjs: each works on a mount, and judges what is there afterwards. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../build.mjs';
import { PROGRAM_OF_32_BITS, RICH_TREE, SQLITE_WORK } from './material.mjs';
import { demand, Missing, need, run, shell } from './run.mjs';

/**
 * @typedef {{ directory: string, beside: string }} Place the mount, and a directory outside of it
 * @typedef {{ name: string, what: string, run(place: Place): Promise<string | undefined> }} Case
 */

const DEBIAN = 'http://deb.debian.org/debian';

/** The layers of a container: upper and work directory here, the lower one elsewhere. */
async function overlay({ directory, beside }) {
  await shell(`
    mkdir -p "${beside}/lower/dir/sub" "${directory}/upper" "${directory}/work" "${beside}/merged"
    for i in $(seq 200); do echo "$i" > "${beside}/lower/dir/$i"; done
    echo below > "${beside}/lower/changed"; echo below > "${beside}/lower/removed"
    mount -t overlay overlay "${beside}/merged" \\
      -o "lowerdir=${beside}/lower,upperdir=${directory}/upper,workdir=${directory}/work"
    trap 'umount "${beside}/merged"' EXIT
    cd "${beside}/merged"
    echo above >> changed; rm removed; mv dir/7 dir/seven; rm -r dir/sub; mkdir dir/sub
    touch dir/sub/new; chmod 700 dir; setfattr -n user.here -v there changed 2>/dev/null || true
    mkdir whole; for i in $(seq 500); do echo "$i" > "whole/$i"; done; mv whole renamed
    [ "$(cat changed)" = "$(printf 'below\\nabove')" ]; [ ! -e removed ]; [ -f dir/seven ]; [ ! -e dir/7 ]
    [ "$(ls dir/sub)" = new ]; [ "$(ls renamed | wc -l)" = 500 ]; [ "$(ls dir | wc -l)" = 201 ]
    [ -c "${directory}/upper/removed" ]
    cd /; umount "${beside}/merged"; trap - EXIT
    [ "$(cat "${beside}/lower/removed")" = below ]`);
  return undefined;
}

/** A whole system is installed, and started in as far as chroot does. */
async function debootstrap({ directory }) {
  await need('debootstrap');
  const system = join(directory, 'debian');
  await run('debootstrap', ['--variant=minbase', 'stable', system, DEBIAN]);
  await shell(`
    chroot "${system}" dpkg --audit
    chroot "${system}" dpkg --verify
    chroot "${system}" useradd -m someone
    chroot "${system}" su someone -c 'cd && echo mine > file && [ "$(stat -c %U file)" = someone ]'
    ! chroot "${system}" su someone -c 'cat /etc/shadow' 2>/dev/null
    chroot "${system}" apt-get install -y --no-install-recommends hello >/dev/null 2>&1
    chroot "${system}" hello >/dev/null`);
  return `${(await shell(`find "${system}" -xdev | wc -l`)).trim()} files`;
}

function postgresPrograms() {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : [];
  const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1);
  if (newest === undefined) throw new Missing('postgresql is not installed');
  return `/usr/lib/postgresql/${newest}/bin`;
}

/** A database loses its server in the midst of transactions, and comes back. */
async function postgresql({ directory, beside }) {
  const bin = postgresPrograms();
  await need('setpriv', 'pgbench');
  const data = join(directory, 'pg');
  const port = String(20_000 + (process.pid % 20_000));
  const ask = (/** @type {string} */ sql) => `psql -h "${beside}" -p ${port} -Atc "${sql}" postgres`;
  const script = `
    export PATH="${bin}:$PATH" LC_ALL=C
    start() { pg_ctl -D "${data}" -w -t 60 -l "${beside}/log" -o "-p ${port} -k '${beside}' -h ''" start >/dev/null 2>&1; }
    trap 'pg_ctl -D "${data}" -m immediate stop >/dev/null 2>&1 || true' EXIT
    initdb --data-checksums -D "${data}" >/dev/null
    start
    pgbench -h "${beside}" -p ${port} -q -i -s 5 postgres 2>/dev/null
    pgbench -h "${beside}" -p ${port} -c 4 -T 8 postgres 2>/dev/null | grep ^tps
    pgbench -h "${beside}" -p ${port} -n -c 4 -T 30 postgres >/dev/null 2>&1 &
    sleep 4
    kill -9 "$(head -1 "${data}/postmaster.pid")"
    wait || true
    # Its children see by themselves that it is gone; until then a new one refuses to begin.
    for i in $(seq 60); do start && break; sleep 1; done
    [ "$(${ask('SELECT sum(abalance) FROM pgbench_accounts')})" = "$(${ask('SELECT sum(delta) FROM pgbench_history')})" ]
    [ "$(${ask('SELECT sum(bbalance) FROM pgbench_branches')})" = "$(${ask('SELECT sum(delta) FROM pgbench_history')})" ]
    ${ask('SELECT count(*) FROM pgbench_history')} > "${beside}/count"
    pg_dump -h "${beside}" -p ${port} postgres > "${data}/dump.sql"
    pg_ctl -D "${data}" -w stop >/dev/null
    pg_checksums --check -D "${data}" | grep -q 'Bad checksums: *0'`;
  await shell(`chown postgres "${directory}" "${beside}"`);
  const args = ['--reuid=postgres', '--regid=postgres', '--init-groups', 'bash', '-c'];
  const told = await run('setpriv', [...args, `set -euo pipefail\n${script}`], { cwd: '/' });
  return told.trim();
}

/** Every object is made durable; then a clone, and all of it is read again. */
async function git({ directory }) {
  await need('git');
  const config = '-c core.fsync=all -c core.fsyncMethod=fsync -c user.name=q -c user.email=q@example.org';
  await shell(`
    git ${config} clone -q --no-hardlinks "${ROOT}" "${directory}/clone"
    cd "${directory}/clone"
    for i in 1 2 3 4 5; do
      for f in $(git ls-files | head -200); do echo "// $i" >> "$f"; done
      git ${config} commit -qam "change $i"
    done
    git checkout -q HEAD~3; git checkout -q -
    git ${config} gc -q --prune=now
    git fsck --full --strict 2>&1 | grep -v ^dangling || true
    git fsck --full >/dev/null
    [ -z "$(git status --porcelain)" ]
    git ${config} clone -q --no-local "${directory}/clone" "${directory}/again"
    [ "$(git -C "${directory}/again" rev-parse HEAD^{tree})" = "$(git rev-parse HEAD^{tree})" ]`);
  return undefined;
}

/** Its own speed test if the source can be had, and its own check of integrity. */
async function sqlite({ directory, beside }) {
  await need('sqlite3');
  for (const journal of ['delete', 'wal', 'truncate', 'persist']) {
    const file = join(directory, `${journal}.db`);
    const told = await run('sqlite3', [file], { input: `PRAGMA journal_mode=${journal};\n${SQLITE_WORK}` });
    demand(told.trim().endsWith('ok'), `${journal}: ${told}`);
  }
  const list = join(beside, 'sources.list');
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
  writeFileSync(list, `deb-src ${DEBIAN} ${suite} main\n`);
  const apt = `-o Dir::Etc::sourcelist=${list} -o Dir::Etc::sourceparts=- -o Dir::State::lists=${beside}/lists -o APT::Sandbox::User=root`;
  const built = shell(`
    mkdir -p "${beside}/lists/partial"; cd "${beside}"
    apt-get ${apt} update >/dev/null 2>&1
    apt-get ${apt} source --download-only sqlite3 >/dev/null 2>&1
    mkdir source; tar -C source --strip-components=1 -xf sqlite3_*.orig.tar.*
    cc -O2 -o speedtest1 source/test/speedtest1.c -lsqlite3 -lpthread -lm`);
  if (
    !(await built.then(
      () => true,
      () => false,
    ))
  )
    return 'without speedtest1, whose source could not be had';
  for (const journal of ['delete', 'wal']) {
    const file = join(directory, `speed-${journal}.db`);
    await run(join(beside, 'speedtest1'), ['--journal', journal, '--verify', '--size', '50', file]);
    const told = await run('sqlite3', [file, 'PRAGMA integrity_check']);
    demand(told.trim() === 'ok', told);
  }
  return 'with speedtest1';
}

/** There and back, with all that a file can have; a second run finds nothing to do. */
async function rsync({ directory, beside }) {
  await need('rsync', 'setfacl', 'setfattr', 'setcap');
  await shell(`mkdir "${beside}/from"; cd "${beside}/from"\n${RICH_TREE}`);
  await shell(`
    all='-aHAXS --numeric-ids --delete'
    same() { [ -z "$(rsync $all -nci --devices --specials "$1/" "$2/")" ]; }
    rsync $all "${beside}/from/" "${directory}/to/"; same "${beside}/from" "${directory}/to"
    rsync $all "${directory}/to/" "${beside}/back/"; same "${directory}/to" "${beside}/back"
    same "${beside}/from" "${beside}/back"
    rsync $all "${directory}/to/" "${directory}/within/"; same "${directory}/to" "${directory}/within"
    [ "$(stat -c %b "${directory}/to/sparse")" -lt 64 ]`);
  return undefined;
}

async function tar({ directory, beside }) {
  await need('tar', 'setfacl', 'setfattr', 'setcap');
  await shell(`mkdir "${directory}/from"; cd "${directory}/from"\n${RICH_TREE}`);
  await shell(`
    how='--acls --xattrs --xattrs-include=* --sparse --numeric-owner'
    tar $how -C "${directory}/from" -cf "${beside}/a.tar" .
    mkdir "${directory}/to"; tar $how -C "${directory}/to" -xpf "${beside}/a.tar"
    tar $how -C "${directory}/to" --compare -f "${beside}/a.tar"
    cd "${directory}/from"; getfattr -dhR -m - . > "${beside}/a"; getfacl -Rn . > "${beside}/a-acl"
    cd "${directory}/to"; getfattr -dhR -m - . > "${beside}/b"; getfacl -Rn . > "${beside}/b-acl"
    cmp "${beside}/a" "${beside}/b"; cmp "${beside}/a-acl" "${beside}/b-acl"
    [ "$(stat -c %b "${directory}/to/sparse")" -lt 64 ]`);
  return undefined;
}

/** This project is installed, compiled and run. */
async function npm({ directory }) {
  await need('git', 'npm');
  await shell(`
    git clone -q --no-hardlinks "${ROOT}" "${directory}/quarry"; cd "${directory}/quarry"
    npm ci --no-audit --no-fund --loglevel=error --cache "${directory}/cache" >/dev/null
    npm run -s build; node dist/cli/main.js --version >/dev/null
    npx vitest run test/unit/crash-states.test.ts >/dev/null`);
  return undefined;
}

/** Where inode numbers, offsets and cookies of directories have 32 bits. */
async function thirtyTwoBits({ directory, beside }) {
  await need('cc');
  const program = join(beside, 'narrow');
  writeFileSync(`${program}.c`, PROGRAM_OF_32_BITS);
  await run('cc', ['-m32', '-Wall', '-o', program, `${program}.c`]).catch(() => {
    throw new Missing('the compiler makes no programs of 32 bits (gcc-multilib)');
  });
  return (await run(program, [directory])).trim();
}

/** @type {readonly Case[]} */
export const CASES = [
  { name: 'overlay', what: 'an overlayfs with its upper and work directories here', run: overlay },
  { name: 'debootstrap', what: 'a Debian system, and programs in it by chroot', run: debootstrap },
  { name: 'postgresql', what: 'pgbench, SIGKILL, recovery; sums and checksums', run: postgresql },
  { name: 'git', what: 'clones and commits with core.fsync=all; git fsck', run: git },
  { name: 'sqlite', what: 'four journal modes, speedtest1; integrity_check', run: sqlite },
  { name: 'rsync', what: '-aHAXS there, back and within; compared with -c', run: rsync },
  { name: 'tar', what: '--acls --xattrs --sparse, out and in', run: tar },
  { name: 'npm', what: 'npm ci of this project, its build and a test of it', run: npm },
  { name: '32-bit', what: 'stat, readdir, telldir and seeks of a program of 32 bits', run: thirtyTwoBits },
];
