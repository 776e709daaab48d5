/**
 * Passes 6 and 7: does every name lead somewhere and everything have a name: parents, the way to
 * the root, link counts; and the list of orphans, which have none.
 */
import { FILE_TYPE_MASK, FileType, ROOT_INODE } from '../fs/format/format.ts';
import type { CheckContext } from './context.ts';
import type { RootFacts } from './root-pass.ts';

/** Runs pass 6. */
export function checkConnectivity(context: CheckContext): void {
  const { inodes, log } = context;
  log.pass = 'connectivity';
  checkRoot(context);
  checkParents(context);
  checkReach(context);
  inodes.forEach((inode, mode, linkCount, names) => {
    if ((mode & FILE_TYPE_MASK) === FileType.directory) checkDirectoryLinks(context, inode, linkCount);
    else checkFileLinks(context, inode, linkCount, names);
  });
}

function checkRoot({ inodes, log }: CheckContext): void {
  const inode = ROOT_INODE;
  if (inodes.mode(inode) === 0) log.report('root-directory', { inode, what: 'not in use' });
  else if (!inodes.isDirectory(inode)) log.report('root-directory', { inode, what: 'not a directory' });
}

function checkParents({ inodes, log }: CheckContext): void {
  for (const [inode, facts] of inodes.directories) {
    const expected = inode === ROOT_INODE ? ROOT_INODE : facts.namedIn;
    if (expected !== 0 && facts.parent !== expected) {
      log.report('directory-parent', { inode, found: facts.parent, expected });
    }
  }
}

/**
 * Follows the names upwards from each directory, each way once. What hangs below another lost
 * directory comes back with it and is not named; a circle has no top, and each directory on it is.
 */
function checkReach({ inodes, links, log }: CheckContext): void {
  const seen = new Set<number>([ROOT_INODE]);
  const tops: number[] = [];
  for (const inode of inodes.directories.keys()) {
    const way = new Set<number>();
    let at = inode;
    let last = 0;
    while (at !== 0 && !seen.has(at) && !way.has(at)) {
      way.add(at);
      last = at;
      at = inodes.directories.get(at)?.namedIn ?? 0;
    }
    if (way.has(at)) tops.push(...circleFrom(way, at));
    else if (at === 0) tops.push(last);
    if (way.has(at)) links.lostTops.push(at);
    else if (at === 0 && inodes.linkCount(last) !== 0) links.lostTops.push(last);
    for (const member of way) seen.add(member);
  }
  for (const inode of tops) {
    if (inodes.linkCount(inode) !== 0) log.report('directory-unconnected', { inode });
  }
}

/** The members of the way from `start` on: a circle, since the way leads back there. */
function circleFrom(way: ReadonlySet<number>, start: number): number[] {
  const members = [...way];
  return members.slice(members.indexOf(start));
}

function checkDirectoryLinks({ inodes, log }: CheckContext, inode: number, linkCount: number): void {
  const facts = inodes.directories.get(inode);
  if (!facts || linkCount === 0) return;
  const expected = 2 + facts.subdirectories;
  if (linkCount !== expected) log.report('link-count', { inode, found: linkCount, expected });
}

function checkFileLinks({ log }: CheckContext, inode: number, linkCount: number, names: number): void {
  if (linkCount === names || linkCount === 0) return;
  if (names === 0) log.report('inode-unconnected', { inode, found: linkCount });
  else log.report('link-count', { inode, found: linkCount, expected: names });
}

/**
 * Runs pass 7. On the list are inodes without a name, which wait to be freed, and files whose
 * truncation is under way: they alone may have blocks behind their end. A volume that was unmounted
 * in order has neither.
 */
export function checkOrphans(context: CheckContext, root: RootFacts, isClean: boolean): void {
  const { inodes, links, log, statistics } = context;
  log.pass = 'orphan list';
  const listed = followList(context, root.firstOrphan);
  links.listed = listed;
  statistics.orphans = listed.size;
  if (isClean && listed.size > 0) log.report('orphan-left', { found: listed.size });
  for (const [inode, { next, previous }] of inodes.orphans) {
    if (listed.has(inode)) continue;
    if (inodes.linkCount(inode) === 0) log.report('orphan-not-listed', { inode });
    else if (next !== 0 || previous !== 0) log.report('inode-orphan-fields', { inode });
  }
  for (const [inode, { found, expected }] of inodes.beyondEnd) {
    if (!listed.has(inode)) log.report('extent-beyond-size', { inode, found, expected });
  }
}

/** Why an inode has no place on the list, or undefined. */
function strangerOnList({ inodes }: CheckContext, inode: number): string | undefined {
  const mode = inodes.mode(inode);
  if (mode === 0) return 'not in use';
  if (inodes.linkCount(inode) === 0 || (mode & FILE_TYPE_MASK) === FileType.regular) return undefined;
  return 'neither without links nor a file';
}

function followList(context: CheckContext, first: number): Set<number> {
  const { inodes, log } = context;
  const listed = new Set<number>();
  let before = 0;
  let inode = first;
  while (inode !== 0) {
    if (listed.has(inode)) {
      log.report('orphan-cycle', { inode });
      break;
    }
    const what = strangerOnList(context, inode);
    if (what !== undefined) {
      log.report('orphan-member', { inode, what });
      break;
    }
    listed.add(inode);
    // A file alone on the list has nothing in its fields that would have been remembered.
    const { next, previous } = inodes.orphans.get(inode) ?? { next: 0, previous: 0 };
    if (previous !== before) log.report('orphan-previous', { inode, found: previous, expected: before });
    before = inode;
    inode = next;
  }
  return listed;
}
