/**
 * `quarry clone`: the blocks of a volume that are in use, copied to a file, a device or a stream,
 * and a stream made a volume again.
 */
import { createReadStream, existsSync, fstatSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Device } from '../aio/device.ts';
import { inspectSuperblock } from '../check/superblock-pass.ts';
import { sameBytes, viewOf } from '../common/bytes.ts';
import { printable } from '../common/printable.ts';
import { sealBlock } from '../fs/format/block-header.ts';
import { blockViewOf } from '../fs/format/block-view.ts';
import { BlockHeader, BlockKind, SUPERBLOCK_BYTES, Superblock } from '../fs/format/format.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { isReadOnly } from '../fuse/remount.ts';
import { absolutePath, systemPath } from '../path-bytes.ts';
import { storageIdOf } from './block-devices.ts';
import { type CloneProgress, checkCopy, writeCopy, writeStream } from './clone-copy.ts';
import { readRuns, type UsedBlocks, usedBlocks } from './clone-source.ts';
import { type Chunk, type ClonedShape, readStream } from './clone-stream.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import { endOnSignals } from './intervals.ts';
import { createImage, randomUuid, removeImage } from './making.ts';
import { viewAsMounted } from './mounted-view.ts';
import { openTarget } from './open-target.ts';
import { requireOverwritable } from './overwrite.ts';
import { requireFileSize } from './process-limits.ts';
import { ProgressBar } from './progress.ts';
import { formatSize } from './sizes.ts';
import { holding, mountOf } from './storage-hold.ts';
import { edgesOf, inspectTarget, type Target } from './target.ts';
import { parseUuid } from './uuids.ts';
import { volumeError } from './volume-failure.ts';
import { readVolumeHead } from './volume-head.ts';
import { openForReading } from './volume-storage.ts';

const STREAM = '-';

export interface CloneRequest {
  readonly from: string;
  readonly to: string;
  /** A stream becomes a volume. */
  readonly restores: boolean;
  readonly checks: boolean;
  readonly force: boolean;
  /** That the copy shows; undefined for the same. */
  readonly uuid: Uint8Array | undefined;
}

/** Judges the command line. @throws UsageError */
export function cloneRequest(args: readonly string[], options: OptionValues): CloneRequest {
  const request = {
    from: argumentAt(args, 0),
    to: argumentAt(args, 1),
    restores: optionGiven(options, 'restore'),
    checks: optionGiven(options, 'check'),
    force: optionGiven(options, 'force'),
    uuid: uuidOf(optionText(options, 'uuid')),
  };
  if (request.from === STREAM && !request.restores)
    throw new UsageError('a stream is read with --restore alone');
  if (request.to === STREAM && request.restores)
    throw new UsageError('--restore makes a volume: name a file or block device');
  if (request.to === STREAM && request.checks)
    throw new UsageError('a stream is checked when it is restored: --check goes with a file or block device');
  return request;
}

function uuidOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  return text === 'random' ? randomUuid() : parseUuid(text);
}

/** What is to be copied, from wherever. */
interface Original extends ClonedShape {
  readonly chunks: AsyncIterable<Chunk>;
  /** Undefined where it is not known before. */
  readonly blocks: number | undefined;
}

/** Blocks of the superblocks get another id to show. */
async function* showing(original: Original, uuid: Uint8Array): AsyncGenerator<Chunk> {
  let places: ReadonlySet<number> = new Set([0]);
  for await (const { block, bytes } of original.chunks) {
    const copy = bytes.slice();
    for (let at = 0; at < copy.length; at += original.blockBytes) {
      const number = block + at / original.blockBytes;
      if (!places.has(number)) continue;
      const superblock = copy.subarray(at, at + SUPERBLOCK_BYTES);
      const found = inspectSuperblock(superblock);
      if (typeof found === 'string' || found.flaw !== undefined) {
        if (number === 0) throw new CommandError('its superblock is damaged');
        continue;
      }
      if (number === 0) places = new Set([0, ...found.layout.backups]);
      Superblock.shownUuid.of(superblock, 0).set(uuid);
      const sequence = BlockHeader.sequence.get(viewOf(superblock), 0);
      sealBlock(blockViewOf(superblock), original.blockBytes, sequence);
    }
    yield { block, bytes: copy };
  }
}

/** The copy is judged by its own superblock: it must be of the volume that was announced. */
function requireSuperblock(bytes: Uint8Array, { blockBytes, blockCount }: ClonedShape): void {
  const found = inspectSuperblock(bytes.subarray(0, SUPERBLOCK_BYTES));
  if (typeof found === 'string') throw new CommandError(`it holds no volume: ${found}`);
  const { layout, flaw, view } = found;
  if (flaw !== undefined || BlockHeader.kind.get(view, 0) !== BlockKind.superblock)
    throw new CommandError(`its superblock is damaged: ${flaw}`);
  if (layout.blockBytes !== blockBytes || layout.blockCount !== blockCount)
    throw new CommandError('its superblock speaks of another volume');
}

