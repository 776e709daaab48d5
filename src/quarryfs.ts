/**
 * `quarryfs`: volumes in a program, without a mount.
 *
 *   import { check, format, openVolume } from 'quarryfs';
 *
 *   await format('v.img', { size: 64 * 2 ** 20 });
 *   const volume = await openVolume('v.img');
 *   await volume.writeFile('/hello.txt', 'hello');
 *   await volume.close();
 *
 * A volume may be an image file or a block device, an array of bytes, or whatever a program can
 * read and write (`BlockStore`). Here the parts are joined: what a path is opened by, which is as
 * the commands do it, and what a program is given of it (src/program). Loads neither FUSE nor,
 * until a path is opened, the addon's engine; works without either.
 */
import { fileURLToPath } from 'node:url';
import type { Device } from './aio/device.ts';
import { type CheckResult, checkVolume } from './check/checker.ts';
import { CommandError } from './cli/failure.ts';
import {
  formatOptions,
  makeVolume,
  planVolume,
  randomUuid,
  requireLabel,
  type VolumePlan,
} from './cli/making.ts';
import { StorageInUse } from './cli/storage-hold.ts';
import { inspectTarget } from './cli/target.ts';
import { parseUuid } from './cli/uuids.ts';
import { volumeError } from './cli/volume-failure.ts';
import { readVolumeHead } from './cli/volume-head.ts';
import { openHeldStorage, type StorageEngine, USUAL_ENGINE } from './cli/volume-storage.ts';
import { codeOf } from './common/thrown.ts';
import { CorruptionError } from './fs/base/errors.ts';
import { defaultFeatures, featuresByList } from './fs/format/features.ts';
import { DEFAULT_BLOCK_BYTES } from './fs/format/format.ts';
import type { Layout } from './fs/format/layout.ts';
import { formatVolume } from './fs/mkfs.ts';
import { formatUuid } from './inspect/value-text.ts';
import { absolutePath } from './path-bytes.ts';
import { openProgramVolume, type ProgramOptions } from './program/open-program.ts';
import type { ProgramVolume } from './program/program-volume.ts';
import { type BlockStore, StoreDevice } from './program/stores/block-store.ts';
import { bytesStore } from './program/stores/bytes-store.ts';

export type { CheckResult } from './check/checker.ts';
export type { CheckStatistics } from './check/context.ts';
export type { Problem } from './check/problem.ts';
export type { SetMode } from './fs/base/filesystem.ts';
export type { Encoding, TimeLike, VolumePath } from './program/arguments.ts';
export type { StatOptions } from './program/attributes.ts';
export type { FileContent } from './program/contents.ts';
export type { CopyOptions } from './program/copies.ts';
export {
  type ReadFileOptions,
  type ReadOptions,
  VolumeFileHandle,
  type WriteFileOptions,
} from './program/file-handle.ts';
export { type FoundEntry, VolumeDirectory } from './program/listing.ts';
export type {
  AsBuffer,
  AsBufferObject,
  AsText,
  DirectoryOptions,
  ListOptions,
} from './program/name-calls.ts';
export type { ProgramOptions } from './program/open-program.ts';
export { type OpeningOptions, ProgramVolume } from './program/program-volume.ts';
export { BigIntVolumeStats, VolumeEntry, type VolumeSpace, VolumeStats } from './program/stats.ts';
export type { BlockStore } from './program/stores/block-store.ts';
export type {
  ReadStreamOptions,
  VolumeReadStream,
  VolumeWriteStream,
  WriteStreamOptionsOfVolume,
} from './program/streams.ts';

/** The path of an image file or block device, a volume in memory, or a device of the program's. */
export type VolumeTarget = string | URL | Uint8Array | BlockStore;

export interface EngineOption {
  /**
   * Of a path: `native` is O_DIRECT by the addon, `fs` is node:fs. Default: native where the addon
   * is there.
   */
  readonly engine?: 'native' | 'fs' | undefined;
}

export interface OpenVolumeOptions extends ProgramOptions, EngineOption {}

export interface VolumeFormat extends EngineOption {
  /** In bytes; an image file is made, or made as long. Default: all of what is there. */
  readonly size?: number | undefined;
  /** In bytes, a power of two from 1024 to 65536. Default: 4096. */
  readonly blockSize?: number | undefined;
  /** In bytes. Default: 1/64 of the volume, 64 MiB at most. */
  readonly journalSize?: number | undefined;
  /** Up to 64 bytes of UTF-8. */
  readonly label?: string | undefined;
  /** As uuidgen prints it; by default a random one. */
  readonly uuid?: string | undefined;
  /** Names of features, or ^ and one that is not wanted: as `mkfs -O` has them. */
  readonly features?: string | undefined;
  /** Overwrite what a path holds. Default: false. */
  readonly force?: boolean | undefined;
}

export interface FormattedVolume {
  readonly uuid: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
}

