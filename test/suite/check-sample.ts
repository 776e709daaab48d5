/** A small volume with one of everything, and ways to find and damage what is in it. */

import { PromisedCompletion } from '../../src/aio/device.ts';
import { blockChecksum } from '../../src/check/metadata-block.ts';
import { viewOf } from '../../src/common/bytes.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import {
  BlockHeader,
  BlockKind,
  FileType,
  HEADER_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  MAGIC_BYTES,
  NodeHeader,
  OwnerHeader,
  QuotaKind,
  ROOT_INODE,
  SUPERBLOCK_BYTES,
} from '../../src/fs/format/format.ts';
import { defaultJournalBlocks } from '../../src/fs/format/layout.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { openVolume, type Volume } from '../../src/fs/volume.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { aclBytes } from './acl-bytes.ts';

export const BLOCK = 4096;
export const SIZE = 8 * 1024 * 1024;
export const LAST = SIZE / BLOCK - 1;
/** Block of the backup superblock. */
export const BACKUP = defaultJournalBlocks(BLOCK, SIZE / BLOCK) + 2;
/** Users 1 and on who have nothing, and may not have more than so much: enough for several nodes. */
export const LIMITED_USERS = 150;
const caller = { uid: 0, gid: 0, umask: 0o022 };

/** Inodes of the sample by what they are. */
export const names = {
  folder: 0,
  inner: 0,
  many: 0,
  large: 0,
  small: 0,
  fifo: 0,
  link: 0,
  tagged: 0,
  labelled: 0,
  marked: 0,
  shared: 0,
};
export let sample: MemoryDevice;

async function io(
  device: MemoryDevice,
  kind: 'read' | 'write',
  bytes: Uint8Array,
  offset: number,
): Promise<void> {
  const memory = device.allocateMemory(bytes.length);
  if (kind === 'write') memory.bytes.set(bytes);
  const completion = new PromisedCompletion();
  device[kind](memory, 0, bytes.length, offset, completion);
  device.submit();
  if ((await completion.promise) !== 0) throw new Error('the device failed');
  if (kind === 'read') bytes.set(memory.bytes);
}

/** A block of an image, taken out to be changed. */
export class Block {
  readonly view: DataView;

  constructor(
    readonly device: MemoryDevice,
    readonly number: number,
    readonly bytes: Uint8Array,
  ) {
    this.view = viewOf(bytes);
  }

  get kind(): number {
    return BlockHeader.kind.get(this.view, 0);
  }

  async store(): Promise<void> {
    await io(this.device, 'write', this.bytes, this.number * BLOCK);
  }

  /** Writes it back with a right checksum. */
  async seal(): Promise<void> {
    const covered = this.bytes.subarray(0, this.kind === BlockKind.superblock ? SUPERBLOCK_BYTES : BLOCK);
    BlockHeader.checksum.set(this.view, 0, blockChecksum(covered));
    await this.store();
  }
}

/** A copy of the sample with ways to find things in it. */
export class Image {
  constructor(readonly device: MemoryDevice = sample.clone()) {}

  blocks: Block[] = [];

  async load(): Promise<this> {
    const content = new Uint8Array(SIZE);
    await io(this.device, 'read', content, 0);
    for (let number = 0; number <= LAST; number++) {
      this.blocks.push(
        new Block(this.device, number, content.subarray(number * BLOCK, (number + 1) * BLOCK)),
      );
    }
    return this;
  }

  ofKind(kind: number, owner?: number): Block[] {
    return this.blocks.filter((block) => {
      const isMetadata = MAGIC_BYTES.every((byte, index) => block.bytes[index] === byte);
      // The log of the journal holds copies of blocks that are at home by now.
      const isAtHome = BlockHeader.block.get(block.view, 0) === block.number;
      if (!isMetadata || !isAtHome || block.kind !== kind) return false;
      return owner === undefined || OwnerHeader.owner.get(block.view, 0) === owner;
    });
  }

  first(kind: number, owner?: number): Block {
    const [block] = this.ofKind(kind, owner);
    if (!block) throw new Error(`no block of kind ${kind}`);
    return block;
  }

  inode(number: number): { block: Block; at: number } {
    for (const block of this.ofKind(BlockKind.inodes)) {
      for (let at = HEADER_BYTES; at + INODE_BYTES <= BLOCK; at += INODE_BYTES) {
        if (Inode.number.get(block.view, at) === number && Inode.mode.get(block.view, at) !== 0)
          return { block, at };
      }
    }
    throw new Error(`no inode ${number}`);
  }

  /** Records of the node in a region, by their offsets in the view. */
  records(block: Block, at: number): number[] {
    const count = NodeHeader.count.get(block.view, at);
    return Array.from({ length: count }, (_, slot) => at + block.view.getUint16(at + 8 + 2 * slot, true));
  }

  /** The root node of the attributes of an inode, which has them in its body. */
  inlineAttributes(number: number): { block: Block; node: number; records: number[] } {
    const { block, at } = this.inode(number);
    const node = at + INODE_BYTES - Inode.inlineAttributeBytes.get(block.view, at);
    return { block, node, records: this.records(block, node) };
  }

  /** The root node of an inode's tree. */
  root(number: number): { block: Block; records: number[] } {
    const { block, at } = this.inode(number);
    return { block, records: this.records(block, at + INODE_BODY_OFFSET) };
  }
}

function text(name: string): Uint8Array {
  return new TextEncoder().encode(name);
}

