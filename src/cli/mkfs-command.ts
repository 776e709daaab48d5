/**
 * `quarry mkfs`: makes a volume on a block device or image file.
 *
 * Everything is judged before the first byte is written: options, geometry, what the target holds,
 * who uses it. Only then is a missing image made, old signatures are wiped, and the volume is
 * written.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import { printable } from '../common/printable.ts';
import type { ByteRange } from '../fs/erase.ts';
import { defaultFeatures, FEATURES, featuresByList } from '../fs/format/features.ts';
import { DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES, MAX_LABEL_BYTES } from '../fs/format/format.ts';
import {
  defaultJournalBlocks,
  type Layout,
  MIN_JOURNAL_BLOCKS,
  MIN_SPACE_BLOCKS,
  powerOfTwoUpTo,
} from '../fs/format/layout.ts';
import { NAME_SECRET_BYTES } from '../fs/format/name-hash.ts';
import { formatVolume, planFormat } from '../fs/mkfs.ts';
import { formatUuid } from '../inspect/value-text.ts';
import { absolutePath, systemPath } from '../path-bytes.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionList,
  optionText,
  printJson,
  type Terminal,
} from './command.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import { openTarget } from './open-target.ts';
import { requireOverwritable } from './overwrite.ts';
import { requireFileSize } from './process-limits.ts';
import { formatSize, parseSize } from './sizes.ts';
import { holding } from './storage-hold.ts';
import { edgesOf, inspectTarget, type Target } from './target.ts';
import { parseUuid } from './uuids.ts';

export interface MkfsRequest {
  readonly target: string;
  /** Of the volume; undefined = all of the target. */
  readonly sizeBytes: number | undefined;
  readonly blockBytes: number;
  readonly journalBytes: number | undefined;
  readonly label: string;
  readonly uuid: Uint8Array;
  readonly features: ReadonlySet<string>;
  readonly force: boolean;
  /** A block device keeps what it held where nothing is written. */
  readonly keepBlocks: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** @throws UsageError for a name that is none */
function requestedFeatures(lists: readonly string[]): ReadonlySet<string> {
  try {
    return lists.length === 0 ? defaultFeatures() : featuresByList(lists.join(','));
  } catch (thrown) {
    if (thrown instanceof RangeError)
      throw new UsageError(`--features: ${thrown.message}`, { cause: thrown });
    throw thrown;
  }
}

/** Judges the command line. @throws UsageError */
export function mkfsRequest(args: readonly string[], options: OptionValues): MkfsRequest {
  const size = optionText(options, 'size');
  const block = optionText(options, 'blockSize');
  const journal = optionText(options, 'journalSize');
  const uuid = optionText(options, 'uuid');
  const label = optionText(options, 'label') ?? '';
  if (Buffer.byteLength(label) > MAX_LABEL_BYTES) {
    throw new UsageError(`the label has ${Buffer.byteLength(label)} bytes, ${MAX_LABEL_BYTES} are the most`);
  }
  if (printable(label) !== label) throw new UsageError('the label holds a control character');
  return {
    target: argumentAt(args, 0),
    sizeBytes: size === undefined ? undefined : parseSize(size, '--size'),
    blockBytes: block === undefined ? DEFAULT_BLOCK_BYTES : parseSize(block, '--block-size'),
    journalBytes: journal === undefined ? undefined : parseSize(journal, '--journal-size'),
    label,
    uuid: uuid === undefined ? randomUuid() : parseUuid(uuid),
    features: requestedFeatures(optionList(options, 'features')),
    force: optionGiven(options, 'force') || optionGiven(options, 'F'),
    keepBlocks: optionGiven(options, 'nodiscard'),
    json: optionGiven(options, 'json'),
    quiet: optionGiven(options, 'quiet'),
  };
}

/** Version 4, variant of RFC 9562. */
function randomUuid(): Uint8Array {
  const uuid = new Uint8Array(randomBytes(16));
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x40;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuid;
}

