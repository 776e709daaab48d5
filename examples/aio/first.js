/** First steps: `node first.js FILE` writes to a new file and reads it again. */
import { AioError, AlignedBuffer, openFile } from 'quarryfs/aio';

const file = await openFile(process.argv[2], { flags: 'w+', engine: 'auto' });
console.log(`engine ${file.options.engine}, sectors of ${file.alignment.offsetBytes} bytes`);

// Any memory will do; aligned memory, offsets and lengths save a copy.
const block = AlignedBuffer.allocate(4096);
block.fill('quarry ');
await file.writeAt(block, 0);
await file.append(Buffer.from('and a few bytes more'));
await file.datasync();

const tail = Buffer.alloc(100);
const count = await file.readAt(tail, 4096);
console.log(`${count} bytes after the first block: ${tail.toString('utf8', 0, count)}`);

try {
  await file.readAt(tail, 0, { timeoutMs: 5000, signal: AbortSignal.timeout(60_000) });
  await file.seek(-1);
} catch (error) {
  if (!(error instanceof AioError)) throw error;
  console.log(`${error.code} from ${error.syscall}`);
}
await file.close();
