/** The part of a volume's interface that is about names. */
import { randomBytes } from 'node:crypto';
import { integerIn } from '../common/argument-errors.ts';
import { codeOf } from '../common/thrown.ts';
import { bytesOfPath, encodingOf, modeOf, named, optionsOf, type VolumePath } from './arguments.ts';
import { AttributeCalls, namedPath } from './attribute-calls.ts';
import { type CopyOptions, copied, copiedFile } from './copies.ts';
import { listed, VolumeDirectory, walkedEntries } from './listing.ts';
import {
  linkAt,
  makeDirectories,
  makeDirectoryIn,
  makeSpecialAt,
  readLinkAt,
  realPathIn,
  removeDirectoryAt,
  renameAt,
  requireDirectoryAt,
  symlinkAt,
  unlinkAt,
} from './names.ts';
import { removed } from './removal.ts';
import type { VolumeEntry } from './stats.ts';

export interface EncodingOption {
  encoding?: BufferEncoding | 'buffer' | null | undefined;
}

export interface ListOptions extends EncodingOption {
  withFileTypes?: boolean | undefined;
  recursive?: boolean | undefined;
}

export interface DirectoryOptions {
  recursive?: boolean | undefined;
  /** Before the umask. Default: 0o777. */
  mode?: number | string | undefined;
}

export type AsText = { encoding?: BufferEncoding | null | undefined } | BufferEncoding | null;
export type AsBuffer = { encoding: 'buffer' } | 'buffer';

const MKDTEMP_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const MKDTEMP_LENGTH = 6;
const MKDTEMP_TRIES = 100;

export class NameCalls extends AttributeCalls {
  /** @returns with `recursive` the first directory that was made */
  mkdir(path: VolumePath, options: DirectoryOptions & { recursive: true }): Promise<string | undefined>;
  mkdir(
    path: VolumePath,
    options?: (DirectoryOptions & { recursive?: false | undefined }) | number | string | null,
  ): Promise<undefined>;
  mkdir(path: VolumePath, options?: DirectoryOptions | number | string | null): Promise<string | undefined>;
  async mkdir(
    path: VolumePath,
    options?: DirectoryOptions | number | string | null,
  ): Promise<string | undefined> {
    const place = namedPath(path);
    const isMode = typeof options === 'number' || typeof options === 'string';
    const { recursive, mode } = isMode ? { recursive: false, mode: options } : (options ?? {});
    const bits = modeOf(mode, 0o777);
    const { session } = this;
    if (recursive) return (await makeDirectories(session, place, bits))?.toString();
    await session.run({ syscall: 'mkdir', path: place.text }, (tx) =>
      makeDirectoryIn(session, tx, place.path, bits),
    );
    return undefined;
  }

  /**
   * Makes a directory of its own for whoever calls.
   * @returns its path: the prefix and six characters
   */
  mkdtemp(prefix: string, options?: AsText): Promise<string>;
  mkdtemp(prefix: string, options: AsBuffer): Promise<Buffer>;
  async mkdtemp(prefix: string, options?: AsText | AsBuffer): Promise<string | Buffer> {
    const encoding = encodingOf(optionsOf<EncodingOption>(options).encoding);
    const start = bytesOfPath(prefix, 'prefix');
    for (let tries = 1; ; tries++) {
      const letters = Array.from(randomBytes(MKDTEMP_LENGTH), (byte) => MKDTEMP_CHARACTERS.charAt(byte % 62));
      const path = Buffer.concat([start, Buffer.from(letters.join(''))]);
      try {
        const site = { syscall: 'mkdtemp', path: path.toString() };
        await this.session.run(site, (tx) => makeDirectoryIn(this.session, tx, path, 0o700));
        return named(path, encoding);
      } catch (thrown) {
        if (codeOf(thrown) !== 'EEXIST' || tries === MKDTEMP_TRIES) throw thrown;
      }
    }
  }

  async rmdir(path: VolumePath): Promise<void> {
    const place = namedPath(path);
    await this.session.run({ syscall: 'rmdir', path: place.text }, (tx) =>
      removeDirectoryAt(this.session, tx, place.path),
    );
  }

  /** Removes a file, or with `recursive` a directory and all that is in it. */
  async rm(
    path: VolumePath,
    options: { recursive?: boolean | undefined; force?: boolean | undefined } = {},
  ): Promise<void> {
    const { recursive = false, force = false } = options;
    await removed(this.session, namedPath(path), { recursive, force });
  }

  async unlink(path: VolumePath): Promise<void> {
    const place = namedPath(path);
    await this.session.run({ syscall: 'unlink', path: place.text }, (tx) =>
      unlinkAt(this.session, tx, place.path),
    );
  }

  /** @param flags of renameat2(2): the new name must be free, or the two change places */
  async rename(
    from: VolumePath,
    to: VolumePath,
    flags?: { noReplace?: boolean; exchange?: boolean },
  ): Promise<void> {
    const source = namedPath(from, 'oldPath');
    const target = namedPath(to, 'newPath');
    const site = { syscall: 'rename', path: source.text, dest: target.text };
    const renaming = { from: source.path, to: target.path, flags };
    await this.session.run(site, (tx) => renameAt(this.session, tx, renaming));
  }

