/**
 * Names: mkdir(2), rmdir(2), unlink(2), link(2), symlink(2), rename(2), mknod(2), readlink(2),
 * realpath(3), each in one transaction.
 */
import { fsError } from '../fs/base/errors.ts';
import { RenameFlag } from '../fs/base/filesystem.ts';
import { FILE_TYPE_MASK, FileType, ROOT_INODE } from '../fs/format/format.ts';
import type { Transaction } from '../fs/transaction/transaction.ts';
import { endsWithSlash, hasNoName, MOST_PATH_BYTES, type WalkEnd, withoutSlashes } from './path-walk.ts';
import type { ProgramSession } from './session.ts';
import { type CallSite, systemErrorOf } from './system-error.ts';

const SLASH = Buffer.from('/');
const DOT_DOT = Buffer.from('..');
const SPECIAL_TYPES: ReadonlySet<number> = new Set([
  FileType.fifo,
  FileType.socket,
  FileType.characterDevice,
  FileType.blockDevice,
]);

/** A path and the same for people. */
export interface NamedPath {
  readonly path: Uint8Array;
  readonly text: string;
}

/** Where something new is to stand. @throws FsError EEXIST, ENOENT */
function vacantPlace(end: WalkEnd): WalkEnd {
  if (end.inode !== 0 || hasNoName(end)) throw fsError('EEXIST');
  return end;
}

/**
 * The same for what is no directory, and so may have no slash behind it.
 * @throws FsError EEXIST, ENOENT
 */
function vacantName(session: ProgramSession, tx: Transaction, path: Uint8Array): WalkEnd {
  const place = vacantPlace(session.walk.to(tx, withoutSlashes(path), false));
  if (endsWithSlash(path)) throw fsError('ENOENT');
  return place;
}

/** What is there, by a name of its own. @throws FsError ENOENT, EBUSY */
function existingName(end: WalkEnd): WalkEnd {
  if (end.inode === 0) throw fsError('ENOENT');
  return end;
}

export function makeDirectoryIn(
  session: ProgramSession,
  tx: Transaction,
  path: Uint8Array,
  mode: number,
): number {
  const end = session.walk.to(tx, withoutSlashes(path), false);
  const { parent, name } = vacantPlace(end);
  const { volume, caller } = session;
  return volume.create(tx, parent, name, { mode: FileType.directory | mode, deviceNumber: 0, caller });
}

/**
 * Makes a directory and all above it that are not there.
 * @returns the first that was made; undefined if none was
 */
export async function makeDirectories(
  session: ProgramSession,
  { path, text }: NamedPath,
  mode: number,
): Promise<Buffer | undefined> {
  const site: CallSite = { syscall: 'mkdir', path: text };
  const missing = await session.run(site, (tx) => firstMissing(session, tx, path));
  let first: Buffer | undefined;
  for (const prefix of missing) {
    const made = await session.run(site, (tx) => {
      if (typeAt(session, tx, prefix) === FileType.directory) return false;
      if (session.walk.to(tx, prefix, false).type === FileType.symlink)
        throw prefix === missing.at(-1) ? whyNowhere(session, tx, prefix) : notDirectory(prefix);
      makeDirectoryIn(session, tx, prefix, mode);
      return true;
    });
    // The whole of it as it was given, with its slash.
    if (made) first ??= Buffer.from(prefix === missing.at(-1) ? path : prefix);
  }
  return first;
}

/** A link that leads nowhere is in the way: what stat(2) says of it. */
function whyNowhere(session: ProgramSession, tx: Transaction, path: Uint8Array): Error {
  session.walk.to(tx, path, true);
  return fsError('ENOENT');
}

function notDirectory(path: Uint8Array): Error {
  return systemErrorOf('ENOTDIR', { syscall: 'mkdir', path: Buffer.from(path).toString() });
}

/**
 * The beginnings of the path, from the first on that leads nowhere.
 * @throws FsError ENOTDIR, EEXIST
 */
function firstMissing(session: ProgramSession, tx: Transaction, path: Uint8Array): Uint8Array[] {
  const prefixes = beginningsOf(withoutSlashes(path));
  for (let at = prefixes.length; at > 0; at--) {
    const prefix = prefixes[at - 1] as Uint8Array;
    const type = typeAt(session, tx, prefix);
    if (type === 0) continue;
    const isPlace = at === prefixes.length && !endsWithSlash(path);
    if (type !== FileType.directory) throw fsError(isPlace ? 'EEXIST' : 'ENOTDIR');
    return prefixes.slice(at);
  }
  return prefixes;
}

/** 0 where nothing is. */
function typeAt(session: ProgramSession, tx: Transaction, path: Uint8Array): number {
  try {
    return session.walk.to(tx, path, true).type;
  } catch (thrown) {
    if (thrown === fsError('ENOENT')) return 0;
    // What is in the way is said of the beginning that it is.
    if (thrown === fsError('ENOTDIR')) return 0;
    throw thrown;
  }
}

/** `/a/b/c` begins with `/a` and `/a/b`. */
function beginningsOf(path: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 1; at < path.length; at++) {
    if (path[at] === 0x2f && path[at - 1] !== 0x2f) found.push(path.subarray(0, at));
  }
  return [...found, path];
}

