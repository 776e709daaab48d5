/**
 * Stage `directories`: every directory in which something was found wrong is written anew, with the
 * entries that can be read and that lead somewhere.
 */
import { BlockKind, ROOT_INODE } from '../fs/format/format.ts';
import {
  type Entry,
  giveUpDirectory,
  readEntries,
  withSoundNames,
  writeEntries,
} from './directory-entries.ts';
import { editInode, type RepairContext } from './repair-context.ts';
import { findStrayLeaves } from './repair-inodes.ts';

export async function repairDirectories(repair: RepairContext): Promise<void> {
  const { check, changes } = repair;
  const suspects = [...check.log.suspects('directories')].sort((a, b) => a - b);
  const strays = await findStrayLeaves(repair, new Set(suspects), BlockKind.directoryNode);
  for (const inode of suspects) {
    const found = check.inodes.isDirectory(inode) ? await editInode(repair, inode) : undefined;
    if (!found) continue;
    if (repair.isCoarse) {
      await giveUpDirectory(repair, found, inode === ROOT_INODE);
      continue;
    }
    const saved = await readEntries(check, found, strays.get(inode) ?? []);
    const entries = withSoundNames(soundTargets(repair, inode, saved.entries));
    await writeEntries(repair, found, entries, saved.nodes);
    await changes.settle();
  }
}

/** The entries whose inode is in use and may have this name. */
function soundTargets({ check }: RepairContext, directory: number, entries: readonly Entry[]): Entry[] {
  const { inodes, links } = check;
  const dropped = new Map<number, number>();
  const named = new Set<number>();
  return entries.filter(({ inode }) => {
    if (inodes.mode(inode) === 0) return false;
    if (inodes.isDirectory(inode)) {
      if (named.has(inode) || !mayHold(check.inodes.directories.get(inode), directory, inode)) return false;
      named.add(inode);
      return true;
    }
    const excess = links.excess(directory, inode);
    const gone = dropped.get(inode) ?? 0;
    if (gone >= excess) return true;
    dropped.set(inode, gone + 1);
    return false;
  });
}

/**
 * Of several names of a directory the one in the directory that it has as its parent stays, else
 * the one found first.
 */
function mayHold(
  facts: { parent: number; namedIn: number; namedByParent: boolean } | undefined,
  directory: number,
  inode: number,
): boolean {
  if (inode === ROOT_INODE) return false;
  if (!facts || facts.namedIn === 0) return true;
  return directory === (facts.namedByParent ? facts.parent : facts.namedIn);
}
