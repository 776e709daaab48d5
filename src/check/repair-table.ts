/**
 * Stage `table`: the volume root, and the inode table put together anew.
 *
 * An inode block says by the numbers of its inodes where in the table it belongs; a bitmap follows
 * from the inodes. So whatever block of the table can still be found, by the old tree or by looking
 * through the volume, finds its place again. A block of the table that cannot be read is left out,
 * never overwritten: it may be someone else's.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BitmapHeader,
  BlockKind,
  ExtentRecord,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  MAX_INODES,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { extentRecords, type SavedExtent, saveExtents } from './file-extents.ts';
import { firstInodeOf } from './inode-pass.ts';
import { GENERATION_LIMIT } from './inode-record.ts';
import { scanForStrays } from './metadata-scan.ts';
import type { RepairContext } from './repair-context.ts';
import { lostKinds } from './repair-quotas.ts';
import { buildTree, type TreeRecord } from './tree-builder.ts';
import type { NodeBytes } from './tree-node.ts';

export async function repairTable(repair: RepairContext): Promise<void> {
  const { check, changes, root } = repair;
  const { volumeRootBlock } = check.layout;
  const bytes = root
    ? await changes.edit(volumeRootBlock)
    : changes.replace(volumeRootBlock, BlockKind.volumeRoot);
  const view = viewOf(bytes);
  if (VolumeRoot.nextGeneration.get(view, 0) > GENERATION_LIMIT)
    VolumeRoot.nextGeneration.set(view, 0, check.inodes.highestGeneration + 1);
  if (!root) {
    VolumeRoot.nextGeneration.set(view, 0, 1);
    if (check.hasQuotas) VolumeRoot.quotaKinds.set(view, 0, await lostKinds(repair));
  }
  VolumeRoot.blockCount.set(view, 0, check.layout.blockCount);
  await new TableBuilder(repair, view).run(root !== undefined);
}

/**
 * Puts one more inode block into the table, whose inodes are all free.
 * @returns false if there is no room
 */
export async function growTable(repair: RepairContext): Promise<boolean> {
  const bytes = await repair.changes.edit(repair.check.layout.volumeRootBlock);
  return await new TableBuilder(repair, viewOf(bytes)).grow();
}

class TableBuilder {
  readonly #repair: RepairContext;
  readonly #layout: Layout;
  readonly #view: DataView;
  readonly #root: NodeBytes;
  /** Block of the volume for each block of the table. */
  readonly #blocks = new Map<number, number>();
  readonly #used = new Set<number>();
  /** Chunks with inode blocks, and which of their inodes are in use. */
  readonly #inUse = new Map<number, Set<number>>();

  constructor(repair: RepairContext, view: DataView) {
    this.#repair = repair;
    this.#layout = repair.check.layout;
    this.#view = view;
    const at = VOLUME_ROOT_INODE_OFFSET + INODE_BODY_OFFSET;
    this.#root = { view, at, length: INODE_BODY_BYTES };
  }

