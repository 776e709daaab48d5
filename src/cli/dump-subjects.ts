/**
 * What `quarry dump` can show: each subject is a function from a volume to a report, as text for
 * people, and the same as data for `--json`.
 */
import type { Device } from '../aio/device.ts';
import { rangeTexts } from '../check/number-ranges.ts';
import { aclTexts } from '../inspect/access-list-text.ts';
import { hexLines } from '../inspect/block-parts.ts';
import { reportBlock } from '../inspect/block-report.ts';
import {
  type AttributeReport,
  type EntryReport,
  reportAttributes,
  reportDirectory,
  reportInode,
} from '../inspect/inode-report.ts';
import { reportJournal, type TransactionReport } from '../inspect/journal-report.ts';
import { type QuotaReport, reportQuotas } from '../inspect/quota-report.ts';
import { type GroupReport, reportSpace } from '../inspect/space-report.ts';
import { reportSuperblocks, type SuperblockReport } from '../inspect/superblock-report.ts';
import { hexText, nameText, utf8Text } from '../inspect/value-text.ts';
import type { VolumeSource } from '../inspect/volume-source.ts';
import { readReplay } from './mounted-view.ts';
import { partsJson, partsText } from './parts-text.ts';
import { factLines } from './table-text.ts';

export interface Shown {
  readonly text: string;
  readonly data: Record<string, unknown>;
}

export interface Subject {
  /** What the number after it means, if it takes one. */
  readonly number?: string;
  readonly show: (source: VolumeSource, number: number) => Promise<Shown>;
}

/** Subjects but the superblock, which is looked at also where it is broken. */
export const SUBJECTS: Readonly<Record<string, Subject>> = {
  journal: { show: showJournal },
  inode: { number: 'inode', show: showInode },
  dir: { number: 'inode', show: showDirectory },
  attributes: { number: 'inode', show: showAttributes },
  quotas: { show: showQuotas },
  block: { number: 'block', show: showBlock },
  space: { show: showSpace },
};

export const SUBJECT_NAMES = ['superblock', ...Object.keys(SUBJECTS)];

// ---- superblock ----

export async function showSuperblocks(device: Device): Promise<Shown> {
  const copies = await reportSuperblocks(device);
  return {
    text: copies.map(superblockText).join('\n'),
    data: {
      superblocks: copies.map(({ block, fault, parts }) => ({ block, fault, parts: partsJson(parts) })),
    },
  };
}

function superblockText({ block, fault, parts }: SuperblockReport): string {
  const state = fault === undefined ? 'sound' : `damaged: ${fault}`;
  return `superblock in block ${block}: ${state}\n\n${partsText(parts)}`;
}

// ---- journal ----

async function showJournal(source: VolumeSource): Promise<Shown> {
  const { heads, ...report } = await reportJournal(source, () => readReplay(source));
  const headTexts = heads.map((parts, i) => (parts ? partsText(parts) : `head ${i} is not valid\n`));
  const facts = factLines([
    ['log', `${report.logBlocks} blocks from block ${source.layout.logBlock(0)} on`],
    ['tail', report.tail === undefined ? 'unknown' : `log index ${report.tail}`],
    ['state of the volume', source.superblock.isClean ? 'clean: nothing is replayed' : 'dirty'],
    ['fault', report.fault],
  ]);
  const lines = report.transactions.map((transaction) => `${transactionLine(transaction)}\n`);
  const list = lines.join('') || 'the log holds no transactions\n';
  return {
    text: `${headTexts.join('\n')}\n${facts}\n${list}`,
    data: { heads: heads.map((parts) => (parts ? partsJson(parts) : null)), ...report },
  };
}

function transactionLine(transaction: TransactionReport): string {
  const { sequence, start, copies, revokes, committed, fate } = transaction;
  const words = [fate === 'replayed' ? 'to be replayed' : fate, `from log index ${start}`];
  if (committed !== undefined) words.push(`${committed.logBlocks} blocks of the log`);
  if (committed?.time !== undefined) words.push(`committed ${committed.time}`);
  if (copies.length > 0) words.push(`copies of ${blocksText(copies)}`);
  if (revokes.length > 0) words.push(`revokes ${blocksText(revokes)}`);
  return `transaction ${sequence}: ${words.join('; ')}`;
}

/** Blocks as ranges: `3-5, 9`. */
function blocksText(blocks: readonly number[]): string {
  return rangeTexts([...blocks].sort((a, b) => a - b)).join(', ');
}

// ---- inodes and directories ----

