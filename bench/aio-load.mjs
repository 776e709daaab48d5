// @ts-check
/**
 * One contender in a process of its own: `node aio-load.mjs
 * '{"how":"uring","path":"/dev/loop0",…}'` prints its measurement.
 *
 * Engines of `quarryfs/aio` by their names; `fs.read` is the callback interface of Node with
 * O_DIRECT, `fs.promises` its FileHandle: both are threads of libuv. A warm-up, which the compiler
 * needs, is left out.
 */
import { closeSync, constants, openSync, promises, read, write } from 'node:fs';
import { AlignedBuffer } from '../dist/aio/file/aligned-buffer.js';
import { openFile } from '../dist/aio/file/open-file.js';
import { measure } from '../dist/cli/io-measurement.js';
import { LatencyHistogram } from '../dist/common/latency-histogram.js';
import { SeededRandom } from '../dist/sim/seeded-random.js';

/**
 * @typedef {object} Load
 * @property {string} how
 * @property {string} path
 * @property {import('../dist/cli/io-measurement.js').Workload} workload
 * @property {number} blockBytes
 * @property {number} depth
 * @property {number} seconds
 * @property {number} sizeBytes
 * @property {number} [spinUs]
 */

const WARM_UP_SECONDS = 0.6;

/** @typedef {(bytes: Buffer, offset: number, done: (error: unknown) => void) => void} Transfer */

/**
 * The loop of `measure`, for what is not an AsyncFile.
 * @param {Transfer} transfer
 * @param {Load} load
 * @param {number} seconds
 */
async function drive(transfer, load, seconds) {
  const random = new SeededRandom(1);
  const blocks = Math.floor(load.sizeBytes / load.blockBytes);
  let sequential = 0;
  const nextPlace = load.workload.startsWith('rand')
    ? () => random.below(blocks) * load.blockBytes
    : () => (sequential++ % blocks) * load.blockBytes;
  const latencies = new LatencyHistogram();
  const memory = AlignedBuffer.allocate(load.blockBytes * load.depth);
  let running = true;
  let unfinished = 0;
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  await new Promise((resolve, reject) => {
    const submit = (/** @type {Buffer} */ bytes) => {
      const submitted = performance.now();
      unfinished++;
      transfer(bytes, nextPlace(), (error) => {
        unfinished--;
        if (error) reject(error);
        else if (running) {
          latencies.record((performance.now() - submitted) * 1e6);
          submit(bytes);
        } else if (unfinished === 0) resolve(undefined);
      });
    };
    setTimeout(() => {
      running = false;
    }, seconds * 1000);
    for (let slot = 0; slot < load.depth; slot++) {
      submit(memory.subarray(slot * load.blockBytes, (slot + 1) * load.blockBytes));
    }
  });
  const passed = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  return {
    iops: latencies.count / passed,
    cpuUs: (cpu.user + cpu.system) / latencies.count,
    p50Us: latencies.percentile(0.5) / 1000,
    p99Us: latencies.percentile(0.99) / 1000,
  };
}

/** @param {Load} load */
async function measureNode(load) {
  const flags = constants.O_RDWR | constants.O_DIRECT;
  const writes = load.workload.endsWith('write');
  if (load.how === 'fs.promises') {
    const handle = await promises.open(load.path, flags);
    /** @type {Transfer} */
    const transfer = (bytes, offset, done) => {
      const promise = writes
        ? handle.write(bytes, 0, bytes.length, offset)
        : handle.read(bytes, 0, bytes.length, offset);
      promise.then(() => done(null), done);
    };
    await drive(transfer, load, WARM_UP_SECONDS);
    const result = await drive(transfer, load, load.seconds);
    await handle.close();
    return result;
  }
  const descriptor = openSync(load.path, flags);
  /** @type {Transfer} */
  const transfer = writes
    ? (bytes, offset, done) => write(descriptor, bytes, 0, bytes.length, offset, done)
    : (bytes, offset, done) => read(descriptor, bytes, 0, bytes.length, offset, done);
  await drive(transfer, load, WARM_UP_SECONDS);
  const result = await drive(transfer, load, load.seconds);
  closeSync(descriptor);
  return result;
}

/** @param {Load} load */
async function measureEngine(load) {
  const engine = /** @type {import('../dist/aio/file/async-file.js').EngineName} */ (load.how);
  const spin = load.spinUs === undefined ? {} : { spinUs: load.spinUs };
  const file = await openFile(load.path, { engine, flags: 'r+', queueDepth: load.depth, ...spin });
  const { workload, blockBytes, depth, sizeBytes } = load;
  const plan = { workload, blockBytes, depth, sizeBytes };
  await measure(file, { ...plan, seconds: WARM_UP_SECONDS });
  const result = await measure(file, { ...plan, seconds: load.seconds });
  await file.close();
  return {
    iops: result.iops,
    cpuUs: result.cpuUsPerRequest,
    p50Us: result.latencyUs.p50,
    p99Us: result.latencyUs.p99,
  };
}

/** @type {Load} */
const load = JSON.parse(process.argv[2] ?? '');
const result = load.how.startsWith('fs.') ? await measureNode(load) : await measureEngine(load);
console.log(JSON.stringify(result));
