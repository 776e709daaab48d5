/**
 * The entries of one directory for a repair: read from a tree that may be broken, made possible,
 * and written as a new tree.
 */
import { viewOf } from '../common/bytes.ts';
import { EntryRecord, Inode, InodeFlag, MAX_NAME_BYTES, TreeKind } from '../fs/format/format.ts';
import { COLLISIONS_PER_HASH, nameKey } from '../fs/format/name-hash.ts';
import type { CheckContext } from './context.ts';
import { nameIsAllowed } from './directory-pass.ts';
import { bodyOf, type FoundInode, KNOWN_FLAGS } from './inode-record.ts';
import { setBlocks } from './repair-contents.ts';
import { clearInode, type RepairContext } from './repair-context.ts';
import { type SalvagedTree, salvageTree } from './salvage.ts';
import { buildTree, type TreeRecord } from './tree-builder.ts';

export interface Entry {
  name: Uint8Array;
  readonly inode: number;
}

export interface SavedDirectory extends SalvagedTree {
  readonly entries: Entry[];
}

const DOT = 0x2e;
const SLASH = 0x2f;
const TILDE = '~';

/** Reads every entry of a directory that can be read. */
export async function readEntries(
  context: CheckContext,
  found: FoundInode,
  strayLeaves: readonly number[],
): Promise<SavedDirectory> {
  const entries: Entry[] = [];
  const tree = await salvageTree(context, {
    inode: found.inode,
    kind: TreeKind.directory,
    root: bodyOf(found),
    strayLeaves,
    visit: (leaf, record) => {
      const from = leaf.byteOffset + record + EntryRecord.sizeBytes;
      const name = new Uint8Array(leaf.buffer, from, EntryRecord.nameBytes.get(leaf, record)).slice();
      entries.push({ name, inode: EntryRecord.inode.get(leaf, record) });
    },
  });
  return { ...tree, entries };
}

/** Writes these entries as the contents of a directory. Without room for all, some are lost. */
export async function writeEntries(
  repair: RepairContext,
  found: FoundInode,
  entries: readonly Entry[],
  oldNodes: readonly number[],
): Promise<void> {
  const { view, at, inode } = found;
  let records = entryRecords(repair.check, entries);
  const plan = { inode, kind: TreeKind.directory, root: bodyOf(found), oldNodes };
  let nodes = await buildTree(repair, { ...plan, records });
  while (nodes === undefined) {
    records = records.slice(0, Math.floor(records.length / 2));
    nodes = await buildTree(repair, { ...plan, records });
  }
  Inode.flags.set(view, at, Inode.flags.get(view, at) & KNOWN_FLAGS & ~InodeFlag.inlineData);
  setBlocks(repair, found, nodes);
  Inode.size.set(view, at, records.length);
}

/** Gives every entry an allowed name that no other has. The same name for the same inode goes. */
export function withSoundNames(entries: readonly Entry[]): Entry[] {
  const names = new Map<string, number>();
  const suffixes = new Map<string, number>();
  const sound: Entry[] = [];
  for (const { name, inode } of entries) {
    const allowed = nameIsAllowed(name) ? name : allowedName(name, inode);
    if (names.get(keyOf(allowed)) === inode) continue;
    let unique = allowed;
    while (names.has(keyOf(unique))) {
      const n = (suffixes.get(keyOf(allowed)) ?? 0) + 1;
      suffixes.set(keyOf(allowed), n);
      unique = withSuffix(allowed, n);
    }
    names.set(keyOf(unique), inode);
    sound.push({ name: unique, inode });
  }
  return sound;
}

function keyOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1');
}

function allowedName(name: Uint8Array, inode: number): Uint8Array {
  const replaced = name.map((byte) => (byte === 0 || byte === SLASH ? DOT : byte));
  return nameIsAllowed(replaced) ? replaced : new TextEncoder().encode(`#${inode}`);
}

/** The name with `~n` behind it, within the length of a name. */
function withSuffix(name: Uint8Array, n: number): Uint8Array {
  const suffix = new TextEncoder().encode(`${TILDE}${n}`);
  const kept = name.subarray(0, MAX_NAME_BYTES - suffix.length);
  const result = new Uint8Array(kept.length + suffix.length);
  result.set(kept);
  result.set(suffix, kept.length);
  return result;
}

/**
 * Records in order of their keys. Of more names with one hash than have room the last are left out.
 */
function entryRecords(check: CheckContext, entries: readonly Entry[]): TreeRecord[] {
  const keyed = entries.map((entry) => ({
    entry,
    hash: nameKey(entry.name, check.nameSecret),
  }));
  keyed.sort((a, b) => a.hash - b.hash);
  const records: TreeRecord[] = [];
  let hash = -1;
  let same = 0;
  for (const next of keyed) {
    same = next.hash === hash ? same + 1 : 0;
    hash = next.hash;
    if (same < COLLISIONS_PER_HASH) records.push(entryRecord(check, next.entry, hash + same));
  }
  return records;
}

function entryRecord(check: CheckContext, { name, inode }: Entry, key: number): TreeRecord {
  const bytes = new Uint8Array(EntryRecord.sizeBytes + name.length);
  const view = viewOf(bytes);
  EntryRecord.key.set(view, 0, key);
  EntryRecord.inode.set(view, 0, inode);
  EntryRecord.type.set(view, 0, check.inodes.mode(inode) >> 12);
  EntryRecord.nameBytes.set(view, 0, name.length);
  bytes.set(name, EntryRecord.sizeBytes);
  return { key, bytes };
}

/** Empties a directory for which nothing else helps; the root directory stays, others go. */
export async function giveUpDirectory(
  repair: RepairContext,
  found: FoundInode,
  isRoot: boolean,
): Promise<void> {
  if (isRoot) await writeEntries(repair, found, [], []);
  else await clearInode(repair, found.inode);
}
