// @ts-check
/**
 * A disk that can be slow, fail, and lose power: one file, `disk`, on a FUSE mount, for a loop
 * device on top of it.
 *
 *   node scripts/fault-disk.mjs DIRECTORY BYTES
 *
 * It lives in memory and has a write cache as the contract of src/aio/device.ts allows it: what was
 * not flushed may be lost in any subset of sectors. It takes commands on standard input and answers
 * each with a line; unmounting ends it.
 *
 *   slow MS [MS [one]]
 *                    each flush takes so long, each read and write so long, one after the other
 *   fail writes|flushes|reads|all, mend
 *   cut SEED         the power goes: of each unflushed sector the seed decides whether it is as written or as before; until `mend` all
 *                    requests fail
 *   count            bytes read and written, and flushes so far
 */
import { createInterface } from 'node:readline';
import { fsError } from '../dist/fs/base/errors.js';
import { parseMountOptions } from '../dist/fuse/options.js';
import { serve } from '../dist/fuse/serve.js';
import { native } from '../dist/native.js';
import { SeededRandom } from '../dist/sim/seeded-random.js';

/** @typedef {import('../dist/fs/base/filesystem.js').FileSystem} FileSystem */
/** @typedef {import('../dist/fs/base/filesystem.js').Attributes} Attributes */

const SECTOR_BYTES = 512;
const ROOT = 1;
const DISK = 2;
const NAME = 'disk';

/** Work that is done some time later, in its order. */
class Delays {
  milliseconds = 0;
  /** Each begins when the one before has ended, as where there is one arm. */
  oneByOne = false;
  /** @type {{ due: number, work: () => void }[]} */
  #waiting = [];

  /** @param {() => void} work */
  later(work) {
    if (this.milliseconds === 0) {
      work();
      return;
    }
    const begins = this.oneByOne
      ? Math.max(this.#waiting.at(-1)?.due ?? 0, performance.now())
      : performance.now();
    this.#waiting.push({ due: begins + this.milliseconds, work });
    if (this.#waiting.length === 1) this.#wait();
  }

  /** A timer of the loop is a millisecond or two late. */
  #wait() {
    const left = (this.#waiting[0]?.due ?? 0) - performance.now();
    if (left > 2) setTimeout(() => this.#wait(), left - 2);
    else setImmediate(() => this.#doWhatIsDue());
  }

  #doWhatIsDue() {
    while ((this.#waiting[0]?.due ?? Number.POSITIVE_INFINITY) <= performance.now()) {
      // It stays the first until it is done, so that what comes meanwhile waits for no second timer.
      this.#waiting[0]?.work();
      this.#waiting.shift();
    }
    if (this.#waiting.length > 0) this.#wait();
  }
}

/** @implements {FileSystem} */
class FaultDisk {
  blockBytes = 4096;
  offsetSecret = [1, 2, 3, 4];
  readOnly = false;
  slowMs = 0;
  delays = new Delays();
  /** @type {Set<string>} */
  failing = new Set();
  counts = { readBytes: 0, writtenBytes: 0, flushes: 0 };
  #bytes;
  /**
   * What sectors held when they were last flushed, of those written since.
   * @type {Map<number, Uint8Array>}
   */
  #unflushed = new Map();
  /** The same for flushes that are under way. @type {Set<Map<number, Uint8Array>>} */
  #flushing = new Set();

  /** @param {number} sizeBytes */
  constructor(sizeBytes) {
    this.#bytes = Buffer.alloc(sizeBytes);
  }

  /** @param {string} what */
  #mustWork(what) {
    if (this.failing.has(what) || this.failing.has('all')) throw fsError('EIO');
  }

  /** @param {{ finished(thrown: unknown): void }} request @param {() => void} work */
  #end(request, work) {
    try {
      work();
    } catch (thrown) {
      request.finished(thrown);
      return;
    }
    request.finished(undefined);
  }

  /** @param {import('../dist/fs/base/filesystem.js').ReadRequest} request */
  read(request) {
    this.delays.later(() => this.#read(request));
  }

  /** @param {import('../dist/fs/base/filesystem.js').ReadRequest} request */
  #read(request) {
    this.#end(request, () => {
      this.#mustWork('reads');
      const { offsetBytes, lengthBytes, memory, memoryOffset } = request;
      const found = this.#bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
      memory.bytes.set(found, memoryOffset);
      request.resultOffset = memoryOffset;
      request.resultBytes = found.length;
      this.counts.readBytes += found.length;
    });
  }

  /** @param {import('../dist/fs/base/filesystem.js').WriteRequest} request */
  write(request) {
    this.delays.later(() => this.#write(request));
  }

  /** @param {import('../dist/fs/base/filesystem.js').WriteRequest} request */
  #write(request) {
    this.#end(request, () => {
      this.#mustWork('writes');
      const { offsetBytes, lengthBytes, memory, memoryOffset } = request;
      if (offsetBytes + lengthBytes > this.#bytes.length) throw fsError('ENOSPC');
      const last = Math.floor((offsetBytes + lengthBytes - 1) / SECTOR_BYTES);
      for (let sector = Math.floor(offsetBytes / SECTOR_BYTES); sector <= last; sector++)
        this.#remember(sector);
      this.#bytes.set(memory.bytes.subarray(memoryOffset, memoryOffset + lengthBytes), offsetBytes);
      this.counts.writtenBytes += lengthBytes;
    });
  }

  /** @param {number} sector */
  #sector(sector) {
    return this.#bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }

