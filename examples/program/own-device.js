/**
 * A volume on a device of the program's own: `node own-device.js DIRECTORY` keeps it in files of
 * 1 MiB, each made when something is written to it, as a store of objects might.
 */
import { mkdir, open } from 'node:fs/promises';
import { format, openVolume } from 'quarryfs';

const CHUNK = 2 ** 20;
const directory = process.argv[2];

/** Calls `work` for each chunk of a range: its file, where in it, and what part of the array. */
async function inChunks(array, offsetBytes, flags, work) {
  for (let at = 0; at < array.length; ) {
    const place = offsetBytes + at;
    const inChunk = place % CHUNK;
    const part = array.subarray(at, at + Math.min(array.length - at, CHUNK - inChunk));
    const name = `${directory}/${Math.floor(place / CHUNK)}`;
    const file = await open(name, flags).catch((error) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await work(file, inChunk, part);
    await file?.close();
    at += part.length;
  }
}

const written = new Set();
const store = {
  sizeBytes: 256 * 2 ** 20,
  async read(into, offsetBytes) {
    await inChunks(into, offsetBytes, 'r', async (file, at, part) => {
      // Nothing was written there: zeros.
      const { bytesRead } = file ? await file.read(part, 0, part.length, at) : { bytesRead: 0 };
      part.fill(0, bytesRead);
    });
  },
  async write(from, offsetBytes) {
    const place = Math.floor(offsetBytes / CHUNK);
    for (let at = place; at * CHUNK < offsetBytes + from.length; at++) {
      await (await open(`${directory}/${at}`, 'a')).close();
      written.add(at);
    }
    await inChunks(from, offsetBytes, 'r+', (file, at, part) => file.write(part, 0, part.length, at));
  },
  // When this ends, every write that had ended when it was called is safe. A promise to keep.
  async flush() {
    const chunks = [...written];
    written.clear();
    for (const at of chunks) {
      const file = await open(`${directory}/${at}`, 'r+');
      await file.datasync();
      await file.close();
    }
  },
};

await mkdir(directory, { recursive: true });
await format(store);
const volume = await openVolume(store);
await volume.writeFile('/large', Buffer.alloc(5 * 2 ** 20, 'chunks '));
const { size, blocks } = await volume.stat('/large');
console.log(`${size} bytes in ${blocks} sectors`);
await volume.close();