async function showInode(source: VolumeSource, number: number): Promise<Shown> {
  const { parts, ...report } = await reportInode(source, number);
  return {
    text: `in block ${report.block}\n\n${partsText(parts)}`,
    data: { ...report, parts: partsJson(parts) },
  };
}

async function showDirectory(source: VolumeSource, number: number): Promise<Shown> {
  const { directory, parent, entries } = await reportDirectory(source, number);
  const head = `directory ${directory}, parent ${parent}, ${entries.length} entries in order of their keys\n\n`;
  return {
    text: head + entries.map(entryLine).join(''),
    data: { directory, parent, entries: entries.map(entryJson) },
  };
}

async function showAttributes(source: VolumeSource, number: number): Promise<Shown> {
  const { inode, attributes } = await reportAttributes(source, number);
  const head = `inode ${inode}, ${attributes.length} extended attributes in order of their keys\n`;
  return {
    text: head + attributes.map(attributeText).join(''),
    data: { inode, attributes: attributes.map(attributeJson) },
  };
}

function attributeText({ name, value }: AttributeReport): string {
  const lines = [...hexLines(value), ...(aclTexts(name, value) ?? [])].map((line) => `  ${line}\n`);
  return `\n${nameText(name)}, ${value.length} bytes\n${lines.join('')}`;
}

function attributeJson({ name, value }: AttributeReport): Record<string, unknown> {
  const text = utf8Text(name);
  const named = text === undefined ? { nameHex: hexText(name) } : { name: text };
  const acl = aclTexts(name, value);
  return { ...named, valueHex: hexText(value), ...(acl ? { acl } : {}) };
}

function entryLine({ key, inode, type, name }: EntryReport): string {
  const cells = [`${key}`.padStart(16), `inode ${inode}`.padEnd(14), type.padEnd(9), nameText(name)];
  return `${cells.join('  ')}\n`;
}

/** The name is text where it is UTF-8, hexadecimal digits otherwise. */
function entryJson({ name, ...entry }: EntryReport): Record<string, unknown> {
  const text = utf8Text(name);
  return text === undefined ? { ...entry, nameHex: hexText(name) } : { ...entry, name: text };
}

// ---- quotas ----

async function showQuotas(source: VolumeSource): Promise<Shown> {
  const report = await reportQuotas(source);
  const facts = factLines([
    ['tree', report.rootBlock === 0 ? 'none' : `root in block ${report.rootBlock}`],
    ['counted', report.counted.map((kind) => `${kind}s`).join(', ') || 'nothing'],
  ]);
  return { text: `${facts}\n${report.quotas.map(quotaLine).join('')}`, data: { ...report } };
}

/** What is 0 is left out, but for usage. */
function quotaLine({ kind, id, blocks, inodes, ...limits }: QuotaReport): string {
  const set = Object.entries(limits).filter(([, value]) => value !== 0);
  const words = [`blocks ${blocks}`, `inodes ${inodes}`, ...set.map(([name, value]) => `${name} ${value}`)];
  return `${kind} ${id}: ${words.join(', ')}\n`;
}

// ---- blocks ----

async function showBlock(source: VolumeSource, number: number): Promise<Shown> {
  const { block, bytes, parts, fault } = await reportBlock(source, number);
  if (parts === undefined) {
    const lines = hexLines(bytes);
    return { text: `block ${block}: no metadata\n\n${lines.join('\n')}\n`, data: { block, bytes: lines } };
  }
  return {
    text: `block ${block}: ${fault ?? 'sound'}\n\n${partsText(parts)}`,
    data: { block, fault, parts: partsJson(parts) },
  };
}

// ---- space ----

async function showSpace(source: VolumeSource): Promise<Shown> {
  const { bitsPerBlock, summaryFanout } = source.layout;
  const report = await reportSpace(source);
  const { spaceStart, spaceBlocks, groups } = report;
  const facts = factLines([
    ['space', `blocks ${spaceStart} to ${spaceStart + spaceBlocks - 1}`],
    ['free', `${report.freeBlocks} of ${spaceBlocks} blocks`],
    ['groups', `${report.groupCount} of ${bitsPerBlock} blocks, ${groups.length} of them ever used`],
    ['summaries', `${report.summaryLevels} levels of ${summaryFanout} entries`],
  ]);
  return { text: `${facts}\n${groups.map(groupLine).join('')}`, data: { ...report } };
}

function groupLine({ group, bitmapBlock, freeBlocks, used, firstFree }: GroupReport): string {
  return `group ${group}: bitmap in block ${bitmapBlock}, ${freeBlocks} free by the summary, ${used} used by its bitmap, none free below ${firstFree}\n`;
}
