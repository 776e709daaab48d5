/** Blocks, inodes and trees of a volume over a device, sound and damaged. */
import { beforeAll, describe, expect, test } from 'vitest';
import { viewOf } from '../../src/common/bytes.ts';
import {
  BlockHeader,
  BlockKind,
  BranchRecord,
  FileType,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  Inode,
  MAX_TREE_LEVEL,
  NodeHeader,
  SLOT_BYTES,
  VOLUME_ROOT_INODE_OFFSET,
} from '../../src/fs/format/format.ts';
import { InspectError } from '../../src/inspect/inspect-error.ts';
import { nodeRecords } from '../../src/inspect/node-records.ts';
import { type Place, VolumeSource } from '../../src/inspect/volume-source.ts';
import {
  BLOCK_BYTES,
  MANY,
  makeSample,
  type Sample,
  sourceOf,
  withBlock,
  withUnreadable,
} from './inspect-sample.ts';

let sample: Sample;
let source: VolumeSource;
beforeAll(async () => {
  sample = await makeSample();
  source = await sourceOf(sample.clean);
});

async function namesIn(of: VolumeSource, inode: number): Promise<number> {
  let count = 0;
  for await (const _ of of.leafRecords(await of.inode(inode), BlockKind.directoryNode)) count++;
  return count;
}

/** A copy of the volume in which the node in the inode's body is changed. */
async function withRootNode(
  inode: number,
  change: (view: DataView, at: number) => void,
): Promise<VolumeSource> {
  const { block, at } = await source.inode(inode);
  const device = withBlock(sample.clean, block, (bytes) => change(viewOf(bytes), at + INODE_BODY_OFFSET));
  return sourceOf(device);
}

describe('blocks', () => {
  test('as they are on the device', async () => {
    const { volumeRootBlock } = source.layout;
    const bytes = await source.block(volumeRootBlock);
    expect(bytes).toEqual(sample.clean.peek(volumeRootBlock * BLOCK_BYTES, BLOCK_BYTES));
    expect(source.fault(bytes, volumeRootBlock)).toBeUndefined();
    expect(source.fault(bytes, 7)).toBe(`says it is block ${volumeRootBlock}`);
  });

  test.each([-1, 2048, 1e15, Number.NaN])('there is no block %d', async (number) => {
    const line = `there is no block ${number}: the volume has blocks 0 to 2047`;
    await expect(source.block(number)).rejects.toThrow(new InspectError(line));
  });

  test('one that cannot be read', async () => {
    const { spaceStart } = source.layout;
    const broken = await sourceOf(withUnreadable(sample.clean, spaceStart));
    await expect(broken.block(spaceStart)).rejects.toThrow(`block ${spaceStart} cannot be read`);
    await expect(broken.block(spaceStart + 1)).resolves.toHaveLength(BLOCK_BYTES);
  });

  test('one that is not of the kind that it should be', async () => {
    const { volumeRootBlock } = source.layout;
    await expect(source.metadata(volumeRootBlock, BlockKind.inodes)).rejects.toThrow(
      `block ${volumeRootBlock} is of kind ${BlockKind.volumeRoot}, expected ${BlockKind.inodes}`,
    );
  });

  test('newer copies over the device are what is read', async () => {
    const { device, superblock, layout } = source;
    const shown = withBlock(sample.clean, layout.spaceStart, (bytes) => bytes.fill(0x51, HEADER_BYTES));
    const over = new VolumeSource(device, superblock, shown);
    expect((await over.block(layout.spaceStart))[HEADER_BYTES]).toBe(0x51);
    expect(over.device).toBe(sample.clean);
  });
});

