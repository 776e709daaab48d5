/**
 * The two sides of a copy of a tree: one is read, the other is made. Either may be files of the
 * system or of a volume (local-tree.ts, volume-tree.ts); what goes over is all that a POSIX
 * filesystem keeps: names, contents with their holes, links, modes, owners, times, attributes.
 *
 * Paths are bytes. Nothing follows a symbolic link below the top.
 */

/** What something is, as lstat(2) tells it. */
export interface TreeNode {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device. */
  readonly device: number;
  readonly sizeBytes: number;
  readonly links: number;
  /** The same for two names of one file. */
  readonly identity: string;
  /** Nanoseconds since 1970. */
  readonly accessNs: bigint;
  readonly modifyNs: bigint;
}

/**
 * Bytes of a file; between pieces are holes, and the last one, which may be empty, ends where the
 * file does. Valid until the next piece is asked for.
 */
export interface ContentPiece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Undefined is a value that could not be read, as that of a name which is no UTF-8. */
export type TreeAttribute = readonly [name: string, value: Uint8Array | undefined];

/** What a side holds while one tree of it is copied. */
interface HeldTree {
  /** From now on paths are those of the top and what is below it. */
  begin?(top: Buffer): Promise<void>;
  end?(): Promise<void>;
}

export interface SourceTree extends HeldTree {
  look(path: Buffer): Promise<TreeNode>;
  /** In the order of their bytes. */
  names(path: Buffer): Promise<Buffer[]>;
  linkTarget(path: Buffer): Promise<Buffer>;
  attributes(path: Buffer): Promise<TreeAttribute[]>;
  /** @param node what `look` said of it */
  contents(path: Buffer, node: TreeNode): AsyncIterable<ContentPiece>;
}

/** Owner, attributes, mode and times are set right after a file was made, of a directory later. */
export interface TargetTree extends HeldTree {
  /** The type of what is there, and of what a link there leads to; 0 for nothing. */
  typeAt(path: Buffer, follow: boolean): Promise<number>;
  /** The same for two names of one file; undefined for nothing, and where nobody knows. */
  identityAt(path: Buffer): Promise<string | undefined>;
  makeDirectory(path: Buffer): Promise<void>;
  makeFile(path: Buffer, pieces: AsyncIterable<ContentPiece>): Promise<void>;
  makeSymlink(path: Buffer, target: Buffer): Promise<void>;
  makeHardLink(path: Buffer, existing: Buffer): Promise<void>;
  makeSpecial(path: Buffer, node: TreeNode): Promise<void>;
  /** Of a name that is no directory. */
  remove(path: Buffer): Promise<void>;
  /** Of what is no directory, over what is there. */
  move(from: Buffer, to: Buffer): Promise<void>;
  /** Where that may be set. */
  setOwner(path: Buffer, node: TreeNode): Promise<void>;
  setAttribute(path: Buffer, name: string, value: Uint8Array): Promise<void>;
  /** Of all but links. */
  setMode(path: Buffer, node: TreeNode): Promise<void>;
  /** The last of all. */
  setTimes(path: Buffer, node: TreeNode): Promise<void>;
}

/**
 * The permissions that a copy gets: of what was somebody else's and is not any more, without
 * set-user-id and set-group-id.
 */
export function copiedBits({ mode, uid, gid }: TreeNode, keepsOwner: boolean): number {
  const isSameUser = keepsOwner || uid === process.getuid?.();
  const isSameGroup = keepsOwner || gid === process.getgid?.();
  return mode & (0o1777 | (isSameUser ? 0o4000 : 0) | (isSameGroup ? 0o2000 : 0));
}

/** The most that a piece has. */
export const PIECE_BYTES = 1024 * 1024;

export function below(directory: Buffer, name: Buffer): Buffer {
  const isOpen = directory.length === 0 || directory.at(-1) === 0x2f;
  return Buffer.concat(isOpen ? [directory, name] : [directory, Buffer.from('/'), name]);
}

/** The last name of a path; empty for a root. */
export function lastName(path: Buffer): Buffer {
  let end = path.length;
  while (end > 0 && path[end - 1] === 0x2f) end--;
  const start = path.lastIndexOf(0x2f, end - 1) + 1;
  return end === 0 ? Buffer.alloc(0) : path.subarray(start, end);
}
