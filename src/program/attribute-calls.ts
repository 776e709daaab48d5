/** The part of a volume's interface that is about what files are, not what is in them. */

import { integerIn } from '../common/argument-errors.ts';
import { codeOf } from '../common/thrown.ts';
import { emptyStatistics } from '../fs/base/empty-attributes.ts';
import { fsError } from '../fs/base/errors.ts';
import type { SetMode } from '../fs/base/filesystem.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { bytesOfPath, type TimeLike, textOfPath, type VolumePath } from './arguments.ts';
import {
  type AttributeToSet,
  changeTimes,
  chmodInode,
  chownInode,
  getAttribute,
  listAttributes,
  removeAttribute,
  requireAccess,
  type StatOptions,
  setAttribute,
  statsIn,
} from './attributes.ts';
import type { NamedPath } from './names.ts';
import type { ProgramSession } from './session.ts';
import {
  type BigIntVolumeStats,
  bigIntSpaceOf,
  spaceOf,
  type VolumeSpace,
  type VolumeStats,
} from './stats.ts';

/** @throws TypeError */
export function namedPath(path: unknown, name?: string): NamedPath {
  return { path: bytesOfPath(path, name), text: textOfPath(path) };
}

export class AttributeCalls {
  protected readonly session: ProgramSession;

  constructor(session: ProgramSession) {
    this.session = session;
  }

  /** stat(2). @throws ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG */
  stat(path: VolumePath, options?: StatOptions & { bigint?: false | undefined }): Promise<VolumeStats>;
  stat(path: VolumePath, options: StatOptions & { bigint: true }): Promise<BigIntVolumeStats>;
  stat(path: VolumePath, options?: StatOptions): Promise<VolumeStats | BigIntVolumeStats>;
  stat(path: VolumePath, options?: StatOptions): Promise<VolumeStats | BigIntVolumeStats> {
    return this.#stat('stat', path, true, options);
  }

  /** The same of a symbolic link itself. */
  lstat(path: VolumePath, options?: StatOptions & { bigint?: false | undefined }): Promise<VolumeStats>;
  lstat(path: VolumePath, options: StatOptions & { bigint: true }): Promise<BigIntVolumeStats>;
  lstat(path: VolumePath, options?: StatOptions): Promise<VolumeStats | BigIntVolumeStats>;
  lstat(path: VolumePath, options?: StatOptions): Promise<VolumeStats | BigIntVolumeStats> {
    return this.#stat('lstat', path, false, options);
  }

