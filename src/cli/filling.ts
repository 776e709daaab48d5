/**
 * `mkfs --from DIR`: a new volume gets a tree of files, as `mke2fs -d` gives it to ext4.
 *
 * With SOURCE_DATE_EPOCH (reproducible-builds.org) what comes of it depends on the tree alone: no
 * time is later than that, and what is random in a volume is derived, from the id that was given or
 * from all that is in the tree. The secret of its names is none then: whoever has the tree can find
 * names of one hash. Each name is committed before the next one, and no write is answered early, so
 * that nothing depends on how fast the device is; for that, the device is asked to flush only once,
 * at the end.
 */
import { createHash } from 'node:crypto';
import type { Device, IoCompletion, Memory } from '../aio/device.ts';
import { PromisedCompletion } from '../aio/device.ts';
import { LocalCompletions } from '../aio/local-completions.ts';
import { plural } from '../common/words.ts';
import type { Clock } from '../fs/base/clock.ts';
import { FileType } from '../fs/format/format.ts';
import { NAME_SECRET_BYTES } from '../fs/format/name-hash.ts';
import { pathText } from '../path-bytes.ts';
import { openProgramVolume } from '../program/open-program.ts';
import { CommandError, failureLine, UsageError } from './failure.ts';
import { identitiesOf, LocalTree } from './local-tree.ts';
import type { VolumePlan } from './making.ts';
import { TreeCopy } from './tree-copy.ts';
import type { ContentPiece, TargetTree, TreeNode } from './tree-sides.ts';
import { passedText } from './volume-copies.ts';
import { placeError } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

const ROOT = Buffer.from('/');
const SECOND = 1_000_000_000n;

/** Seconds since 1970, or undefined where it is not set. @throws UsageError */
export function sourceDateEpoch(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const seconds = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(seconds)) return seconds;
  throw new UsageError(`SOURCE_DATE_EPOCH=${text} is no number of seconds since 1970`);
}

/** A clock that stands still. */
class StoppedClock implements Clock {
  readonly nanoseconds = 0;

  constructor(readonly seconds: number) {}

  read(): void {}

  roughSeconds(): number {
    return this.seconds;
  }
}

/** No time of a file is later, and when it was read last is nobody's business. */
function notAfter(epoch: number): (node: TreeNode) => TreeNode {
  const latest = BigInt(epoch) * SECOND;
  return (node) => {
    const modifyNs = node.modifyNs < latest ? node.modifyNs : latest;
    return { ...node, modifyNs, accessNs: modifyNs };
  };
}

/** Takes in a tree as a copy would be made of it. */
class HashedTree implements TargetTree {
  readonly #hash = createHash('sha256');

  digest(): Buffer {
    return this.#hash.digest();
  }

  /** Each part with its length before it, so that no two rows of parts are one. */
  #take(...parts: (string | number | bigint | Uint8Array)[]): void {
    for (const part of parts) {
      const bytes = typeof part === 'object' ? part : Buffer.from(String(part));
      this.#hash.update(`${bytes.length}:`).update(bytes);
    }
  }

  async typeAt(path: Buffer): Promise<number> {
    return path.equals(ROOT) ? FileType.directory : 0;
  }

  async makeDirectory(path: Buffer): Promise<void> {
    this.#take('directory', path);
  }

  async identityAt(): Promise<undefined> {}

  async makeFile(path: Buffer, pieces: AsyncIterable<ContentPiece>): Promise<void> {
    this.#take('file', path);
    for await (const { offset, bytes } of pieces) this.#take(offset, bytes);
  }

  async makeSymlink(path: Buffer, target: Buffer): Promise<void> {
    this.#take('symlink', path, target);
  }

  async makeHardLink(path: Buffer, existing: Buffer): Promise<void> {
    this.#take('link', path, existing);
  }

  async makeSpecial(path: Buffer, { device }: TreeNode): Promise<void> {
    this.#take('special', path, device);
  }

  async remove(): Promise<void> {}

  async move(_from: Buffer, to: Buffer): Promise<void> {
    this.#take('moved', to);
  }

  async setOwner(_path: Buffer, { uid, gid }: TreeNode): Promise<void> {
    this.#take('owner', uid, gid);
  }

  async setAttribute(_path: Buffer, name: string, value: Uint8Array): Promise<void> {
    this.#take('attribute', name, value);
  }

  async setMode(_path: Buffer, { mode }: TreeNode): Promise<void> {
    this.#take('mode', mode);
  }

  async setTimes(_path: Buffer, { modifyNs }: TreeNode): Promise<void> {
    this.#take('times', modifyNs);
  }
}

/** Flushes once, when it is closed: who uses it needs nothing of what it holds before. */
class FlushedAtEnd implements Device {
  readonly #below: Device;
  readonly #told: LocalCompletions = new LocalCompletions(() => {});

  constructor(below: Device) {
    this.#below = below;
  }

  get sizeBytes(): number {
    return this.#below.sizeBytes;
  }

  get sectorBytes(): number {
    return this.#below.sectorBytes;
  }

  get readOnly(): boolean {
    return this.#below.readOnly;
  }

  get discardBytes(): number {
    return 0;
  }

