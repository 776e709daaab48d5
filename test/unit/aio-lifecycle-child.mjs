// @ts-check
/**
 * Stages of life in which a process that uses `quarryfs/aio` may end, or be looked at: `node
 * aio-lifecycle-child.mjs STAGE ENGINE PATH [DETAIL]`.
 *
 * Some stages end the process on purpose in the midst of things. The others print one line of JSON,
 * and fail by an exception.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { AlignedBuffer, openFile } from '../../dist/aio/file/open-file.js';

const BLOCK_BYTES = 4096;
/** Requests under way when a stage ends. */
const IN_FLIGHT = 8;

/** @typedef {import('../../dist/aio/file/async-file.js').AsyncFile} AsyncFile */

/**
 * Descriptors of this process but pipes, sockets and what Node itself has open, by what they lead
 * to.
 */
function openDescriptors() {
  return readdirSync('/proc/self/fd')
    .map((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`);
      } catch {
        return '';
      }
    })
    .filter(
      (target) => target.startsWith('/') && !target.startsWith('/proc/') && !target.startsWith('/dev/null'),
    );
}

/**
 * What of the system this process holds: descriptors of files, io_urings, rings of kernel AIO,
 * which show in its memory map.
 */
function held() {
  const rings = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('[aio]'));
  const urings = readdirSync('/proc/self/fd').filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).includes('io_uring');
    } catch {
      return false;
    }
  });
  return { files: openDescriptors().length, aioRings: rings.length, urings: urings.length };
}

/** @param {AsyncFile} file */
function submitSome(file) {
  return Array.from({ length: IN_FLIGHT }, (_, at) =>
    file.submitRead(AlignedBuffer.allocate(BLOCK_BYTES), at * 65_536),
  );
}

const [stage = '', engineName = '', path = '', detail = ''] = isMainThread
  ? process.argv.slice(2)
  : workerData;
const engine = /** @type {import('../../dist/aio/file/async-file.js').EngineName} */ (engineName);
const open = () => openFile(path, { engine, flags: 'r+' });

/** @param {unknown} value */
function tell(value) {
  console.log(JSON.stringify(value));
}

/** Collects until nothing changes any more: finalizers run in turns of their own. */
async function collect() {
  for (let round = 0; round < 10; round++) {
    globalThis.gc?.();
    await sleep(10);
  }
}

/** @param {number} count @param {string} inside stage of the worker */
function startWorkers(count, inside) {
  return Array.from(
    { length: count },
    () => new Worker(new URL(import.meta.url), { workerData: [inside, engine, path] }),
  );
}

/** @type {Record<string, () => Promise<void>>} */
const STAGES = {
  'exit with a file open': async () => {
    await open();
    process.exit(0);
  },

  'exit with requests in flight': async () => {
    const file = await open();
    submitSome(file);
    file.flushSubmissions();
    process.exit(0);
  },

  'exit with requests submitted in this turn': async () => {
    submitSome(await open());
    process.exit(0);
  },

  'exit while closing': async () => {
    const file = await open();
    submitSome(file);
    void file.close();
    process.exit(0);
  },

  'exit in onDone': async () => {
    const file = await open();
    file.submitRead(AlignedBuffer.allocate(BLOCK_BYTES), 0, { onDone: () => process.exit(0) });
  },

  'exit while opening': async () => {
    void open();
    setImmediate(() => process.exit(0));
  },

  'end by itself with a file open': async () => {
    const file = await open();
    await file.readAt(AlignedBuffer.allocate(BLOCK_BYTES), 0);
  },

  'end by itself when the requests have ended': async () => {
    const file = await open();
    const requests = submitSome(file);
    process.on('exit', () => tell({ done: requests.filter(({ state }) => state === 'done').length }));
  },

  'an uncaught exception with requests in flight': async () => {
    const file = await open();
    submitSome(file);
    file.flushSubmissions();
    throw new Error('on purpose');
  },

  'an exception in onDone': async () => {
    const file = await open();
    file.submitRead(AlignedBuffer.allocate(BLOCK_BYTES), 0, {
      onDone: () => {
        throw new Error('on purpose');
      },
    });
  },

  'an exception in onDone that is caught at last': async () => {
    const file = await open();
    let caught = 0;
    process.on('uncaughtException', () => {
      caught++;
    });
    const onDone = () => {
      throw new Error('on purpose');
    };
    const requests = Array.from({ length: 4 }, (_, at) =>
      file.submitRead(AlignedBuffer.allocate(BLOCK_BYTES), at * 65_536, { onDone }),
    );
    await file.drain();
    await sleep(5);
    await file.readAt(AlignedBuffer.allocate(BLOCK_BYTES), 0);
    await file.close();
    tell({ caught, done: requests.filter(({ state }) => state === 'done').length });
  },

  'workers that are terminated': async () => {
    const before = held();
    for (let round = 0; round < 3; round++) {
      const workers = startWorkers(2, 'busy worker');
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    tell({ before, after: held() });
  },

  /**
   * Also while they load the addon, make a queue, and open: what open(2) then gives nobody has, so
   * descriptors do not count.
   */
  'workers that are terminated at any moment': async () => {
    for (let delayMs = 0; delayMs < 60; delayMs += 4) {
      const [worker] = startWorkers(1, 'busy worker');
      await sleep(delayMs);
      await worker?.terminate();
    }
    const { aioRings, urings } = held();
    tell({ before: { aioRings: 0, urings: 0 }, after: { aioRings, urings } });
  },

  'workers that end': async () => {
    const before = held();
    const workers = startWorkers(2, 'worker that ends');
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))));
    tell({ before, after: held() });
  },

  /**
   * Node closes, by number, what a worker opened through it: a number that was closed must not be
   * that of another thread's file.
   */
  'a worker that ends takes no descriptor of another thread': async () => {
    const [worker] = startWorkers(1, 'worker that closes and waits');
    if (!worker) return;
    await new Promise((resolve) => worker.once('message', resolve));
    const file = await open();
    const others = await Promise.all(Array.from({ length: 8 }, open));
    worker.postMessage('end');
    await new Promise((resolve) => worker.once('exit', resolve));
    const memory = AlignedBuffer.allocate(BLOCK_BYTES);
    const counts = await Promise.all([file, ...others].map((one) => one.readAt(memory, 0)));
    await Promise.all([file, ...others].map((one) => one.close()));
    tell({ counts });
  },

  'worker that closes and waits': async () => {
    const files = await Promise.all(Array.from({ length: 4 }, open));
    await Promise.all(files.map((file) => file.close()));
    parentPort?.once('message', () => process.exit(0));
    parentPort?.postMessage('closed');
  },

  'busy worker': async () => {
    const file = await open();
    const memory = AlignedBuffer.allocate(BLOCK_BYTES);
    const again = () => {
      file.submitRead(memory, 0, { onDone: again });
    };
    for (let at = 0; at < IN_FLIGHT; at++) again();
    await file.readAt(memory, 65_536);
    parentPort?.postMessage('busy');
  },

  'worker that ends': async () => {
    const file = await open();
    await file.readAt(AlignedBuffer.allocate(BLOCK_BYTES), 0);
    submitSome(file);
    process.exit(0);
  },

  'files that nobody reaches are closed': async () => {
    const keeper = await open();
    const before = held();
    await (async () => {
      const files = await Promise.all(Array.from({ length: 50 }, open));
      await Promise.all(files.map((file) => file.readAt(AlignedBuffer.allocate(BLOCK_BYTES), 0)));
    })();
    const most = held();
    await collect();
    const count = await keeper.readAt(AlignedBuffer.allocate(BLOCK_BYTES), 0);
    tell({ before, most, after: held(), count });
    await keeper.close();
  },

  'requests outlive what nobody reaches': async () => {
    const keeper = await open();
    let ended = 0;
    await (async () => {
      const file = await open();
      for (let at = 0; at < IN_FLIGHT; at++) {
        file.submitRead(AlignedBuffer.allocate(BLOCK_BYTES), at * 65_536, {
          onDone: (request) => {
            if (request.state === 'done') ended++;
          },
        });
      }
      file.flushSubmissions();
    })();
    globalThis.gc?.();
    globalThis.gc?.();
    for (let waited = 0; ended < IN_FLIGHT && waited < 5000; waited += 10) await sleep(10);
    await keeper.close();
    tell({ ended });
  },

  'many opens': async () => {
    const first = await open();
    await first.close();
    await sleep(200);
    const before = held();
    const memory = AlignedBuffer.allocate(BLOCK_BYTES);
    for (let round = 0; round < Number(detail) / 50; round++) {
      const files = await Promise.all(Array.from({ length: 50 }, open));
      if (round % 10 === 0) await Promise.all(files.map((file) => file.readAt(memory, 0)));
      await Promise.all(files.map((file) => file.close()));
    }
    await sleep(300);
    tell({ before, after: held() });
  },

  idle: async () => {
    const file = await open();
    await Promise.all(submitSome(file).map((request) => request.wait()));
    await sleep(150);
    const before = process.cpuUsage();
    process.send?.('idle');
    await sleep(1000);
    const { user, system } = process.cpuUsage(before);
    tell({ cpuMs: (user + system) / 1000 });
    await file.close();
    process.disconnect?.();
  },

  /** Waits for a device that is slow. */
  waiting: async () => {
    const file = await open();
    const requests = submitSome(file);
    await requests[0]?.wait();
    const start = performance.now();
    const before = process.cpuUsage();
    await file.drain();
    const { user, system } = process.cpuUsage(before);
    tell({ cpuMs: (user + system) / 1000, waitedMs: performance.now() - start });
    await file.close();
  },

  /** What openFile gives where a filter of system calls refuses some. */
  opening: async () => {
    try {
      const file = await openFile(path, { engine });
      const { engine: found } = file.options;
      const count = await file.readAt(AlignedBuffer.allocate(BLOCK_BYTES), 0);
      await file.close();
      tell({ found, count });
    } catch (thrown) {
      const { code, syscall, message, name } = /** @type {NodeJS.ErrnoException} */ (thrown);
      tell({ code, syscall, message, name });
    }
  },
};

const run = STAGES[stage];
if (!run) throw new Error(`no stage '${stage}'`);
// Not awaited here: Node aborts when a worker is terminated while a module with an await of its own
// is evaluated (nodejs/node issue 43182 and its successors). A stage that is still open when
// nothing keeps the process alive is a failure all the same.
process.exitCode = 13;
run().finally(() => {
  process.exitCode = undefined;
});