/** The error of a path as a program wants it: a sentence, with a `code`. */
function withCode(thrown: unknown, path: string): unknown {
  if (!(thrown instanceof Error) || codeOf(thrown) !== '') return thrown;
  const cause = thrown.cause;
  const fallback = thrown instanceof CommandError ? 'EINVAL' : '';
  const known =
    thrown instanceof StorageInUse ? 'EBUSY' : cause instanceof CorruptionError ? 'EUCLEAN' : codeOf(cause);
  const code = known || fallback;
  return code === '' ? thrown : Object.assign(thrown, { code, path });
}

function pathOf(source: string | URL): string {
  return source instanceof URL ? fileURLToPath(source) : source;
}

/** Refuses what is no source before anything is done. @throws TypeError */
function storeOf(source: Uint8Array | BlockStore): BlockStore {
  if (source instanceof Uint8Array) return bytesStore(source);
  if (typeof source === 'object' && source !== null) return source;
  throw new TypeError(
    'a volume is a path, a URL, an array of bytes, or an object that reads and writes them',
  );
}

function isPath(source: VolumeTarget): source is string | URL {
  return typeof source === 'string' || source instanceof URL;
}

interface SourceOptions {
  readonly readOnly: boolean;
  /** A device of the program's is opened again after this. */
  readonly keepsStore?: boolean;
  readonly engine: StorageEngine;
}

/** The device of a source that holds a volume. @throws CommandError, and what the system says */
async function deviceOf(source: VolumeTarget, options: SourceOptions): Promise<Device> {
  const { readOnly, engine, keepsStore = false } = options;
  if (!isPath(source)) return new StoreDevice(storeOf(source), { readOnly, keepsStore });
  return openHeldStorage(inspectTarget(pathOf(source)), { readOnly, engine });
}

/**
 * Opens a volume. Nobody else may have it, unless all of them open it `readOnly`; where the addon
 * is not there, nobody sees to that.
 * @throws Error with `code`: ENOENT, EACCES, EBUSY where somebody else has it, EINVAL where there
 * is no volume, EUCLEAN where it is damaged
 */
export async function openVolume(
  source: VolumeTarget,
  options: OpenVolumeOptions = {},
): Promise<ProgramVolume> {
  const { readOnly = false, engine = USUAL_ENGINE } = options;
  const name = isPath(source) ? pathOf(source) : 'the volume';
  try {
    if (isPath(source)) readVolumeHead(inspectTarget(name));
    return await openProgramVolume(await deviceOf(source, { readOnly, engine }), options);
  } catch (thrown) {
    throw withCode(isPath(source) ? volumeError(thrown, name, 'opened') : thrown, name);
  }
}

function planOf(options: VolumeFormat): VolumePlan {
  const { size, blockSize = DEFAULT_BLOCK_BYTES, journalSize, label = '', uuid, features } = options;
  for (const [name, value] of Object.entries({ size, blockSize, journalSize })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      throw new RangeError(`${name} ${value} is no number of bytes`);
  }
  requireLabel(label);
  return {
    sizeBytes: size,
    blockBytes: blockSize,
    journalBytes: journalSize,
    label,
    uuid: uuid === undefined ? randomUuid() : parseUuid(uuid),
    features: features === undefined ? defaultFeatures() : featuresByList(features),
  };
}

async function formatStore(store: BlockStore, plan: VolumePlan): Promise<Layout> {
  const device = new StoreDevice(store, { keepsStore: true });
  try {
    const layout = planVolume(plan, plan.sizeBytes ?? device.sizeBytes);
    return await formatVolume(device, formatOptions(plan, layout));
  } finally {
    await device.close();
  }
}

/**
 * Makes an empty volume, as `quarry mkfs` does: a path that holds something is refused without
 * `force`, and one in use always. Memory and devices of the program's are not asked what they hold.
 * @throws Error with `code`; RangeError for a size that no volume can have
 */
export async function format(source: VolumeTarget, options: VolumeFormat = {}): Promise<FormattedVolume> {
  const { engine = USUAL_ENGINE, force = false } = options;
  const name = isPath(source) ? pathOf(source) : 'the volume';
  try {
    const plan = planOf(options);
    const layout = isPath(source)
      ? await makeVolume(absolutePath(name), name, plan, { force, keepBlocks: false, engine })
      : await formatStore(storeOf(source), plan);
    const { blockCount, blockBytes } = layout;
    return { uuid: formatUuid(plan.uuid), sizeBytes: blockCount * blockBytes, blockBytes };
  } catch (thrown) {
    throw withCode(thrown, name);
  }
}

/**
 * Checks a volume that nobody has open, as `quarry fsck -n` does. Writes nothing.
 * @throws Error with `code` where there is nothing to check
 */
export async function check(source: VolumeTarget, options: EngineOption = {}): Promise<CheckResult> {
  const { engine = USUAL_ENGINE } = options;
  const name = isPath(source) ? pathOf(source) : 'the volume';
  try {
    const device = await deviceOf(source, { readOnly: true, engine, keepsStore: true });
    try {
      return await checkVolume(device);
    } finally {
      await device.close();
    }
  } catch (thrown) {
    throw withCode(isPath(source) ? volumeError(thrown, name, 'checked') : thrown, name);
  }
}
