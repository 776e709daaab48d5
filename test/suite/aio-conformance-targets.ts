/**
 * What the conformance suite of asynchronous files runs on: a file on a disk, a loop device, a file
 * on tmpfs.
 *
 * A target is made once per test file and filled anew before each case, past the page cache and the
 * engine under test. Everything is taken back when the test file ends. Loop devices need root:
 * without it their cases are skipped, and with CI set they run and fail.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll } from 'vitest';
import type { AsyncFile, EngineName, OpenFileOptions } from '../../src/aio/file/async-file.ts';
import { openFile } from '../../src/aio/file/open-file.ts';

export type TargetKind = 'file' | 'loop device' | 'tmpfs';

export const ENGINES: readonly EngineName[] = ['buffered', 'direct', 'mmap', 'aio', 'uring'];
/** Engines that transfer past the page cache. */
export const DIRECT_ENGINES: readonly EngineName[] = ['direct', 'aio', 'uring'];

/** No multiple of any sector, so that the end of the file is unaligned. */
export const FILE_BYTES = 70_001;
export const DEVICE_BYTES = 1024 * 1024;

export const IS_ROOT = process.getuid?.() === 0;
/** Loop devices cannot be made here, and nobody insists. */
export const NO_LOOP_DEVICES = !IS_ROOT && !process.env.CI;

const undo: (() => void)[] = [];

/** Takes back, at the end of the test file, all that was made here. */
export function undoAfterAll(): void {
  afterAll(() => {
    const failures: unknown[] = [];
    for (const step of undo.splice(0).reverse()) {
      try {
        step();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be taken back');
  });
}

/** A new folder; by default on a filesystem of a disk. */
export function temporaryFolder(parent = '/var/tmp'): string {
  const folder = mkdtempSync(join(parent, 'quarry-aio-'));
  undo.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A new file in a new folder. */
export function temporaryFile(content: Uint8Array | number, parent?: string): string {
  const path = join(temporaryFolder(parent), 'data');
  if (typeof content === 'number') {
    const descriptor = openSync(path, 'w');
    ftruncateSync(descriptor, content);
    closeSync(descriptor);
  } else writeFileSync(path, content);
  return path;
}

/** A loop device over a sparse file in memory. */
export function makeLoopDevice(sizeBytes: number, ...losetupOptions: string[]): string {
  const image = temporaryFile(sizeBytes, '/dev/shm');
  const device = execFileSync('losetup', ['--find', '--show', '--direct-io=on', ...losetupOptions, image], {
    encoding: 'utf8',
  }).trim();
  undo.push(() => execFileSync('losetup', ['--detach', device]));
  // Who had the device before may have changed how far is read ahead.
  if (IS_ROOT) execFileSync('blockdev', ['--setra', '256', device]);
  return device;
}

const THROTTLE = '/sys/fs/cgroup/blkio/blkio.throttle.';

/**
 * Why devices cannot be slowed down here, or '': it needs root, and the blkio controller of cgroup
 * 1 over this process.
 */
function slownessObstacle(): string {
  if (!IS_ROOT) return 'not root';
  try {
    const group = /^\d+:(?:.*,)?blkio(?:,.*)?:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
    if (group !== '/') return `the blkio group is ${group ?? 'not there'}`;
    readFileSync(`${THROTTLE}read_iops_device`);
    return '';
  } catch {
    return 'no blkio controller';
  }
}

export const SLOWNESS_OBSTACLE = slownessObstacle();

/**
 * Lets at most so many requests per second reach the device; 0 = all. Those beyond wait in the
 * kernel.
 */
export function slowDown(device: string, requestsPerSecond: number): void {
  const numbers = readFileSync(`/sys/block/${basename(device)}/dev`, 'utf8').trim();
  for (const kind of ['read', 'write']) {
    writeFileSync(`${THROTTLE}${kind}_iops_device`, `${numbers} ${requestsPerSecond}`);
  }
}

/** A loop device that answers no more than so many requests per second. */
export function makeSlowDevice(requestsPerSecond: number): string {
  const device = makeLoopDevice(DEVICE_BYTES);
  slowDown(device, requestsPerSecond);
  undo.push(() => slowDown(device, 0));
  return device;
}

/** Bytes that differ from their neighbours and from the same place in other sectors. */
export function pattern(lengthBytes: number, salt = 0): Buffer {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  for (let at = 0; at < lengthBytes; at++) bytes[at] = (at * 31 + (at >> 9) * 7 + salt * 101) & 0xff;
  return bytes;
}

/** One engine on one target: what a case of the suite is given. */
export class Place {
  readonly engine: EngineName;
  readonly kind: TargetKind;
  readonly path: string;
  /** What the target holds when the case begins. */
  readonly content: Buffer;
  readonly #opened: AsyncFile[] = [];

  constructor(engine: EngineName, kind: TargetKind, path: string, content: Buffer) {
    this.engine = engine;
    this.kind = kind;
    this.path = path;
    this.content = content;
  }

  get isDevice(): boolean {
    return this.kind === 'loop device';
  }

  /** Whether the engine uses O_DIRECT. */
  get isDirect(): boolean {
    return DIRECT_ENGINES.includes(this.engine);
  }

  get sizeBytes(): number {
    return this.content.length;
  }

  /** Opens the target with the engine, for reading and writing. It is closed when the case ends. */
  open(options: OpenFileOptions = {}): Promise<AsyncFile> {
    return this.openPath(this.path, options);
  }

  async openPath(path: string, options: OpenFileOptions = {}): Promise<AsyncFile> {
    const file = await openFile(path, { engine: this.engine, flags: 'r+', ...options });
    this.#opened.push(file);
    return file;
  }

  /** Path of a new file beside the target, with this content; for a loop device on a disk. */
  beside(content: Uint8Array | number = 0): string {
    return temporaryFile(content, this.kind === 'tmpfs' ? '/dev/shm' : '/var/tmp');
  }

  /** What the target holds now, by ordinary reads of another descriptor. */
  stored(): Buffer {
    if (!this.isDevice) return readFileSync(this.path);
    const descriptor = openSync(this.path, 'r');
    const bytes = Buffer.alloc(DEVICE_BYTES);
    const count = readSync(descriptor, bytes, 0, DEVICE_BYTES, 0);
    closeSync(descriptor);
    return bytes.subarray(0, count);
  }

  async closeAll(): Promise<void> {
    for (const file of this.#opened.splice(0)) await file.close();
  }
}

/** A target of one kind, reused by all cases of a test file. */
export class TargetMaker {
  readonly kind: TargetKind;
  readonly #content: Buffer;
  #path: string | undefined;

  constructor(kind: TargetKind) {
    this.kind = kind;
    this.#content = pattern(kind === 'loop device' ? DEVICE_BYTES : FILE_BYTES);
  }

  /** The target with its first content, for one case. */
  place(engine: EngineName): Place {
    this.#path ??=
      this.kind === 'loop device'
        ? makeLoopDevice(DEVICE_BYTES)
        : temporaryFile(0, this.kind === 'tmpfs' ? '/dev/shm' : '/var/tmp');
    if (this.kind !== 'loop device') truncateSync(this.#path, 0);
    const descriptor = openSync(this.#path, 'r+');
    writeSync(descriptor, this.#content, 0, this.#content.length, 0);
    if (this.kind === 'loop device') fsyncSync(descriptor);
    closeSync(descriptor);
    return new Place(engine, this.kind, this.#path, this.#content);
  }
}
