/**
 * The metadata blocks that a repair changes, gathered in memory until they are written.
 *
 * Blocks come in two sorts. A fresh one goes to a place that nothing uses, so it is written
 * directly, and flushed, before anything points to it. One changed in its place goes through the
 * journal. A set that does not fit one transaction is written in several: then each must stand by
 * itself, and it does, since no repair moves a fact from one old block to another; whatever is
 * missing after a crash is found again by the next check.
 */
import { viewOf } from '../common/bytes.ts';
import { BlockHeader, MAGIC_BYTES } from '../fs/format/format.ts';
import type { BlockTarget } from './block-target.ts';
import type { JournalWriter } from './journal-writer.ts';
import { type MetadataReader, sealBytes } from './metadata-block.ts';

/** Memory for changed blocks; beyond it they are written at the next good moment. */
const KEPT_BYTES = 16 * 1024 * 1024;

export class RepairedBlocks {
  readonly #reader: MetadataReader;
  readonly #target: BlockTarget;
  readonly #journal: JournalWriter;
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #fresh = new Set<number>();

  constructor(reader: MetadataReader, target: BlockTarget, journal: JournalWriter) {
    this.#reader = reader;
    this.#target = target;
    this.#journal = journal;
    reader.changed = this.#blocks;
  }

  /** The bytes of a block, to be changed in its place. */
  async edit(block: number): Promise<Uint8Array> {
    const known = this.#blocks.get(block);
    if (known) return known;
    const { bytes } = await this.#reader.raw(block);
    // Another may have asked for it meanwhile.
    const now = this.#blocks.get(block) ?? bytes;
    this.#blocks.set(block, now);
    return now;
  }

  /** Makes a block of zeros with its header, in the place of what was there. */
  replace(block: number, kind: number): Uint8Array {
    const bytes = new Uint8Array(this.#reader.blockBytes);
    bytes.set(MAGIC_BYTES, 0);
    BlockHeader.kind.set(viewOf(bytes), 0, kind);
    BlockHeader.block.set(viewOf(bytes), 0, block);
    bytes.set(this.#reader.uuid, BlockHeader.uuid.offset);
    this.#blocks.set(block, bytes);
    return bytes;
  }

  /** Makes a block where nothing was. */
  create(block: number, kind: number): Uint8Array {
    this.#fresh.add(block);
    return this.replace(block, kind);
  }

  /**
   * Copies a data block to a place where nothing was. A block that cannot be read becomes zeros.
   */
  async copy(from: number, to: number): Promise<void> {
    const { bytes } = await this.#reader.raw(from);
    await this.#target.write(to * this.#reader.blockBytes, bytes);
  }

  /**
   * Writes what is there if it is much. For moments when what was changed so far can stand by
   * itself.
   */
  async settle(): Promise<void> {
    if (this.#blocks.size * this.#reader.blockBytes >= KEPT_BYTES) await this.commit();
  }

  /** Writes everything; it is durable when this resolves. */
  async commit(): Promise<void> {
    const { blockBytes } = this.#reader;
    for (const bytes of this.#blocks.values()) {
      BlockHeader.sequence.set(viewOf(bytes), 0, this.#journal.sequence);
      sealBytes(bytes);
    }
    const fresh = [...this.#blocks].filter(([block]) => this.#fresh.has(block));
    await Promise.all(fresh.map(([block, bytes]) => this.#target.write(block * blockBytes, bytes)));
    await this.#target.flush();
    const inPlace = [...this.#blocks]
      .filter(([block]) => !this.#fresh.has(block))
      .sort((a, b) => a[0] - b[0]);
    for (let from = 0; from < inPlace.length; from += this.#journal.capacity) {
      await this.#journal.write(inPlace.slice(from, from + this.#journal.capacity));
    }
    this.#blocks.clear();
    this.#fresh.clear();
  }
}
