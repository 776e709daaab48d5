/** One inode for people, and the entries of a directory. */
import { viewOf } from '../common/bytes.ts';
import {
  BlockKind,
  EntryRecord,
  FILE_TYPE_MASK,
  FileType,
  Inode,
  MAX_ATTRIBUTE_VALUE_BYTES,
} from '../fs/format/format.ts';
import { inodeParts, type Part } from './block-parts.ts';
import { InspectError } from './inspect-error.ts';
import { attributeAt, entryName } from './node-records.ts';
import type { Place, VolumeSource } from './volume-source.ts';

export interface InodeReport {
  readonly inode: number;
  /** The block that holds it. */
  readonly block: number;
  readonly parts: readonly Part[];
}

export interface EntryReport {
  readonly key: number;
  readonly inode: number;
  /** A name of `FileType`, or what else the entry says. */
  readonly type: string;
  readonly name: Uint8Array;
}

export interface DirectoryReport {
  readonly directory: number;
  /** Its parent's inode. */
  readonly parent: number;
  /** In order of their keys. */
  readonly entries: readonly EntryReport[];
}

/** @throws InspectError if there is no such inode */
export async function reportInode(source: VolumeSource, inode: number): Promise<InodeReport> {
  const { bytes, at, block } = await source.inode(inode);
  return { inode, block, parts: inodeParts(bytes, at, `inode ${inode}`) };
}

/** @throws InspectError if the inode is no directory, or a part of it is damaged */
export async function reportDirectory(source: VolumeSource, directory: number): Promise<DirectoryReport> {
  const place = await source.inode(directory);
  const view = viewOf(place.bytes);
  const type = Inode.mode.get(view, place.at) & FILE_TYPE_MASK;
  if (type !== FileType.directory) throw new InspectError(`inode ${directory} is no directory`);
  const entries: EntryReport[] = [];
  for await (const record of source.leafRecords(place, BlockKind.directoryNode))
    entries.push(entryOf(record));
  return { directory, parent: Inode.parent.get(view, place.at), entries };
}

export interface AttributeReport {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

export interface AttributesReport {
  readonly inode: number;
  /** In order of their keys. */
  readonly attributes: readonly AttributeReport[];
}

/** @throws InspectError if there is no such inode, or an attribute is not whole */
export async function reportAttributes(source: VolumeSource, inode: number): Promise<AttributesReport> {
  const attributes: AttributeReport[] = [];
  let missing = 0;
  for await (const { bytes, at } of source.attributeRecords(await source.inode(inode))) {
    const { name, part, valueBytes } = attributeAt(bytes, at);
    const last = attributes.at(-1);
    if (valueBytes > MAX_ATTRIBUTE_VALUE_BYTES) throw notWhole(inode);
    if (name.length > 0 && missing === 0) {
      attributes.push({ name, value: part });
      missing = valueBytes - part.length;
    } else if (name.length === 0 && last && missing >= part.length) {
      attributes[attributes.length - 1] = { name: last.name, value: Buffer.concat([last.value, part]) };
      missing -= part.length;
    } else throw notWhole(inode);
  }
  if (missing !== 0) throw notWhole(inode);
  return { inode, attributes };
}

function notWhole(inode: number): InspectError {
  return new InspectError(`an extended attribute of inode ${inode} is not whole`);
}

function entryOf({ bytes, at }: Place): EntryReport {
  const view = viewOf(bytes);
  return {
    key: EntryRecord.key.get(view, at),
    inode: EntryRecord.inode.get(view, at),
    type: typeName(EntryRecord.type.get(view, at)),
    name: entryName(bytes, at),
  };
}

/** @param type as an entry has it: the bits of a mode without those below them */
function typeName(type: number): string {
  return Object.entries(FileType).find(([, bits]) => bits >>> 12 === type)?.[0] ?? `type ${type}`;
}
