/**
 * Attributes of inodes: stat(2), chmod(2), chown(2), utimensat(2), access(2) and xattr(7).
 *
 * Modes keep nobody out who has the volume; `access` says what they would allow its user.
 */
import { constants } from 'node:fs';
import { argumentType, integerIn } from '../common/argument-errors.ts';
import { fsError } from '../fs/base/errors.ts';
import type { SetMode } from '../fs/base/filesystem.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import type { Transaction } from '../fs/transaction/transaction.ts';
import { idOf, modeOf, momentOf, type TimeLike } from './arguments.ts';
import type { ProgramSession } from './session.ts';
import { BigIntVolumeStats, VolumeStats } from './stats.ts';
import type { CallSite } from './system-error.ts';

export interface StatOptions {
  bigint?: boolean | undefined;
}

export function statsIn(
  session: ProgramSession,
  tx: Transaction,
  inode: number,
  options: StatOptions | undefined,
): VolumeStats | BigIntVolumeStats {
  const context = { deviceNumber: session.deviceNumber, blockBytes: session.volume.blockBytes };
  const found = session.look(tx, inode);
  return options?.bigint ? new BigIntVolumeStats(found, context) : new VolumeStats(found, context);
}

export function statInode(
  session: ProgramSession,
  inode: number,
  options: StatOptions | undefined,
): Promise<VolumeStats | BigIntVolumeStats> {
  return session.volume.run((tx) => statsIn(session, tx, inode, options));
}

/** @throws TypeError, RangeError for what is no mode; FsError EPERM, EROFS */
export async function chmodInode(session: ProgramSession, inode: number, mode: unknown): Promise<void> {
  const bits = modeOf(mode);
  await session.volume.run((tx) => session.volume.changeAttributes(tx, inode, { mode: bits }));
}

/** −1 leaves what is. */
export async function chownInode(
  session: ProgramSession,
  inode: number,
  uid: unknown,
  gid: unknown,
): Promise<void> {
  const changes = { uid: idOf('uid', uid), gid: idOf('gid', gid) };
  await session.volume.run((tx) => {
    const isDirectory = (session.look(tx, inode).mode & FILE_TYPE_MASK) === FileType.directory;
    session.volume.changeAttributes(tx, inode, { ...changes, killPrivileges: !isDirectory });
  });
}

export async function changeTimes(
  session: ProgramSession,
  inode: number,
  atime: TimeLike,
  mtime: TimeLike,
): Promise<void> {
  const access = momentOf('atime', atime);
  const modify = momentOf('mtime', mtime);
  await session.volume.run((tx) =>
    session.volume.changeAttributes(tx, inode, {
      accessSeconds: access.seconds,
      accessNanoseconds: access.nanoseconds,
      modifySeconds: modify.seconds,
      modifyNanoseconds: modify.nanoseconds,
    }),
  );
}

const { R_OK, W_OK, X_OK } = constants;

/** @throws TypeError; FsError EACCES, ENOENT, EROFS */
export async function requireAccess(
  session: ProgramSession,
  site: CallSite,
  path: Uint8Array,
  wanted: unknown,
): Promise<void> {
  const bits = wanted === undefined ? 0 : integerIn('mode', wanted, 0, R_OK | W_OK | X_OK);
  await session.run(site, (tx) => {
    const found = session.look(tx, session.walk.inodeAt(tx, path, true));
    const { mode } = found;
    if ((bits & W_OK) !== 0 && session.volume.readOnly) throw fsError('EROFS');
    if ((allowedBits(session, found) & bits) !== bits) throw fsError('EACCES');
    return mode;
  });
}

/** What the mode allows the user of the session: all three bits, as access(2) numbers them. */
function allowedBits(
  { caller }: ProgramSession,
  { mode, uid, gid }: { readonly mode: number; readonly uid: number; readonly gid: number },
): number {
  if (caller.uid === 0) {
    const runs = (mode & FILE_TYPE_MASK) === FileType.directory || (mode & 0o111) !== 0;
    return R_OK | W_OK | (runs ? X_OK : 0);
  }
  if (caller.uid === uid) return (mode >> 6) & 7;
  return (caller.gid === gid ? mode >> 3 : mode) & 7;
}

/** Namespaces of xattr(7); ACLs are names of their own. */
const NAMESPACE = /^(user|trusted|security)\./;
const ACL_NAME = /^system\.posix_acl_(access|default)$/;

/** The bytes of a name that can be one. @throws TypeError; FsError EOPNOTSUPP, EINVAL */
function attributeName(name: unknown): Uint8Array {
  if (typeof name !== 'string') throw argumentType('name', 'of type string', name);
  const namespace = NAMESPACE.exec(name)?.[0];
  if (namespace === undefined && !ACL_NAME.test(name)) throw fsError('EOPNOTSUPP');
  if (name === namespace) throw fsError('EINVAL');
  return Buffer.from(name);
}

/** Only files and directories have attributes of `user.` @throws EPERM */
function requirePlaceFor(session: ProgramSession, tx: Transaction, inode: number, name: string): void {
  const type = session.look(tx, inode).mode & FILE_TYPE_MASK;
  const mayHave = type === FileType.regular || type === FileType.directory;
  if (name.startsWith('user.') && !mayHave) throw fsError('EPERM');
}

export function getAttribute(session: ProgramSession, tx: Transaction, inode: number, name: unknown): Buffer {
  const bytes = attributeName(name);
  return Buffer.from(session.volume.getExtendedAttribute(tx, inode, bytes));
}

export interface AttributeToSet {
  readonly name: string;
  readonly value: Uint8Array | string;
  readonly mode: SetMode;
}

export function setAttribute(
  session: ProgramSession,
  tx: Transaction,
  inode: number,
  { name, value, mode }: AttributeToSet,
): void {
  const bytes = attributeName(name);
  requirePlaceFor(session, tx, inode, name);
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  session.volume.setExtendedAttribute(tx, inode, { name: bytes, value: content }, mode);
}

export function removeAttribute(session: ProgramSession, tx: Transaction, inode: number, name: string): void {
  const bytes = attributeName(name);
  requirePlaceFor(session, tx, inode, name);
  session.volume.removeExtendedAttribute(tx, inode, bytes);
}

/** Sorted. */
export function listAttributes(session: ProgramSession, tx: Transaction, inode: number): string[] {
  const names = session.volume.listExtendedAttributes(tx, inode);
  return names.map((name) => Buffer.from(name).toString()).sort();
}
