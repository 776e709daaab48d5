/**
 * `quarry dump`: the inspector. Shows what stands on disk, record by record, as docs/FORMAT.md
 * describes it; writes nothing.
 *
 * Each subject is a function from a volume to a report: text for people, and the same as data for
 * `--json`.
 */

import { BlockSource } from '../check/block-source.ts';
import { viewOf } from '../check/metadata-block.ts';
import { inspectSuperblock } from '../check/superblock-pass.ts';
import { blockFault } from '../fs/format/block-header.ts';
import {
  BitmapHeader,
  BlockKind,
  EntryRecord,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  Inode,
  MAGIC_BYTES,
  SUMMARY_INITIALISED,
  SUPERBLOCK_BYTES,
  SummaryEntry,
  SummaryHeader,
} from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { blockParts, hexLines, inodeParts, type Part } from '../inspect/block-parts.ts';
import { InspectError } from '../inspect/inspect-error.ts';
import { entryName } from '../inspect/node-records.ts';
import { nameText, utf8Text } from '../inspect/value-text.ts';
import type { VolumeSource } from '../inspect/volume-source.ts';
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
import { reportJournal, transactionLine } from './dump-journal.ts';
import { CommandError, UsageError } from './failure.ts';
import { viewAsMounted } from './mounted-view.ts';
import { openForReading } from './open-target.ts';
import { partsJson, partsText } from './parts-text.ts';
import { factLines } from './table-text.ts';
import { inspectTarget, type Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

interface Report {
  readonly text: string;
  readonly data: Record<string, unknown>;
}

interface Subject {
  /** What the number after it means, if it takes one. */
  readonly number?: string;
  readonly show: (source: VolumeSource, number: number) => Promise<Report>;
}

/** Subjects but the superblock, which is looked at also where it is broken. */
const SUBJECTS: Readonly<Record<string, Subject>> = {
  journal: { show: showJournal },
  inode: { number: 'inode', show: showInode },
  dir: { number: 'inode', show: showDirectory },
  block: { number: 'block', show: showBlock },
  space: { show: showSpace },
};

const SUBJECT_NAMES = ['superblock', ...Object.keys(SUBJECTS)];

// ---- superblock ----

async function showSuperblocks(target: Target): Promise<Report> {
  const device = openForReading(target);
  try {
    const source = new BlockSource(device);
    const first = await readSuperblockAt(source, 0, 0);
    const copies = [first];
    for (const block of first.layout?.backups ?? [])
      copies.push(await readSuperblockAt(source, block * (first.layout?.blockBytes ?? 0), block));
    return {
      text: copies.map(superblockText).join('\n'),
      data: {
        superblocks: copies.map(({ block, fault, parts }) => ({ block, fault, parts: partsJson(parts) })),
      },
    };
  } finally {
    await device.close();
  }
}

interface SuperblockReport {
  readonly block: number;
  readonly fault: string | undefined;
  readonly parts: readonly Part[];
  /** Undefined where the superblock is not sound. */
  readonly layout: Layout | undefined;
}

async function readSuperblockAt(
  source: BlockSource,
  offset: number,
  block: number,
): Promise<SuperblockReport> {
  const { bytes, errno } = await source.read(offset, SUPERBLOCK_BYTES);
  if (errno !== 0)
    throw new CommandError(`the superblock in block ${block} cannot be read: the target ends before it`);
  if (!MAGIC_BYTES.every((byte, i) => bytes[i] === byte)) {
    throw new CommandError(`there is no superblock in block ${block}: it does not begin with 'QUARRY'`);
  }
  const view = viewOf(bytes);
  const fault = blockFault(view, bytes, 0, SUPERBLOCK_BYTES, block, undefined);
  const found = fault === undefined ? inspectSuperblock(bytes) : '';
  const layout = typeof found === 'string' ? undefined : found.layout;
  return { block, fault, parts: blockParts(bytes) ?? [], layout };
}

function superblockText({ block, fault, parts }: SuperblockReport): string {
  const state = fault === undefined ? 'sound' : `damaged: ${fault}`;
  return `superblock in block ${block}: ${state}\n\n${partsText(parts)}`;
}

// ---- journal ----

async function showJournal(source: VolumeSource): Promise<Report> {
  const { heads, ...report } = await reportJournal(source);
  const headTexts = heads.map((parts, i) => (parts ? partsText(parts) : `head ${i} is not valid\n`));
  const lines = report.transactions.map(transactionLine);
  const facts = factLines([
    ['log', `${report.logBlocks} blocks from block ${source.layout.journalStart + heads.length} on`],
    ['tail', report.tail === undefined ? 'unknown' : `log index ${report.tail}`],
    ['state of the volume', source.superblock.isClean ? 'clean: nothing is replayed' : 'dirty'],
    ['fault', report.fault],
  ]);
  const list = lines.length === 0 ? 'the log holds no transactions\n' : `${lines.join('\n')}\n`;
  return {
    text: `${headTexts.join('\n')}\n${facts}\n${list}`,
    data: { heads: heads.map((parts) => (parts ? partsJson(parts) : null)), ...report },
  };
}

// ---- inodes and directories ----

async function showInode(source: VolumeSource, number: number): Promise<Report> {
  const { bytes, at, block } = await source.inode(number);
  const parts = inodeParts(bytes, at, `inode ${number}`);
  return {
    text: `in block ${block}\n\n${partsText(parts)}`,
    data: { inode: number, block, parts: partsJson(parts) },
  };
}

async function showDirectory(source: VolumeSource, number: number): Promise<Report> {
  const inode = await source.inode(number);
  const mode = Inode.mode.get(viewOf(inode.bytes), inode.at);
  if ((mode & FILE_TYPE_MASK) !== FileType.directory)
    throw new CommandError(`inode ${number} is no directory`);
  const lines: string[] = [];
  const entries: Record<string, unknown>[] = [];
  for await (const { bytes, at } of source.leafRecords(inode, BlockKind.directoryNode)) {
    const view = viewOf(bytes);
    const key = EntryRecord.key.get(view, at);
    const found = EntryRecord.inode.get(view, at);
    const type = EntryRecord.type.get(view, at);
    const name = entryName(bytes, at);
    const typeName = Object.entries(FileType).find(([, bits]) => bits >>> 12 === type)?.[0] ?? `type ${type}`;
    lines.push(
      `${`${key}`.padStart(16)}  ${`inode ${found}`.padEnd(14)}  ${typeName.padEnd(9)}  ${nameText(name)}\n`,
    );
    entries.push({ key, inode: found, type: typeName, ...nameJson(name) });
  }
  const parent = Inode.parent.get(viewOf(inode.bytes), inode.at);
  const head = `directory ${number}, parent ${parent}, ${lines.length} entries in order of their keys\n\n`;
  return { text: head + lines.join(''), data: { directory: number, parent, entries } };
}

/** A name as JSON: text where it is UTF-8, hexadecimal digits otherwise. */
function nameJson(name: Uint8Array): Record<string, string> {
  const text = utf8Text(name);
  return text === undefined ? { nameHex: Buffer.from(name).toString('hex') } : { name: text };
}

// ---- blocks ----

async function showBlock(source: VolumeSource, number: number): Promise<Report> {
  const bytes = await source.block(number);
  const parts = bytes.every((_, i) => i >= MAGIC_BYTES.length || bytes[i] === MAGIC_BYTES[i])
    ? blockParts(bytes)
    : undefined;
  if (parts === undefined) {
    const lines = hexLines(bytes);
    return {
      text: `block ${number}: no metadata\n\n${lines.join('\n')}\n`,
      data: { block: number, bytes: lines },
    };
  }
  const fault = source.fault(bytes, number);
  const state = fault === undefined ? 'sound' : fault;
  return {
    text: `block ${number}: ${state}\n\n${partsText(parts)}`,
    data: { block: number, fault, parts: partsJson(parts) },
  };
}

// ---- space ----

async function showSpace(source: VolumeSource): Promise<Report> {
  const { layout } = source;
  const groups = await touchedGroups(source);
  const top = await source.metadata(layout.summaryBlock(layout.summaryLevels, 0), BlockKind.summary);
  const freeBlocks = SummaryHeader.freeBlocks.get(viewOf(top), 0);
  const facts = factLines([
    ['space', `blocks ${layout.spaceStart} to ${layout.spaceStart + layout.spaceBlocks - 1}`],
    ['free', `${freeBlocks} of ${layout.spaceBlocks} blocks`],
    ['groups', `${layout.groupCount} of ${layout.bitsPerBlock} blocks, ${groups.length} of them ever used`],
    ['summaries', `${layout.summaryLevels} levels of ${layout.summaryFanout} entries`],
  ]);
  const lines = groups.map(
    (group) =>
      `group ${group.group}: bitmap in block ${group.bitmapBlock}, ${group.freeBlocks} free by the summary, ${group.used} used by its bitmap, none free below ${group.firstFree}\n`,
  );
  const { spaceStart, spaceBlocks, groupCount, summaryLevels } = layout;
  return {
    text: `${facts}\n${lines.join('')}`,
    data: { spaceStart, spaceBlocks, freeBlocks, groupCount, summaryLevels, groups },
  };
}

interface GroupReport {
  readonly group: number;
  readonly bitmapBlock: number;
  readonly freeBlocks: number;
  readonly used: number;
  readonly firstFree: number;
}

/** Groups whose bitmap was ever written, found from the top of the summaries down. */
async function touchedGroups(source: VolumeSource): Promise<GroupReport[]> {
  const { layout } = source;
  let nodes = [0];
  for (let level = layout.summaryLevels; level > 1; level--) {
    const below: number[] = [];
    for (const node of nodes)
      for (const entry of await usedEntries(source, level, node)) below.push(entry.child);
    nodes = below;
  }
  const groups: GroupReport[] = [];
  for (const node of nodes) {
    for (const { child, freeBlocks } of await usedEntries(source, 1, node)) {
      const bitmapBlock = layout.bitmapBlock(child);
      const view = viewOf(await source.metadata(bitmapBlock, BlockKind.groupBitmap));
      const used = BitmapHeader.used.get(view, 0);
      groups.push({
        group: child,
        bitmapBlock,
        freeBlocks,
        used,
        firstFree: BitmapHeader.firstFree.get(view, 0),
      });
    }
  }
  return groups;
}

/**
 * The entries of a summary node that stand for something written: what they are of, and the free
 * blocks they count.
 */
async function usedEntries(
  source: VolumeSource,
  level: number,
  node: number,
): Promise<{ child: number; freeBlocks: number }[]> {
  const { layout } = source;
  const view = viewOf(await source.metadata(layout.summaryBlock(level, node), BlockKind.summary));
  const first = node * layout.summaryFanout;
  const count = Math.min(layout.summaryFanout, layout.summaryNodes(level - 1) - first);
  const entries: { child: number; freeBlocks: number }[] = [];
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * SummaryEntry.sizeBytes;
    if ((SummaryEntry.flags.get(view, at) & SUMMARY_INITIALISED) === 0) continue;
    entries.push({ child: first + i, freeBlocks: SummaryEntry.freeBlocks.get(view, at) });
  }
  return entries;
}