/**
 * Superblock, journal, volume root, space and backup at their least; a senseless block size is left
 * to the layout.
 */
function requireRoom(sizeBytes: number, blockBytes: number): void {
  const least = (MIN_JOURNAL_BLOCKS + MIN_SPACE_BLOCKS + 3) * blockBytes;
  if (blockBytes > MAX_BLOCK_BYTES || sizeBytes >= least) return;
  throw new CommandError(
    `${formatSize(sizeBytes)} are too small: with blocks of ${blockBytes} bytes a volume needs ${formatSize(least)}`,
  );
}

/** The layout that is asked for. @throws CommandError where no volume comes of it */
export function planVolume(request: MkfsRequest, sizeBytes: number): Layout {
  const { blockBytes, journalBytes } = request;
  requireRoom(sizeBytes, blockBytes);
  if (journalBytes !== undefined && journalBytes % blockBytes !== 0) {
    throw new UsageError(`--journal-size is not a multiple of the block size, ${blockBytes}`);
  }
  const journalBlocks =
    journalBytes === undefined
      ? defaultJournalBlocks(blockBytes, Math.floor(sizeBytes / blockBytes))
      : powerOfTwoUpTo(Math.max(1, journalBytes / blockBytes));
  try {
    return planFormat(sizeBytes, { blockBytes, journalBlocks });
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new CommandError(thrown.message, { cause: thrown });
    throw thrown;
  }
}

/** The size of the volume on an existing target. @throws CommandError */
function sizeOn(target: Target, request: MkfsRequest): number {
  const { sizeBytes } = request;
  if (sizeBytes === undefined) {
    if (target.sizeBytes > 0) return target.sizeBytes;
    throw new CommandError(`${target.path} is empty: give the volume a size, such as --size 1G`);
  }
  if (target.isBlockDevice && sizeBytes > target.sizeBytes) {
    throw new CommandError(`--size ${formatSize(sizeBytes)} is more than ${target.path} has`);
  }
  return sizeBytes;
}

/** Of what could not be made, nothing stays. */
function removeImage(path: string): void {
  try {
    unlinkSync(systemPath(path));
  } catch {
    // The first error is the one to tell.
  }
}

