/**
 * Power cuts during a repair: whatever a cut leaves, a second repair ends with a sound volume, in
 * which every file is still there that the repair kept when nothing disturbed it.
 *
 *   CHECK_CRASH_SEED=17 CHECK_CRASH_COUNT=1 npx vitest run test/suite/check-crash.test.ts     repeats one random damage
 *   CHECK_CRASH_STEP=1 CHECK_CRASH_CUTS=100 …                                                 tries more
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { RepairWriteError } from '../../src/check/block-target.ts';
import { checkVolume, NothingToCheckError } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { faultAtRate, SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { DAMAGES } from './check-damages.ts';
import { Damager, SAMPLES } from './check-random-damage.ts';
import { Image, makeSample, SIZE, sample } from './check-sample.ts';
import { contentsOf } from './check-tree.ts';

beforeAll(makeSample);

const EIO = 5;
/** Power cuts tried in each repair, spread over its events. */
const CUTS = Number(process.env.CHECK_CRASH_CUTS ?? 6);
/** Every so many kinds of damage is tried. */
const STEP = Number(process.env.CHECK_CRASH_STEP ?? 4);
const SEED = Number(process.env.CHECK_CRASH_SEED ?? 1);
/** Randomly damaged volumes of each sample. */
const COUNT = Number(process.env.CHECK_CRASH_COUNT ?? 3);
const TIMEOUT = 30_000 + COUNT * CUTS * 1000;

/**
 * What the damaged volume has in common with the sound one, by path: what a repair must not lose.
 */
async function keptBy(device: MemoryDevice, before: Map<string, string>): Promise<string[]> {
  const now = await contentsOf(device);
  return [...before].filter(([path, hash]) => now.get(path) === hash).map(([path]) => path);
}

describe('power cuts during a repair', () => {
  const chosen = DAMAGES.filter((_, index) => index % STEP === 0);
  test.each(chosen)('%s', async (_, damage) => {
    const before = await contentsOf(sample.clone());
    const image = await new Image().load();
    await damage(image);
    const device = new SimulatedDevice({ sizeBytes: SIZE, seed: 7, content: image.device.content });
    await repairVolume(device, 'all');
    const whole = crashImage(device, device.log.length, 1);
    const kept = await keptBy(whole, before);
    expect(kept.length).toBeGreaterThan(0);
    for (let cut = 0; cut < CUTS; cut++) {
      const events = Math.floor((device.log.length * (cut + 0.5)) / CUTS);
      const cutOff = crashImage(device, events, cut + 1);
      const again = await repairVolume(cutOff, 'all');
      expect(again.after.problems, `cut after ${events} events, seed ${cut + 1}`).toEqual([]);
      expect((await checkVolume(cutOff)).clean, `cut after ${events} events, seed ${cut + 1}`).toBe(true);
      const left = new Set(await keptBy(cutOff, before));
      const lost = kept.filter((path) => !left.has(path));
      expect(lost, `cut after ${events} events, seed ${cut + 1}`).toEqual([]);
    }
  });
});

describe.each(SAMPLES)('power cuts during repairs of random damage: $name', ({ blockBytes, make }) => {
  test(`from seed ${SEED} on`, { timeout: TIMEOUT }, async () => {
    const sound = await make();
    for (let seed = SEED; seed < SEED + COUNT; seed++) {
      const damaged = sound.clone();
      new Damager(damaged, blockBytes, seed).run();
      const { sizeBytes, content } = damaged;
      const device = new SimulatedDevice({ sizeBytes, seed, content });
      if (!(await isVolume(repairVolume(device, 'all')))) continue;
      for (let cut = 0; cut < CUTS; cut++) {
        const events = Math.floor((device.log.length * (cut + 0.5)) / CUTS);
        const cutOff = crashImage(device, events, cut);
        const what = `CHECK_CRASH_SEED=${seed}, cut after ${events} events`;
        const again = await repairVolume(cutOff, 'all');
        expect(again.after.problems, what).toEqual([]);
        expect(await checkVolume(cutOff), what).toMatchObject({ clean: true, state: 'clean' });
      }
    }
  });
});

async function isVolume(repair: Promise<unknown>): Promise<boolean> {
  try {
    await repair;
    return true;
  } catch (thrown) {
    if (thrown instanceof NothingToCheckError) return false;
    throw thrown;
  }
}

/** Damages that can be done to one volume. */
const TOGETHER = [
  'inode count',
  'nanoseconds',
  'link count of a directory',
  'key order',
  'owner',
  'used blocks',
  'sum',
];

describe('a device that fails writes', () => {
  test.each([1, 2, 3, 4])(
    'ends the repair with an error, and the next one goes on (seed %i)',
    async (seed) => {
      const image = await new Image().load();
      for (const [what, damage] of DAMAGES) if (TOGETHER.includes(what)) await damage(image);
      const device = new SimulatedDevice({ sizeBytes: SIZE, seed, content: image.device.content });
      device.fault = faultAtRate(seed, 0.1, EIO, 'write');
      await expect(repairVolume(device, 'all')).rejects.toThrow(RepairWriteError);
      device.fault = () => 0;
      expect((await repairVolume(device, 'all')).after.problems).toEqual([]);
      expect(await checkVolume(device)).toMatchObject({ clean: true, state: 'clean' });
    },
  );
});
