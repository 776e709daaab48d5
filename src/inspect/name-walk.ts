/**
 * The names below a directory, depth first. No directory is entered twice, whatever the entries
 * say; what is kept are the directories that still have to be entered.
 */
import { viewOf } from '../common/bytes.ts';
import { InodeSet } from '../common/inode-set.ts';
import { BlockKind, EntryRecord, FILE_TYPE_MASK, FileType, Inode } from '../fs/format/format.ts';
import type { FaultList } from './fault-list.ts';
import type { InodeReader } from './inode-reader.ts';
import { InspectError } from './inspect-error.ts';
import { entryName } from './node-records.ts';
import type { VolumeSource } from './volume-source.ts';

/** A name with the directories that lead to it. */
export interface NamedEntry {
  readonly inode: number;
  readonly isDirectory: boolean;
  readonly name: Uint8Array;
  /** Undefined for what is in the directory where the walk begins. */
  readonly parent: NamedEntry | undefined;
}

/** How far a walk is. */
export interface WalkedDirectories {
  readonly done: number;
  /** Those that were found until now. */
  readonly known: number;
}

const SLASH = Uint8Array.of(0x2f);

/** The bytes of `/name/…/name`, from the directory where the walk began. */
export function pathOf(entry: NamedEntry): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at: NamedEntry | undefined = entry; at !== undefined; at = at.parent)
    parts.unshift(SLASH, at.name);
  return Buffer.concat(parts);
}

/** Where names are read, and who is told of those that cannot be. */
export interface NameSource {
  readonly source: VolumeSource;
  readonly reader: InodeReader;
  readonly faults: FaultList;
}

/**
 * Visits every name below a directory.
 * @param visit returns false to end the walk
 */
export async function walkNames(
  names: NameSource,
  from: number,
  visit: (entry: NamedEntry, directories: WalkedDirectories) => boolean,
): Promise<void> {
  const entered = new InodeSet();
  entered.add(from);
  const waiting: { inode: number; entry: NamedEntry | undefined }[] = [{ inode: from, entry: undefined }];
  let wantsMore = true;
  for (let next = waiting.pop(); next !== undefined && wantsMore; next = waiting.pop()) {
    const { inode, entry } = next;
    await names.faults.guard(async () => {
      for await (const found of entriesOf(names, inode, entry)) {
        wantsMore = visit(found, { done: entered.size - waiting.length, known: entered.size });
        if (!wantsMore) return;
        if (found.isDirectory && entered.add(found.inode)) waiting.push({ inode: found.inode, entry: found });
      }
    }, `directory ${inode}: `);
  }
}

async function* entriesOf(
  { source, reader, faults }: NameSource,
  directory: number,
  parent: NamedEntry | undefined,
): AsyncGenerator<NamedEntry> {
  const place = await reader.place(directory);
  const type = Inode.mode.get(viewOf(place.bytes), place.at) & FILE_TYPE_MASK;
  if (type !== FileType.directory) throw new InspectError('it is no directory');
  const report = (fault: InspectError) => faults.report(fault, `directory ${directory}: `);
  for await (const { bytes, at } of source.leafRecords(place, BlockKind.directoryNode, { report })) {
    const view = viewOf(bytes);
    yield {
      inode: EntryRecord.inode.get(view, at),
      isDirectory: EntryRecord.type.get(view, at) === FileType.directory >>> 12,
      name: entryName(bytes, at).slice(),
      parent,
    };
  }
}
