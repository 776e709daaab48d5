/**
 * Trees of three levels that lose their records from the left: whole subtrees go, and what is left
 * must still be keyed as it was (B3).
 */
import { expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const encoder = new TextEncoder();

/** Names of a directory in the order of their keys. */
async function namesInOrder(volume: TestVolume, directory: number): Promise<Uint8Array[]> {
  return volume.volume.run((tx) => {
    const names: Uint8Array[] = [];
    volume.volume.readDirectory(tx, directory, 2, (name) => {
      names.push(name.slice());
      return true;
    });
    return names;
  });
}

async function problemsOf(volume: TestVolume): Promise<readonly unknown[]> {
  await volume.volume.sync();
  return (await checkVolume((volume.device as MemoryDevice).clone())).problems;
}

test.each([1, 2])(
  'a directory of three levels is sound while its names go in order (round %i)',
  async (round) => {
    const device = new MemoryDevice(4 * 1024 * 1024);
    await formatted(device, 1024);
    const volume = await TestVolume.open(device, { cacheBytes: 4 * 1024 * 1024 });
    await volume.create('/target');
    await volume.mkdir('/many');
    const target = await volume.resolve('/target');
    const many = await volume.resolve('/many');
    const count = 3600;
    for (let i = 0; i < count; i++) {
      const name = encoder.encode(`${round}-${i}-${'n'.repeat(180 + (i % 60))}`);
      await volume.volume.run((tx) => volume.volume.link(tx, target, { parent: many, name }));
    }
    const names = await namesInOrder(volume, many);
    expect(names.length).toBe(count);
    for (const [i, name] of names.entries()) {
      await volume.volume.run((tx) => volume.volume.unlink(tx, many, name));
      if (i % 60 === 0) expect(await problemsOf(volume), `after ${i} of ${count} names`).toEqual([]);
    }
    expect(await namesInOrder(volume, many)).toEqual([]);
    await volume.volume.unmount();
  },
);
