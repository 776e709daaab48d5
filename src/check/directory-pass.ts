/**
 * Pass 5: the tree of every directory, and every entry in it. By now the type of each inode is
 * known.
 *
 * An entry's key is the hash of its name plus 0 to 255; names of one hash stand next to each other,
 * so a name that is there twice is found among its neighbours.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BlockKind,
  EntryRecord,
  FILE_TYPE_MASK,
  INODE_BODY_OFFSET,
  MAX_LINKS,
  ROOT_INODE,
  TreeKind,
} from '../fs/format/format.ts';
import { COLLISIONS_PER_HASH, KEY_LIMIT, nameKey } from '../fs/format/name-hash.ts';
import { type CheckContext, forEachConcurrently } from './context.ts';
import type { DirectoryFacts } from './inode-facts.ts';
import type { InodePlaces } from './inode-places.ts';
import { bodyBytes } from './inode-record.ts';
import { printableName } from './printable-name.ts';
import { walkTree } from './tree-walk.ts';

/** Directories walked together. */
const WIDTH = 16;
const DOT = 0x2e;
const SLASH = 0x2f;
/** Directories between two reports of progress. */
const PROGRESS_STEP = 256;

/** Runs the pass. */
export async function checkDirectories(context: CheckContext, table: InodePlaces): Promise<void> {
  context.log.pass = 'directories';
  const { directories } = context.inodes;
  let done = 0;
  await forEachConcurrently(directories, WIDTH, async ([inode, facts]) => {
    await checkDirectory(context, table, inode, facts);
    if (++done % PROGRESS_STEP === 0) context.progress(done, directories.size);
  });
  context.progress(done, directories.size);
}

async function checkDirectory(
  context: CheckContext,
  table: InodePlaces,
  inode: number,
  facts: DirectoryFacts,
): Promise<void> {
  const { log, reader } = context;
  const place = table.locate(inode);
  if (!place) return;
  const bytes = await reader.readAgain(place.block, { kind: BlockKind.inodes, what: `inode ${inode}` });
  if (!bytes) return;
  const view = viewOf(bytes);
  const at = place.offset;
  const root = {
    view,
    at: at + INODE_BODY_OFFSET,
    length: bodyBytes({ inode, view, at, block: place.block }),
  };
  const entries = new EntryCheck(context, inode);
  const walked = await walkTree(context, {
    inode,
    kind: TreeKind.directory,
    root,
    mayBeEmpty: true,
    rootBlock: place.block,
    keyLimit: KEY_LIMIT,
    visit: (leaf, offset, key) => entries.visit(leaf, offset, key),
  });
  context.statistics.entries += entries.count;
  const attributeBlocks = context.inodes.blocksOfAttributes(inode);
  if (!walked.complete || attributeBlocks === undefined) return;
  const expected = walked.nodeBlocks + attributeBlocks;
  if (facts.blocks !== expected) log.report('inode-blocks', { inode, found: facts.blocks, expected });
  if (facts.size !== entries.count) {
    log.report('directory-size', { inode, found: facts.size, expected: entries.count });
  }
}

/**
 * Whether these bytes may be the name of an entry: 1 to 255 bytes, no '/' and no NUL, not '.' and
 * '..'.
 */
export function nameIsAllowed(name: Uint8Array): boolean {
  if (name.length === 0 || name.includes(0) || name.includes(SLASH)) return false;
  return name.length > 2 || name.some((byte) => byte !== DOT);
}

/** The entries of one directory, as they come by key. */
class EntryCheck {
  count = 0;
  readonly #context: CheckContext;
  readonly #directory: number;
  /** Hash of the names in `#sameHash`. */
  #hash = -1;
  #sameHash: string[] = [];

  constructor(context: CheckContext, directory: number) {
    this.#context = context;
    this.#directory = directory;
  }

  visit(view: DataView, at: number, key: number): void {
    this.count++;
    const length = EntryRecord.nameBytes.get(view, at);
    const name = new Uint8Array(view.buffer, view.byteOffset + at + EntryRecord.sizeBytes, length);
    this.#checkName(name, key);
    this.#checkTarget(name, EntryRecord.inode.get(view, at), EntryRecord.type.get(view, at));
  }

  #checkName(name: Uint8Array, key: number): void {
    const { log, nameSecret } = this.#context;
    const inode = this.#directory;
    if (!nameIsAllowed(name)) log.report('entry-name', { inode, name: printableName(name) });
    const expected = nameKey(name, nameSecret);
    const hash = key - (key % COLLISIONS_PER_HASH);
    if (hash !== expected)
      log.report('entry-key', { inode, name: printableName(name), found: key, expected });
    if (hash !== this.#hash) {
      this.#hash = hash;
      this.#sameHash = [];
    }
    const text = printableName(name);
    if (this.#sameHash.includes(text)) log.report('entry-duplicate', { inode, name: text });
    else if (this.#sameHash.length < COLLISIONS_PER_HASH) this.#sameHash.push(text);
  }

  #checkTarget(name: Uint8Array, target: number, type: number): void {
    const { inodes, links, log } = this.#context;
    const inode = this.#directory;
    const mode = inodes.mode(target);
    if (mode === 0) {
      log.report('entry-inode', { inode, name: printableName(name), found: target });
      return;
    }
    const expected = (mode & FILE_TYPE_MASK) >> 12;
    if (type !== expected) {
      log.report('entry-type', { inode, name: printableName(name), found: type, what: target, expected });
    }
    if (inodes.linkCount(target) === 0) {
      log.report('entry-to-orphan', { inode, name: printableName(name), found: target });
    }
    if (!inodes.isDirectory(target) && inodes.names(target) === MAX_LINKS) {
      log.report('entry-links', { inode, name: printableName(name), found: target });
      links.addExcess(inode, target);
      return;
    }
    inodes.addName(target);
    this.#noteDirectory(name, target);
  }

  #noteDirectory(name: Uint8Array, target: number): void {
    const { inodes, log } = this.#context;
    const inode = this.#directory;
    const facts = inodes.directories.get(target);
    if (!facts) return;
    if (facts.parent === inode) facts.namedByParent = true;
    if (facts.namedIn !== 0 || target === ROOT_INODE) {
      log.report('directory-second-name', { inode, name: printableName(name), found: target });
      // Which of the two goes is for the repair to say.
      if (facts.namedIn !== 0) {
        log.suspect('directories', facts.namedIn);
        log.brokenContents.add(facts.namedIn);
      }
      return;
    }
    facts.namedIn = inode;
    const own = inodes.directories.get(inode);
    if (own) own.subdirectories++;
  }
}
