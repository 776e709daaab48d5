/**
 * Paths to inodes, inside a transaction: what a kernel does above a filesystem
 * (path_resolution(7)).
 *
 * A walk reads cached blocks only and so belongs to the transaction of what is done with its end:
 * nobody can rename a directory in between. The root is the volume's, and `..` does not leave it.
 */
import { fsError } from '../fs/base/errors.ts';
import type { Attributes } from '../fs/base/filesystem.ts';
import { FILE_TYPE_MASK, FileType, ROOT_INODE } from '../fs/format/format.ts';
import type { Transaction } from '../fs/transaction/transaction.ts';
import type { Volume } from '../fs/volume.ts';

/** Symbolic links that one walk follows at most, as Linux does. */
const MOST_LINKS = 40;
/** PATH_MAX of Linux, the NUL included. */
export const MOST_PATH_BYTES = 4096;
const SLASH = 0x2f;

/** Where a path leads. */
export interface WalkEnd {
  readonly parent: number;
  /** Of the last step; '.' or '..' where the path ends so, and '' for the root. */
  readonly name: Uint8Array;
  /** 0 where there is nothing of that name. */
  readonly inode: number;
  /** The type of what is there; 0 for nothing. */
  readonly type: number;
  /** The path ends with a slash: it can name a directory only. */
  readonly isDirectoryPath: boolean;
}

export class PathWalk {
  readonly #volume: Volume;
  readonly #found: Attributes;

  /** @param scratch attributes that each step overwrites */
  constructor(volume: Volume, scratch: Attributes) {
    this.#volume = volume;
    this.#found = scratch;
  }

  /**
   * @param follow a symbolic link at the end is what it leads to
   * @throws FsError ENOENT for a step that is not there before the last; ENOTDIR, ELOOP,
   * ENAMETOOLONG
   */
  to(tx: Transaction, path: Uint8Array, follow: boolean): WalkEnd {
    if (path.length === 0) throw fsError('ENOENT');
    if (path.length >= MOST_PATH_BYTES) throw fsError('ENAMETOOLONG');
    let isDirectoryPath = path.at(-1) === SLASH;
    const steps = stepsOf(path);
    let links = 0;
    let at = ROOT_INODE;
    let parent = ROOT_INODE;
    let type: number = FileType.directory;
    let name: Uint8Array = NO_NAME;
    for (let next = steps.pop(); next !== undefined; next = steps.pop()) {
      if (type !== FileType.directory) throw fsError('ENOTDIR');
      const inode = this.#volume.lookup(tx, at, next);
      const isLast = steps.length === 0;
      if (inode === 0) {
        if (isLast) return { parent: at, name: next, inode, type: 0, isDirectoryPath };
        throw fsError('ENOENT');
      }
      type = this.#typeOf(tx, inode);
      if (type === FileType.symlink && (!isLast || follow || isDirectoryPath)) {
        if (++links > MOST_LINKS) throw fsError('ELOOP');
        const target = this.#volume.readSymlink(tx, inode).slice();
        if (isLast && target.at(-1) === SLASH) isDirectoryPath = true;
        if (target[0] === SLASH) at = ROOT_INODE;
        steps.push(...stepsOf(target));
        type = FileType.directory;
        parent = at;
        name = NO_NAME;
        continue;
      }
      parent = at;
      name = next;
      at = inode;
    }
    if (isDirectoryPath && type !== FileType.directory) throw fsError('ENOTDIR');
    return { parent, name, inode: at, type, isDirectoryPath };
  }

  /** The inode at the path. @throws FsError as `to`; ENOENT */
  inodeAt(tx: Transaction, path: Uint8Array, follow: boolean): number {
    const { inode } = this.to(tx, path, follow);
    if (inode === 0) throw fsError('ENOENT');
    return inode;
  }

  #typeOf(tx: Transaction, inode: number): number {
    this.#volume.readAttributes(tx, inode, this.#found);
    return this.#found.mode & FILE_TYPE_MASK;
  }
}

const NO_NAME = new Uint8Array(0);

/** The names of a path, the first of them last. */
function stepsOf(path: Uint8Array): Uint8Array[] {
  const steps: Uint8Array[] = [];
  for (let end = path.length; end > 0; ) {
    const start = path.lastIndexOf(SLASH, end - 1) + 1;
    if (start < end) steps.push(path.subarray(start, end));
    end = start - 1;
  }
  return steps;
}

/** Whether a path ends in a directory itself, not in a name of one: '/', '.' or '..'. */
export function hasNoName({ name }: WalkEnd): boolean {
  return (
    name.length === 0 || (name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e)))
  );
}

export function endsWithSlash(path: Uint8Array): boolean {
  return path.length > 1 && path.at(-1) === SLASH;
}

/** The same name, as what it is and not as a directory: a link at the end is itself then. */
export function withoutSlashes(path: Uint8Array): Uint8Array {
  let end = path.length;
  while (end > 1 && path[end - 1] === SLASH) end--;
  return path.subarray(0, end);
}