  allocateMemory(lengthBytes: number): Memory {
    return this.#below.allocateMemory(lengthBytes);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  read(memory: Memory, at: number, lengthBytes: number, offset: number, completion: IoCompletion): void {
    this.#below.read(memory, at, lengthBytes, offset, completion);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  write(memory: Memory, at: number, lengthBytes: number, offset: number, completion: IoCompletion): void {
    this.#below.write(memory, at, lengthBytes, offset, completion);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  writeThrough(memory: Memory, at: number, lengthBytes: number, offset: number, done: IoCompletion): void {
    this.#below.write(memory, at, lengthBytes, offset, done);
  }

  flush(completion: IoCompletion): void {
    this.#told.end(completion, 0);
  }

  discard(deviceOffset: number, lengthBytes: number, completion: IoCompletion): void {
    this.#below.discard(deviceOffset, lengthBytes, completion);
  }

  submit(): void {
    this.#below.submit();
  }

  async close(): Promise<void> {
    const flushed = new PromisedCompletion();
    this.#below.flush(flushed);
    this.#below.submit();
    const errno = await flushed.promise;
    await this.#below.close();
    if (errno !== 0) throw new CommandError(`the target could not be flushed (errno ${errno})`);
  }
}

/** A directory of the system that a volume is to be filled with. */
export class VolumeFilling {
  readonly #directory: Buffer;
  readonly #epoch: number | undefined;
  /** Attributes that the volume does not take: there are none of those that Linux has. */
  readonly lost: string[] = [];
  /** The image itself, where it is in the directory. */
  readonly passed: string[] = [];
  /** What could not be copied, a line each. */
  readonly failures: string[] = [];
  readonly #image: string;

  /** @param epoch of SOURCE_DATE_EPOCH */
  constructor(directory: Buffer, image: string, epoch: number | undefined) {
    this.#directory = directory;
    this.#image = image;
    this.#epoch = epoch;
  }

  /** The plan with all that SOURCE_DATE_EPOCH takes the chance from. */
  async planned(plan: VolumePlan, uuid: Uint8Array | undefined): Promise<VolumePlan> {
    const epoch = this.#epoch;
    if (epoch === undefined) return plan;
    const seed = createHash('sha256').update(`${epoch} ${plan.label}\0`);
    seed.update(uuid ?? (await this.#content(epoch)));
    const digest = seed.digest();
    const derived = (what: string, bytes: number) =>
      new Uint8Array(createHash('sha256').update(what).update(digest).digest().subarray(0, bytes));
    return {
      ...plan,
      uuid: uuid ?? derivedUuid(derived('uuid', 16)),
      secrets: { journalSalt: derived('journal', 8), nameSecret: derived('names', NAME_SECRET_BYTES) },
      clock: new StoppedClock(epoch),
    };
  }

  async #content(epoch: number): Promise<Buffer> {
    const tree = new HashedTree();
    const copy = new TreeCopy(new LocalTree(), tree, {
      images: identitiesOf([this.#image]),
      adapt: notAfter(epoch),
      failed: (thrown) => this.#failed(thrown, ''),
    });
    await this.#copied(copy, '');
    return tree.digest();
  }

  /**
   * Fills the volume on the device, and closes that.
   * @param told how many files there are so far
   * @throws CommandError
   */
  async fill(device: Device, name: string, told: (files: number) => void = () => {}): Promise<void> {
    const epoch = this.#epoch;
    const exact = epoch !== undefined;
    const volume = await openProgramVolume(exact ? new FlushedAtEnd(device) : device, {
      uid: 0,
      gid: 0,
      umask: 0,
      ...(exact && { clock: new StoppedClock(epoch), commitSeconds: 0, writesEndEarly: false }),
    });
    const copy: TreeCopy = new TreeCopy(new LocalTree(), new VolumeTree(volume, true), {
      lost: (path, what) => this.lost.push(`${pathText(path)}: ${what}`),
      images: identitiesOf([this.#image]),
      inPlace: true,
      failed: (thrown) => this.#failed(thrown, name),
      passed: (path) => this.passed.push(passedText(path)),
      made: async () => {
        told(copy.files);
        if (exact) await volume.sync();
      },
      ...(exact && { adapt: notAfter(epoch) }),
    });
    try {
      await this.#copied(copy, name);
    } catch (thrown) {
      await volume.close().catch(() => {});
      throw thrown;
    }
    await volume.close();
  }

  #failed(thrown: unknown, name: string): void {
    this.failures.push(failureLine(placeError(thrown, name)));
  }

  /** @throws CommandError, where anything was not copied at the end of all */
  async #copied(copy: TreeCopy, name: string): Promise<void> {
    try {
      await copy.copy(this.#directory, ROOT);
    } catch (thrown) {
      throw placeError(thrown, name);
    }
    const { length } = this.failures;
    if (length > 0)
      throw new CommandError(`${plural(length, 'name')} of ${pathText(this.#directory)} could not be copied`);
  }
}

/** Version 8, which is anybody's own, variant of RFC 9562. */
function derivedUuid(uuid: Uint8Array): Uint8Array {
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuid;
}
