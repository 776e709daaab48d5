/**
 * Repair of volumes with random damage: after `-y` a check finds nothing, always, and the volume
 * can be used.
 *
 * Metadata blocks are flipped, zeroed, spliced, and given pointers and counts that lead anywhere;
 * mostly the checksums are made right again. The samples: small and large blocks, hardly any free
 * space, a journal that is still to be replayed.
 *
 *   CHECK_FUZZ_SEED=17 CHECK_FUZZ_COUNT=1 npx vitest run test/suite/check-repair-fuzz.test.ts     repeats one
 */
import { describe, expect, test } from 'vitest';
import { checkVolume, NothingToCheckError } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { Damager, SAMPLES } from './check-random-damage.ts';
import { TestVolume } from './volume-harness.ts';

const SEED = Number(process.env.CHECK_FUZZ_SEED ?? 1);
const COUNT = Number(process.env.CHECK_FUZZ_COUNT ?? 12);
/** What is still wrong after a repair; undefined if there is no volume any more. */
async function leftOver(device: MemoryDevice): Promise<string[] | undefined> {
  try {
    const repaired = await repairVolume(device, 'all');
    if (repaired.outcome !== 'corrected' && repaired.outcome !== 'clean')
      return [
        `${repaired.outcome} after ${repaired.rounds} rounds`,
        ...repaired.after.problems.map(({ message }) => message),
      ];
  } catch (thrown) {
    if (thrown instanceof NothingToCheckError) return undefined;
    throw thrown;
  }
  const { problems, state } = await checkVolume(device);
  return [...(state === 'clean' ? [] : ['not clean']), ...problems.map(({ message }) => message)];
}

async function use(device: MemoryDevice): Promise<void> {
  const volume = await TestVolume.open(device.reopen());
  const name = 'a name that is new';
  await volume.create(`/${name}`).catch((thrown: { code?: string }) => {
    if (thrown.code !== 'ENOSPC') throw thrown;
  });
  await volume.volume.unmount();
}

describe.each(SAMPLES)('$name', ({ blockBytes, make }) => {
  test(`random damage, from seed ${SEED} on`, { timeout: Math.max(30_000, COUNT * 1000) }, async () => {
    const sample = await make();
    expect(await checkVolume(sample.clone())).toMatchObject({ clean: true });
    for (let seed = SEED; seed < SEED + COUNT; seed++) {
      const device = sample.clone();
      new Damager(device, blockBytes, seed).run();
      const what = `CHECK_FUZZ_SEED=${seed} CHECK_FUZZ_COUNT=1`;
      try {
        const left = await leftOver(device);
        if (left === undefined) continue;
        expect(left, what).toEqual([]);
        await use(device);
        expect(await leftOver(device), `${what}, after use`).toEqual([]);
      } catch (thrown) {
        throw new Error(`${what}: ${(thrown as Error).message}`, { cause: thrown });
      }
    }
  });
});
