/**
 * `quarry resize`: a volume becomes larger, mounted or not, or smaller, not mounted.
 *
 * Of a mount, its daemon is asked, whatever names it: the directory, the device or the image.
 */
import { statSync } from 'node:fs';
import type { KernelDevice } from '../aio/kernel-device.ts';
import { printable } from '../common/printable.ts';
import { onlyReadable } from '../fs/format/features.ts';
import { openVolume, type Volume } from '../fs/volume.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { systemPath } from '../path-bytes.ts';
import { askMount } from './ask-mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { CommandError } from './failure.ts';
import { bytesOf, growVolume, plannedSize, type Resized } from './growing.ts';
import { requireMount } from './mountpoint.ts';
import { openTarget } from './open-target.ts';
import { ProgressBar } from './progress.ts';
import { shrinkVolume } from './shrinking.ts';
import { formatSize, parseSize } from './sizes.ts';
import { holding, mountOf } from './storage-hold.ts';
import { inspectTarget, type Target } from './target.ts';
import { volumeError } from './volume-failure.ts';
import { readVolumeHead } from './volume-head.ts';

/** Everything dirty may have to be committed first. */
const RESIZE_MILLISECONDS = 600_000;

/** Told how many inodes have been gone through, of how many. */
type ResizeProgress = (done: number, total: number) => void;

/** What is asked of the daemon. */
export interface ResizeQuestion {
  /** Null for all of the device. */
  readonly sizeBytes: number | null;
}

function isDirectory(name: string): boolean {
  try {
    return statSync(systemPath(name)).isDirectory();
  } catch {
    return false;
  }
}

async function resizeMounted(mount: MountRecord, question: ResizeQuestion): Promise<Resized> {
  const payload = JSON.stringify(question);
  const said = await askMount(mount, 'resize', { payload, limitMs: RESIZE_MILLISECONDS });
  const { before, after }: Record<string, unknown> = Object(said);
  if (typeof before !== 'number' || typeof after !== 'number')
    throw new CommandError(`the daemon of ${mount.directory} does not say how large its volume is`);
  return { before, after };
}

async function resizeTarget(
  target: Target,
  { sizeBytes }: ResizeQuestion,
  progress: ResizeProgress,
): Promise<Resized> {
  const { layout, onlyReadableFor } = readVolumeHead(target);
  if (onlyReadableFor !== undefined)
    throw new CommandError(`${target.path}: ${onlyReadable(onlyReadableFor)}`);
  plannedSize(layout, sizeBytes ?? target.sizeBytes, target.path);
  return await holding(target, 'exclusive', async () => {
    try {
      const device = openTarget(target, { exclusive: false, allowBuffered: true });
      return await resizeAndClose(await openVolume(device), device, sizeBytes, progress);
    } catch (thrown) {
      throw volumeError(thrown, target.path, 'resized');
    }
  });
}

async function resizeAndClose(
  volume: Volume,
  device: KernelDevice,
  sizeBytes: number | null,
  progress: ResizeProgress,
): Promise<Resized> {
  const resizing = resizeVolume(volume, device, sizeBytes, progress);
  // What went wrong first is what is told.
  await resizing.catch(() => {});
  const ended = volume.unmount();
  await ended.catch(() => {});
  const resized = await resizing;
  await ended;
  return resized;
}

async function resizeVolume(
  volume: Volume,
  device: KernelDevice,
  sizeBytes: number | null,
  progress: ResizeProgress,
): Promise<Resized> {
  const planned = sizeBytes === null ? null : plannedSize(volume.layout, sizeBytes, device.path);
  return planned !== null && planned < bytesOf(volume.layout)
    ? await shrinkVolume(volume, device, planned, progress)
    : await growVolume(volume, device, planned);
}

async function resize(name: string, question: ResizeQuestion, progress: ResizeProgress): Promise<Resized> {
  if (isDirectory(name)) return await resizeMounted(await requireMount(name), question);
  const target = inspectTarget(name);
  const mount = mountOf(target);
  return mount ? await resizeMounted(mount, question) : await resizeTarget(target, question, progress);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const size = args[1];
  const sizeBytes = size === undefined ? null : parseSize(size, 'the size');
  const bar = terminal.interactive && !optionGiven(options, 'json') ? new ProgressBar(terminal) : undefined;
  const progress: ResizeProgress = (done, total) => bar?.update('files', done, total);
  const { before, after } = await resize(name, { sizeBytes }, progress).finally(() => bar?.clear());
  if (optionGiven(options, 'json')) printJson(terminal, { target: name, before, after });
  else {
    const what = before === after ? `has ${formatSize(after)} already` : `has ${formatSize(after)} now`;
    say(terminal, `${printable(name)} ${what}${before === after ? '' : `, ${formatSize(before)} before`}`);
  }
  return 0;
}

export const resizeCommand: CommandDefinition = {
  name: 'resize',
  summary: 'make a volume larger, mounted or not, or smaller, not mounted',
  arguments: [
    { name: 'target', text: 'block device, image file, or the directory of a mount' },
    {
      name: 'size',
      text: 'new size, such as 20G, which an image file follows; by default all of the target',
      optional: true,
    },
  ],
  options: [JSON_OPTION],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
