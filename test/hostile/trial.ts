/**
 * One image through everything: mounted read-only, mounted and changed, checked, repaired. Returns
 * what went wrong, if anything did.
 *
 *   read-only   mount, walk, unmount: not a byte is written
 *   mount       mount, walk, change, sync, unmount: writes go only where the format has a place for them
 *   check       the checker ends and writes nothing
 *   repair      `fsck -y`, then `fsck -n` is clean, then it mounts, and the walk meets no error
 *
 * An image may be refused at any step, for a reason; it may not crash a step, keep it busy for
 * ever, or make it write where it must not.
 */

import { checkVolume, NothingToCheckError } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { CorruptionError, FsError } from '../../src/fs/base/errors.ts';
import { BlockHeader, HEADER_BYTES } from '../../src/fs/format/format.ts';
import type { Layout } from '../../src/fs/format/layout.ts';
import { NotAVolumeError } from '../../src/fs/format/superblock.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { TestVolume } from '../suite/volume-harness.ts';
import { FIXED_CLOCK } from './bases.ts';
import { Exercise } from './exercise.ts';
import { hasMagic, type Image, layoutOf, viewOf } from './image.ts';
import type { ImageBytes } from './image-bytes.ts';
import { makeImage, type Specification } from './specification.ts';
import { WatchedDevice, type WriteRule } from './watched-device.ts';

/** Many times what the largest base takes, … */
const MOST_REQUESTS = 60_000;
/** … and for a repair that looks for what was lost, a few times all its blocks. */
const MOST_LOOKS_AT_A_BLOCK = 12;

export interface Failure {
  /**
   * The step that failed, and how, without what differs from image to image: to tell bugs apart.
   */
  readonly signature: string;
  readonly detail: string;
}

const FEW_INODES = 8;

class Broken extends Error {}

/**
 * Nothing here waits for anything but the device, which answers in the turn after; so many turns
 * without a request are a promise forgotten.
 */
const PATIENCE_TURNS = 100;

/** @throws Broken if the work stops without an end */
async function finished<T>(work: Promise<T>, device: WatchedDevice): Promise<T> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  work.then(note, note);
  let requests = -1;
  for (let turns = 0; turns < PATIENCE_TURNS && !settled; turns++) {
    if (device.requests !== requests) turns = 0;
    requests = device.requests;
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (!settled) throw new Broken('it waits for ever');
  return work;
}

function isRefusal(thrown: unknown): boolean {
  return (
    thrown instanceof FsError ||
    thrown instanceof CorruptionError ||
    thrown instanceof NotAVolumeError ||
    thrown instanceof NothingToCheckError
  );
}

function expectRefusal(thrown: unknown): void {
  if (!isRefusal(thrown)) throw thrown;
}

/**
 * What may be written where, on a volume of this layout: never anything but itself over a block
 * with a place of its own.
 */
