/**
 * Is a block the metadata block it should be: magic, kind, own number, volume, checksum.
 *
 * A wrong checksum alone leaves the contents worth reading, since every reader here distrusts them
 * anyway, and saves the user the flood of problems that a missing block causes. Any other flaw
 * makes the contents those of something else.
 */
import { sameBytes, viewOf } from '../common/bytes.ts';
import { crc32c } from '../crc32c.ts';
import { BlockHeader, BlockKind, MAGIC_BYTES } from '../fs/format/format.ts';
import type { BlockSource, ReadResult } from './block-source.ts';
import type { ProblemLog } from './problem.ts';
import type { Stage } from './stages.ts';

const KIND_NAMES = new Map<number, string>(Object.entries(BlockKind).map(([name, value]) => [value, name]));
const CHECKSUM_OFFSET = BlockHeader.checksum.offset;
const FOUR_ZEROS = new Uint8Array(4);

/** Whether the bytes begin as every metadata block does. */
export function hasMagic(bytes: Uint8Array): boolean {
  return sameBytes(BlockHeader.magic.of(bytes, 0), MAGIC_BYTES);
}

/** The checksum that a metadata block of these bytes should carry. */
export function blockChecksum(bytes: Uint8Array): number {
  const head = crc32c(bytes, 0, CHECKSUM_OFFSET, 0);
  const hole = crc32c(FOUR_ZEROS, 0, 4, head);
  return crc32c(bytes, CHECKSUM_OFFSET + 4, bytes.length, hole);
}

/** A name for a kind of block, also an unknown one. */
export function kindName(kind: number): string {
  return KIND_NAMES.get(kind) ?? `unknown (${kind})`;
}

export interface Expectation {
  readonly kind: number;
  /** What the block is for, in words. */
  readonly what: string;
  /** The inode that it belongs to. */
  readonly inode?: number;
  /** Stage of the repair, where it does not follow from the pass. */
  readonly stage?: Stage;
}

/** Seals the bytes of a whole metadata block: its checksum is made right. */
export function sealBytes(bytes: Uint8Array): void {
  BlockHeader.checksum.set(viewOf(bytes), 0, blockChecksum(bytes));
}

/** What a block has instead of the right header. */
interface Flaw {
  readonly code: 'block-magic' | 'block-kind' | 'block-number' | 'block-uuid';
  readonly found?: number | string;
  readonly expected?: string;
}

/**
 * Where blocks are read from: the device, unless the journal has a newer copy, or a repair a
 * changed one.
 */
export class MetadataReader {
  readonly #source: BlockSource;
  readonly #log: ProblemLog;
  readonly blockBytes: number;
  readonly uuid: Uint8Array;
  /** Blocks whose newest copy is still in the journal: where it is there. */
  copies: ReadonlyMap<number, number> = new Map();
  /**
   * Blocks that a repair has changed and not written yet. Whoever reads one gets the bytes
   * themselves.
   */
  changed: ReadonlyMap<number, Uint8Array> = new Map();

  constructor(source: BlockSource, log: ProblemLog, blockBytes: number, uuid: Uint8Array) {
    this.#source = source;
    this.#log = log;
    this.blockBytes = blockBytes;
    this.uuid = uuid;
  }

  /**
   * Reads and verifies a block.
   * @returns its bytes, or undefined if they are not worth looking at; then that is reported.
   */
  async read(block: number, expected: Expectation): Promise<Uint8Array | undefined> {
    const bytes = await this.readAgain(block, expected);
    return bytes && this.#verify(bytes, block, expected) ? bytes : undefined;
  }

