/** Four threads, each with a volume of its own, all over the same addon. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

if (isMainThread) {
  const [folder, addon] = process.argv.slice(2);
  const here = fileURLToPath(import.meta.url);
  const said = await Promise.all(
    Array.from({ length: 4 }, () => {
      const own = mkdtempSync(join(folder, 'thread-'));
      const worker = new Worker(here, { workerData: [own, addon] });
      return new Promise((resolve, reject) => {
        worker.once('error', reject);
        worker.once('message', resolve);
      });
    }),
  );
  console.log([...new Set(said)].join());
} else {
  const entries = {
    quarryfs: await import('quarryfs'),
    aio: await import('quarryfs/aio'),
    alloc: await import('quarryfs/alloc'),
    lab: await import('quarryfs/lab'),
  };
  const { use } = await import('./use.mjs');
  parentPort.postMessage(await use(entries, workerData[0], workerData[1] === 'addon'));
}
