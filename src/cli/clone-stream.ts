/**
 * A volume as a stream: `quarry clone TARGET -`, and `--restore` on the way back.
 *
 *   head │ chunk │ its bytes │ chunk │ its bytes │ … │ end
 *
 * Numbers are little-endian. A chunk is blocks that follow each other, a mebibyte at most; chunks
 * come in the order of their blocks. Each head has a CRC-32C of itself, and that of a chunk one of
 * its bytes. The end is a chunk without blocks, whose `block` is how many came before it: so a
 * stream that was cut off is told from one that is whole.
 */
import { hasBytesAt, viewOf } from '../common/bytes.ts';
import { Bytes, record, U32, U64 } from '../common/record.ts';
import { crc32c } from '../crc32c.ts';
import { MAX_BLOCK_BYTES, MAX_VOLUME_BYTES, MIN_BLOCK_BYTES } from '../fs/format/format.ts';
import { CommandError } from './failure.ts';

export const MOST_CHUNK_BYTES = 1024 * 1024;

const MAGIC = new TextEncoder().encode('QRYCLONE');
const VERSION = 1;
/** 'CHNK'. */
const CHUNK_MAGIC = 0x4b4e4843;

export const StreamHead = record('head of a stream', 32, {
  magic: new Bytes(0, 8),
  version: new U32(8),
  blockBytes: new U32(12),
  blockCount: new U64(16),
  reserved: new U32(24),
  /** CRC-32C of what is before. */
  checksum: new U32(28),
});

export const ChunkHead = record('head of a chunk', 24, {
  magic: new U32(0),
  /** Blocks; 0 at the end. */
  count: new U32(4),
  /** The first one; at the end, how many blocks there were. */
  block: new U64(8),
  dataChecksum: new U32(16),
  /** CRC-32C of what is before. */
  checksum: new U32(20),
});

/** What the volume of a stream is. */
export interface ClonedShape {
  readonly blockBytes: number;
  readonly blockCount: number;
}

/** Blocks that follow each other. The bytes stay until the next chunk is asked for. */
export interface Chunk {
  readonly block: number;
  readonly bytes: Uint8Array;
}

function sealed(bytes: Uint8Array): Uint8Array {
  const end = bytes.length - 4;
  viewOf(bytes).setUint32(end, crc32c(bytes, 0, end, 0), true);
  return bytes;
}

function isSealed(bytes: Uint8Array): boolean {
  const end = bytes.length - 4;
  return viewOf(bytes).getUint32(end, true) === crc32c(bytes, 0, end, 0);
}

export function encodeHead({ blockBytes, blockCount }: ClonedShape): Uint8Array {
  const bytes = new Uint8Array(StreamHead.sizeBytes);
  const view = viewOf(bytes);
  StreamHead.magic.of(bytes, 0).set(MAGIC);
  StreamHead.version.set(view, 0, VERSION);
  StreamHead.blockBytes.set(view, 0, blockBytes);
  StreamHead.blockCount.set(view, 0, blockCount);
  return sealed(bytes);
}

function chunkHead(count: number, block: number, dataChecksum: number): Uint8Array {
  const bytes = new Uint8Array(ChunkHead.sizeBytes);
  const view = viewOf(bytes);
  ChunkHead.magic.set(view, 0, CHUNK_MAGIC);
  ChunkHead.count.set(view, 0, count);
  ChunkHead.block.set(view, 0, block);
  ChunkHead.dataChecksum.set(view, 0, dataChecksum);
  return sealed(bytes);
}

/** What goes before the bytes of a chunk. */
export function encodeChunkHead({ block, bytes }: Chunk, blockBytes: number): Uint8Array {
  return chunkHead(bytes.length / blockBytes, block, crc32c(bytes, 0, bytes.length, 0));
}

/** @param blocks how many there were in all */
export function encodeEnd(blocks: number): Uint8Array {
  return chunkHead(0, blocks, 0);
}

/** Takes so many bytes out of a stream as are asked for, however they come. */
class ByteReader {
  readonly #input: AsyncIterator<Uint8Array>;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** @throws CommandError if there are no more so many */
  async take(count: number): Promise<Uint8Array> {
    while (this.#bytes < count) {
      const { value, done } = await this.#input.next();
      if (done) throw new CommandError('the stream is cut off');
      this.#pieces.push(value);
      this.#bytes += value.length;
    }
    const all = this.#pieces.length === 1 ? (this.#pieces[0] as Uint8Array) : Buffer.concat(this.#pieces);
    this.#pieces = [all.subarray(count)];
    this.#bytes = all.length - count;
    return all.subarray(0, count);
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#bytes === 0) {
      const { value, done } = await this.#input.next();
      if (done) return true;
      this.#pieces = [value];
      this.#bytes = value.length;
    }
    return false;
  }
}

function shapeOf(bytes: Uint8Array): ClonedShape {
  const view = viewOf(bytes);
  if (!hasBytesAt(bytes, 0, MAGIC)) throw new CommandError("it is no stream of 'quarry clone'");
  const version = StreamHead.version.get(view, 0);
  if (version !== VERSION) throw new CommandError(`the stream has version ${version}, known is ${VERSION}`);
  const blockBytes = StreamHead.blockBytes.get(view, 0);
  const blockCount = StreamHead.blockCount.get(view, 0);
  const isPower = (blockBytes & (blockBytes - 1)) === 0;
  const isShape = blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES && isPower;
  if (!isSealed(bytes) || !isShape || !(blockCount > 0 && blockCount * blockBytes <= MAX_VOLUME_BYTES))
    throw new CommandError('the head of the stream is damaged');
  return { blockBytes, blockCount };
}

/** A stream that is read. */
export interface OpenStream {
  readonly shape: ClonedShape;
  /** @throws CommandError where the stream is damaged, or not whole */
  readonly chunks: AsyncGenerator<Chunk>;
}

/** @throws CommandError if it is none */
export async function readStream(input: AsyncIterable<Uint8Array>): Promise<OpenStream> {
  const reader = new ByteReader(input);
  const shape = shapeOf(await reader.take(StreamHead.sizeBytes));
  return { shape, chunks: chunksOf(reader, shape) };
}

async function* chunksOf(reader: ByteReader, shape: ClonedShape): AsyncGenerator<Chunk> {
  const { blockBytes, blockCount } = shape;
  let next = 0;
  let blocks = 0;
  for (;;) {
    const head = await reader.take(ChunkHead.sizeBytes);
    const view = viewOf(head);
    const damaged = new CommandError(`the stream is damaged behind block ${next}`);
    if (ChunkHead.magic.get(view, 0) !== CHUNK_MAGIC || !isSealed(head)) throw damaged;
    const [block, count] = [ChunkHead.block.get(view, 0), ChunkHead.count.get(view, 0)];
    if (count === 0) {
      if (block !== blocks || !(await reader.isAtEnd())) throw damaged;
      return;
    }
    if (block < next || block + count > blockCount || count * blockBytes > MOST_CHUNK_BYTES) throw damaged;
    const bytes = await reader.take(count * blockBytes);
    if (crc32c(bytes, 0, bytes.length, 0) !== ChunkHead.dataChecksum.get(view, 0)) throw damaged;
    yield { block, bytes };
    next = block + count;
    blocks += count;
  }
}
