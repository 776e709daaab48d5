/**
 * The checker on damaged volumes: each kind of damage is found by its code, and none makes it throw
 * or hang.
 *
 * Damage is done to a copy of a sound volume, and the checksum of the block made right again,
 * unless it is the checksum that is tried: so it is the contents that the checker has to see
 * through.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkVolume, NothingToCheckError } from '../../src/check/checker.ts';
import { PROBLEMS, type ProblemCode, problemMessage } from '../../src/check/problem.ts';
import { BlockKind, HEADER_BYTES, Inode, Superblock, VolumeRoot } from '../../src/fs/format/format.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { DAMAGES } from '../suite/check-damages.ts';
import {
  BACKUP,
  BLOCK,
  type Block,
  Image,
  inodeField,
  makeSample,
  names,
  SIZE,
  sample,
  superblockField,
} from '../suite/check-sample.ts';

beforeAll(makeSample);

async function problemsOf(device: MemoryDevice): Promise<ProblemCode[]> {
  const { problems, clean, problemCount } = await checkVolume(device);
  expect(problemCount).toBe(problems.length);
  expect(clean).toBe(problems.length === 0);
  return problems.map(({ code }) => code);
}

const KINDS_WITH_CHECKSUM = [
  'volumeRoot',
  'groupBitmap',
  'summary',
  'inodeBitmap',
  'inodes',
  'extentNode',
  'directoryNode',
  'symlink',
] as const;

describe('damage', () => {
  test('the sample is sound', async () => {
    expect(await problemsOf(sample.clone())).toEqual([]);
  });

  test.each(DAMAGES)('%s', async (_, damage, codes) => {
    const image = await new Image().load();
    await damage(image);
    const found = await problemsOf(image.device);
    for (const code of codes) expect(found).toContain(code);
  });

  test.each(KINDS_WITH_CHECKSUM)('one flipped bit in a block of kind %s', async (kind) => {
    const image = await new Image().load();
    const block = image.first(BlockKind[kind]);
    block.bytes[BLOCK - 1] = (block.bytes[BLOCK - 1] ?? 0) ^ 0x10;
    await block.store();
    expect(await problemsOf(image.device)).toContain('block-checksum');
  });

  test('one flipped bit in the superblock, in its backup, and in both', async () => {
    const flip = async (image: Image, number: number) => {
      const block = image.blocks[number] as Block;
      block.bytes[700] = (block.bytes[700] ?? 0) ^ 1;
      await block.store();
    };
    const image = await new Image().load();
    await flip(image, 0);
    expect(await problemsOf(image.device)).toEqual(['superblock-bad']);
    await flip(image, BACKUP);
    expect(await problemsOf(image.device)).toEqual(['block-checksum']);
    await flip(image, 0);
    expect(await problemsOf(image.device)).toEqual(['backup-bad']);
  });

  test('without a superblock or its backup there is no volume', async () => {
    const image = await new Image().load();
    for (const number of [0, BACKUP]) {
      const block = image.blocks[number] as Block;
      block.bytes.fill(0);
      await block.store();
    }
    await expect(checkVolume(image.device)).rejects.toThrow(NothingToCheckError);
    await expect(checkVolume(new MemoryDevice(0))).rejects.toThrow(NothingToCheckError);
    await expect(checkVolume(new MemoryDevice(512))).rejects.toThrow(NothingToCheckError);
  });

  test('a truncation that a crash cut short is no damage', async () => {
    const image = await new Image().load();
    await superblockField(0, ({ view }) => Superblock.state.set(view, 0, 1))(image);
    await inodeField(() => names.small, Inode.size, BLOCK)(image);
    expect(await problemsOf(image.device)).toEqual(['extent-beyond-size']);
    const root = image.first(BlockKind.volumeRoot);
    VolumeRoot.firstOrphan.set(root.view, 0, names.small);
    await root.seal();
    const result = await checkVolume(image.device);
    expect(result).toMatchObject({ clean: true, state: 'dirty', problems: [], statistics: { orphans: 1 } });
  });

  test('a volume that was cut off', async () => {
    const short = new MemoryDevice(SIZE / 2, 512, { content: sample.clone().content });
    await expect(checkVolume(short)).rejects.toThrow(/cut off/);
  });

  test('unknown features are refused', async () => {
    const image = await new Image().load();
    await superblockField(0, ({ view }) => Superblock.incompatibleFeatures.set(view, 0, 2 ** 52))(image);
    await expect(checkVolume(image.device)).rejects.toThrow(/features/);
  });
});

/** A small generator of numbers (mulberry32), so that a failure can be repeated. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

describe('garbage', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'random bytes under right checksums never break the checker (seed %i)',
    async (seed) => {
      const random = generator(seed);
      for (let round = 0; round < 12; round++) {
        const image = await new Image().load();
        const metadata = Object.values(BlockKind).flatMap((kind) => image.ofKind(kind));
        for (let i = 0; i <= random(40); i++) {
          const block = metadata[random(metadata.length)] as Block;
          // Headers stay, so that the checker does not stop at them; small offsets are where the
          // structure is.
          const at = HEADER_BYTES + random(random(2) === 0 ? 200 : BLOCK - HEADER_BYTES);
          block.bytes[at] = random(256);
          await block.seal();
        }
        const result = await checkVolume(image.device).catch((thrown: unknown) => thrown);
        if (result instanceof Error)
          expect(result, `seed ${seed}, round ${round}`).toBeInstanceOf(NothingToCheckError);
      }
    },
  );
});

describe('the table of problems', () => {
  test('every sentence is filled where its values are given', () => {
    for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
      const message = problemMessage(code, {
        block: 1,
        inode: 2,
        found: 3,
        expected: 4,
        name: 'n',
        what: 'w',
      });
      expect(message, code).not.toMatch(/[{}?]/);
    }
  });
});
