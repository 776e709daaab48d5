/** Reads a whole device or file with 32 requests under way, and counts what is not zero: `node scan-device.js TARGET`. */
import { BufferPool, openFile } from 'quarryfs/aio';

const BLOCK_BYTES = 65536;
const DEPTH = 32;

const file = await openFile(process.argv[2], { flags: 'r', queueDepth: DEPTH });
const { size } = await file.stat();
const pool = new BufferPool({ bufferBytes: BLOCK_BYTES, count: DEPTH });
const zeros = Buffer.alloc(BLOCK_BYTES);
let used = 0;
let failed = 0;

// The request level: no promise per request. What ends together is submitted together.
await new Promise((resolve) => {
  let next = 0;
  let unfinished = 0;
  const submit = (buffer) => {
    if (next < size) {
      unfinished++;
      file.submitRead(buffer, next, { onDone: (request) => ended(request, buffer) });
      next += BLOCK_BYTES;
    } else {
      pool.release(buffer);
      if (unfinished === 0) resolve();
    }
  };
  const ended = (request, buffer) => {
    unfinished--;
    if (request.error) failed++;
    else if (
      !zeros.subarray(0, request.transferredBytes).equals(buffer.subarray(0, request.transferredBytes))
    )
      used++;
    submit(buffer);
  };
  for (let buffer = pool.tryAcquire(); buffer; buffer = pool.tryAcquire()) submit(buffer);
});
console.log(
  `${Math.ceil(size / BLOCK_BYTES)} blocks of ${BLOCK_BYTES} bytes, ${used} not all zero, ${failed} unreadable`,
);
await file.close();
