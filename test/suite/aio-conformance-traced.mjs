// @ts-check
/**
 * A few requests, one after the other, to be watched by strace: `node aio-conformance-traced.mjs
 * ENGINE PATH`.
 */
import { AlignedBuffer, openFile } from '../../dist/aio/file/open-file.js';

const [engine, path = ''] = process.argv.slice(2);
const file = await openFile(path, {
  engine: /** @type {import('../../dist/aio/file/async-file.js').EngineName} */ (engine),
  flags: 'r+',
});
const block = AlignedBuffer.allocate(4096);
const pieces = [AlignedBuffer.allocate(4096), AlignedBuffer.allocate(8192)];
// The last block, which may be cut.
await file.readAt(block, 61_440);
await file.writeAt(block, 0);
await file.readAtv(pieces, 4096);
await file.writeAtv(pieces, 4096);
await file.datasync();
// Many in one turn.
await Promise.all(Array.from({ length: 32 }, () => file.readAt(block, 8192)));
await file.close();
