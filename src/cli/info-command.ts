/**
 * `quarry info`: what the superblock of a volume says, and how full it is. Reads only; a mounted
 * volume may be asked too.
 */

import { printable } from '../common/printable.ts';
import type { Layout } from '../fs/format/layout.ts';
import { describeLayout, type VolumeHead } from '../inspect/volume-head.ts';
import { readUsage, type VolumeUsage } from '../inspect/volume-usage.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  type Terminal,
} from './command.ts';
import { targetError } from './failure.ts';
import { namedVolume } from './named-place.ts';
import { formatSize } from './sizes.ts';
import { mountOf } from './storage-hold.ts';
import { factLines } from './table-text.ts';
import type { Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';
import { openForReading } from './volume-storage.ts';

/** @throws CommandError if the target cannot be opened or read */
async function usageOf(target: Target, layout: Layout): Promise<VolumeUsage> {
  const device = await openForReading(target);
  try {
    return await readUsage(device, layout).finally(() => device.close());
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const { target } = await namedVolume(argumentAt(args, 0));
  const head = readVolumeHead(target);
  const usage = await usageOf(target, head.layout);
  if (optionGiven(options, 'json')) printJson(terminal, report(target, head, usage));
  else terminal.out(describe(target, head, usage));
  return 0;
}

function report(target: Target, head: VolumeHead, usage: VolumeUsage): Record<string, unknown> {
  const { layout, ...identity } = head;
  return {
    target: target.path,
    ...identity,
    mountedOn: mountOf(target)?.directory,
    ...describeLayout(layout),
    ...usage,
  };
}

function describe(target: Target, head: VolumeHead, usage: VolumeUsage): string {
  const { layout } = head;
  const directory = mountOf(target)?.directory;
  const bytes = (blocks: number) => `${formatSize(blocks * layout.blockBytes)} (${blocks} blocks)`;
  return factLines([
    ['target', printable(target.path)],
    ['label', printable(head.label) || '(none)'],
    ['id', head.uuid],
    ['format version', head.formatVersion],
    ['state', directory === undefined ? head.state : `mounted on ${printable(directory)}`],
    ['block size', layout.blockBytes],
    ['size', bytes(layout.blockCount)],
    ['journal', bytes(layout.journalBlocks)],
    ['free', usage.freeBlocks === undefined ? undefined : bytes(usage.freeBlocks)],
    ['groups', `${layout.groupCount} of ${layout.bitsPerBlock} blocks`],
    ['inodes in use', usage.inodes],
    ['created', head.created],
    ['last mounted', head.mounted ?? 'never'],
    ['last unmounted', head.unmounted ?? 'never'],
    ['mounts', head.mountCount],
    ['mount options', printable(head.mountOptions) || undefined],
    ['features', head.features.join(', ') || '(none)'],
    ['writable', head.onlyReadableFor && `no: unknown features ${head.onlyReadableFor}`],
  ]);
}

export const infoCommand: CommandDefinition = {
  name: 'info',
  summary: 'show what a volume is: size, id, state, free space',
  arguments: [{ name: 'target', text: 'block device, image file, or where it is mounted' }],
  options: [JSON_OPTION],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