  /** @param {number} sector */
  #remember(sector) {
    if (!this.#unflushed.has(sector)) this.#unflushed.set(sector, Uint8Array.from(this.#sector(sector)));
  }

  /** A flush covers what was written before it came. */
  async sync() {
    this.#mustWork('flushes');
    const covered = this.#unflushed;
    this.#unflushed = new Map();
    this.#flushing.add(covered);
    if (this.slowMs > 0) await new Promise((resolve) => setTimeout(resolve, this.slowMs));
    this.#mustWork('flushes');
    this.#flushing.delete(covered);
    this.counts.flushes++;
  }

  /** The power goes. @param {number} seed @returns {{ lost: number, kept: number }} sectors */
  cut(seed) {
    const random = new SeededRandom(seed);
    this.failing.add('all');
    let [lost, kept] = [0, 0];
    // The share that survives varies from all to nothing.
    const share = random.uint32() % 5;
    for (const sectors of [this.#unflushed, ...[...this.#flushing].reverse()]) {
      for (const [sector, before] of sectors) {
        if (random.uint32() % 4 < share) kept++;
        else {
          this.#sector(sector).set(before);
          lost++;
        }
      }
    }
    this.#unflushed = new Map();
    this.#flushing = new Set();
    return { lost, kept };
  }

  // ---- a directory with one file ----

  /** @param {import('../dist/fs/base/filesystem.js').Operation} operation */
  execute(operation) {
    this.#end(operation, () => operation.perform(this));
  }

  /** @param {unknown} _ @param {number} parent @param {Uint8Array} name */
  lookup(_, parent, name) {
    if (parent !== ROOT) throw fsError('ENOTDIR');
    return Buffer.from(name).toString() === NAME ? DISK : 0;
  }

  /** @param {unknown} _ @param {number} inode @param {Attributes} into */
  readAttributes(_, inode, into) {
    const sizeBytes = inode === DISK ? this.#bytes.length : 0;
    const mode = inode === DISK ? 0o100600 : 0o040755;
    const linkCount = inode === DISK ? 1 : 2;
    Object.assign(into, {
      inode,
      generation: 0,
      mode,
      linkCount,
      sizeBytes,
      sectors: sizeBytes / SECTOR_BYTES,
      flags: 0,
    });
  }

  /**
   * @param {unknown} _
   * @param {number} __
   * @param {number} cookie
   * @param {import('../dist/fs/base/filesystem.js').EntryVisitor} visit
   */
  readDirectory(_, __, cookie, visit) {
    if (cookie === 0) visit(Buffer.from(NAME), DISK, 0o100000, 1);
  }

  /** @param {unknown} _ @param {import('../dist/fs/base/filesystem.js').SpaceStatistics} into */
  statistics(_, into) {
    const blocks = this.#bytes.length / this.blockBytes;
    Object.assign(into, {
      blockBytes: this.blockBytes,
      blocks,
      freeBlocks: 0,
      availableBlocks: 0,
      inodes: 2,
      freeInodes: 0,
      maxNameBytes: 255,
    });
  }

  /** The kernel keeps the times. */
  changeAttributes() {}

  changeFlags() {}

  async setSize() {
    throw fsError('EPERM');
  }

  async fallocate() {
    throw fsError('EOPNOTSUPP');
  }

  /** @returns {Promise<never>} */
  async seek() {
    throw fsError('EOPNOTSUPP');
  }

  /** @returns {Promise<never>} */
  async copyRange() {
    throw fsError('EOPNOTSUPP');
  }

  /** @returns {never} */
  #refuse() {
    throw fsError('EPERM');
  }

  hasExtendedAttributes() {
    return false;
  }

  /** There are none. @returns {never} */
  getExtendedAttribute() {
    throw fsError('ENODATA');
  }

  listExtendedAttributes() {
    return [];
  }

  setExtendedAttribute = () => this.#refuse();
  removeExtendedAttribute = () => this.#refuse();
  create = () => this.#refuse();
  createUnnamed = () => this.#refuse();
  symlink = () => this.#refuse();
  readSymlink = () => this.#refuse();
  link = () => this.#refuse();
  unlink = () => this.#refuse();
  removeDirectory = () => this.#refuse();
  rename = () => this.#refuse();
  acquire() {}
  forget() {}
  submit() {}
  async unmount() {}
}

/** The session tells the next writer of a write that failed: not after `mend`. */
function mend() {
  disk.failing.clear();
  session.writeFailures.take(DISK);
}

/** @param {string} line @returns {unknown} */
function obey(line) {
  const [word, value = '', request = '0', order] = line.split(' ');
  if (word === 'slow') {
    disk.slowMs = Number(value);
    disk.delays.milliseconds = Number(request);
    disk.delays.oneByOne = order === 'one';
  } else if (word === 'fail') disk.failing.add(value);
  else if (word === 'mend') mend();
  else if (word === 'cut') return disk.cut(Number(value));
  else if (word === 'count') return disk.counts;
  else return { error: `unknown: ${word}` };
  return {};
}

const [directory = '', sizeBytes = ''] = process.argv.slice(2);
const disk = new FaultDisk(Number(sizeBytes));
native.setIoFlusher();
const session = await serve({
  filesystem: disk,
  source: 'fault-disk',
  blockDevice: false,
  directory,
  options: parseMountOptions(['subtype=faultdisk'], process.geteuid?.() === 0),
  log: (line) => console.error(`fault-disk: ${line}`),
});
const commands = createInterface({ input: process.stdin });
commands.on('line', (line) => console.log(JSON.stringify(obey(line))));
console.log('{}');
await session.closed;
process.exit(0);