  async #stat(
    syscall: string,
    path: VolumePath,
    follow: boolean,
    options: StatOptions | undefined,
  ): Promise<VolumeStats | BigIntVolumeStats> {
    const place = namedPath(path);
    const { session } = this;
    return session.run({ syscall, path: place.text }, (tx) =>
      statsIn(session, tx, session.walk.inodeAt(tx, place.path, follow), options),
    );
  }

  /** How much room there is. The path only has to be there. */
  statfs(
    path: VolumePath,
    options?: StatOptions & { bigint?: false | undefined },
  ): Promise<VolumeSpace<number>>;
  statfs(path: VolumePath, options: StatOptions & { bigint: true }): Promise<VolumeSpace<bigint>>;
  async statfs(path: VolumePath, options?: StatOptions): Promise<VolumeSpace<number> | VolumeSpace<bigint>> {
    const place = namedPath(path);
    const { session } = this;
    const figures = await session.run({ syscall: 'statfs', path: place.text }, (tx) => {
      session.walk.inodeAt(tx, place.path, true);
      const into = emptyStatistics();
      session.volume.statistics(tx, into);
      return into;
    });
    return options?.bigint ? bigIntSpaceOf(figures) : spaceOf(figures);
  }

  /**
   * Whether the volume's user may, by the mode; nothing else here asks that.
   * @param mode of `fs.constants.R_OK`, `W_OK`, `X_OK`
   * @throws EACCES, ENOENT, EROFS
   */
  async access(path: VolumePath, mode?: number): Promise<void> {
    const place = namedPath(path);
    await requireAccess(this.session, { syscall: 'access', path: place.text }, place.path, mode);
  }

  /** Whether there is something. */
  async exists(path: VolumePath): Promise<boolean> {
    try {
      await this.access(path);
      return true;
    } catch (thrown) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(codeOf(thrown))) return false;
      throw thrown;
    }
  }

  /** @throws ENOENT, EPERM, EROFS */
  async chmod(path: VolumePath, mode: number | string): Promise<void> {
    await this.#change('chmod', path, true, (inode) => chmodInode(this.session, inode, mode));
  }

  /** @throws EOPNOTSUPP for a symbolic link, as Linux says it */
  async lchmod(path: VolumePath, mode: number | string): Promise<void> {
    const { session } = this;
    await this.#change('lchmod', path, false, async (inode) => {
      const type = await session.volume.run((tx) => session.look(tx, inode).mode & FILE_TYPE_MASK);
      if (type === FileType.symlink) throw fsError('EOPNOTSUPP');
      await chmodInode(session, inode, mode);
    });
  }

  /** −1 leaves what is. */
  async chown(path: VolumePath, uid: number, gid: number): Promise<void> {
    await this.#change('chown', path, true, (inode) => chownInode(this.session, inode, uid, gid));
  }

  async lchown(path: VolumePath, uid: number, gid: number): Promise<void> {
    await this.#change('lchown', path, false, (inode) => chownInode(this.session, inode, uid, gid));
  }

  async utimes(path: VolumePath, atime: TimeLike, mtime: TimeLike): Promise<void> {
    await this.#change('utime', path, true, (inode) => changeTimes(this.session, inode, atime, mtime));
  }

  async lutimes(path: VolumePath, atime: TimeLike, mtime: TimeLike): Promise<void> {
    await this.#change('lutime', path, false, (inode) => changeTimes(this.session, inode, atime, mtime));
  }

  #change(
    syscall: string,
    path: VolumePath,
    follow: boolean,
    work: (inode: number) => Promise<void>,
  ): Promise<void> {
    const place = namedPath(path);
    return this.session.withInode({ syscall, path: place.text }, place.path, follow, work);
  }

  /** Cuts off, or extends by a hole. @throws EISDIR, EINVAL, EFBIG, EROFS */
  async truncate(path: VolumePath, lengthBytes = 0): Promise<void> {
    const wanted = integerIn('len', lengthBytes, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const { volume, losesSetId } = this.session;
    // As Node does it: it opens the file.
    await this.#change('open', path, true, (inode) => volume.setSize(inode, Math.max(0, wanted), losesSetId));
  }

  /**
   * The value of an extended attribute (xattr(7)); of a link, that of what it leads to.
   * @throws ENODATA, EOPNOTSUPP for a name that there can be none of
   */
  getxattr(path: VolumePath, name: string): Promise<Buffer> {
    return this.#attribute('getxattr', path, true, name);
  }

  lgetxattr(path: VolumePath, name: string): Promise<Buffer> {
    return this.#attribute('lgetxattr', path, false, name);
  }

  async #attribute(syscall: string, path: VolumePath, follow: boolean, name: string): Promise<Buffer> {
    const place = namedPath(path);
    const { session } = this;
    return session.run({ syscall, path: place.text }, (tx) =>
      getAttribute(session, tx, session.walk.inodeAt(tx, place.path, follow), name),
    );
  }

  /** @param mode whether there must be none before ('create'), or one ('replace') */
  setxattr(path: VolumePath, name: string, value: Uint8Array | string, mode: SetMode = 'any'): Promise<void> {
    return this.#setAttribute('setxattr', path, true, { name, value, mode });
  }

  lsetxattr(
    path: VolumePath,
    name: string,
    value: Uint8Array | string,
    mode: SetMode = 'any',
  ): Promise<void> {
    return this.#setAttribute('lsetxattr', path, false, { name, value, mode });
  }

  async #setAttribute(
    syscall: string,
    path: VolumePath,
    follow: boolean,
    attribute: AttributeToSet,
  ): Promise<void> {
    const place = namedPath(path);
    const { session } = this;
    await session.run({ syscall, path: place.text }, (tx) =>
      setAttribute(session, tx, session.walk.inodeAt(tx, place.path, follow), attribute),
    );
  }

  /** Their names, sorted. */
  listxattr(path: VolumePath): Promise<string[]> {
    return this.#attributeNames('listxattr', path, true);
  }

  llistxattr(path: VolumePath): Promise<string[]> {
    return this.#attributeNames('llistxattr', path, false);
  }

  async #attributeNames(syscall: string, path: VolumePath, follow: boolean): Promise<string[]> {
    const place = namedPath(path);
    const { session } = this;
    return session.run({ syscall, path: place.text }, (tx) =>
      listAttributes(session, tx, session.walk.inodeAt(tx, place.path, follow)),
    );
  }

  removexattr(path: VolumePath, name: string): Promise<void> {
    return this.#removeAttribute('removexattr', path, true, name);
  }

  lremovexattr(path: VolumePath, name: string): Promise<void> {
    return this.#removeAttribute('lremovexattr', path, false, name);
  }

  async #removeAttribute(syscall: string, path: VolumePath, follow: boolean, name: string): Promise<void> {
    const place = namedPath(path);
    const { session } = this;
    await session.run({ syscall, path: place.text }, (tx) =>
      removeAttribute(session, tx, session.walk.inodeAt(tx, place.path, follow), name),
    );
  }
}
