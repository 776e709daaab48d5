// @ts-check
/**
 * `npm run bare-root`: the two commands of the README in an empty system, to a mounted filesystem
 * and to passing tests.
 *
 *   npm run bare-root -- [--suite bookworm] [--base DIRECTORY] [--tests WORDS] [--log FILE] [--keep]
 *
 * The system is what debootstrap calls minbase, with the Node of this machine and nothing else; it
 * is made once in `--base` (/var/tmp/quarry-bare-SUITE) and never changed, since each run works in
 * a layer over it. The project is a clone of what is committed here. Three steps, each as a user
 * would go on from the one before:
 *
 *   node only            `npm install && npm start` says in a line what is missing, and makes nothing
 *   what it names        g++, make and python3 are installed; the same two commands mount a volume,
 *                        and Ctrl-C leaves it clean; then `npm install && npm test`
 *   somebody else        without fusermount3 a mount is refused in a line; with fuse3 it works
 *
 * `--tests` goes to `npm test` behind `--`; '' runs all of it. What a step said that went another way
 * is in `--log` (/var/tmp/quarry-bare-root.log). Takes root, debootstrap, git, overlay
 * filesystems, and a network for packages; some minutes. Exit status 1 if a step went another way.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './addon.mjs';

const MIRROR = 'http://deb.debian.org/debian';
/** Some of each kind: format, lint and types come before them; more takes tools no README can ask for. */
const TESTS = 'test/suite/volume-names.test.ts test/unit/name-hash.test.ts test/mount/files.test.ts';

/** @param {string} message @returns {never} */
function refuse(message) {
  console.error(`bare-root: ${message}`);
  process.exit(2);
}

function readOptions() {
  try {
    const text = /** @type {const} */ ({ type: 'string' });
    const flag = /** @type {const} */ ({ type: 'boolean' });
    const log = /** @type {const} */ ({ type: 'string', default: '/var/tmp/quarry-bare-root.log' });
    return parseArgs({ options: { suite: text, base: text, tests: text, log, keep: flag } }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} program */
function isThere(program) {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/**
 * Runs a program on this terminal; its failure ends this one.
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) refuse(`${command} ${args.join(' ')}: ${error?.message ?? `exit status ${status}`}`);
}

/** Node and npm of this machine, with the headers that an addon is compiled with. @param {string} root */
function installNode(root) {
  const prefix = dirname(dirname(process.execPath));
  const npm = join(prefix, 'lib/node_modules/npm');
  const headers = join(prefix, 'include/node');
  for (const path of [npm, headers]) if (!existsSync(path)) refuse(`${path} is not there`);
  const usr = join(root, 'usr/local');
  cpSync(process.execPath, join(usr, 'bin/node'));
  cpSync(npm, join(usr, 'lib/node_modules/npm'), { recursive: true });
  cpSync(headers, join(usr, 'include/node'), { recursive: true });
  for (const name of ['npm', 'npx']) {
    const program = `#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/${name}-cli.js "$@"\n`;
    writeFileSync(join(usr, 'bin', name), program, { mode: 0o755 });
  }
}

/** What the machine has for whoever speaks to the network. @param {string} root */
function copyNetwork(root) {
  cpSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'), { dereference: true });
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  if (existsSync(certificates)) {
    mkdirSync(join(root, 'etc/ssl/certs'), { recursive: true });
    cpSync(certificates, join(root, certificates), { dereference: true });
  }
}

const ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'LC_ALL=C.UTF-8',
  'npm_config_nodedir=/usr/local',
  'npm_config_update_notifier=false',
  'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt',
  'DEBIAN_FRONTEND=noninteractive',
];

/**
 * The script inside of the mount namespace: lays the system over `base`, and takes its commands
 * from standard input, one bash in the root for all.
 * @param {string} scratch
 * @param {string} base
 */
function enter(scratch, base) {
  const root = join(scratch, 'root');
  // A namespace has a copy of each mount, and would hold what others unmount meanwhile.
  const script = `
    { grep -E ' - fuse' /proc/self/mountinfo || true; } | cut -d ' ' -f 5 | while read -r other; do umount --lazy "$other" || true; done
    mount -t overlay none -o 'lowerdir=${base},upperdir=${scratch}/upper,workdir=${scratch}/work' '${root}'
    mount -t proc proc '${root}/proc'; mount --rbind /sys '${root}/sys'; mount --rbind /dev '${root}/dev'
    exec chroot '${root}' env -i ${ENVIRONMENT.map((each) => `'${each}'`).join(' ')} bash`;
  const words = ['--mount', '--propagation', 'private', 'bash', '-euc', script];
  return spawn('unshare', words, { stdio: ['pipe', 'pipe', 'pipe'] });
}

/** A shell in the root that keeps its mounts from command to command. */
class Shell {
  #child;
  #out = '';
  /** @type {(() => void) | undefined} */
  #heard;

  /** @param {ReturnType<typeof enter>} child */
  constructor(child) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
        this.#out += text;
        this.#heard?.();
      });
    }
    child.on('close', () => {
      this.#out += '\n\0ended 1\n';
      this.#heard?.();
    });
  }

  /** @param {string} script @returns {Promise<{ status: number, said: string }>} */
  async run(script) {
    this.#out = '';
    this.#child.stdin.write(
      `( set -euo pipefail\n${script}\n) < /dev/null 2>&1; printf '\\n\\0ended %s\\n' $?\n`,
    );
    for (;;) {
      const end = /\n\0ended (\d+)\n/.exec(this.#out);
      if (end) return { status: Number(end[1]), said: this.#out.slice(0, end.index) };
      await new Promise((resolve) => {
        this.#heard = () => resolve(undefined);
      });
    }
  }

  end() {
    this.#child.stdin.end();
  }
}

