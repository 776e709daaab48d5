/**
 * A full volume of the least size, used as the kernel uses it: it holds each inode that it was told
 * of, and forgets it a moment after the last name is gone. What was removed makes room for what
 * comes next, however close behind.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { HEADER_BYTES } from '../../src/fs/format/format.ts';
import { KEPT_BACK_BLOCKS } from '../../src/fs/transaction/space-map.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from './volume-harness.ts';

/** Journal, space, two superblocks and the volume root at their least. */
const LEAST_BLOCKS = 64 + 64 + 3;
/** Rounds of filling and removing. */
const ROUNDS = 6;

/**
 * When the kernel says that it has forgotten an inode: before the next request, behind it, or a
 * little later.
 */
const FORGETS = {
  'at once': (forget: () => void) => forget(),
  'in the same turn, behind the next request': (forget: () => void) => queueMicrotask(forget),
  'in the next turn': (forget: () => void) => setImmediate(forget),
  'some milliseconds later': (forget: () => void) => setTimeout(forget, 8),
};

class KernelVolume {
  readonly #inodes = new Map<string, number>();

  constructor(
    readonly test: TestVolume,
    readonly forgetLater: (forget: () => void) => void,
  ) {}

  get names(): string[] {
    return [...this.#inodes.keys()];
  }

  async make(name: string, bytes: number): Promise<void> {
    const { volume } = this.test;
    const inode = await this.test.create(`/${name}`);
    volume.acquire(inode);
    this.#inodes.set(name, inode);
    await this.test.write(inode, 0, new Uint8Array(bytes).fill(7));
  }

  async remove(name: string): Promise<void> {
    const inode = this.#inodes.get(name) as number;
    await this.test.unlink(`/${name}`);
    this.#inodes.delete(name);
    this.forgetLater(() => this.test.volume.forget(inode, 1));
  }

  /** Makes files until one is refused, whose name stays behind with what there was room for. */
  async fill(bytes: number, prefix = 'fill'): Promise<void> {
    try {
      for (let number = 0; ; number++) await this.make(`${prefix}-${number}`, bytes);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENOSPC' });
    }
  }
}

describe.each(Object.entries(FORGETS))('the kernel forgets %s', (_, forgetLater) => {
  test.each([
    { blockBytes: 4096, fileBytes: 4096, early: false },
    { blockBytes: 4096, fileBytes: 4096, early: true },
    { blockBytes: 1024, fileBytes: 5000, early: true },
    { blockBytes: 4096, fileBytes: 100, early: false },
  ])('files of $fileBytes bytes, early: $early', async ({ blockBytes, fileBytes, early }) => {
    const volume = await TestVolume.make(LEAST_BLOCKS * blockBytes, blockBytes);
    volume.early = early;
    const kernel = new KernelVolume(volume, forgetLater);
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of kernel.names) await kernel.remove(name);
      await kernel.fill(fileBytes);
      const [first, second, third, fourth] = kernel.names as [string, string, string, string];
      for (const name of [first, second, third]) await kernel.remove(name);
      await kernel.make(`new-${round}`, fileBytes);
      await volume.rename(`/${fourth}`, `/moved-${round}`);
      await volume.rename(`/moved-${round}`, `/${fourth}`);
      await volume.volume.sync();
    }
    await volume.volume.unmount();
    expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
  });
});

test('an open file that has lost its name keeps its space, and who asks for it is told soon', async () => {
  const volume = await TestVolume.make(LEAST_BLOCKS * 4096, 4096);
  const kernel = new KernelVolume(volume, () => {});
  await kernel.fill(4096);
  await kernel.remove('fill-0');
  for (let tries = 0; tries < 3; tries++) {
    await expect(kernel.make(`new-${tries}`, (KEPT_BACK_BLOCKS + 2) * 4096)).rejects.toMatchObject({
      code: 'ENOSPC',
    });
  }
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
});

test('a rename finds a block for a full node of its directory where a new file finds none', async () => {
  const volume = await TestVolume.make(1024 * 4096, 4096);
  const kernel = new KernelVolume(volume, (forget) => forget());
  for (let number = 0; number < 100; number++) await kernel.make(`small-${number}`, 0);
  await kernel.fill(2 ** 20, 'large');
  await kernel.fill(4096, 'block');
  const long = (number: number) => `${'long-'.repeat(40)}${number}`;
  await expect(
    (async () => {
      for (let number = 0; number < 20; number++) await kernel.make(long(number), 0);
    })(),
  ).rejects.toMatchObject({ code: 'ENOSPC' });
  for (let number = 30; number < 60; number++) await volume.rename(`/small-${number}`, `/${long(number)}`);
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
});

/** A full volume whose inode table has a hole: a cluster of it went, and data came in its place. */
async function fullAroundHole(): Promise<KernelVolume> {
  const volume = await TestVolume.make(1024 * 4096, 4096);
  const kernel = new KernelVolume(volume, (forget) => forget());
  for (let number = 0; number < 1000; number++) await kernel.make(`small-${number}`, 100);
  for (let number = 240; number < 700; number++) await kernel.remove(`small-${number}`);
  await volume.volume.sync();
  await kernel.fill(2 ** 20, 'large');
  await kernel.fill(4096, 'block');
  for (let number = 0; number < 240; number++) await kernel.make(`hole-${number}`, 0).catch(() => {});
  return kernel;
}

test('a new inode takes a number whose block is there, when the lowest one would need a block', async () => {
  const kernel = await fullAroundHole();
  const volume = kernel.test;
  // It leaves a number, but no block.
  await kernel.remove('small-900');
  await kernel.make('new', 100);
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
});

test('names of new files in the place of removed ones find blocks, though their inodes need an old place', async () => {
  const kernel = await fullAroundHole();
  const volume = kernel.test;
  await volume.volume.sync();
  await expect(kernel.make('one-more', 0)).rejects.toMatchObject({ code: 'ENOSPC' });
  for (let number = 800; number < 960; number += 4) await kernel.remove(`small-${number}`);
  for (let number = 0; number < 40; number++) await kernel.make(`${'long-'.repeat(40)}${number}`, 0);
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
});

test('a new inode finds its place where the lowest number would need a bitmap too', async () => {
  const volume = await TestVolume.make(24 * 2 ** 20, 1024);
  const inodesPerChunk = (1024 - HEADER_BYTES) * 8;
  for (const name of ['low', 'gone', 'high']) await volume.mkdir(`/${name}`);
  for (let next = 5; next < 2 * inodesPerChunk + 100; next++) {
    const folder = ['low', 'gone', 'high'][Math.floor(next / inodesPerChunk)];
    expect(await volume.create(`/${folder}/${next}`)).toBe(next);
  }
  for (const name of await volume.list('/gone')) await volume.unlink(`/gone/${name}`);
  await volume.volume.sync();
  const data = await volume.resolve('/low/5');
  for (let bytes = 2 ** 20, at = 0; bytes >= 1024; ) {
    try {
      await volume.write(data, at, new Uint8Array(bytes).fill(7));
      at += bytes;
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENOSPC' });
      bytes /= 2;
    }
  }
  const removed = 2 * inodesPerChunk + 7;
  await volume.unlink(`/high/${removed}`);
  expect(await volume.create('/high/new')).toBe(removed);
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
});
