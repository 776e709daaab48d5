/** Copies a disk, an image or a file to another one: `node copy-disk.js SOURCE TARGET`. */
import { AlignedBuffer, openFile } from 'quarryfs/aio';

const [sourcePath, targetPath] = process.argv.slice(2);
const CHUNK_BYTES = 1024 * 1024;
const DEPTH = 8;

const source = await openFile(sourcePath, { flags: 'r' });
const target = await openFile(targetPath, { flags: 'r+', lock: 'exclusive' });
const { size } = await source.stat();

// Each worker copies one chunk after the other, so DEPTH chunks are under way at any time.
let next = 0;
async function copyChunks() {
  const buffer = AlignedBuffer.allocate(CHUNK_BYTES);
  while (next < size) {
    const offset = next;
    next += CHUNK_BYTES;
    const count = await source.readAt(buffer, offset);
    await target.writeAt(buffer.subarray(0, count), offset);
  }
}
await Promise.all(Array.from({ length: DEPTH }, copyChunks));
await target.datasync();
console.log(`${size} bytes copied by engines ${source.options.engine} and ${target.options.engine}`);
await target.close();
await source.close();