/** How the copy is going. */
class Watch {
  readonly progress: CloneProgress;
  readonly #bar: ProgressBar | undefined;
  readonly #signal: AbortSignal;
  label: 'copying' | 'checking' = 'copying';
  total: number | undefined;
  /** Blocks. */
  copied = 0;

  constructor(terminal: Terminal, signal: AbortSignal) {
    this.#bar = terminal.interactive ? new ProgressBar(terminal) : undefined;
    this.#signal = signal;
    this.progress = (blocks) => {
      if (this.#signal.aborted) throw new CommandError('interrupted');
      if (this.label === 'copying') this.copied = blocks;
      this.#bar?.update(this.label, blocks, this.total ?? blocks);
    };
  }

  clear(): void {
    this.#bar?.clear();
  }
}

/** A mount may go on only if it cannot write meanwhile. */
function requireStill(target: Target): MountRecord | undefined {
  const mount = mountOf(target);
  if (mount === undefined || isReadOnly(mount)) return mount;
  throw new CommandError(
    `${target.path} is mounted on ${mount.directory} and may change: unmount it, or 'quarry mount -o remount,ro ${mount.directory}'`,
  );
}

async function withOriginal<T>(
  { from, restores }: CloneRequest,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: AbortSignal },
  copy: (original: Original) => Promise<T>,
): Promise<T> {
  if (restores) {
    const input = from === STREAM ? terminal.input : createReadStream(systemPath(from));
    if (input === undefined) throw new CommandError('there is no standard input');
    // Who waits for more of a stream is not to wait on.
    const stop = () => (input as Partial<Readable>).destroy?.(new CommandError('interrupted'));
    signal.addEventListener('abort', stop);
    try {
      const { shape, chunks } = await readStream(input);
      return await copy({ ...shape, chunks, blocks: undefined });
    } catch (thrown) {
      throw targetError(thrown, from);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
  const target = inspectTarget(from);
  readVolumeHead(target);
  const mount = requireStill(target);
  const work = () => copyVolume(target, terminal, copy);
  if (mount === undefined) return await holding(target, 'shared', work);
  const copied = await work();
  requireStill(target);
  return copied;
}

async function superblockBytes(device: Device): Promise<Uint8Array> {
  const chunks = readRuns(device, [0, 1], Math.max(SUPERBLOCK_BYTES, device.sectorBytes));
  for await (const { bytes } of chunks) return bytes.slice(0, SUPERBLOCK_BYTES);
  throw new CommandError('it cannot be read');
}

async function copyVolume<T>(
  target: Target,
  terminal: Terminal,
  copy: (original: Original) => Promise<T>,
): Promise<T> {
  const device = await openForReading(target);
  try {
    const before = await superblockBytes(device);
    const { source, journalFault } = await viewAsMounted(device);
    if (journalFault !== undefined) throw new CommandError(`${target.path}: ${journalFault}`);
    const used: UsedBlocks = await usedBlocks(source);
    for (const line of used.faults.first) say(terminal, `${line}: its blocks are copied all`);
    const { blockBytes, blockCount } = source.layout;
    const chunks = readRuns(device, used.runs, blockBytes);
    const copied = await copy({ blockBytes, blockCount, chunks, blocks: used.blocks });
    if (!sameBytes(before, await superblockBytes(device)))
      throw new CommandError(`${target.path} was mounted to be written meanwhile: the copy is of no use`);
    return copied;
  } catch (thrown) {
    throw volumeError(thrown, target.path, 'copied');
  } finally {
    await device.close();
  }
}

/** Copies into a file or device that is there. */
async function copyOnto(
  target: Target,
  original: Original,
  request: CloneRequest,
  watch: Watch,
): Promise<void> {
  const { blockBytes, blockCount } = original;
  const sizeBytes = blockBytes * blockCount;
  if (target.isBlockDevice && target.sizeBytes < sizeBytes)
    throw new CommandError(
      `${target.path} has ${formatSize(target.sizeBytes)}, and the volume ${formatSize(sizeBytes)}`,
    );
  if (!target.isBlockDevice) requireFileSize(target.path, sizeBytes);
  await holding(target, 'exclusive', async () => {
    const stale = [...requireOverwritable(target, request.force), ...edgesOf(target, sizeBytes)];
    // A file with anything in it was not made for this.
    if (!target.isBlockDevice && !request.force && edgesOf(target, target.sizeBytes).length > 0)
      throw new CommandError(`${target.path} is there and not empty: use --force to overwrite it`);
    const device = openTarget(target, { exclusive: false, allowBuffered: true });
    try {
      if (blockBytes < device.sectorBytes)
        throw new CommandError(
          `its blocks of ${blockBytes} bytes are smaller than sectors of ${target.path}`,
        );
      // What a file held before is gone at once, and what is not in use has no place on it.
      if (!target.isBlockDevice) {
        device.resizeFile(0);
        device.resizeFile(sizeBytes);
      }
      const sums = await writeCopy(device, original, original.chunks, {
        stale: target.isBlockDevice ? stale : [],
        accept: (first) => requireSuperblock(first, original),
        progress: watch.progress,
      });
      watch.label = 'checking';
      if (request.checks) await checkCopy(device, original, sums, watch.progress);
    } finally {
      await device.close();
    }
  });
}

/** What a stream is read from; undefined where it comes from no descriptor. @throws CommandError */
function streamStorage({ from }: CloneRequest, { input }: Terminal): string | undefined {
  if (from !== STREAM) return storageAt(from);
  const { fd } = (input ?? {}) as { readonly fd?: unknown };
  return typeof fd === 'number' ? storageIdOf(fstatSync(fd, { bigint: true })) : undefined;
}

/** Undefined where nothing is. @throws CommandError */
function storageAt(path: string): string | undefined {
  try {
    const found = statSync(systemPath(absolutePath(path)), { bigint: true, throwIfNoEntry: false });
    return found && storageIdOf(found);
  } catch (thrown) {
    throw targetError(thrown, path);
  }
}

/** A stream that is read is not to be written over, whatever is forced. @throws CommandError */
function requireOther(request: CloneRequest, terminal: Terminal): void {
  if (!request.restores) return;
  const target = storageAt(request.to);
  if (target !== undefined && target === streamStorage(request, terminal))
    throw new CommandError(`${request.to} is the stream itself`);
}

async function copyTo(original: Original, request: CloneRequest, watch: Watch): Promise<void> {
  const path = absolutePath(request.to);
  const isNew = !existsSync(systemPath(path));
  if (isNew) createImage(path, original.blockBytes * original.blockCount);
  try {
    await copyOnto(inspectTarget(path), original, request, watch);
  } catch (thrown) {
    if (isNew) removeImage(path);
    throw thrown;
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = cloneRequest(args, options);
  const { to, uuid, checks } = request;
  if (to === STREAM && (terminal.screen !== undefined || terminal.bytes === undefined))
    throw new UsageError('a stream is nothing for a terminal: write it into a file or pipe');
  requireOther(request, terminal);
  const { signal, release } = endOnSignals();
  const watch = new Watch(terminal, signal);
  try {
    await withOriginal(request, { terminal, signal }, async (original) => {
      watch.total = original.blocks;
      const shown = uuid === undefined ? original : { ...original, chunks: showing(original, uuid) };
      if (to !== STREAM)
        await copyTo(shown, request, watch).catch((thrown: unknown) => {
          throw targetError(thrown, to);
        });
      else
        await writeStream(
          (bytes) => terminal.bytes?.(bytes) ?? Promise.resolve(false),
          shown,
          shown.chunks,
          watch.progress,
        );
      watch.clear();
      const size = (blocks: number) => formatSize(blocks * original.blockBytes);
      const words = `${size(watch.copied)} of ${size(original.blockCount)} copied${checks ? ' and read again' : ''}`;
      say(terminal, to === STREAM ? words : `${printable(to)}: ${words}`);
    });
    return 0;
  } finally {
    watch.clear();
    release();
  }
}

export const cloneCommand: CommandDefinition = {
  name: 'clone',
  summary: 'copy a volume, only its blocks in use',
  arguments: [
    { name: 'target', text: 'block device or image file; with --restore a stream, - for standard input' },
    { name: 'copy', text: 'image file or block device; - for a stream on standard output' },
  ],
  options: [
    { flags: '--restore', text: 'make a volume of a stream' },
    { flags: '--check', text: 'read the copy again and compare' },
    { flags: '-U, --uuid <uuid>', text: "the id that the copy shows, or 'random'; by default the same" },
    { flags: '-f, --force', text: 'overwrite what the copy is made on' },
  ],
  notes: `The volume is not mounted, or read-only. A file is sparse: what is not in use takes no place in it. What is
cut off is no volume, and a new file does not stay then. A copy with the same id beside its volume confuses
UUID= in fstab: give it another one.

  quarry clone /dev/sdb1 backup.img --check
  quarry clone /dev/sdb1 - | zstd | ssh host 'cat > sdb1.zst'
  zstd -dc sdb1.zst | quarry clone --restore - /dev/sdc1`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
