/**
 * A volume in memory that carries out the operations of a workload: the code of a mount, over a
 * device that keeps metadata only, with a clock of its own.
 *
 *   time     each operation and each byte takes some, and `wait` does; every five seconds of it
 *            what changed is committed, as on a mount
 *   order    one operation after the other, each to its end; so a seed decides everything
 *   cache    writes are gathered before the volume sees them, as by a kernel (page-cache.ts)
 *   failure  what finds no room is counted and left undone, and so is what needs a file that was
 *            not made
 */
import { strict as assert } from 'node:assert';
import type { Memory } from '../../aio/device.ts';
import type { Allocator, AllocatorDefinition, AllocatorOptions } from '../../alloc/allocator.ts';
import type { Clock } from '../../fs/base/clock.ts';
import { FsError } from '../../fs/base/errors.ts';
import type { Caller, Operation, WriteRequest } from '../../fs/base/filesystem.ts';
import { DEFAULT_COMMIT_SECONDS } from '../../fs/base/limits.ts';
import { FileType, ROOT_INODE } from '../../fs/format/format.ts';
import { formatVolume } from '../../fs/mkfs.ts';
import type { Transaction } from '../../fs/transaction/transaction.ts';
import { openVolume, type Volume } from '../../fs/volume.ts';
import { SeededRandom } from '../../sim/seeded-random.ts';
import type { LaidExtent } from '../measures/layout.ts';
import type { LabOperation } from '../operation.ts';
import type { AgedFigures, AgedVolume, Refusals } from './aged-volume.ts';
import { MetadataDevice } from './metadata-device.ts';
import { ModelFigures } from './model-figures.ts';
import { type DirtyRange, MOST_WRITE_BYTES, PageCache } from './page-cache.ts';
import { entriesOf, filesOf, fullnessOf, visitFreeRuns } from './volume-layout.ts';

export const SECONDS_PER_OPERATION = 50e-6;
export const SECONDS_PER_BYTE = 1 / 200e6;
/** Of a volume that is aged, the metadata is at hand, as it is on a machine with memory. */
const CACHE_BYTES = 512 * 1024 * 1024;
/** Some day, for all volumes: 2026-01-01. */
const EPOCH_SECONDS = 1_767_225_600;
const NOBODY: Caller = { uid: 1000, gid: 1000, umask: 0o022 };
const FILE_MODE = FileType.regular | 0o644;
const DIRECTORY_MODE = FileType.directory | 0o755;

/** The clock of a model. */
export class ModelClock implements Clock {
  seconds = EPOCH_SECONDS;
  nanoseconds = 0;
  /** Since the model began. */
  now = 0;

  read(): void {
    const whole = Math.floor(this.now);
    this.seconds = EPOCH_SECONDS + whole;
    this.nanoseconds = Math.floor((this.now - whole) * 1e9);
  }

  roughSeconds(): number {
    return EPOCH_SECONDS + this.now;
  }
}

/** One operation at a time, used again and again: no promise where all is in memory. */
class Step implements Operation<Transaction> {
  isDone = true;
  thrown: unknown;
  #body: (tx: Transaction) => void = () => {};
  #tell: (() => void) | undefined;

  begin(body: (tx: Transaction) => void): void {
    assert(this.isDone, 'one step after the other');
    this.isDone = false;
    this.thrown = undefined;
    this.#body = body;
  }

  perform(tx: Transaction): void {
    this.#body(tx);
  }

  finished(thrown: unknown): void {
    this.isDone = true;
    this.thrown = thrown;
    this.#tell?.();
  }

  async end(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#tell = resolve;
    });
    this.#tell = undefined;
  }
}

/** The write under way. */
class WriteStep extends Step implements WriteRequest {
  inode = 0;
  offsetBytes = 0;
  lengthBytes = 0;
  readonly memoryOffset = 0;
  readonly updateTimes = true;
  readonly killPrivileges = false;
  readonly mayEndEarly = false;

