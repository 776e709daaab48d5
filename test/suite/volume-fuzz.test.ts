import { describe, it } from 'vitest';
import { fuzzVolume } from './volume-fuzz.ts';

const seed = Number(process.env.QUARRY_FUZZ_SEED ?? 1);
const minutes = Number(process.env.QUARRY_FUZZ_MINUTES ?? 0);
const MIB = 1024 * 1024;
const SHAPES = [
  { blockBytes: 1024, volumeBytes: 16 * MIB },
  { blockBytes: 4096, volumeBytes: 64 * MIB },
  { blockBytes: 4096, volumeBytes: 4 * MIB },
  { blockBytes: 65536, volumeBytes: 64 * MIB },
];

/** A round takes less than a second; one that hangs must say its seed. */
async function withinSeconds(seconds: number, round: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${seconds} s`)), seconds * 1000);
  });
  await Promise.race([round, late]).finally(() => clearTimeout(timer));
}

describe('a volume and its model agree', () => {
  for (const [index, shape] of SHAPES.entries()) {
    const name = `${shape.volumeBytes / MIB} MiB in blocks of ${shape.blockBytes}`;
    it(
      `${name}: npm run fuzz -- --target volume --seed ${seed}`,
      async () => {
        const end = Date.now() + (minutes * 60_000) / SHAPES.length;
        let round = seed * 1000 + index;
        do {
          try {
            await withinSeconds(60, fuzzVolume({ seed: round, steps: 600, ...shape }));
          } catch (thrown) {
            throw new Error(`seed ${round}: ${(thrown as Error).message}`);
          }
          round += SHAPES.length;
        } while (Date.now() < end);
      },
      120_000 + minutes * 60_000,
    );
  }
});