describe('inodes', () => {
  test('where they stand', async () => {
    const { bytes, at } = await source.inode(sample.large);
    expect(Inode.number.get(viewOf(bytes), at)).toBe(sample.large);
    expect(Inode.mode.get(viewOf(bytes), at)).toBe(FileType.regular | 0o644);
  });

  test.each([
    [0, 'there is no inode 0'],
    [2 ** 48, `there is no inode ${2 ** 48}`],
    [1000, 'inode 1000 is not in use'],
    [99_999_999, 'inode 99999999 is not in use'],
  ])('inode %d', async (number, line) => {
    await expect(source.inode(number)).rejects.toThrow(new InspectError(line));
  });

  test('damage in the table behind an inode is no obstacle', async () => {
    const { volumeRootBlock, blockCount } = source.layout;
    const leaf = blockCount - 1;
    const root = VOLUME_ROOT_INODE_OFFSET + INODE_BODY_OFFSET;
    const { spaceStart } = source.layout;
    // The table's records move to a node of their own; beside it is one that is none.
    const old = await source.block(volumeRootBlock);
    const moved = withBlock(sample.clean, leaf, (bytes) => {
      bytes.set(old.subarray(0, HEADER_BYTES));
      BlockHeader.kind.set(viewOf(bytes), 0, BlockKind.extentNode);
      BlockHeader.block.set(viewOf(bytes), 0, leaf);
      bytes.set(old.subarray(root, root + INODE_BODY_BYTES), HEADER_BYTES);
    });
    const device = withBlock(moved, volumeRootBlock, (bytes) => {
      const view = viewOf(bytes);
      NodeHeader.level.set(view, root, 1);
      NodeHeader.count.set(view, root, 2);
      for (const [i, child] of [leaf, spaceStart].entries()) {
        const at = 100 + i * BranchRecord.sizeBytes;
        view.setUint16(root + NodeHeader.sizeBytes + i * SLOT_BYTES, at, true);
        BranchRecord.child.set(view, root + at, child);
      }
    });
    const broken = await sourceOf(device);
    await expect(broken.inode(1)).resolves.toMatchObject({ block: (await source.inode(1)).block });
    await expect(broken.inode(1000)).rejects.toThrow(
      `block ${spaceStart} is of kind ${BlockKind.groupBitmap}, expected ${BlockKind.extentNode}`,
    );
  });

  test('with a damaged root there are none', async () => {
    const { volumeRootBlock } = source.layout;
    const device = sample.clean.clone();
    device.poke(volumeRootBlock * BLOCK_BYTES + 100, new Uint8Array([0xff]));
    await expect((await sourceOf(device)).inode(1)).rejects.toThrow(
      `block ${volumeRootBlock} is damaged: checksum does not match`,
    );
  });
});

describe('trees', () => {
  test('every record of a directory that has nodes of its own', async () => {
    const { bytes, at } = await source.inode(sample.folder);
    expect(NodeHeader.level.get(viewOf(bytes), at + INODE_BODY_OFFSET)).toBeGreaterThan(0);
    expect(await namesIn(source, sample.folder)).toBe(MANY + 1);
  });

  test('a level that no tree has', async () => {
    const broken = await withRootNode(sample.folder, (view, at) =>
      NodeHeader.level.set(view, at, MAX_TREE_LEVEL + 1),
    );
    await expect(namesIn(broken, sample.folder)).rejects.toThrow(`says it is at level ${MAX_TREE_LEVEL + 1}`);
  });

  test('a slot that leads out of the node', async () => {
    const broken = await withRootNode(sample.folder, (view, at) =>
      view.setUint16(at + NodeHeader.sizeBytes, 65535, true),
    );
    await expect(namesIn(broken, sample.folder)).rejects.toThrow('is damaged: slot 0 leads out of the node');
  });

  test('a node that is twice in one tree', async () => {
    let child = 0;
    const broken = await withRootNode(sample.folder, (view, at) => {
      const records = Array.from(
        { length: NodeHeader.count.get(view, at) },
        (_, i) => at + view.getUint16(at + NodeHeader.sizeBytes + 2 * i, true),
      );
      const [first = 0, second = 0] = records;
      child = BranchRecord.child.get(view, first);
      BranchRecord.child.set(view, second, child);
    });
    await expect(namesIn(broken, sample.folder)).rejects.toThrow(`block ${child} is twice in one tree`);
  });

  test('a node of another level than its parent says goes no deeper than that', async () => {
    const root: Place = await source.inode(sample.folder);
    const at = root.at + INODE_BODY_OFFSET;
    const { offsets } = nodeRecords(root.bytes, at, INODE_BODY_BYTES);
    const child = BranchRecord.child.get(viewOf(root.bytes), offsets[0] ?? 0);
    const level = NodeHeader.level.get(viewOf(root.bytes), at);
    const device = withBlock(sample.clean, child, (bytes) => {
      NodeHeader.level.set(viewOf(bytes), HEADER_BYTES, level);
    });
    await expect(namesIn(await sourceOf(device), sample.folder)).rejects.toThrow(
      `the tree node in block ${child} says it is at level ${level}`,
    );
  });
});