function make(volume: Volume, parent: number, name: string, type: number): Promise<number> {
  const request = { mode: type | 0o644, deviceNumber: 0, caller };
  return volume.run((tx) => volume.create(tx, parent, text(name), request));
}

function write(
  volume: Volume,
  device: MemoryDevice,
  inode: number,
  offset: number,
  length: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const memory = device.allocateMemory(length + 3 * BLOCK);
    memory.bytes.fill(0x5a, 0, length);
    volume.write({
      inode,
      offsetBytes: offset,
      lengthBytes: length,
      memory,
      memoryOffset: 0,
      updateTimes: true,
      killPrivileges: false,
      mayEndEarly: false,
      finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
    });
    volume.submit();
  });
}

/** Makes the sample; to be called before anything else here. */
export async function makeSample(): Promise<void> {
  const device = new MemoryDevice(SIZE);
  await formatVolume(device, {
    blockBytes: BLOCK,
    label: '',
    uuid: new Uint8Array(16).fill(7),
    journalSalt: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
    // With this one, `small` is the first entry of the root directory.
    nameSecret: new Uint8Array(16).fill(17),
    uid: 0,
    gid: 0,
    features: defaultFeatures().add('quota'),
  });
  const volume = await openVolume(device, {});
  names.folder = await make(volume, ROOT_INODE, 'folder', FileType.directory);
  names.inner = await make(volume, names.folder, 'inner', FileType.directory);
  names.many = await make(volume, ROOT_INODE, 'many', FileType.directory);
  for (let i = 0; i < 400; i++) await make(volume, names.many, `file number ${i}`, FileType.regular);
  names.large = await make(volume, names.inner, 'large', FileType.regular);
  for (let i = 0; i < 40; i++) await write(volume, device, names.large, 2 * i * BLOCK, BLOCK);
  names.small = await make(volume, ROOT_INODE, 'small', FileType.regular);
  await write(volume, device, names.small, 0, 3 * BLOCK);
  names.fifo = await make(volume, ROOT_INODE, 'fifo', FileType.fifo);
  names.link = await volume.run((tx) =>
    volume.symlink(tx, ROOT_INODE, text('link'), { target: text('x'.repeat(900)), caller }),
  );
  await makeAttributes(volume, device);
  for (let id = 1; id <= LIMITED_USERS; id++)
    await volume.quotas.setLimits(QuotaKind.user, id, { softBlocks: id, hardInodes: 2 * id });
  await volume.unmount();
  sample = device.reopen();
}

/** In `folder`: attributes in an inode, in blocks, beside entries, and beside a target. */
async function makeAttributes(volume: Volume, device: MemoryDevice): Promise<void> {
  names.tagged = await make(volume, names.folder, 'tagged', FileType.regular);
  await write(volume, device, names.tagged, 0, 200);
  names.labelled = await make(volume, names.folder, 'labelled', FileType.regular);
  await write(volume, device, names.labelled, 0, 300);
  names.marked = await make(volume, names.folder, 'marked', FileType.directory);
  for (let i = 0; i < 4; i++)
    await make(volume, names.marked, `with a name of some length ${i}`, FileType.fifo);
  const noted = await volume.run((tx) =>
    volume.symlink(tx, names.folder, text('noted'), { target: text('y'.repeat(180)), caller }),
  );
  const set = (inode: number, name: string, length: number) =>
    volume.run((tx) =>
      volume.setExtendedAttribute(tx, inode, {
        name: text(name),
        value: new Uint8Array(length).fill(length),
      }),
    );
  for (const inode of [names.tagged, names.marked, noted]) await set(inode, 'user.small', 30);
  await set(names.tagged, 'user.other', 20);
  const value = aclBytes('u::rw-,u:7:r--,g::r--,m::r--,o::---');
  names.shared = await make(volume, names.folder, 'shared', FileType.directory);
  await volume.run((tx) =>
    volume.setExtendedAttribute(tx, names.shared, { name: text('system.posix_acl_default'), value }),
  );
  for (const length of [3000, 5000, 7000, 100]) await set(names.labelled, `user.${length}`, length);
}

export type Damage = (image: Image) => Promise<void> | void;

/** Changes a field of an inode. */
export function inodeField(
  number: () => number,
  field: { set(view: DataView, at: number, value: number): void },
  value: number,
): Damage {
  return async (image) => {
    const { block, at } = image.inode(number());
    field.set(block.view, at, value);
    await block.seal();
  };
}

/** Changes a block found by kind. */
export function blockOf(
  kind: number,
  change: (block: Block, image: Image) => void,
  owner?: () => number,
): Damage {
  return async (image) => {
    const block = image.first(kind, owner?.());
    change(block, image);
    await block.seal();
  };
}

/** Changes a record of the root node of an inode's tree. */
export function rootRecord(
  number: () => number,
  index: number,
  change: (view: DataView, at: number) => void,
): Damage {
  return async (image) => {
    const { block, records } = image.root(number());
    change(block.view, records[index] ?? 0);
    await block.seal();
  };
}

/** Changes the attributes that an inode has in its body. */
export function attributeRecord(
  number: () => number,
  index: number,
  change: (view: DataView, at: number, bytes: Uint8Array) => void,
): Damage {
  return async (image) => {
    const { block, records } = image.inlineAttributes(number());
    change(block.view, records[index] ?? 0, block.bytes);
    await block.seal();
  };
}

export function superblockField(block: number, change: (found: Block) => void): Damage {
  return async (image) => {
    const found = image.blocks[block];
    if (!found) throw new Error('no such block');
    change(found);
    await found.seal();
  };
}