/** @throws FsError ENOENT, ENOTDIR */
export function requireDirectoryAt(session: ProgramSession, tx: Transaction, path: Uint8Array): void {
  if (existingName(session.walk.to(tx, path, true)).type !== FileType.directory) throw fsError('ENOTDIR');
}

export function removeDirectoryAt(session: ProgramSession, tx: Transaction, path: Uint8Array): void {
  const end = existingName(session.walk.to(tx, withoutSlashes(path), false));
  if (end.type !== FileType.directory) throw fsError('ENOTDIR');
  if (end.name.length === 0) throw fsError('EBUSY');
  session.volume.removeDirectory(tx, end.parent, end.name);
}

export function unlinkAt(session: ProgramSession, tx: Transaction, path: Uint8Array): void {
  const end = existingName(session.walk.to(tx, withoutSlashes(path), false));
  if (end.type === FileType.directory) throw fsError('EISDIR');
  if (endsWithSlash(path)) throw fsError('ENOTDIR');
  session.volume.unlink(tx, end.parent, end.name);
}

export function linkAt(session: ProgramSession, tx: Transaction, from: Uint8Array, to: Uint8Array): void {
  const source = existingName(session.walk.to(tx, from, false));
  const end = vacantName(session, tx, to);
  if (source.type === FileType.directory) throw fsError('EPERM');
  session.volume.link(tx, source.inode, end);
}

export function symlinkAt(
  session: ProgramSession,
  tx: Transaction,
  target: Uint8Array,
  path: Uint8Array,
): number {
  if (target.length === 0) throw fsError('ENOENT');
  const end = vacantName(session, tx, path);
  return session.volume.symlink(tx, end.parent, end.name, { target, caller: session.caller });
}

/** A FIFO, socket or device: a name with nothing behind it, unless the volume is mounted. */
export function makeSpecialAt(
  session: ProgramSession,
  tx: Transaction,
  path: Uint8Array,
  { mode, deviceNumber }: { readonly mode: number; readonly deviceNumber: number },
): number {
  if (!SPECIAL_TYPES.has(mode & FILE_TYPE_MASK)) throw fsError('EINVAL');
  const end = vacantName(session, tx, path);
  return session.volume.create(tx, end.parent, end.name, { mode, deviceNumber, caller: session.caller });
}

export function readLinkAt(session: ProgramSession, tx: Transaction, path: Uint8Array): Buffer {
  const inode = session.walk.inodeAt(tx, path, false);
  const target = Buffer.from(session.volume.readSymlink(tx, inode));
  session.volume.accessed(tx, inode);
  return target;
}

/** What a rename is asked for. */
export interface PathRename {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly flags: { readonly noReplace?: boolean; readonly exchange?: boolean } | undefined;
}

export function renameAt(session: ProgramSession, tx: Transaction, { from, to, flags }: PathRename): void {
  const source = session.walk.to(tx, withoutSlashes(from), false);
  const target = session.walk.to(tx, withoutSlashes(to), false);
  if (hasNoName(source) || hasNoName(target)) throw fsError('EBUSY');
  const isDirectory = existingName(source).type === FileType.directory;
  if (!isDirectory && (endsWithSlash(from) || endsWithSlash(to))) throw fsError('ENOTDIR');
  if (target.type === FileType.directory && isAbove(session, tx, target.inode, source.parent))
    throw fsError('ENOTEMPTY');
  const bits = (flags?.noReplace ? RenameFlag.noReplace : 0) | (flags?.exchange ? RenameFlag.exchange : 0);
  session.volume.rename(tx, source, target, { flags: bits, caller: session.caller });
}

/** Whether a directory is another one, or above it. */
function isAbove(session: ProgramSession, tx: Transaction, directory: number, inode: number): boolean {
  const seen = new Set<number>();
  for (let at = inode; !seen.has(at); at = session.volume.lookup(tx, at, DOT_DOT)) {
    if (at === directory) return true;
    seen.add(at);
  }
  return false;
}

/** The path of what this one leads to, without links, dots and slashes too many. @throws ENOENT */
export function realPathIn(session: ProgramSession, tx: Transaction, path: Uint8Array): Buffer {
  const end = session.walk.to(tx, path, true);
  if (end.inode === 0) throw fsError('ENOENT');
  const names: Uint8Array[] = [];
  let lengthBytes = 0;
  let inode = end.type === FileType.directory ? end.inode : end.parent;
  if (end.type !== FileType.directory) names.unshift(end.name);
  while (inode !== ROOT_INODE) {
    const parent = session.volume.lookup(tx, inode, DOT_DOT);
    const name = nameIn(session, tx, parent, inode);
    lengthBytes += name.length + 1;
    // Also of a volume whose directories go in a circle.
    if (lengthBytes >= MOST_PATH_BYTES) throw fsError('ENAMETOOLONG');
    names.unshift(name);
    inode = parent;
  }
  if (names.length === 0) return SLASH;
  return Buffer.concat(names.flatMap((name) => [SLASH, name]));
}

/** The name of a directory in the one above it. */
function nameIn(session: ProgramSession, tx: Transaction, parent: number, inode: number): Uint8Array {
  let found: Uint8Array | undefined;
  session.volume.readDirectory(tx, parent, 2, (name, number) => {
    if (number === inode) found = name.slice();
    return found === undefined;
  });
  if (found === undefined) throw fsError('ENOENT');
  return found;
}
