/** What a record leaves behind when it is replayed on a model volume. */
import { DEFAULT_ALLOCATOR } from '../../src/alloc/built-in.ts';
import { emptyAttributes } from '../../src/fs/base/empty-attributes.ts';
import { ModelVolume } from '../../src/lab/runners/model-volume.ts';
import { loadRecorded } from '../../src/lab/workloads/recorded.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

export interface ReplayedTree {
  /** Of all files and symbolic links, in order. */
  readonly sizes: readonly number[];
  /** Besides the root. */
  readonly directories: number;
  readonly refused: number;
}

export async function replayedTree(record: string, sizeBytes: number): Promise<ReplayedTree> {
  const workload = await loadRecorded(record);
  const model = await ModelVolume.make({
    sizeBytes,
    blockBytes: 4096,
    seed: 1,
    allocator: DEFAULT_ALLOCATOR,
  });
  const random = new SeededRandom(1);
  const place = { random, capacityBytes: sizeBytes, fullness: 1, blockBytes: 4096 };
  let directories = 0;
  for (const operation of workload.operations(place)) {
    if (operation === 'filled') continue;
    if (operation.kind === 'makeDirectory') directories++;
    if (operation.kind === 'removeDirectory') directories--;
    await model.apply(operation);
  }
  await model.settle();
  const attributes = emptyAttributes();
  const sizes: number[] = [];
  for (const { inode } of model.files.values()) {
    await model.volume.run((tx) => model.volume.readAttributes(tx, inode, attributes));
    sizes.push(attributes.sizeBytes);
  }
  const refused = model.refusals.count;
  await model.close();
  return { sizes: sizes.sort((one, other) => one - other), directories, refused };
}
