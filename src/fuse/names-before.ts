/**
 * What names meant before an operation that takes them away or moves them: for whoever tells of the
 * operation afterwards (operation-recorder.ts).
 *
 * While the tree is being told, also what has to be told first: the file that goes to where
 * everything is told already, and the directories above the place where a file goes that is.
 */

import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { CorruptionError, FsError } from '../fs/base/errors.ts';
import {
  type Attributes,
  type FileSystem,
  RenameFlag,
  type TransactionHandle,
} from '../fs/base/filesystem.ts';
import { ROOT_NODE } from './abi.ts';
import type { FuseRequest } from './request.ts';
import type { ExistingInode, TreeWalk } from './tree-walk.ts';

const DOT_DOT = new TextEncoder().encode('..');
/** Directories that are looked at above each other; the last is told as if the root had it. */
const MOST_ABOVE = 256;

interface UntoldDirectory {
  readonly attributes: ExistingInode;
  parent: number;
}

/** Undefined if it cannot be read. */
function lookAtDirectory(
  filesystem: FileSystem,
  tx: TransactionHandle,
  inode: number,
): UntoldDirectory | undefined {
  const attributes = emptyAttributes();
  try {
    filesystem.readAttributes(tx, inode, attributes);
    return { attributes, parent: filesystem.lookup(tx, inode, DOT_DOT) };
  } catch (thrown) {
    // What says that a block has to be loaded first is none of these.
    if (thrown instanceof FsError || thrown instanceof CorruptionError) return undefined;
    throw thrown;
  }
}

export class NamesBefore {
  /** The file of the name, and that of the new name of a rename; 0 for none. */
  inode = 0;
  other = 0;
  // Only while the tree is being told:
  readonly attributes: Attributes = emptyAttributes();
  readonly otherAttributes: Attributes = emptyAttributes();
  /** From the top down. */
  untold: UntoldDirectory[] = [];

  /** UNLINK, RMDIR. */
  lookAtName(request: FuseRequest, tx: TransactionHandle, walk: TreeWalk | undefined): void {
    const { inode, names, conversation } = request;
    this.inode = conversation.filesystem.lookup(tx, inode, names.name);
    this.other = 0;
    if (walk !== undefined) this.#attributesOf(request, tx);
  }

  /** RENAME. */
  lookAtBoth(request: FuseRequest, tx: TransactionHandle, walk: TreeWalk | undefined): void {
    const { filesystem } = request.conversation;
    const { name, newParent, newName, flags } = request.names;
    this.inode = filesystem.lookup(tx, request.inode, name);
    this.other = filesystem.lookup(tx, newParent, newName);
    if (walk === undefined) return;
    this.#attributesOf(request, tx);
    this.untold = [];
    const isUntold = (inode: number) => inode !== ROOT_NODE && !walk.isTold(inode);
    if (walk.isTold(this.inode)) this.#lookAbove(request, tx, newParent, isUntold);
    if ((flags & RenameFlag.exchange) !== 0 && walk.isTold(this.other))
      this.#lookAbove(request, tx, request.inode, isUntold);
  }

  #attributesOf({ conversation }: FuseRequest, tx: TransactionHandle): void {
    const { filesystem } = conversation;
    if (this.inode !== 0) filesystem.readAttributes(tx, this.inode, this.attributes);
    if (this.other !== 0) filesystem.readAttributes(tx, this.other, this.otherAttributes);
  }

  /**
   * The directory and those above it, as far as they are not told. However deep it is, and whatever
   * a damaged one says of the one above: the rename goes on, in one turn.
   */
  #lookAbove(
    { conversation }: FuseRequest,
    tx: TransactionHandle,
    directory: number,
    isUntold: (inode: number) => boolean,
  ): void {
    const { filesystem } = conversation;
    const found: UntoldDirectory[] = [];
    for (let at = directory; isUntold(at); ) {
      const here = found.length < MOST_ABOVE ? lookAtDirectory(filesystem, tx, at) : undefined;
      const below = found.at(-1);
      if (here !== undefined) found.push(here);
      else if (below !== undefined) below.parent = ROOT_NODE;
      if (here === undefined) break;
      at = here.parent;
    }
    this.untold.push(...found.reverse());
  }
}