  constructor(readonly memory: Memory) {
    super();
  }
}

/** Of ASCII text. A TextEncoder takes six times as long for a name. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** A file as the model knows it. */
export interface ModelFile {
  readonly inode: number;
  readonly directory: number;
}

export interface ModelOptions {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly seed: number;
  readonly allocator: AllocatorDefinition;
  readonly allocatorOptions?: AllocatorOptions;
}

export class ModelVolume implements AgedVolume {
  readonly files = new Map<number, ModelFile>();
  readonly clock: ModelClock;
  readonly refusals: Refusals = { count: 0, bytes: 0, firstFreeShare: undefined };
  operations = 0;
  writtenBytes = 0;
  /** Looks into maps of the free space that `visitFreeRuns` made. */
  ownMapLooks = 0;
  readonly #figures: ModelFigures;
  readonly #directories = new Map<number, number>([[0, ROOT_INODE]]);
  readonly #step = new Step();
  readonly #write: WriteStep;
  readonly #cache = new PageCache();
  #nextCommit = DEFAULT_COMMIT_SECONDS;

  private constructor(
    readonly device: MetadataDevice,
    readonly volume: Volume,
    clock: ModelClock,
  ) {
    this.clock = clock;
    this.#write = new WriteStep(device.allocateDataMemory(MOST_WRITE_BYTES + 2 * volume.blockBytes));
    this.#figures = new ModelFigures(this, device.sizeBytes);
  }

  /** @throws RangeError with a sentence for the user if no volume has these sizes */
  static async make(options: ModelOptions): Promise<ModelVolume> {
    const { blockBytes } = options;
    const sizeBytes = Math.floor(options.sizeBytes / blockBytes) * blockBytes;
    const device = new MetadataDevice(sizeBytes, blockBytes);
    const clock = new ModelClock();
    const random = new SeededRandom(options.seed);
    const secret = (length: number) => Uint8Array.from({ length }, () => random.below(256));
    await formatVolume(device, {
      blockBytes,
      label: 'model',
      uuid: secret(16),
      journalSalt: secret(8),
      nameSecret: secret(16),
      uid: 0,
      gid: 0,
      clock,
    });
    const volume = await openVolume(device, {
      allocator: options.allocator,
      allocatorOptions: options.allocatorOptions,
      cacheBytes: CACHE_BYTES,
      clock,
      commitSeconds: 0,
      // No turn is ever too long: how far one goes would depend on the machine.
      turns: { now: () => 0, later: setImmediate },
    });
    return new ModelVolume(device, volume, clock);
  }

  get policy(): Allocator | undefined {
    return this.volume.policy;
  }

  /** @returns undefined if it was done at once */
  apply(operation: LabOperation): Promise<void> | undefined {
    this.operations++;
    this.clock.now += SECONDS_PER_OPERATION;
    const waits = this.#begin(operation);
    if (this.clock.now < this.#nextCommit) return this.#figures.isLookDue ? this.#lookBehind(waits) : waits;
    this.#nextCommit = this.clock.now + DEFAULT_COMMIT_SECONDS;
    return this.#commitBehind(waits);
  }

  async #commitBehind(waits: Promise<void> | undefined): Promise<void> {
    await waits;
    await this.#writeOut(this.#cache.takeOld(this.clock.now));
    await this.volume.sync();
  }