  /** @param hasTree the volume root was there, so that its tree is worth reading */
  async run(hasTree: boolean): Promise<void> {
    const { check } = this.#repair;
    const oldNodes: number[] = [];
    if (hasTree) {
      const saved = await saveExtents(check, 0, this.#root, []);
      oldNodes.push(...saved.nodes);
      await this.#placeMapped(saved.extents);
    }
    await this.#placeStrays();
    await this.#complete();
    await this.#write(oldNodes);
  }

  async grow(): Promise<boolean> {
    for (const { fileBlock, block, length } of this.#repair.table.extents)
      for (let i = 0; i < length; i++) this.#blocks.set(fileBlock + i, block + i);
    const span = this.#layout.inodeBlocksPerChunk + 1;
    for (let fileBlock = 1; ; fileBlock++) {
      if (fileBlock % span === 0 || this.#blocks.has(fileBlock)) continue;
      const chunk = Math.floor(fileBlock / span);
      if (!(await this.#add(fileBlock, BlockKind.inodes))) return false;
      if (!this.#blocks.has(chunk * span) && !(await this.#addBitmap(chunk))) return false;
      return await this.#write([]);
    }
  }

  /** What the old tree maps, as far as it is what it should be. */
  async #placeMapped(extents: readonly SavedExtent[]): Promise<void> {
    const { reader } = this.#repair.check;
    const misplaced: [block: number, bytes: Uint8Array][] = [];
    for (const { fileBlock, block, length } of extents) {
      for (let i = 0; i < length; i++) {
        const isBitmap = this.#isBitmap(fileBlock + i);
        const bytes = await reader.peek(block + i, isBitmap ? BlockKind.inodeBitmap : BlockKind.inodes);
        if (!bytes) continue;
        const own = isBitmap ? undefined : this.#ownPlace(bytes, true);
        if (own === undefined || own === fileBlock + i) this.#place(fileBlock + i, block + i, bytes);
        else misplaced.push([block + i, bytes]);
      }
    }
    for (const [block, bytes] of misplaced) this.#placeByNumber(block, bytes, true);
  }

  /** Inode blocks that nothing leads to. */
  async #placeStrays(): Promise<void> {
    await scanForStrays(this.#repair.check, [BlockKind.inodes], (block, _, bytes) =>
      this.#placeByNumber(block, bytes, false),
    );
  }

  #placeByNumber(block: number, bytes: Uint8Array, needsVotes: boolean): void {
    const place = this.#ownPlace(bytes, needsVotes);
    if (place === undefined || this.#blocks.has(place)) return;
    this.#repair.check.space.claim(block, 1);
    this.#place(place, block, bytes);
  }

  /** The place in the table that the numbers of its inodes give a block. */
  #ownPlace(bytes: Uint8Array, needsVotes: boolean): number | undefined {
    const { bitsPerBlock, inodesPerBlock } = this.#layout;
    const view = viewOf(bytes);
    const first = firstInodeOf(view, inodesPerBlock) ?? (needsVotes ? undefined : this.#onlyInode(view));
    if (first === undefined) return undefined;
    return this.#layout.inodeFileBlock(Math.floor(first / bitsPerBlock), first % bitsPerBlock);
  }

  /** The number of the first inode of a block in which a single inode is in use. */
  #onlyInode(view: DataView): number | undefined {
    const { inodesPerBlock } = this.#layout;
    const used: number[] = [];
    for (let i = 0; i < inodesPerBlock; i++) {
      const at = HEADER_BYTES + i * INODE_BYTES;
      if (Inode.mode.get(view, at) !== 0) used.push(Inode.number.get(view, at) - i);
    }
    const [first] = used;
    const isSound = first !== undefined && first >= 0 && first < MAX_INODES && first % inodesPerBlock === 0;
    return used.length === 1 && isSound ? first : undefined;
  }

  #isBitmap(fileBlock: number): boolean {
    return fileBlock % (this.#layout.inodeBlocksPerChunk + 1) === 0;
  }

  #place(fileBlock: number, block: number, bytes: Uint8Array): void {
    if (this.#used.has(block)) return;
    this.#used.add(block);
    this.#blocks.set(fileBlock, block);
    if (this.#isBitmap(fileBlock)) return;
    const { inodesPerBlock } = this.#layout;
    const span = this.#layout.inodeBlocksPerChunk + 1;
    const chunk = Math.floor(fileBlock / span);
    const inUse = this.#inUse.get(chunk) ?? new Set<number>();
    this.#inUse.set(chunk, inUse);
    const base = ((fileBlock % span) - 1) * inodesPerBlock;
    for (let i = 0; i < inodesPerBlock; i++)
      if (Inode.mode.get(viewOf(bytes), HEADER_BYTES + i * INODE_BYTES) !== 0) inUse.add(base + i);
  }

  /**
   * Adds what a table cannot be without: the first inode block, and a bitmap for each chunk that
   * has inodes.
   */
  async #complete(): Promise<void> {
    const span = this.#layout.inodeBlocksPerChunk + 1;
    if (!this.#blocks.has(1)) {
      await this.#add(1, BlockKind.inodes);
      if (!this.#inUse.has(0)) this.#inUse.set(0, new Set());
    }
    for (const chunk of this.#inUse.keys()) {
      if (this.#blocks.has(chunk * span) || (await this.#addBitmap(chunk))) continue;
      // Without room for its bitmap a chunk cannot be.
      for (const fileBlock of [...this.#blocks.keys()])
        if (Math.floor(fileBlock / span) === chunk) this.#blocks.delete(fileBlock);
    }
  }

  async #add(fileBlock: number, kind: number): Promise<Uint8Array | undefined> {
    const block = await this.#repair.vacant.takeOne();
    if (block === undefined) return undefined;
    this.#blocks.set(fileBlock, block);
    return this.#repair.changes.create(block, kind);
  }

  async #addBitmap(chunk: number): Promise<boolean> {
    const bytes = await this.#add(chunk * (this.#layout.inodeBlocksPerChunk + 1), BlockKind.inodeBitmap);
    if (!bytes) return false;
    const inUse = new Set(this.#inUse.get(chunk));
    if (chunk === 0) inUse.add(0);
    for (const index of inUse) {
      const at = HEADER_BYTES + (index >>> 3);
      bytes[at] = (bytes[at] ?? 0) | (1 << (index & 7));
    }
    BitmapHeader.used.set(viewOf(bytes), 0, inUse.size);
    return true;
  }

  async #write(oldNodes: readonly number[]): Promise<boolean> {
    const records = this.#records();
    const plan = { inode: 0, kind: TreeKind.extents, root: this.#root, oldNodes };
    let kept: readonly TreeRecord[] = records;
    let nodes = await buildTree(this.#repair, { ...plan, records });
    while (nodes === undefined) {
      kept = kept.slice(0, Math.floor(kept.length / 2));
      nodes = await buildTree(this.#repair, { ...plan, records: kept });
    }
    const lengths = kept.map(({ bytes }) => ExtentRecord.length.get(viewOf(bytes), 0));
    const blocks = lengths.reduce((sum, length) => sum + length, nodes);
    Inode.number.set(this.#view, VOLUME_ROOT_INODE_OFFSET, 0);
    Inode.inlineAttributeBytes.set(this.#view, VOLUME_ROOT_INODE_OFFSET, 0);
    Inode.attributeBlock.set(this.#view, VOLUME_ROOT_INODE_OFFSET, 0);
    Inode.blocks.set(this.#view, VOLUME_ROOT_INODE_OFFSET, blocks);
    return kept === records;
  }

  #records(): TreeRecord[] {
    const places = [...this.#blocks].sort((a, b) => a[0] - b[0]);
    return extentRecords(
      places.map(([fileBlock, block]) => ({
        fileBlock,
        block,
        length: 1,
        flags: 0,
        trust: 'checked' as const,
      })),
    );
  }
}
