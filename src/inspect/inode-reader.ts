/**
 * The inodes of a volume, all in the order of the table or one by its number. Memory is bounded by
 * the extents of the table: some thousand for a million inodes.
 */
import { InodePlaces } from '../check/inode-places.ts';
import { viewOf } from '../common/bytes.ts';
import type { InodeSet } from '../common/inode-set.ts';
import { BlockKind, HEADER_BYTES, INODE_BYTES, Inode } from '../fs/format/format.ts';
import type { FaultList } from './fault-list.ts';
import { type MappedExtent, visitExtents } from './inode-extents.ts';
import { InspectError } from './inspect-error.ts';
import type { Place, VolumeSource } from './volume-source.ts';

/** Transfers under way while inodes are looked at. */
const READS_AHEAD = 8;
/** Blocks of the table that are remembered between questions for single inodes. */
const REMEMBERED_BLOCKS = 256;

/** Blocks of the table that follow each other and hold inodes. */
interface InodeRun {
  readonly block: number;
  readonly length: number;
  /** The first inode of its first block. */
  readonly firstInode: number;
}

export interface InodeScan {
  /** Only these; by default all. */
  readonly wanted?: InodeSet;
  readonly progress?: (doneBlocks: number, totalBlocks: number) => void;
}

export class InodeReader {
  /** Blocks of the tree of the table's own extents. */
  readonly nodes: readonly number[];
  readonly extents: readonly MappedExtent[];
  readonly #source: VolumeSource;
  readonly #faults: FaultList;
  readonly #places: InodePlaces;
  readonly #remembered = new Map<number, Uint8Array>();

  private constructor(
    source: VolumeSource,
    faults: FaultList,
    extents: readonly MappedExtent[],
    nodes: readonly number[],
  ) {
    this.#source = source;
    this.#faults = faults;
    this.extents = extents;
    this.nodes = nodes;
    this.#places = new InodePlaces(source.layout);
    for (const extent of extents) this.#places.add(extent);
  }

  /** Reads where the table is, as far as that is not damaged. */
  static async open(source: VolumeSource, faults: FaultList): Promise<InodeReader> {
    const extents: MappedExtent[] = [];
    const nodes: number[] = [];
    await faults.guard(async () => {
      await visitExtents(source, await source.table(), (extent) => extents.push(extent), {
        entered: (block) => nodes.push(block),
        report: faults.report,
      });
    }, 'inode table: ');
    return new InodeReader(source, faults, extents, nodes);
  }

  /** The place of an inode in use. @throws InspectError if there is none, or it cannot be read */
  async place(inode: number): Promise<Place> {
    const found = this.#places.locate(inode);
    if (found === undefined) throw new InspectError(`inode ${inode} is not in use`);
    const bytes = await this.#block(found.block);
    if (Inode.mode.get(viewOf(bytes), found.offset) === 0)
      throw new InspectError(`inode ${inode} is not in use`);
    return { bytes, at: found.offset, block: found.block };
  }

  async #block(block: number): Promise<Uint8Array> {
    const known = this.#remembered.get(block);
    if (known !== undefined) return known;
    const bytes = await this.#source.metadata(block, BlockKind.inodes);
    if (this.#remembered.size >= REMEMBERED_BLOCKS) this.#remembered.clear();
    this.#remembered.set(block, bytes);
    return bytes;
  }

  /**
   * Visits the inodes in use, by their numbers; one after the other, also where a visit waits.
   */
  async scan(
    visit: (inode: number, place: Place) => Promise<void> | undefined,
    { wanted, progress }: InodeScan = {},
  ): Promise<void> {
    const total = this.#places.blocks;
    let done = 0;
    const ahead: { run: InodeRun; read: Promise<(Uint8Array | undefined)[]> }[] = [];
    const finish = async (): Promise<void> => {
      const next = ahead.shift();
      if (next === undefined) return;
      await this.#visitRun(next.run, await next.read, visit, wanted);
      done += next.run.length;
      progress?.(done, total);
    };
    for (const run of this.#runs()) {
      if (wanted !== undefined && !this.#hasWanted(run, wanted)) {
        done += run.length;
        continue;
      }
      ahead.push({ run, read: this.#source.run(run.block, run.length) });
      if (ahead.length >= READS_AHEAD) await finish();
    }
    while (ahead.length > 0) await finish();
  }

  /** All blocks with inodes, as runs of one transfer. */
  *#runs(): Generator<InodeRun> {
    const { bitsPerBlock, inodesPerBlock } = this.#source.layout;
    const most = this.#source.runBlocks;
    for (const [chunk, pieces] of this.#places.chunks()) {
      for (const { chunkBlock, block, length } of pieces) {
        // The first block of a chunk is its bitmap.
        for (let done = chunkBlock === 0 ? 1 : 0; done < length; done += most) {
          const firstInode = chunk * bitsPerBlock + (chunkBlock + done - 1) * inodesPerBlock;
          yield { block: block + done, length: Math.min(most, length - done), firstInode };
        }
      }
    }
  }

  #hasWanted({ firstInode, length }: InodeRun, wanted: InodeSet): boolean {
    const end = firstInode + length * this.#source.layout.inodesPerBlock;
    for (let inode = firstInode; inode < end; inode++) if (wanted.has(inode)) return true;
    return false;
  }

  async #visitRun(
    { block, firstInode }: InodeRun,
    read: readonly (Uint8Array | undefined)[],
    visit: (inode: number, place: Place) => Promise<void> | undefined,
    wanted: InodeSet | undefined,
  ): Promise<void> {
    const { inodesPerBlock } = this.#source.layout;
    for (const [index, bytes] of read.entries()) {
      if (!this.#isSound(bytes, block + index)) continue;
      const view = viewOf(bytes);
      for (let i = 0; i < inodesPerBlock; i++) {
        const inode = firstInode + index * inodesPerBlock + i;
        const at = HEADER_BYTES + i * INODE_BYTES;
        if (Inode.mode.get(view, at) === 0 || wanted?.has(inode) === false) continue;
        const visiting = visit(inode, { bytes, at, block: block + index });
        if (visiting !== undefined) await visiting;
      }
    }
  }

  #isSound(bytes: Uint8Array | undefined, block: number): bytes is Uint8Array {
    try {
      if (bytes === undefined) throw new InspectError(`block ${block} cannot be read`);
      this.#source.requireKind(bytes, block, BlockKind.inodes);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof InspectError)) throw thrown;
      this.#faults.report(thrown, 'inodes: ');
      return false;
    }
  }
}
