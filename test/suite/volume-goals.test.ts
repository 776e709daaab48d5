/** What a policy is told of a file's end: also while writes before it are on their way. */
import { expect, test } from 'vitest';
import { type AllocationRequest, defineAllocator, type Run } from '../../src/alloc/allocator.ts';
import firstFit from '../../src/alloc/first-fit.ts';
import { TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const PIECE = 64 * KIB;

interface Told {
  readonly run: Run;
  readonly want: AllocationRequest;
}

/** What was given for data, in order. */
async function watched(): Promise<{ volume: TestVolume; told: Told[] }> {
  const told: Told[] = [];
  const allocator = defineAllocator({
    name: 'watching',
    create: (space, options) => {
      const policy = firstFit.create(space, options);
      return {
        allocate: (want) => policy.allocate(want),
        taken: (run, want) => {
          if (want.kind === 'data') told.push({ run, want: { ...want } });
        },
      };
    },
  });
  return { volume: await TestVolume.make(8 * MIB, KIB, { allocator }), told };
}

const piece = (index: number) => new Uint8Array(PIECE).fill(index + 1);

test.each([
  ['answered when done', false],
  ['answered early', true],
])('pieces of a file written at once follow each other, %s', async (_name, early) => {
  const { volume, told } = await watched();
  volume.early = early;
  const inode = await volume.create('/f');
  await Promise.all([0, 1, 2, 3].map((index) => volume.write(inode, index * PIECE, piece(index))));
  await volume.volume.sync();
  expect(told).toHaveLength(4);
  for (const [index, { want }] of told.entries()) {
    const before = told[index - 1]?.run;
    expect(want.goal).toBe(before === undefined ? -1 : before.start + before.length);
    expect(want.stream, `piece ${index}`).toBe(true);
  }
});

test('a piece in the middle follows the one before it, and is no stream', async () => {
  const { volume, told } = await watched();
  const inode = await volume.create('/f');
  await volume.write(inode, 8 * PIECE, piece(8));
  await Promise.all([2, 3].map((index) => volume.write(inode, index * PIECE, piece(index))));
  const [, second, third] = told as [Told, Told, Told];
  expect(second.want).toMatchObject({ goal: -1, stream: false });
  expect(third.want).toMatchObject({ goal: second.run.start + second.run.length, stream: false });
});

test('files written at once are not told of each other, nor of what is done', async () => {
  const { volume, told } = await watched();
  const one = await volume.create('/one');
  const two = await volume.create('/two');
  await Promise.all([volume.write(one, 0, piece(0)), volume.write(two, PIECE, piece(1))]);
  expect(told[1]?.want).toMatchObject({ inode: two, goal: -1 });
  await volume.truncate('/one', 0);
  await volume.write(one, PIECE, piece(1));
  expect(told[2]?.want).toMatchObject({ inode: one, goal: -1 });
});
