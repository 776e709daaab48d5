/**
 * Stage `links`: the root directory, the orphans, what cannot be reached, parents and link counts.
 *
 * Orphans are freed and truncations finished as a mount after a crash does it. What has links and
 * no name goes to `/lost+found` under the name `#<inode>`; an empty file without a name is cleared.
 * Of directories only the top of a lost tree moves; the rest hangs below it.
 */
import { viewOf } from '../common/bytes.ts';
import { PERMISSION_BITS } from '../common/permissions.ts';
import {
  FILE_TYPE_MASK,
  FileType,
  Inode,
  InodeFlag,
  ROOT_INODE,
  TreeKind,
  VolumeRoot,
} from '../fs/format/format.ts';
import { type Entry, readEntries, withSoundNames, writeEntries } from './directory-entries.ts';
import { saveExtents } from './file-extents.ts';
import type { InodeFacts } from './inode-facts.ts';
import { bodyOf, type FoundInode, KNOWN_FLAGS } from './inode-record.ts';
import { rewriteFile } from './repair-contents.ts';
import { bytesOf, clearInode, editInode, markInode, type RepairContext } from './repair-context.ts';
import { growTable } from './repair-table.ts';
import { fillNode } from './tree-builder.ts';
import { inspectNode } from './tree-node.ts';

export const LOST_AND_FOUND = new TextEncoder().encode('lost+found');
const DIRECTORY_MODE = FileType.directory | 0o755;
const LOST_MODE = FileType.directory | 0o700;

export async function repairLinks(repair: RepairContext): Promise<void> {
  const { inodes } = repair.check;
  if (!inodes.isDirectory(ROOT_INODE)) {
    await makeRoot(repair);
    return;
  }
  await emptyOrphanList(repair);
  await new Reconnection(repair).run();
}

/**
 * Makes the root directory, of the inode that is in its place where that still holds a directory.
 */
async function makeRoot(repair: RepairContext): Promise<void> {
  const found = await editInode(repair, ROOT_INODE);
  if (!found) {
    await growTable(repair);
    return;
  }
  const { view, at } = found;
  const holdsEntries = typeof inspectNode(bodyOf(found), TreeKind.directory) !== 'string';
  if (holdsEntries) {
    Inode.mode.set(view, at, (Inode.mode.get(view, at) & PERMISSION_BITS) | FileType.directory);
    Inode.flags.set(view, at, Inode.flags.get(view, at) & KNOWN_FLAGS & ~InodeFlag.inlineData);
  } else initialiseDirectory(found, DIRECTORY_MODE, ROOT_INODE);
  await markInode(repair, ROOT_INODE, true);
}

function initialiseDirectory(found: FoundInode, mode: number, parent: number): void {
  const { view, at, inode } = found;
  bytesOf(found).fill(0);
  Inode.mode.set(view, at, mode);
  Inode.linkCount.set(view, at, 2);
  Inode.parent.set(view, at, parent);
  Inode.number.set(view, at, inode);
  fillNode(bodyOf(found), TreeKind.directory, 0, []);
}

/** Frees what has neither links nor a name, finishes truncations, and empties the list. */
async function emptyOrphanList(repair: RepairContext): Promise<void> {
  const { check, changes } = repair;
  const { inodes, links } = check;
  for (const inode of [...inodes.beyondEnd.keys()]) {
    const isFinished = !links.listed.has(inode);
    await finishFile(repair, inode, isFinished ? 'grow' : 'cut');
  }
  for (const inode of [...inodes.orphans.keys()]) {
    if (isDeleted(repair, inode)) await clearInode(repair, inode);
    else await unlist(repair, inode);
    await changes.settle();
  }
  const bytes = await changes.edit(check.layout.volumeRootBlock);
  VolumeRoot.firstOrphan.set(viewOf(bytes), 0, 0);
}

function isDeleted({ check: { inodes } }: RepairContext, inode: number): boolean {
  if (inode === ROOT_INODE || inodes.linkCount(inode) !== 0) return false;
  const directory = inodes.directories.get(inode);
  return directory ? directory.namedIn === 0 : inodes.names(inode) === 0;
}

