/**
 * Random calls on Node's own `fs.promises` and on a volume: each is to answer the same, or to fail
 * alike. `QUARRY_SEEDS=100` runs more; a failure names the seed, the step, and the steps before it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codeOf } from '../../src/common/thrown.ts';
import { check, format, openVolume } from '../../src/quarryfs.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { type Calls, failureOf } from './program-cases.ts';

const SEEDS = Number(process.env.QUARRY_SEEDS ?? 4);
const STEPS = 200;
const NAMES = ['a', 'b', 'c', 'd', 'e', 'l', 'd/a', 'd/b', 'd/e', 'd/l', 'e/f', 'e/', 'l/a', 'd/../a'];
const FLAGS = ['r+', 'w', 'a', 'wx', 'a+', 'w+'];

/** What a call is made of. */
interface Step {
  readonly one: string;
  readonly other: string;
  readonly number: number;
  readonly flag: string;
}

type Act = (fs: Calls, path: (name: string) => string, step: Step) => Promise<unknown>;

const ACTS: Readonly<Record<string, Act>> = {
  writeFile: (fs, path, { one, number }) => fs.writeFile(path(one), 'x'.repeat(number)),
  appendFile: (fs, path, { one, number }) => fs.appendFile(path(one), 'y'.repeat(number % 3000)),
  mkdir: (fs, path, { one }) => fs.mkdir(path(one)),
  /** Of what is in the way, Node says now this beginning of the path and now that. */
  async mkdirs(fs, path, { one }) {
    try {
      return await fs.mkdir(path(one.replace('d/../', '')), { recursive: true });
    } catch (thrown) {
      return codeOf(thrown);
    }
  },
  rm: (fs, path, { one, number }) =>
    fs.rm(path(one.replace(/\/$/, '')), { recursive: number % 2 === 0, force: number % 3 === 0 }),
  rename: (fs, path, { one, other }) => fs.rename(path(one), path(other)),
  link: (fs, path, { one, other }) => fs.link(path(one), path(other)),
  symlink: (fs, path, { one, other }) => fs.symlink(other.replace(/\/$/, ''), path(one)),
  unlink: (fs, path, { one }) => fs.unlink(path(one)),
  rmdir: (fs, path, { one }) => fs.rmdir(path(one)),
  truncate: (fs, path, { one, number }) => fs.truncate(path(one), number),
  chmod: (fs, path, { one, number }) => fs.chmod(path(one), number & 0o777),
  realpath: (fs, path, { one }) => fs.realpath(path(one)),
  readdir: async (fs, path, { one }) => (await fs.readdir(path(one), { recursive: true })).sort(),
  async readFile(fs, path, { one }) {
    const bytes = await fs.readFile(path(one));
    return [bytes.length, bytes.subarray(0, 20).toString('latin1')];
  },
  async lstat(fs, path, { one }) {
    const found = await fs.lstat(path(one));
    return [found.mode, found.isDirectory() || [found.nlink, found.size]];
  },
  async utimes(fs, path, { one, number }) {
    await fs.utimes(path(one), number, number);
    return (await fs.stat(path(one))).mtimeMs;
  },
  async copyFile(fs, path, { one, other }) {
    // Of a directory, Node removes the target.
    if ((await fs.stat(path(one))).isDirectory()) return;
    await fs.copyFile(path(one), path(other));
  },
  async open(fs, path, { one, number, flag }) {
    const handle = await fs.open(path(one), flag);
    try {
      await handle.write('zz', number % 5000);
      const read = await handle.read(Buffer.alloc(10), 0, 10, number % 4000).catch(failureOf);
      await handle.truncate(number % 7000);
      return ['bytesRead' in read ? read.bytesRead : read, (await handle.stat()).size];
    } finally {
      await handle.close();
    }
  },
};

async function answer(fs: Calls, root: string, act: Act, step: Step): Promise<string> {
  try {
    return JSON.stringify((await act(fs, (name) => `${root}/${name}`, step)) ?? 'done').replaceAll(root, '');
  } catch (thrown) {
    return failureOf(thrown).failed.replaceAll(root, '');
  }
}

test.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('seed %d', async (seed) => {
  const random = new SeededRandom(seed);
  const pick = <T>(choices: readonly T[]): T => choices[random.below(choices.length)] as T;
  const folder = mkdtempSync(join(tmpdir(), 'quarry-random-'));
  const bytes = new Uint8Array(16 * 2 ** 20);
  await format(bytes);
  const volume = await openVolume(bytes);
  const log: string[] = [];
  try {
    await volume.mkdir('/top');
    for (let at = 0; at < STEPS; at++) {
      const name = pick(Object.keys(ACTS));
      const step = { one: pick(NAMES), other: pick(NAMES), number: random.below(30_000), flag: pick(FLAGS) };
      const act = ACTS[name] as Act;
      const expected = await answer(nodeFs as unknown as Calls, folder, act, step);
      log.push(`${name} ${JSON.stringify(step)}: ${expected.slice(0, 120)}`);
      expect(await answer(volume, '/top', act, step), `step ${at}\n${log.slice(-8).join('\n')}`).toBe(
        expected,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await volume.close();
  }
  expect(await check(bytes)).toMatchObject({ clean: true, state: 'clean' });
});
