/**
 * Everything at once, on a small volume and in the shortest turns: writes answered early, some of
 * which find no room on the host or on the volume, access times, files that are removed while they
 * are held, syncs, commits by the clock, and rests.
 *
 * Nothing may wait for ever, whatever waits for what; and what power loss leaves at any moment is
 * sound.
 */
import { expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { Errno, FsError } from '../../src/fs/base/errors.ts';
import type { TurnSource } from '../../src/fs/base/turns.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ALWAYS = { files: 'always', directories: 'always' } as const;
const PEOPLE = 6;
const STEPS_EACH = 60;
/** What a program may be told here. */
const EXPECTED = /^(ENOENT|EEXIST|ENOSPC|ESTALE)$/;

/** Each look at the clock is a turn later. */
function shortestTurns(): TurnSource {
  let milliseconds = 0;
  return {
    now: () => {
      milliseconds += 1000;
      return milliseconds;
    },
    later: (goOn) => void setImmediate(goOn),
  };
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

class Crowd {
  readonly held: number[] = [];

  constructor(
    readonly volume: TestVolume,
    readonly random: SeededRandom,
  ) {}

  #path(): string {
    return `${['', '/d1', '/d2'][this.random.below(3)]}/n${this.random.below(12)}`;
  }

  async #write(path: string): Promise<void> {
    const { volume, random } = this;
    const inode = await volume.resolve(path);
    volume.early = random.chance(0.5);
    await volume.write(inode, random.below(200) * 512, new Uint8Array(1 + random.below(60 * KIB)).fill(7));
  }

  async #scatter(path: string): Promise<void> {
    const inode = await this.volume.resolve(path);
    for (let i = 0; i < 20; i++) await this.volume.write(inode, i * 2 * KIB, new Uint8Array(700).fill(i));
  }

  async #hold(path: string): Promise<void> {
    const inode = await this.volume.resolve(path);
    this.volume.volume.acquire(inode);
    this.held.push(inode);
  }

  #letGo(): void {
    const inode = this.held.shift();
    if (inode !== undefined) this.volume.volume.forget(inode, 1);
    this.volume.volume.submit();
  }

  async #step(): Promise<void> {
    const { volume, random } = this;
    const path = this.#path();
    const choice = random.below(16);
    if (choice < 2) await volume.create(path);
    else if (choice < 5) await this.#write(path);
    else if (choice === 5) await volume.truncate(path, random.chance(0.5) ? 0 : random.below(100_000));
    else if (choice < 8) await volume.unlink(path);
    else if (choice === 8) await volume.read(await volume.resolve(path), 0, 50_000);
    else if (choice === 9) await volume.volume.sync(await volume.resolve(path));
    else if (choice === 10) await volume.volume.sync();
    else if (choice === 11) await volume.rename(path, this.#path());
    else if (choice === 12) await this.#hold(path);
    else if (choice === 13) this.#letGo();
    else if (choice === 14) await this.#scatter(path);
    else if (random.chance(0.3)) await volume.volume.rest();
  }

  /** One of them; resolves when he is through. */
  async person(): Promise<void> {
    for (let i = 0; i < STEPS_EACH; i++) {
      try {
        await this.#step();
      } catch (thrown) {
        if (!(thrown instanceof FsError && EXPECTED.test(thrown.code))) throw thrown;
      }
      if (this.random.chance(0.2)) await nextTurn();
    }
  }
}

async function expectSound(device: SimulatedDevice, seed: number): Promise<void> {
  const { content } = device.crash(seed);
  const copy = await TestVolume.open(new MemoryDevice(device.sizeBytes, 512, { content }));
  await copy.volume.unmount();
  expect((await checkVolume((copy.device as MemoryDevice).reopen())).problems).toEqual([]);
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  'nobody waits for ever (%i)',
  { timeout: 20_000 },
  async (seed) => {
    const random = new SeededRandom(seed);
    const sizeBytes = (1 + random.below(3)) * MIB;
    const device = new SimulatedDevice({ sizeBytes, seed, stragglers: random.chance(0.5) ? 0.1 : 0 });
    await formatted(device, KIB, random.chance(0.5) ? 64 : 128);
    const volume = await TestVolume.open(device, {
      accessRules: ALWAYS,
      commitSeconds: random.chance(0.5) ? 0.01 : 0,
      turns: shortestTurns(),
    });
    volume.fromCache = true;
    for (const path of ['/d1', '/d2']) await volume.mkdir(path);
    const hostIsFull = random.chance(0.5);
    device.fault = ({ operation, lengthBytes }) =>
      hostIsFull && operation === 'write' && lengthBytes > 30 * KIB && random.chance(0.25) ? Errno.ENOSPC : 0;
    const crowd = new Crowd(volume, random);
    const through = Promise.all(Array.from({ length: PEOPLE }, () => crowd.person()));
    for (let i = 0; i < 5; i++) {
      await nextTurn();
      await expectSound(device, seed * 100 + i);
    }
    await through;
    device.fault = () => 0;
    await volume.volume.sync().catch(() => {});
    expect(volume.volume.counters().reservedBlocks).toBe(0);
    await volume.volume.unmount().catch(() => {});
    await expectSound(device, seed);
  },
);