async function unlist(repair: RepairContext, inode: number): Promise<void> {
  const found = await editInode(repair, inode);
  if (!found) return;
  Inode.nextOrphan.set(found.view, found.at, 0);
  Inode.previousOrphan.set(found.view, found.at, 0);
}

/** Brings the end of a file and its blocks together. */
async function finishFile(repair: RepairContext, inode: number, end: 'grow' | 'cut'): Promise<void> {
  if (isDeleted(repair, inode)) return;
  const found = await editInode(repair, inode);
  if (!found) return;
  const saved = await saveExtents(repair.check, inode, bodyOf(found), []);
  await rewriteFile(repair, found, saved, end);
  await repair.changes.settle();
}

/** All directories from which the names do not lead up to the root. */
function unreachable({ directories }: InodeFacts): number[] {
  const reached = new Map<number, boolean>([[ROOT_INODE, true]]);
  for (const inode of directories.keys()) {
    const way: number[] = [];
    let at = inode;
    while (at !== 0 && !reached.has(at)) {
      way.push(at);
      reached.set(at, false);
      at = directories.get(at)?.namedIn ?? 0;
    }
    const isReached = reached.get(at) ?? false;
    for (const member of way) reached.set(member, isReached);
  }
  return [...directories.keys()].filter((inode) => !reached.get(inode));
}

/**
 * Gives everything that has links a name, and every inode the parent and the link count that follow
 * from the names.
 */
class Reconnection {
  readonly #repair: RepairContext;
  readonly #lost: Entry[] = [];
  /** Directories that got a new parent. */
  readonly #moved = new Map<number, number>();
  /** Subdirectories that came and went. */
  readonly #subdirectories = new Map<number, number>();
  readonly #cleared: number[] = [];

  constructor(repair: RepairContext) {
    this.#repair = repair;
  }