// ---- the command ----

interface DumpRequest {
  readonly subject: string;
  readonly number: number;
}

/** Judges the words after the target. @throws UsageError */
export function dumpRequest(subject: string, number: string | undefined): DumpRequest {
  if (!SUBJECT_NAMES.includes(subject)) {
    throw new UsageError(`'${subject}' cannot be shown: say one of ${SUBJECT_NAMES.join(', ')}`);
  }
  const meaning = SUBJECTS[subject]?.number;
  if (meaning === undefined) {
    if (number !== undefined) throw new UsageError(`'${subject}' takes no number: leave out '${number}'`);
    return { subject, number: 0 };
  }
  if (number === undefined)
    throw new UsageError(`say which ${meaning}: 'quarry dump TARGET ${subject} NUMBER'`);
  if (!/^\d{1,15}$/.test(number))
    throw new UsageError(`'${number}' is not the number of ${meaning === 'inode' ? 'an inode' : 'a block'}`);
  return { subject, number: Number(number) };
}

async function show(target: Target, { subject, number }: DumpRequest, terminal: Terminal): Promise<Report> {
  const found = SUBJECTS[subject];
  if (found === undefined) return showSuperblocks(target);
  const device = openForReading(target);
  try {
    readVolumeHead(target);
    const { source, journalFault } = await viewAsMounted(device);
    if (journalFault !== undefined) {
      say(terminal, `${target.path} is shown as it is on disk: ${journalFault}`);
    }
    return await found.show(source, number);
  } catch (thrown) {
    throw thrown instanceof InspectError ? new CommandError(thrown.message, { cause: thrown }) : thrown;
  } finally {
    await device.close();
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = dumpRequest(argumentAt(args, 1), args[2]);
  const target = inspectTarget(argumentAt(args, 0));
  const { text, data } = await show(target, request, terminal);
  if (optionGiven(options, 'json')) printJson(terminal, { target: target.path, ...data });
  else terminal.out(text);
  return 0;
}

export const dumpCommand: CommandDefinition = {
  name: 'dump',
  summary: 'show what stands on disk, record by record',
  arguments: [
    { name: 'target', text: 'block device or image file' },
    { name: 'subject', text: SUBJECT_NAMES.join(', ') },
    { name: 'number', text: 'which inode, directory (its inode) or block', optional: true },
  ],
  options: [JSON_OPTION],
  notes:
    'A volume that was not unmounted in order is shown as a mount would see it, its journal replayed in memory.\nNothing is written. docs/FORMAT.md says what the fields mean.',
  usageStatus: 2,
  failureStatus: 1,
  run,
};
