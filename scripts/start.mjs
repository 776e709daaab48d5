// @ts-check
/**
 * `npm start`: from a fresh checkout to a mounted filesystem.
 *
 * Builds what is missing, makes and formats `quarry.img` (sparse, 1 GiB) if there is none, mounts
 * it on `mnt` in the foreground, and says so. Ctrl-C or SIGTERM unmounts and leaves the image
 * clean. The command does the work and says itself what is wrong; this script only puts the steps
 * in a row.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, QUARRY, ROOT, runHere } from './build.mjs';

const IMAGE = join(ROOT, 'quarry.img');
const DIRECTORY = join(ROOT, 'mnt');

function isMounted() {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === DIRECTORY);
}

/**
 * The mount, in the foreground; Ctrl-C reaches it through this process only, so that it comes once.
 */
async function mount() {
  const child = spawn(process.execPath, [QUARRY, 'mount', '--foreground', IMAGE, DIRECTORY], {
    cwd: ROOT,
    stdio: 'inherit',
    detached: true,
  });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => child.kill('SIGTERM'));
  }
  const ended = new Promise((resolve) => {
    child.on('close', (code) => resolve(code ?? 1));
  });
  while (child.exitCode === null && child.signalCode === null) {
    if (isMounted()) {
      console.log('Use it from another terminal: cp, git, sqlite3, tar, … as on any disk.');
      console.log('Ctrl-C unmounts it and leaves the image clean; what you wrote stays in it.');
      break;
    }
    await sleep(20);
  }
  const code = await ended;
  if (code === 0) console.log(`unmounted; ${IMAGE} is clean`);
  return code;
}

async function main() {
  if (isMounted()) {
    console.error(`${DIRECTORY} is already mounted; to stop it: node dist/cli/main.js umount mnt`);
    return 1;
  }
  if (!(await build())) return 1;
  if (!existsSync(IMAGE)) {
    const made = await runHere(process.execPath, [QUARRY, 'mkfs', IMAGE, '--size', '1G']);
    if (made !== 0) return made;
  }
  mkdirSync(DIRECTORY, { recursive: true });
  return mount();
}

process.exitCode = await main();