function rulesOf(layout: Layout): WriteRule {
  const { blockBytes, journalStart, volumeRootBlock, spaceStart, spaceBlocks } = layout;
  return (offset, bytes) => {
    const first = Math.floor(offset / blockBytes);
    const last = Math.floor((offset + bytes.length - 1) / blockBytes);
    if (first === 0) return last === 0 ? ownBlock(bytes, 0) : 'over the superblock and beyond';
    if (first >= journalStart && last < volumeRootBlock) return undefined;
    if (first < volumeRootBlock || last >= spaceStart + spaceBlocks)
      return 'outside of the journal and the space';
    for (let block = first; block <= last; block++) {
      if (!hasPlaceOfItsOwn(layout, block)) continue;
      const from = Math.max(0, block * blockBytes - offset);
      const wrong = ownBlock(bytes.subarray(from, from + blockBytes), block);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** The volume root, and the bitmaps and summaries at the start of the groups. */
function hasPlaceOfItsOwn(layout: Layout, block: number): boolean {
  if (block === layout.volumeRootBlock) return true;
  const group = Math.floor((block - layout.spaceStart) / layout.bitsPerBlock);
  return block - layout.bitmapBlock(group) < layout.groupMetadataBlocks(group);
}

function ownBlock(bytes: Uint8Array, number: number): string | undefined {
  const isOwn =
    bytes.length >= HEADER_BYTES && hasMagic(bytes) && BlockHeader.block.get(viewOf(bytes), 0) === number;
  return isOwn ? undefined : `it does not hold block ${number}`;
}

/** The layout that the image claims, if that makes sense at all. */
function claimedLayout(bytes: ImageBytes): Layout | undefined {
  try {
    return layoutOf(bytes);
  } catch {
    return undefined;
  }
}

interface MountStyle {
  readonly readOnly?: boolean;
  readonly change?: boolean;
  /** The volume must be sound: only errors that the user deserves are allowed. */
  readonly strict?: boolean;
}

/**
 * Errors of a sound volume: it is full, the name is taken, the directory not empty, the inode not
 * of the right type, its flags forbid it, it is of another project, …
 */
const DESERVED = new Set<string>([
  'ENOSPC',
  'EEXIST',
  'ENOTEMPTY',
  'EINVAL',
  'EISDIR',
  'ENOTDIR',
  'ENOENT',
  'EBUSY',
  'EFBIG',
  'EMLINK',
  'ESTALE',
  'EPERM',
  'EACCES',
  'ENODATA',
  'EOPNOTSUPP',
  'EXDEV',
  'EDQUOT',
]);

const CHANGING =
  /^(create|tmpfile|symlink|link|write|truncate|fallocate|copy|rename|remove|chmod|chown|quota|setflags|setxattr|removexattr):/;

function expectSound({ errors }: Exercise): void {
  for (const [what, thrown] of errors) {
    const wasChanging = CHANGING.test(what);
    if (wasChanging && thrown instanceof FsError && DESERVED.has(thrown.code)) continue;
    throw new Broken(`after the repair: ${what}`);
  }
}

function codesOf(problems: readonly { readonly code: string }[]): string {
  return [...new Set(problems.map(({ code }) => code))].slice(0, 8).join(' ');
}

class Trial {
  step = '';
  readonly #original: ImageBytes;
  readonly #blockBytes: number;
  readonly #seed: number;

  constructor(image: Image, seed: number) {
    this.#original = image.bytes;
    this.#blockBytes = image.layout.blockBytes;
    this.#seed = seed;
  }

  async run(): Promise<void> {
    this.step = 'read-only';
    await this.#mount(this.#original.fork(), { readOnly: true });
    this.step = 'mount';
    const written = this.#original.fork();
    const mounted = await this.#mount(written, { change: true });
    this.step = 'check';
    await this.#check(this.#original.fork());
    // Half of the images are repaired as they are, half as they were left behind.
    this.step = this.#seed % 2 === 0 ? 'repair' : 'repair after the mount';
    await this.#repair(this.#seed % 2 === 0 ? this.#original.fork() : written, mounted);
  }

  /**
   * `fsck -y`, after which there is nothing left to find, and nothing that the volume stumbles
   * over.
   */
  async #repair(bytes: ImageBytes, mounted: boolean): Promise<void> {
    const blocks = bytes.sizeBytes / this.#blockBytes;
    const device = new WatchedDevice(bytes, { mostRequests: MOST_REQUESTS + MOST_LOOKS_AT_A_BLOCK * blocks });
    try {
      const { outcome, problems } = await finished(repairVolume(device, 'all'), device);
      if (outcome !== 'clean' && outcome !== 'corrected')
        throw new Broken(`${outcome}: ${codesOf(problems)}`);
    } catch (thrown) {
      if (!(thrown instanceof NothingToCheckError)) throw thrown;
      if (mounted) throw new Broken(`it could be mounted, but not repaired: ${thrown.message}`);
      this.#settle(device);
      return;
    }
    this.#settle(device);
    this.step += ', check';
    await this.#expectClean(bytes);
    this.step += ', mount';
    if (!(await this.#mount(bytes, { change: true, strict: true }))) throw new Broken('it cannot be mounted');
    this.step += ', check';
    await this.#expectClean(bytes);
  }

  async #expectClean(bytes: ImageBytes): Promise<void> {
    const device = new WatchedDevice(bytes, { mostRequests: MOST_REQUESTS, forbidWrites: true });
    const { clean, problems } = await finished(checkVolume(device), device);
    this.#settle(device);
    if (!clean) throw new Broken(`not clean: ${codesOf(problems)}`);
  }

  /** The step is over. @throws Broken if the device has something to say about it */
  #settle(device: WatchedDevice): void {
    device.retire();
    if (device.offences.length > 0) throw new Broken(device.offences.join('; '));
  }

  /** @returns whether it could be mounted */
  async #mount(bytes: ImageBytes, how: MountStyle): Promise<boolean> {
    const layout = claimedLayout(bytes);
    const rule: WriteRule = layout ? rulesOf(layout) : () => 'there is no volume';
    const options = { mostRequests: MOST_REQUESTS, forbidWrites: how.readOnly === true, rule };
    const device = new WatchedDevice(bytes, options);
    let volume: TestVolume;
    try {
      const opening = TestVolume.open(device, { readOnly: how.readOnly, clock: FIXED_CLOCK });
      volume = await finished(opening, device);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      if (thrown instanceof NotAVolumeError && device.writes > 0)
        throw new Broken('it was refused, yet written to');
      this.#settle(device);
      if (how.strict) throw new Broken(`it cannot be mounted: ${(thrown as Error).message}`);
      return false;
    }
    // Features that are not known forbid changes, and nothing else.
    if (how.change && volume.volume.readOnly && device.writes === 0) {
      await finished(volume.volume.unmount(), device);
      this.#settle(device);
      const isReadable = await this.#mount(bytes, { readOnly: true, strict: how.strict ?? false });
      return isReadable && how.strict === true;
    }
    const exercise = new Exercise(volume, new SeededRandom(this.#seed));
    try {
      // The first damage met makes the volume read-only: half of the images are changed before much
      // of them was seen.
      const isBlind = how.change === true && !how.strict && this.#seed % 4 >= 2;
      await finished(exercise.walk(isBlind ? FEW_INODES : undefined), device);
      if (how.change) await finished(exercise.change(), device);
      if (isBlind) await finished(new Exercise(volume, new SeededRandom(this.#seed)).walk(), device);
      await finished(exercise.statistics(), device);
      await finished(volume.volume.unmount().catch(expectRefusal), device);
    } catch (thrown) {
      throw thrown instanceof Broken ? new Broken(`${thrown.message} (${exercise.doing})`) : thrown;
    }
    this.#settle(device);
    if (how.strict) expectSound(exercise);
    return true;
  }

  async #check(bytes: ImageBytes): Promise<void> {
    const device = new WatchedDevice(bytes, { mostRequests: MOST_REQUESTS, forbidWrites: true });
    try {
      await finished(checkVolume(device), device);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
    }
    this.#settle(device);
  }
}

/** Function and file of the innermost frame of ours. */
function placeOf(stack: string): string {
  const line = stack.split('\n').find((text) => /\/src\/.*:\d+:\d+/.test(text)) ?? '';
  const file = /src\/[^:)]*/.exec(line)?.[0] ?? '';
  const name = /at (?:async )?([\w.#<> ]+) \(/.exec(line)?.[1] ?? '';
  return `${name} ${file}`.replace(/\.js\b/, '.ts');
}

function failureOf(step: string, thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const what = error.message.replace(/\d+/g, 'N').slice(0, 120);
  const place = placeOf(error.stack ?? '');
  return {
    signature: `${step}: ${error.constructor.name}: ${what} [${place}]`,
    detail: error.stack ?? error.message,
  };
}

/** @returns undefined if all went as it should. Never throws for what an image does. */
export async function tryImage(specification: Specification): Promise<Failure | undefined> {
  const image = await makeImage(specification);
  const trial = new Trial(image, specification.mutations[0]?.seed ?? 0);
  try {
    await trial.run();
    return undefined;
  } catch (thrown) {
    return failureOf(trial.step, thrown);
  }
}
