/**
 * Is a block the metadata block it should be: magic, kind, own number, volume, checksum.
 *
 * A wrong checksum alone leaves the contents worth reading, since every reader here distrusts them anyway, and
 * saves the user the flood of problems that a missing block causes. Any other flaw makes the contents those of something else.
 */
import { crc32c } from '../crc32c.ts';
import { BlockHeader, BlockKind, MAGIC_BYTES } from '../fs/format.ts';
import type { BlockSource } from './block-source.ts';
import type { ProblemLog } from './problem.ts';

const KIND_NAMES = new Map<number, string>(Object.entries(BlockKind).map(([name, value]) => [value, name]));
const CHECKSUM_OFFSET = BlockHeader.checksum.offset;
const FOUR_ZEROS = new Uint8Array(4);

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
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
}

export class MetadataReader {
  readonly #source: BlockSource;
  readonly #log: ProblemLog;
  readonly blockBytes: number;
  readonly #uuid: Uint8Array;

  constructor(source: BlockSource, log: ProblemLog, blockBytes: number, uuid: Uint8Array) {
    this.#source = source;
    this.#log = log;
    this.blockBytes = blockBytes;
    this.#uuid = uuid;
  }

  /** Reads and verifies a block. @returns its bytes, or undefined if they are not worth looking at; then that is reported. */
  async read(block: number, expected: Expectation): Promise<Uint8Array | undefined> {
    const { bytes, errno } = await this.#source.read(block * this.blockBytes, this.blockBytes);
    const { what } = expected;
    if (errno !== 0) {
      this.#log.report('block-unreadable', { block, what, found: `error ${errno}` });
      return undefined;
    }
    return this.#verify(bytes, block, expected) ? bytes : undefined;
  }

  /** Reads a block that another pass has verified and reported on already. */
  async readAgain(block: number, { what }: Expectation): Promise<Uint8Array | undefined> {
    const { bytes, errno } = await this.#source.read(block * this.blockBytes, this.blockBytes);
    if (errno === 0) return bytes;
    this.#log.report('block-unreadable', { block, what, found: `error ${errno}` });
    return undefined;
  }

  #verify(bytes: Uint8Array, block: number, { kind, what }: Expectation): boolean {
    const view = viewOf(bytes);
    const log = this.#log;
    if (!sameBytes(BlockHeader.magic.of(bytes, 0), MAGIC_BYTES)) {
      log.report('block-magic', { block, what });
      return false;
    }
    const foundKind = BlockHeader.kind.get(view, 0);
    if (foundKind !== kind) {
      log.report('block-kind', { block, what, found: kindName(foundKind), expected: kindName(kind) });
      return false;
    }
    const foundBlock = BlockHeader.block.get(view, 0);
    if (foundBlock !== block) {
      log.report('block-number', { block, what, found: foundBlock });
      return false;
    }
    if (!sameBytes(BlockHeader.uuid.of(bytes, 0), this.#uuid)) {
      log.report('block-uuid', { block, what });
      return false;
    }
    if (BlockHeader.checksum.get(view, 0) !== blockChecksum(bytes))
      log.report('block-checksum', { block, what });
    return true;
  }
}