  async run(): Promise<void> {
    const { inodes, links } = this.#repair.check;
    const tops = this.#repair.isCoarse ? unreachable(inodes) : links.lostTops;
    for (const inode of tops) if (inodes.mode(inode) !== 0) await this.#takeTop(inode);
    const files: number[] = [];
    inodes.forEach((inode, mode, linkCount, names) => {
      const isFile = (mode & FILE_TYPE_MASK) !== FileType.directory;
      if (isFile && names === 0 && linkCount > 0) files.push(inode);
    });
    for (const inode of files) await this.#takeFile(inode);
    if (this.#lost.length > 0) await this.#fillLostAndFound();
    for (const inode of this.#cleared) await clearInode(this.#repair, inode);
    await this.#repairParents();
    await this.#repairCounts();
  }

  /** Takes a lost directory. One on a circle has a name there, which goes. */
  async #takeTop(inode: number): Promise<void> {
    const { check } = this.#repair;
    const facts = check.inodes.directories.get(inode);
    if (!facts) return;
    const isHeld = facts.namedIn !== 0 && !this.#repair.isCoarse;
    const holder = !isHeld ? undefined : await editInode(this.#repair, facts.namedIn);
    if (holder) {
      const saved = await readEntries(check, holder, []);
      const rest = saved.entries.filter((entry) => entry.inode !== inode);
      await writeEntries(this.#repair, holder, rest, saved.nodes);
      this.#countSubdirectories(facts.namedIn, -1);
    }
    this.#lose(inode);
  }

  async #takeFile(inode: number): Promise<void> {
    const found = await editInode(this.#repair, inode);
    if (!found) return;
    const { view, at } = found;
    const isFile = (Inode.mode.get(view, at) & FILE_TYPE_MASK) === FileType.regular;
    const isEmpty = isFile && Inode.size.get(view, at) === 0 && Inode.blocks.get(view, at) === 0;
    if (isEmpty) await clearInode(this.#repair, inode);
    else this.#lose(inode);
    await this.#repair.changes.settle();
  }

  #lose(inode: number): void {
    if (this.#repair.isCoarse) this.#cleared.push(inode);
    else this.#lost.push({ name: new TextEncoder().encode(`#${inode}`), inode });
  }

  async #fillLostAndFound(): Promise<void> {
    const { check } = this.#repair;
    const directory = await this.#lostAndFound();
    const found = directory === undefined ? undefined : await editInode(this.#repair, directory);
    if (directory === undefined || !found) return;
    const saved = await readEntries(check, found, []);
    const entries = withSoundNames([...saved.entries, ...this.#lost]);
    await writeEntries(this.#repair, found, entries, saved.nodes);
    for (const { inode } of this.#lost) {
      if (!check.inodes.isDirectory(inode)) {
        check.inodes.addName(inode);
        continue;
      }
      this.#moved.set(inode, directory);
      this.#countSubdirectories(directory, 1);
    }
  }

  /**
   * The directory `lost+found` of the root, made if it is not there; undefined without room for it.
   */
  async #lostAndFound(): Promise<number | undefined> {
    const { check } = this.#repair;
    const root = await editInode(this.#repair, ROOT_INODE);
    if (!root) return undefined;
    const saved = await readEntries(check, root, []);
    const known = saved.entries.find(
      ({ name, inode }) => Buffer.compare(name, LOST_AND_FOUND) === 0 && check.inodes.isDirectory(inode),
    );
    if (known) return known.inode;
    const inode = await this.#newDirectory();
    if (inode === undefined) return undefined;
    const entries = withSoundNames([...saved.entries, { name: LOST_AND_FOUND, inode }]);
    await writeEntries(this.#repair, root, entries, saved.nodes);
    this.#countSubdirectories(ROOT_INODE, 1);
    return inode;
  }

  /**
   * Makes an empty directory of a free inode. If the table has none, it grows, and the next round
   * finds one.
   */
  async #newDirectory(): Promise<number | undefined> {
    const inode = await this.#freeInode();
    const found = inode === undefined ? undefined : await editInode(this.#repair, inode);
    if (inode === undefined || !found) {
      await growTable(this.#repair);
      return undefined;
    }
    initialiseDirectory(found, LOST_MODE, ROOT_INODE);
    await markInode(this.#repair, inode, true);
    this.#repair.check.inodes.add(inode, LOST_MODE, 2);
    return inode;
  }

  async #freeInode(): Promise<number | undefined> {
    const { check, table } = this.#repair;
    const { bitsPerBlock, inodesPerBlock } = check.layout;
    for (const [chunk, pieces] of table.chunks()) {
      for (const { chunkBlock, length } of pieces) {
        const first = Math.max(chunkBlock, 1) - 1;
        const until = chunkBlock + length - 1;
        for (let index = first * inodesPerBlock; index < until * inodesPerBlock; index++) {
          const inode = chunk * bitsPerBlock + index;
          if (inode > ROOT_INODE && check.inodes.mode(inode) === 0) return inode;
        }
      }
    }
    return undefined;
  }

  #countSubdirectories(directory: number, change: number): void {
    this.#subdirectories.set(directory, (this.#subdirectories.get(directory) ?? 0) + change);
  }

  async #repairParents(): Promise<void> {
    for (const [inode, facts] of this.#repair.check.inodes.directories) {
      const named = inode === ROOT_INODE ? ROOT_INODE : facts.namedIn;
      const expected = this.#moved.get(inode) ?? named;
      if (expected === 0 || facts.parent === expected) continue;
      const found = await editInode(this.#repair, inode);
      if (found) Inode.parent.set(found.view, found.at, expected);
      await this.#repair.changes.settle();
    }
  }

  async #repairCounts(): Promise<void> {
    const { inodes } = this.#repair.check;
    const wrong: [inode: number, count: number][] = [];
    inodes.forEach((inode, mode, linkCount, names) => {
      const facts = inodes.directories.get(inode);
      const change = this.#subdirectories.get(inode) ?? 0;
      const isDirectory = (mode & FILE_TYPE_MASK) === FileType.directory;
      const expected = isDirectory ? 2 + (facts?.subdirectories ?? 0) + change : names;
      if (linkCount !== expected) wrong.push([inode, expected]);
    });
    for (const [inode, count] of wrong) {
      const found = await editInode(this.#repair, inode);
      if (found) Inode.linkCount.set(found.view, found.at, count);
      await this.#repair.changes.settle();
    }
  }
}