const options = readOptions();
const suite = options.suite ?? 'bookworm';
const base = options.base ?? `/var/tmp/quarry-bare-${suite}`;
const tests = options.tests ?? TESTS;
if (process.getuid?.() !== 0) refuse('it makes a root directory of its own: run it as root');
for (const program of ['debootstrap', 'git', 'unshare'])
  if (!isThere(program)) refuse(`${program} is missing`);
if (!existsSync('/dev/fuse')) refuse('there is no /dev/fuse: load the fuse module');
if (!existsSync(join(base, 'etc/debian_version')))
  run('debootstrap', ['--variant=minbase', suite, base, MIRROR]);

const scratch = mkdtempSync(join(tmpdir(), 'quarry-bare-'));
for (const name of ['root', 'upper', 'work']) mkdirSync(join(scratch, name));
const upper = join(scratch, 'upper');
copyNetwork(upper);
installNode(upper);
const project = join(upper, 'root/quarry');
run('git', ['clone', '--quiet', '--no-hardlinks', ROOT, project]);
console.log(`a minimal ${suite} with Node ${process.version}; the project as it is committed`);

const shell = new Shell(enter(scratch, base));
let failures = 0;

/**
 * One step: what is done, and what has to come of it.
 * @param {string} what
 * @param {string} script
 * @param {{ status?: number, says?: RegExp }} expected
 */
async function step(what, script, { status = 0, says = /(?:)/ } = {}) {
  const began = Date.now();
  const result = await shell.run(`cd /root/quarry 2> /dev/null; ${script}`);
  const ok = result.status === status && says.test(result.said);
  if (!ok) failures++;
  const line = ok ? (says.exec(result.said)?.[0] ?? '').trim() : `exit status ${result.status}`;
  console.log(
    `${ok ? 'ok' : 'FAILED'}: ${what} (${Math.round((Date.now() - began) / 1000)} s)${line && `: ${line}`}`,
  );
  if (!ok) {
    // Each test that failed, by name; why stands in the log.
    for (const failed of new Set(result.said.match(/FAIL.*/g))) console.log(failed);
    writeFileSync(options.log, result.said);
    console.log(`${result.said.slice(-4000)}\nall it said: ${options.log}`);
  }
  return ok;
}

/** `npm start` until it is mounted, a file in it, Ctrl-C, and the volume is clean. */
const START = `
  npm install
  setsid npm start > /tmp/start.log 2>&1 & group=$!
  for i in $(seq 600); do grep -q 'Ctrl-C unmounts' /tmp/start.log 2> /dev/null && break; sleep 0.2; done
  cat /tmp/start.log
  echo hello > mnt/hello && cat mnt/hello && df -h mnt
  kill -INT -- "-$group"
  for i in $(seq 300); do grep -q '^unmounted;' /tmp/start.log && break; sleep 0.2; done
  tail -1 /tmp/start.log && node dist/cli/main.js fsck -n quarry.img`;

try {
  // What npm compiles first is fuse-native, for tests; its failure is npm's to tell.
  await step('node only: npm install', 'npm install', {
    status: 1,
    says: /.*You need to install .*Python.*/,
  });
  await step('node only: npm start says what is missing', '! npm start && ! [ -e quarry.img ]', {
    says: /the native addon was not built: it needs a C\+\+ compiler, make and python3/,
  });
  await step(
    'what it names: apt-get install g++ make python3',
    'apt-get update -qq && apt-get install -y -qq --no-install-recommends g++ make python3',
  );
  await step('npm install && npm start, a file, Ctrl-C', START, { says: /clean; 2 inodes/ });
  await step('npm install && npm test', `npm install && npm test${tests && ` -- ${tests}`}`, {
    says: /\d+ passed, 0 failed\n?$/,
  });
  const asUser = `useradd --create-home ada && cp -a /root/quarry /home/ada/ && chown -R ada: /home/ada && chmod 666 /dev/fuse
    cd /home/ada/quarry && rm -rf quarry.img mnt && setpriv --reuid ada --regid ada --clear-groups env HOME=/home/ada bash -euc`;
  const byHand = `'node dist/cli/main.js mkfs -q v.img --size 64M; mkdir -p m; node dist/cli/main.js mount v.img m; echo text > m/file; cat m/file; node dist/cli/main.js umount m; node dist/cli/main.js fsck -n v.img'`;
  await step('somebody else without fusermount3', `${asUser} ${byHand}`, { status: 1, says: /.*fuse3.*/ });
  // fusermount3 reads /etc/mtab, which every root that is booted or run as a container has.
  await step(
    'apt-get install fuse3',
    'apt-get install -y -qq --no-install-recommends fuse3 && ln -sf /proc/self/mounts /etc/mtab',
  );
  const again = asUser.replace(/^.*\n/, '').replace('rm -rf quarry.img mnt', 'rm -rf v.img');
  await step('somebody else with it', `${again} ${byHand}`, { says: /clean; 2 inodes/ });
} finally {
  shell.end();
  if (options.keep) console.log(`kept: ${scratch}`);
  else rmSync(scratch, { recursive: true, force: true });
}
if (failures > 0) console.log(`${failures} steps went another way`);
process.exitCode = failures > 0 ? 1 : 0;