  async link(existing: VolumePath, path: VolumePath): Promise<void> {
    const source = namedPath(existing, 'existingPath');
    const target = namedPath(path, 'newPath');
    const site = { syscall: 'link', path: source.text, dest: target.text };
    await this.session.run(site, (tx) => linkAt(this.session, tx, source.path, target.path));
  }

  /** @param _type of a link on Windows; it says nothing here */
  async symlink(target: VolumePath, path: VolumePath, _type?: string | null): Promise<void> {
    const leadsTo = namedPath(target, 'target');
    const place = namedPath(path);
    const site = { syscall: 'symlink', path: leadsTo.text, dest: place.text };
    await this.session.run(site, (tx) => symlinkAt(this.session, tx, leadsTo.path, place.path));
  }

  /**
   * mknod(2): a name of a FIFO, socket or device, with nothing behind it here.
   * @param mode type and permissions, before the umask
   * @param device as `rdev` of stat has it
   * @throws EINVAL for another type; EEXIST
   */
  async mknod(path: VolumePath, mode: number, device = 0): Promise<void> {
    const place = namedPath(path);
    const wish = {
      mode: integerIn('mode', mode, 0, 0o177777),
      deviceNumber: integerIn('device', device, 0, 0xffffffff),
    };
    await this.session.run({ syscall: 'mknod', path: place.text }, (tx) =>
      makeSpecialAt(this.session, tx, place.path, wish),
    );
  }

  readlink(path: VolumePath, options?: AsText): Promise<string>;
  readlink(path: VolumePath, options: AsBuffer): Promise<Buffer>;
  async readlink(path: VolumePath, options?: AsText | AsBuffer): Promise<string | Buffer> {
    const encoding = encodingOf(optionsOf<EncodingOption>(options).encoding);
    const place = namedPath(path);
    const target = await this.session.run({ syscall: 'readlink', path: place.text }, (tx) =>
      readLinkAt(this.session, tx, place.path),
    );
    return named(target, encoding);
  }

  /** The path from the root of the volume on, without links. */
  realpath(path: VolumePath, options?: AsText): Promise<string>;
  realpath(path: VolumePath, options: AsBuffer): Promise<Buffer>;
  async realpath(path: VolumePath, options?: AsText | AsBuffer): Promise<string | Buffer> {
    const encoding = encodingOf(optionsOf<EncodingOption>(options).encoding);
    const place = namedPath(path);
    const found = await this.session.run({ syscall: 'realpath', path: place.text }, (tx) =>
      realPathIn(this.session, tx, place.path),
    );
    return named(found, encoding);
  }

  /** In no order. */
  readdir(
    path: VolumePath,
    options?:
      | (ListOptions & { encoding?: BufferEncoding | null | undefined; withFileTypes?: false | undefined })
      | BufferEncoding
      | null,
  ): Promise<string[]>;
  readdir(
    path: VolumePath,
    options: (ListOptions & AsBufferObject & { withFileTypes?: false | undefined }) | 'buffer',
  ): Promise<Buffer[]>;
  readdir(
    path: VolumePath,
    options: ListOptions & { encoding?: BufferEncoding | null | undefined; withFileTypes: true },
  ): Promise<VolumeEntry[]>;
  readdir(
    path: VolumePath,
    options: ListOptions & AsBufferObject & { withFileTypes: true },
  ): Promise<VolumeEntry<Buffer>[]>;
  async readdir(
    path: VolumePath,
    options?: ListOptions | BufferEncoding | 'buffer' | null,
  ): Promise<(string | Buffer)[] | VolumeEntry<string | Buffer>[]> {
    const { encoding, withFileTypes = false, recursive = false } = optionsOf<ListOptions>(options);
    const wish = { encoding: encodingOf(encoding), withFileTypes, recursive };
    const all = await listed(this.session, namedPath(path), wish);
    return all as (string | Buffer)[] | VolumeEntry<string | Buffer>[];
  }

  /** To read a directory entry by entry. */
  async opendir(
    path: VolumePath,
    options: { recursive?: boolean | undefined } = {},
  ): Promise<VolumeDirectory> {
    const place = namedPath(path);
    const { session } = this;
    await session.run({ syscall: 'opendir', path: place.text }, (tx) =>
      requireDirectoryAt(session, tx, place.path),
    );
    const entries = walkedEntries(session, 'opendir', place.path, options.recursive ?? false);
    return new VolumeDirectory(place.text, entries);
  }

  /** Copies a file within the volume. @param mode of `fs.constants.COPYFILE_…` */
  async copyFile(from: VolumePath, to: VolumePath, mode?: number): Promise<void> {
    await copiedFile(this.session, namedPath(from, 'src'), namedPath(to, 'dest'), mode);
  }

  /** Copies within the volume, directories with `recursive`. */
  async cp(from: VolumePath, to: VolumePath, options: CopyOptions = {}): Promise<void> {
    await copied(this.session, namedPath(from, 'src'), namedPath(to, 'dest'), options);
  }
}

export type AsBufferObject = { encoding: 'buffer' };
