/**
 * `quarry info`: what the superblock of a volume says, and how full it is. Reads only; a mounted
 * volume may be asked too.
 */
import { BlockSource } from '../check/block-source.ts';
import { BlockHeader, BlockKind, HEADER_BYTES, SummaryHeader, VolumeRoot } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { printable } from '../printable.ts';
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
import { openTarget } from './open-target.ts';
import { formatSize } from './sizes.ts';
import { mountOf } from './storage-hold.ts';
import { factLines } from './table-text.ts';
import { inspectTarget, type Target } from './target.ts';
import { readVolumeHead, type VolumeHead } from './volume-head.ts';

interface Space {
  /** As far as the blocks that say so can be read. */
  readonly freeBlocks: number | undefined;
  readonly inodes: number | undefined;
}

/** Reads counters where they stand; while the volume is mounted they may lag behind. */
async function readSpace(target: Target, layout: Layout): Promise<Space> {
  const device = openTarget(target, { readOnly: true, exclusive: false, allowBuffered: true });
  try {
    const source = new BlockSource(device);
    const top = layout.summaryBlock(layout.summaryLevels, 0);
    const summary = await readKind(source, layout, top, BlockKind.summary, HEADER_BYTES);
    const root = await readKind(
      source,
      layout,
      layout.volumeRootBlock,
      BlockKind.volumeRoot,
      VolumeRoot.sizeBytes,
    );
    return {
      freeBlocks: summary && SummaryHeader.freeBlocks.get(summary, 0),
      inodes: root && VolumeRoot.inodeCount.get(root, 0),
    };
  } finally {
    await device.close();
  }
}

async function readKind(
  source: BlockSource,
  layout: Layout,
  block: number,
  kind: number,
  lengthBytes: number,
): Promise<DataView | undefined> {
  const { bytes, errno } = await source.read(block * layout.blockBytes, lengthBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return errno === 0 && BlockHeader.kind.get(view, 0) === kind ? view : undefined;
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const target = inspectTarget(argumentAt(args, 0));
  const head = readVolumeHead(target);
  let space: Space;
  try {
    space = await readSpace(target, head.layout);
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
  if (optionGiven(options, 'json')) printJson(terminal, report(target, head, space));
  else terminal.out(describe(target, head, space));
  return 0;
}

function report(target: Target, head: VolumeHead, space: Space): Record<string, unknown> {
  const { layout, ...identity } = head;
  return {
    target: target.path,
    ...identity,
    mountedOn: mountOf(target)?.directory,
    blockBytes: layout.blockBytes,
    blockCount: layout.blockCount,
    sizeBytes: layout.blockCount * layout.blockBytes,
    journalStart: layout.journalStart,
    journalBlocks: layout.journalBlocks,
    volumeRootBlock: layout.volumeRootBlock,
    spaceStart: layout.spaceStart,
    spaceBlocks: layout.spaceBlocks,
    groupCount: layout.groupCount,
    groupBlocks: layout.bitsPerBlock,
    ...space,
  };
}

function describe(target: Target, head: VolumeHead, space: Space): string {
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
    ['free', space.freeBlocks === undefined ? undefined : bytes(space.freeBlocks)],
    ['groups', `${layout.groupCount} of ${layout.bitsPerBlock} blocks`],
    ['inodes in use', space.inodes],
    ['created', head.created],
    ['last mounted', head.mounted ?? 'never'],
    ['last unmounted', head.unmounted ?? 'never'],
    ['mounts', head.mountCount],
    ['features', head.features.join(', ') || '(none)'],
    ['writable', head.onlyReadableFor && `no: unknown features ${head.onlyReadableFor}`],
  ]);
}

export const infoCommand: CommandDefinition = {
  name: 'info',
  summary: 'show what a volume is: size, id, state, free space',
  arguments: [{ name: 'target', text: 'block device or image file' }],
  options: [JSON_OPTION],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