function createImage(path: string, sizeBytes: number): void {
  const descriptor = openSync(systemPath(path), 'wx', 0o666);
  try {
    ftruncateSync(descriptor, sizeBytes);
  } catch (thrown) {
    removeImage(path);
    throw thrown;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes the volume, and an image as long as it. What is stale is wiped wherever it is, also behind
 * a volume that takes a part of the device only.
 */
async function format(
  target: Target,
  request: MkfsRequest,
  sizeBytes: number,
  stale: readonly ByteRange[],
): Promise<Layout> {
  const device = openTarget(target, { exclusive: false, allowBuffered: true });
  try {
    if (request.blockBytes < device.sectorBytes) {
      throw new CommandError(
        `blocks of ${request.blockBytes} bytes are smaller than the sectors of ${target.path}: use --block-size ${device.sectorBytes}`,
      );
    }
    const layout = planVolume(request, sizeBytes);
    if (!target.isBlockDevice && sizeBytes !== target.sizeBytes) device.resizeFile(sizeBytes);
    return await formatVolume(device, {
      blockBytes: request.blockBytes,
      journalBlocks: layout.journalBlocks,
      label: request.label,
      uuid: request.uuid,
      features: request.features,
      journalSalt: new Uint8Array(randomBytes(8)),
      nameSecret: new Uint8Array(randomBytes(NAME_SECRET_BYTES)),
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      sizeBytes,
      stale,
      // An image file may have been given its space on purpose.
      discard: target.isBlockDevice && !request.keepBlocks,
    });
  } finally {
    await device.close();
  }
}

async function makeOnNewImage(path: string, request: MkfsRequest): Promise<Layout> {
  const { sizeBytes } = request;
  if (sizeBytes === undefined) {
    throw new CommandError(`${path} does not exist: give --size, such as --size 1G, to make an image file`);
  }
  planVolume(request, sizeBytes);
  requireFileSize(path, sizeBytes);
  createImage(path, sizeBytes);
  try {
    const target = inspectTarget(path);
    return await holding(target, 'exclusive', () => format(target, request, sizeBytes, []));
  } catch (thrown) {
    removeImage(path);
    throw thrown;
  }
}

async function makeOnExisting(target: Target, request: MkfsRequest): Promise<Layout> {
  const sizeBytes = sizeOn(target, request);
  planVolume(request, sizeBytes);
  if (!target.isBlockDevice) requireFileSize(target.path, sizeBytes);
  return await holding(target, 'exclusive', async () => {
    const signatures = requireOverwritable(target, request.force);
    return await format(target, request, sizeBytes, [...signatures, ...edgesOf(target, sizeBytes)]);
  });
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = mkfsRequest(args, options);
  const path = absolutePath(request.target);
  let layout: Layout;
  try {
    layout = existsSync(systemPath(path))
      ? await makeOnExisting(inspectTarget(path), request)
      : await makeOnNewImage(path, request);
  } catch (thrown) {
    throw targetError(thrown, request.target);
  }
  if (request.json) printJson(terminal, report(request, path, layout));
  else if (!request.quiet) terminal.out(summary(request, layout));
  return 0;
}

function report(request: MkfsRequest, path: string, layout: Layout): Record<string, unknown> {
  return {
    target: path,
    uuid: formatUuid(request.uuid),
    label: request.label,
    features: [...request.features],
    blockBytes: layout.blockBytes,
    blockCount: layout.blockCount,
    journalBlocks: layout.journalBlocks,
    sizeBytes: layout.blockCount * layout.blockBytes,
  };
}

function summary(request: MkfsRequest, layout: Layout): string {
  const size = formatSize(layout.blockCount * layout.blockBytes);
  const journal = formatSize(layout.journalBlocks * layout.blockBytes);
  const label = request.label === '' ? '' : `, label '${request.label}'`;
  return (
    `${printable(request.target)}: a Quarry volume of ${size}, ${layout.blockCount} blocks of ${layout.blockBytes} bytes, ` +
    `journal ${journal}${label}\nid ${formatUuid(request.uuid)}\n`
  );
}

export const mkfsCommand: CommandDefinition = {
  name: 'mkfs',
  summary: 'make a volume on a block device or image file',
  arguments: [{ name: 'target', text: 'block device, or image file (made if missing and --size is given)' }],
  options: [
    { flags: '-s, --size <size>', text: 'size of the volume, such as 1G; by default all of the target' },
    { flags: '-b, --block-size <size>', text: 'block size, a power of two from 1K to 64K (default 4K)' },
    { flags: '-L, --label <label>', text: 'label, up to 64 bytes' },
    { flags: '-U, --uuid <uuid>', text: 'id of the volume; by default a random one' },
    {
      flags: '-J, --journal-size <size>',
      text: 'size of the journal, rounded down to a power of two blocks; by default 1/64 of the volume, 64M at most',
    },
    {
      flags: '-O, --features <list>',
      repeated: true,
      text: `features, or ^ and one that is not wanted, such as ^unwritten; there are: ${FEATURES.map(({ name }) => name).join(', ')}`,
    },
    { flags: '-f, --force', text: 'overwrite what the target holds' },
    { flags: '-F', text: 'the same as --force', hidden: true },
    {
      flags: '-K, --nodiscard',
      text: 'do not tell a block device that all it holds is of no use any more',
    },
    { flags: '-q, --quiet', text: 'say nothing' },
    JSON_OPTION,
  ],
  notes: `A target that holds a known filesystem or partition table, or is behind a loop device, is refused unless --force
is given. One that is mounted or held open by someone else is always refused. Nothing is written before everything
has been checked.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