  /**
   * Reads and verifies blocks that follow each other, in one transfer of at most 64 KiB where
   * nothing newer is to be had of them.
   * @returns what `read` does, for each
   */
  async readRun(
    block: number,
    count: number,
    expected: (index: number) => Expectation,
  ): Promise<(Uint8Array | undefined)[]> {
    const run = await this.#run(block, count);
    const one = (_: unknown, index: number) => this.read(block + index, expected(index));
    if (!run) return Promise.all(Array.from({ length: count }, one));
    return run.map((part, index) => (this.#verify(part, block + index, expected(index)) ? part : undefined));
  }

  /**
   * The bytes of blocks that follow each other, at most 64 KiB.
   * @returns undefined for those that cannot be read
   */
  async rawRun(block: number, count: number): Promise<(Uint8Array | undefined)[]> {
    const run = await this.#run(block, count);
    if (run) return run;
    const read = await Promise.all(Array.from({ length: count }, (_, index) => this.raw(block + index)));
    return read.map(({ bytes, errno }) => (errno === 0 ? bytes : undefined));
  }

  /** Blocks in one transfer; undefined where that fails, or some may be newer elsewhere. */
  async #run(block: number, count: number): Promise<Uint8Array[] | undefined> {
    if (this.copies.size > 0 || this.changed.size > 0)
      for (let i = 0; i < count; i++)
        if (this.copies.has(block + i) || this.changed.has(block + i)) return undefined;
    const { blockBytes } = this;
    const { bytes, errno } = await this.#source.read(block * blockBytes, count * blockBytes);
    if (errno !== 0) return undefined;
    return Array.from({ length: count }, (_, index) =>
      bytes.subarray(index * blockBytes, (index + 1) * blockBytes),
    );
  }

  /** Reads a block that another pass has verified and reported on already. */
  async readAgain(block: number, { what, inode, stage }: Expectation): Promise<Uint8Array | undefined> {
    const { bytes, errno } = await this.raw(block);
    if (errno === 0) return bytes;
    this.#log.report('block-unreadable', { block, what, found: `error ${errno}`, ...about(inode) }, stage);
    return undefined;
  }

  /**
   * Reads a block without a word in the log.
   * @returns undefined unless it is a block of this kind, whatever its checksum
   */
  async peek(block: number, kind: number): Promise<Uint8Array | undefined> {
    const { bytes, errno } = await this.raw(block);
    return errno === 0 && this.#flaw(bytes, block, kind) === undefined ? bytes : undefined;
  }

  /** Whether these bytes have the header of this block, whatever their checksum. */
  isOwn(bytes: Uint8Array, block: number, kind: number): boolean {
    return this.#flaw(bytes, block, kind) === undefined;
  }

  /** The bytes of any block of the volume. */
  raw(block: number): Promise<ReadResult> {
    const changed = this.changed.get(block);
    if (changed) return Promise.resolve({ bytes: changed, errno: 0 });
    const place = this.copies.get(block) ?? block;
    return this.#source.read(place * this.blockBytes, this.blockBytes);
  }

  #verify(bytes: Uint8Array, block: number, { kind, what, inode, stage }: Expectation): boolean {
    const flaw = this.#flaw(bytes, block, kind);
    if (flaw) {
      const { code, ...values } = flaw;
      this.#log.report(code, { block, what, ...values, ...about(inode) }, stage);
      return false;
    }
    if (BlockHeader.checksum.get(viewOf(bytes), 0) !== blockChecksum(bytes))
      this.#log.report('block-checksum', { block, what, ...about(inode) });
    return true;
  }

  #flaw(bytes: Uint8Array, block: number, kind: number): Flaw | undefined {
    const view = viewOf(bytes);
    if (!hasMagic(bytes)) return { code: 'block-magic' };
    const foundKind = BlockHeader.kind.get(view, 0);
    if (foundKind !== kind)
      return { code: 'block-kind', found: kindName(foundKind), expected: kindName(kind) };
    const foundBlock = BlockHeader.block.get(view, 0);
    if (foundBlock !== block) return { code: 'block-number', found: foundBlock };
    if (!sameBytes(BlockHeader.uuid.of(bytes, 0), this.uuid)) return { code: 'block-uuid' };
    return undefined;
  }
}

function about(inode: number | undefined): { inode?: number } {
  return inode === undefined ? {} : { inode };
}
