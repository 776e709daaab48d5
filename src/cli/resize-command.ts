/**
 * `quarry resize`: a volume becomes larger, mounted or not.
 *
 * Of a mount, its daemon is asked, whatever names it: the directory, the device or the image.
 */
import { statSync } from 'node:fs';
import { fsErrorFromNumber } from '../fs/base/errors.ts';
import { openVolume } from '../fs/volume.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { systemPath } from '../path-bytes.ts';
import { printable } from '../printable.ts';
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
import { growVolume, type Resized } from './growing.ts';
import { requireMount } from './mountpoint.ts';
import { openTarget } from './open-target.ts';
import { formatSize, parseSize } from './sizes.ts';
import { holding, mountOf } from './storage-hold.ts';
import { inspectTarget, type Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

/** Everything dirty may have to be committed first. */
const RESIZE_MILLISECONDS = 600_000;

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

async function resizeTarget(target: Target, { sizeBytes }: ResizeQuestion): Promise<Resized> {
  readVolumeHead(target);
  return await holding(target, 'exclusive', async () => {
    const device = openTarget(target, { exclusive: false, allowBuffered: true });
    // Closes the device.
    const volume = await openVolume(device);
    try {
      if (volume.readOnly) throw fsErrorFromNumber(30);
      return await growVolume(volume, device, sizeBytes);
    } finally {
      await volume.unmount();
    }
  });
}

async function resize(name: string, question: ResizeQuestion): Promise<Resized> {
  if (isDirectory(name)) return await resizeMounted(await requireMount(name), question);
  const target = inspectTarget(name);
  const mount = mountOf(target);
  return mount ? await resizeMounted(mount, question) : await resizeTarget(target, question);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const size = args[1];
  const sizeBytes = size === undefined ? null : parseSize(size, 'the size');
  const { before, after } = await resize(name, { sizeBytes });
  if (optionGiven(options, 'json')) printJson(terminal, { target: name, before, after });
  else {
    const what = before === after ? `has ${formatSize(after)} already` : `has ${formatSize(after)} now`;
    say(terminal, `${printable(name)} ${what}${before === after ? '' : `, ${formatSize(before)} before`}`);
  }
  return 0;
}

export const resizeCommand: CommandDefinition = {
  name: 'resize',
  summary: 'make a volume larger, mounted or not',
  arguments: [
    { name: 'target', text: 'block device, image file, or the directory of a mount' },
    {
      name: 'size',
      text: 'new size, such as 20G; an image file is made longer; by default all of the target',
      optional: true,
    },
  ],
  options: [JSON_OPTION],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
