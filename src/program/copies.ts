/**
 * `copyFile` and `cp`. Data is copied by the volume itself: holes stay holes, and it does not pass
 * through the program.
 */
import { constants } from 'node:fs';
import { integerIn } from '../common/argument-errors.ts';
import { PERMISSION_BITS } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { O } from './arguments.ts';
import { allEntries, joined } from './listing.ts';
import {
  makeDirectories,
  makeDirectoryIn,
  type NamedPath,
  readLinkAt,
  realPathIn,
  symlinkAt,
  unlinkAt,
} from './names.ts';
import { openNode } from './open-node.ts';
import { withoutSlashes } from './path-walk.ts';
import type { ProgramSession } from './session.ts';
import { systemErrorOf } from './system-error.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, COPYFILE_FICLONE_FORCE } = constants;

/** Copies one file, and its mode. @param mode of `fs.constants.COPYFILE_…` */
export async function copiedFile(
  session: ProgramSession,
  from: NamedPath,
  to: NamedPath,
  mode: unknown,
): Promise<void> {
  const site = { syscall: 'copyfile', path: from.text, dest: to.text };
  const most = COPYFILE_EXCL | COPYFILE_FICLONE | COPYFILE_FICLONE_FORCE;
  const wish = mode === undefined ? 0 : integerIn('mode', mode, 0, most);
  // No two files here share blocks.
  if ((wish & COPYFILE_FICLONE_FORCE) !== 0) throw systemErrorOf('EOPNOTSUPP', site);
  const asCopy = (thrown: unknown): never => {
    throw Object.assign(Object(thrown), site);
  };
  const source = await openNode(session, { ...from, flags: 0, mode: 0 }).catch(asCopy);
  try {
    const found = await source.use('copyfile', () =>
      session.volume.run((tx) => ({ ...session.look(tx, source.inode) })),
    );
    // Node opens the target first, and removes it then.
    if ((found.mode & FILE_TYPE_MASK) === FileType.directory) throw systemErrorOf('EISDIR', site);
    const flags = O.WRONLY | O.CREAT | ((wish & COPYFILE_EXCL) !== 0 ? O.EXCL : 0);
    const bits = found.mode & PERMISSION_BITS;
    const target = await openNode(session, { ...to, flags, mode: bits }).catch(asCopy);
    try {
      if (target.inode === source.inode) return;
      await session.attempt(site, async () => {
        await copyContent(session, source.inode, target.inode, found.sizeBytes);
        await session.volume.run((tx) => session.volume.changeAttributes(tx, target.inode, { mode: bits }));
      });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** The target becomes what the source is, to this length. */
export async function copyContent(
  { volume, losesSetId }: ProgramSession,
  from: number,
  to: number,
  sizeBytes: number,
): Promise<void> {
  await volume.setSize(to, 0, losesSetId);
  for (let at = 0; at < sizeBytes; ) {
    const range = { from, fromBytes: at, to, toBytes: at, lengthBytes: sizeBytes - at };
    const copied = await volume.copyRange({ ...range, updateTimes: true, killPrivileges: losesSetId });
    if (copied === 0) break;
    at += copied;
  }
}

export interface CopyOptions {
  /** Directories with all that is in them. Default: false. */
  recursive?: boolean | undefined;
  /** Copy what links lead to. Default: false. */
  dereference?: boolean | undefined;
  /** Default: true. */
  force?: boolean | undefined;
  /** With `force: false`: what is there is an error. Default: false. */
  errorOnExist?: boolean | undefined;
  preserveTimestamps?: boolean | undefined;
  /** Leave the targets of links as they are. Default: they become absolute. */
  verbatimSymlinks?: boolean | undefined;
  /** Of `fs.constants.COPYFILE_…`. */
  mode?: number | undefined;
  /** What it says no to is left out, with all that is in it. */
  filter?: ((source: string, destination: string) => boolean | Promise<boolean>) | undefined;
}

interface Seen {
  readonly inode: number;
  readonly type: number;
  readonly mode: number;
  readonly accessSeconds: number;
  readonly accessNanoseconds: number;
  readonly modifySeconds: number;
  readonly modifyNanoseconds: number;
}

function copyError(code: string, message: string, path: string): Error {
  const error = new Error(`${message}: ${path}`);
  error.name = 'SystemError';
  return Object.assign(error, { code, syscall: 'cp', path });
}

/** Undefined where nothing is. */
async function seen(session: ProgramSession, place: NamedPath, follow: boolean): Promise<Seen | undefined> {
  const site = { syscall: follow ? 'stat' : 'lstat', path: place.text };
  try {
    return await session.run(site, (tx) => {
      const found = session.look(tx, session.walk.inodeAt(tx, place.path, follow));
      return { ...found, type: found.mode & FILE_TYPE_MASK, mode: found.mode & PERMISSION_BITS };
    });
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

function missing({ text }: NamedPath, { dereference }: CopyOptions): Error {
  return systemErrorOf('ENOENT', { syscall: dereference ? 'stat' : 'lstat', path: text });
}

function placeIn(directory: NamedPath, name: Uint8Array): NamedPath {
  const path = joined(directory.path, name);
  return { path, text: path.toString() };
}

/** Copies a file, a link or, with `recursive`, a directory and all that is in it. */
export async function copied(
  session: ProgramSession,
  from: NamedPath,
  to: NamedPath,
  options: CopyOptions,
): Promise<void> {
  const source = await seen(session, from, options.dereference ?? false);
  if (source === undefined) throw missing(from, options);
  // In the order that Node looks at them.
  requireFitting(from, source, to, await seen(session, to, options.dereference ?? false));
  await requireOutside(session, from, source, to);
  const name = withoutSlashes(to.path);
  const above = name.subarray(0, Math.max(name.lastIndexOf(0x2f), 0));
  if (above.length > 0)
    await makeDirectories(session, { path: above, text: Buffer.from(above).toString() }, 0o777);
  await copyAny(session, from, to, options);
}

/** A directory is not copied into itself. */
async function requireOutside(
  session: ProgramSession,
  from: NamedPath,
  source: Seen,
  to: NamedPath,
): Promise<void> {
  if (source.type !== FileType.directory) return;
  const site = { syscall: 'cp', path: from.text };
  const real = await session.run(site, (tx) => realPathIn(session, tx, from.path));
  for (
    let path: Uint8Array = to.path;
    path.length > 0;
    path = path.subarray(0, Math.max(0, path.lastIndexOf(0x2f)))
  ) {
    const found = await session
      .run(site, (tx) => {
        const end = session.walk.to(tx, path, true);
        return end.inode === 0 ? undefined : realPathIn(session, tx, path);
      })
      .catch(() => undefined);
    if (found === undefined) continue;
    if (path === to.path && found.equals(real)) return;
    if (found.equals(real) || isBelow(found, real))
      throw copyError('ERR_FS_CP_EINVAL', 'cannot copy a directory to a subdirectory of itself', to.text);
    return;
  }
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  return (
    path.length > directory.length &&
    path.subarray(0, directory.length).equals(directory) &&
    (directory.length === 1 || path[directory.length] === 0x2f)
  );
}

async function copyAny(
  session: ProgramSession,
  from: NamedPath,
  to: NamedPath,
  options: CopyOptions,
): Promise<void> {
  if (options.filter !== undefined && !(await options.filter(from.text, to.text))) return;
  const follow = options.dereference ?? false;
  const source = await seen(session, from, follow);
  if (source === undefined) throw missing(from, options);
  const target = await seen(session, to, follow);
  requireFitting(from, source, to, target);
  if (source.type === FileType.directory) {
    if (!options.recursive)
      throw copyError('ERR_FS_EISDIR', 'recursive option not enabled, cannot copy a directory', from.text);
    await copyDirectory(session, { from, source, to, target }, options);
  } else if (source.type === FileType.symlink) await copyLink(session, { from, source, to, target }, options);
  else if (source.type === FileType.regular)
    await copyRegular(session, { from, source, to, target }, options);
  else throw copyError(SPECIAL[source.type] ?? 'ERR_FS_CP_UNKNOWN', 'cannot copy a special file', from.text);
}

const SPECIAL: Readonly<Record<number, string>> = {
  [FileType.socket]: 'ERR_FS_CP_SOCKET',
  [FileType.fifo]: 'ERR_FS_CP_FIFO_PIPE',
};

interface CopyPair {
  readonly from: NamedPath;
  readonly source: Seen;
  readonly to: NamedPath;
  readonly target: Seen | undefined;
}

function requireFitting(from: NamedPath, source: Seen, to: NamedPath, target: Seen | undefined): void {
  if (target === undefined) return;
  if (target.inode === source.inode)
    throw copyError('ERR_FS_CP_EINVAL', 'src and dest cannot be the same', to.text);
  const isDirectory = source.type === FileType.directory;
  if (isDirectory && target.type !== FileType.directory)
    throw copyError(
      'ERR_FS_CP_DIR_TO_NON_DIR',
      `cannot overwrite non-directory with directory ${from.text}`,
      to.text,
    );
  if (!isDirectory && target.type === FileType.directory)
    throw copyError(
      'ERR_FS_CP_NON_DIR_TO_DIR',
      `cannot overwrite directory with non-directory ${from.text}`,
      to.text,
    );
}

async function copyDirectory(session: ProgramSession, pair: CopyPair, options: CopyOptions): Promise<void> {
  const { from, source, to, target } = pair;
  const site = { syscall: 'mkdir', path: to.text };
  if (target === undefined) await session.run(site, (tx) => makeDirectoryIn(session, tx, to.path, 0o777));
  for (const { name } of await allEntries(session, { syscall: 'opendir', path: from.text }, from.path))
    await copyAny(session, placeIn(from, name), placeIn(to, name), options);
  if (target === undefined) {
    await session.withInode({ syscall: 'chmod', path: to.text }, to.path, false, (inode) =>
      session.volume.run((tx) => session.volume.changeAttributes(tx, inode, { mode: source.mode })),
    );
  }
}

/** What is there goes, or is left, or is an error. @returns whether to copy */
async function makeRoom(session: ProgramSession, to: NamedPath, options: CopyOptions): Promise<boolean> {
  if (options.force ?? true) {
    await session.run({ syscall: 'unlink', path: to.text }, (tx) => unlinkAt(session, tx, to.path));
    return true;
  }
  if (options.errorOnExist) throw copyError('ERR_FS_CP_EEXIST', 'Target already exists', to.text);
  return false;
}

async function copyRegular(session: ProgramSession, pair: CopyPair, options: CopyOptions): Promise<void> {
  const { from, source, to, target } = pair;
  if (target !== undefined && !(await makeRoom(session, to, options))) return;
  await copiedFile(session, from, to, options.mode);
  if (!options.preserveTimestamps) return;
  const { accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds } = source;
  const times = { accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds };
  await session.withInode({ syscall: 'utime', path: to.text }, to.path, true, (inode) =>
    session.volume.run((tx) => session.volume.changeAttributes(tx, inode, times)),
  );
}

async function copyLink(session: ProgramSession, pair: CopyPair, options: CopyOptions): Promise<void> {
  const { from, to, target } = pair;
  if (target !== undefined && !(await makeRoom(session, to, options))) return;
  const leadsTo = await session.run({ syscall: 'readlink', path: from.text }, (tx) =>
    readLinkAt(session, tx, from.path),
  );
  const isAbsolute = leadsTo[0] === 0x2f;
  const directory = from.path.subarray(0, Math.max(0, from.path.lastIndexOf(0x2f)));
  const text = options.verbatimSymlinks || isAbsolute ? leadsTo : flat(joined(directory, leadsTo));
  await session.run({ syscall: 'symlink', path: leadsTo.toString(), dest: to.text }, (tx) =>
    symlinkAt(session, tx, text, to.path),
  );
}

/** The path from the root on, without '.' and '..', as path.resolve() has it. */
function flat(path: Buffer): Buffer {
  const names: string[] = [];
  for (const name of path.toString('latin1').split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return Buffer.from(`/${names.join('/')}`, 'latin1');
}