  async #lookBehind(waits: Promise<void> | undefined): Promise<void> {
    await waits;
    await this.#figures.look();
  }

  #begin(operation: LabOperation): Promise<void> | undefined {
    switch (operation.kind) {
      case 'create':
        return this.#create(operation.file, operation.directory);
      case 'write':
        return this.#writeTo(operation.file, operation.offsetBytes, operation.lengthBytes);
      case 'close':
        return this.#writeOut(this.#cache.take(operation.file));
      case 'remove':
        return this.#remove(operation.file);
      case 'truncate':
        return this.#truncate(operation.file, operation.sizeBytes);
      case 'rename':
        return this.#rename(operation.file, operation.over);
      case 'sync':
        return this.#sync(operation.file);
      case 'makeDirectory':
        return this.#makeDirectory(operation.directory, operation.parent);
      case 'removeDirectory':
        return this.#removeDirectory(operation.directory);
      case 'wait':
        this.clock.now += operation.seconds;
        return undefined;
    }
  }

  #create(file: number, directory: number): Promise<void> | undefined {
    const parent = this.#directories.get(directory);
    if (parent === undefined) return undefined;
    return this.#run(
      0,
      (tx) => {
        const inode = this.volume.create(tx, parent, this.#fileName(file), {
          mode: FILE_MODE,
          deviceNumber: 0,
          caller: NOBODY,
        });
        this.files.set(file, { inode, directory });
      },
      () => this.#held(file),
    );
  }

  /** As on a mount, somebody has seen the file. */
  #held(file: number): void {
    const made = this.files.get(file);
    if (made !== undefined) this.volume.acquire(made.inode);
  }

  #makeDirectory(directory: number, parent: number): Promise<void> | undefined {
    const above = this.#directories.get(parent);
    if (above === undefined) return undefined;
    return this.#run(0, (tx) => {
      const name = bytesOf(`d${directory}`);
      const request = { mode: DIRECTORY_MODE, deviceNumber: 0, caller: NOBODY };
      this.#directories.set(directory, this.volume.create(tx, above, name, request));
      this.#parents.set(directory, above);
    });
  }

  readonly #parents = new Map<number, number>();

  #removeDirectory(directory: number): Promise<void> | undefined {
    const parent = this.#parents.get(directory);
    if (parent === undefined) return undefined;
    return this.#run(
      0,
      (tx) => this.volume.removeDirectory(tx, parent, bytesOf(`d${directory}`)),
      () => this.#directories.delete(directory),
    );
  }

  #writeTo(file: number, offsetBytes: number, lengthBytes: number): Promise<void> | undefined {
    if (!this.files.has(file)) return undefined;
    this.clock.now += lengthBytes * SECONDS_PER_BYTE;
    return this.#writeOut(this.#cache.write(file, offsetBytes, lengthBytes, this.clock.now));
  }

  /** One after the other; a promise only where something has to be waited for. */
  #writeOut(ranges: readonly DirtyRange[]): Promise<void> | undefined {
    for (const [index, range] of ranges.entries()) {
      const waits = this.#writeRange(range);
      if (waits !== undefined) return this.#writeRest(waits, ranges.slice(index + 1));
    }
    return undefined;
  }

  async #writeRest(before: Promise<void>, ranges: readonly DirtyRange[]): Promise<void> {
    await before;
    for (const range of ranges) await this.#writeRange(range);
  }

  #writeRange({ file, offsetBytes, lengthBytes }: DirtyRange): Promise<void> | undefined {
    const target = this.files.get(file);
    if (target === undefined) return undefined;
    const write = this.#write;
    write.begin(() => {});
    write.inode = target.inode;
    write.offsetBytes = offsetBytes;
    write.lengthBytes = lengthBytes;
    this.volume.write(write);
    this.volume.submit();
    const count = () => {
      this.writtenBytes += lengthBytes;
    };
    return this.#settle(write, lengthBytes, count);
  }

  async #truncate(file: number, sizeBytes: number): Promise<void> {
    const target = this.files.get(file);
    if (target === undefined) return;
    await this.#writeOut(this.#cache.take(file));
    await this.volume.setSize(target.inode, sizeBytes, false);
  }

  async #sync(file: number): Promise<void> {
    const target = this.files.get(file);
    if (target === undefined) return;
    await this.#writeOut(this.#cache.take(file));
    await this.volume.sync(target.inode);
  }

  #remove(file: number): Promise<void> | undefined {
    const target = this.files.get(file);
    const parent = target === undefined ? undefined : this.#directories.get(target.directory);
    if (target === undefined || parent === undefined) return undefined;
    this.#cache.drop(file);
    return this.#run(
      0,
      (tx) => void this.volume.unlink(tx, parent, this.#fileName(file)),
      () => {
        this.files.delete(file);
        this.volume.forget(target.inode, 1);
      },
    );
  }

  #rename(file: number, over: number | undefined): Promise<void> | undefined {
    const target = this.files.get(file);
    const replaced = over === undefined ? undefined : this.files.get(over);
    if (target === undefined || over === undefined || replaced === undefined) return undefined;
    const from = this.#directories.get(target.directory);
    const to = this.#directories.get(replaced.directory);
    if (from === undefined || to === undefined) return undefined;
    return this.#renameTo(file, over, from, to);
  }

  /** The file gets the name of the other for a moment, then its own again, in that directory. */
  async #renameTo(file: number, over: number, from: number, to: number): Promise<void> {
    const target = this.files.get(file);
    const replaced = this.files.get(over);
    if (target === undefined || replaced === undefined) return;
    const [own, other] = [this.#fileName(file), this.#fileName(over)];
    let done = false;
    await this.#run(
      0,
      (tx) => void this.volume.rename(tx, { parent: from, name: own }, { parent: to, name: other }),
      () => {
        done = true;
        this.#cache.drop(over);
        this.files.delete(over);
        this.files.set(file, { inode: target.inode, directory: replaced.directory });
        this.volume.forget(replaced.inode, 1);
      },
    );
    if (done)
      await this.#run(
        0,
        (tx) => void this.volume.rename(tx, { parent: to, name: other }, { parent: to, name: own }),
      );
  }

  #fileName(file: number): Uint8Array {
    return bytesOf(`f${file}`);
  }

  #run(
    bytes: number,
    body: (tx: Transaction) => void,
    succeeded: () => void = () => {},
  ): Promise<void> | undefined {
    const step = this.#step;
    step.begin(body);
    this.volume.execute(step);
    this.volume.submit();
    return this.#settle(step, bytes, succeeded);
  }

  #settle(step: Step, bytes: number, succeeded: () => void): Promise<void> | undefined {
    if (!step.isDone) return step.end().then(() => this.#conclude(step, bytes, succeeded));
    this.#conclude(step, bytes, succeeded);
    return undefined;
  }

  #conclude({ thrown }: Step, bytes: number, succeeded: () => void): void {
    if (thrown === undefined) {
      succeeded();
      return;
    }
    if (!(thrown instanceof FsError) || thrown.code !== 'ENOSPC') throw thrown;
    this.refusals.count++;
    this.refusals.bytes += bytes;
    this.refusals.firstFreeShare ??= this.volume.freeBytes / this.device.sizeBytes;
  }

  /** Everything is on the device, and what was freed is free. */
  async settle(): Promise<void> {
    await this.#writeOut(this.#cache.takeOld(this.clock.now, true));
    await this.volume.sync();
    await this.volume.sync();
  }

  get simulatedSeconds(): number {
    return this.clock.now;
  }

  /** Directories come as they were made. */
  async *filesInOrder(): AsyncGenerator<readonly LaidExtent[]> {
    for (const directory of this.#directories.values()) {
      yield* filesOf(this.volume, await entriesOf(this.volume, directory));
    }
  }

  async visitFreeRuns(visit: (start: number, length: number) => void): Promise<boolean> {
    const before = this.volume.counters().spaceMapLooks;
    await visitFreeRuns(this.volume, visit);
    this.ownMapLooks += this.volume.counters().spaceMapLooks - before;
    return true;
  }

  async figures(): Promise<AgedFigures> {
    return {
      fullness: await fullnessOf(this.volume),
      metadataBlocksWritten: this.volume.counters().metadataBlocksWritten,
      model: await this.#figures.take(),
      policy: this.policy?.stats?.() ?? {},
    };
  }

  async close(): Promise<void> {
    await this.volume.unmount();
  }
}
