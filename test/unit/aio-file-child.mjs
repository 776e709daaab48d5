// @ts-check
/**
 * Writes and reads back 64 blocks a few times with one engine, and prints which engine it was, or
 * the error: `node aio-file-child.mjs ENGINE PATH`. Meant to be run under a tracer that makes
 * system calls fail.
 */
import { AlignedBuffer, openFile } from '../../dist/aio/file/open-file.js';

const BLOCK_BYTES = 4096;
const BLOCKS = 64;
const ROUNDS = 3;

const [engine, path = ''] = process.argv.slice(2);

/** @param {import('../../dist/aio/file/async-file.js').AsyncFile} file */
async function exercise(file) {
  const memory = AlignedBuffer.allocate(BLOCKS * BLOCK_BYTES);
  const blocks = Array.from({ length: BLOCKS }, (_, at) =>
    memory.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, block] of blocks.entries()) block.fill(round * 71 + at);
    const written = Buffer.from(memory);
    await Promise.all(blocks.map((block, at) => file.writeAt(block, at * BLOCK_BYTES)));
    memory.fill(0);
    await Promise.all(blocks.map((block, at) => file.readAt(block, at * BLOCK_BYTES)));
    if (!memory.equals(written)) throw new Error(`round ${round}: what was read is not what was written`);
    await file.datasync();
  }
}

try {
  const known = /** @type {import('../../dist/aio/file/async-file.js').EngineName} */ (engine);
  const file = await openFile(path, { engine: known, flags: 'r+', queueDepth: 32 });
  await exercise(file);
  await file.close();
  console.log(file.options.engine);
} catch (thrown) {
  console.log(String(thrown));
}
