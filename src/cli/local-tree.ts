/**
 * Files of the system as a side of a copy. What node:fs has no call for (attributes, special files,
 * times to the nanosecond, where data is) is the addon's; without it, files have no attributes, and
 * stretches of zeros in a file with holes are taken for holes.
 *
 * Within a copy (`begin` to `end`) no link is followed below its top, whoever puts one there while
 * it goes on: held-directories.ts.
 */
import { constants, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import {
  chmod,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  stat,
  symlink,
  unlink,
} from 'node:fs/promises';
import { isRoot } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { addon, native } from '../native.ts';
import { isUtf8, pathText, systemPath } from '../path-bytes.ts';
import { CommandError } from './failure.ts';
import { errorAbout, HeldDirectories, O_PATH, openedPath } from './held-directories.ts';
import {
  type ContentPiece,
  copiedBits,
  PIECE_BYTES,
  type SourceTree,
  type TargetTree,
  type TreeAttribute,
  type TreeNode,
} from './tree-sides.ts';

const SECOND = 1_000_000_000n;
/** What is looked at for zeros without the addon. */
const HOLE_BYTES = 4096;
const STREAM_BYTES = 64 * 1024;

/** What `look` and `identityAt` say of an image; none where it is no file. */
export function identitiesOf(images: readonly string[]): Set<string> {
  const found = images.map((image) => statSync(systemPath(image), { bigint: true, throwIfNoEntry: false }));
  return new Set(found.flatMap((one) => (one?.isFile() ? [`${one.dev} ${one.ino}`] : [])));
}

/** What is opened to give it an owner and a mode. */
const HAS_HANDLE: ReadonlySet<number> = new Set([FileType.regular, FileType.directory]);
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;

export class LocalTree implements SourceTree, TargetTree {
  /** The file that was made last, until it has its times. */
  #file: FileHandle | undefined;
  /** Sources that are read as they come. */
  readonly #streams = new Set<string>();
  readonly #held = new HeldDirectories();
  /** For the older name of a link, which is anywhere in the tree. */
  readonly #heldForLinks = new HeldDirectories();

  async begin(top: Buffer): Promise<void> {
    await this.#held.begin(top);
    await this.#heldForLinks.begin(top);
  }

  async end(): Promise<void> {
    await this.#closeFile();
    await this.#held.end();
    await this.#heldForLinks.end();
  }

  /** Does something at the path; its errors are about that. */
  async #at<T>(path: Buffer, work: (at: Buffer) => T | Promise<T>): Promise<T> {
    let at = path;
    try {
      at = await this.#held.place(path);
      return await work(at);
    } catch (thrown) {
      throw errorAbout(thrown, at, path);
    }
  }

  /**
   * A source that a command line names: where it is a link to a pipe or to a character device, as
   * `<(command)` and /dev/stdin are, it is a file of what comes out of that.
   */
  async named(path: Buffer): Promise<Buffer> {
    const type = await this.typeAt(path, false);
    const leadsTo = type === FileType.symlink ? await this.typeAt(path, true) : 0;
    if (leadsTo === FileType.fifo || leadsTo === FileType.characterDevice)
      this.#streams.add(path.toString('latin1'));
    return path;
  }

  #isStream(path: Buffer): boolean {
    return this.#streams.size > 0 && this.#streams.has(path.toString('latin1'));
  }

  async look(path: Buffer): Promise<TreeNode> {
    if (this.#isStream(path)) return streamNode(path);
    const found = await this.#at(path, (at) => lstat(at, { bigint: true }));
    return {
      mode: Number(found.mode),
      uid: Number(found.uid),
      gid: Number(found.gid),
      device: Number(BigInt.asUintN(32, found.rdev)),
      sizeBytes: Number(found.size),
      links: Number(found.nlink),
      identity: `${found.dev} ${found.ino}`,
      accessNs: found.atimeNs,
      modifyNs: found.mtimeNs,
    };
  }

  async names(path: Buffer): Promise<Buffer[]> {
    const directory = await this.#openDirectory(path);
    try {
      const isLinux = process.platform === 'linux';
      const opened = isLinux ? openedPath(directory) : path;
      const names = await ofPath(path, readdir(opened, { encoding: 'buffer' }));
      return names.sort(Buffer.compare);
    } finally {
      await directory.close();
    }
  }

  #openDirectory(path: Buffer): Promise<FileHandle> {
    return this.#at(path, (at) => open(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }

  linkTarget(path: Buffer): Promise<Buffer> {
    return this.#at(path, (at) => readlink(at, { encoding: 'buffer' }));
  }

  async attributes(path: Buffer): Promise<TreeAttribute[]> {
    if (addon === undefined || this.#isStream(path)) return [];
    return await this.#at(path, (at) => attributesOf(pathText(at)));
  }

  async *contents(path: Buffer, node: TreeNode): AsyncIterable<ContentPiece> {
    const isStream = this.#isStream(path);
    const flags = isStream ? O_RDONLY : O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    const file = await this.#at(path, (at) => open(at, flags));
    try {
      if (isStream) {
        yield* streamOf(file);
        return;
      }
      const found = await file.stat({ bigint: true });
      if (!found.isFile() || `${found.dev} ${found.ino}` !== node.identity)
        throw new CommandError(`${path} became another file while it was to be copied`);
      const size = Number(found.size);
      if (Number(found.blocks) * 512 >= size) yield* allOf(file, size);
      else if (addon !== undefined) yield* dataOf(file, size);
      else for await (const piece of allOf(file, size)) yield* withoutZeros(piece);
    } finally {
      await file.close();
    }
  }

  async typeAt(path: Buffer, follow: boolean): Promise<number> {
    try {
      const found = await this.#at(path, (at) => (follow ? stat(at) : lstat(at)));
      return found.mode & FILE_TYPE_MASK;
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return 0;
      throw thrown;
    }
  }

  async identityAt(path: Buffer): Promise<string | undefined> {
    return (await this.typeAt(path, false)) === 0 ? undefined : (await this.look(path)).identity;
  }

  async makeDirectory(path: Buffer): Promise<void> {
    await this.#at(path, (at) => mkdir(at, 0o700));
  }

  async makeFile(path: Buffer, pieces: AsyncIterable<ContentPiece>): Promise<void> {
    await this.#closeFile();
    const file = await this.#at(path, (at) => open(at, 'wx', 0o600));
    this.#file = file;
    let sizeBytes = 0;
    for await (const { offset, bytes } of pieces) {
      await ofPath(path, writeWhole(file, bytes, offset));
      sizeBytes = offset + bytes.length;
    }
    await ofPath(path, file.truncate(sizeBytes));
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  makeSymlink(path: Buffer, target: Buffer): Promise<void> {
    return this.#at(path, (at) => symlink(target, at));
  }

  async makeHardLink(path: Buffer, existing: Buffer): Promise<void> {
    let from = existing;
    try {
      from = await this.#heldForLinks.place(existing);
      await this.#at(path, (at) => link(from, at));
    } catch (thrown) {
      throw errorAbout(thrown, from, existing);
    }
  }

  async makeSpecial(path: Buffer, node: TreeNode): Promise<void> {
    await this.#at(path, (at) => native.makeNode(pathText(at), node.mode, node.device));
  }

  async remove(path: Buffer): Promise<void> {
    await this.#closeFile().catch(() => {});
    await this.#at(path, unlink);
  }

  /** Within a directory. */
  async move(from: Buffer, to: Buffer): Promise<void> {
    const nameAt = to.lastIndexOf('/') + 1;
    await this.#at(from, async (at) => {
      const target = Buffer.concat([at.subarray(0, at.lastIndexOf('/') + 1), to.subarray(nameAt)]);
      try {
        await rename(at, target);
      } catch (thrown) {
        throw errorAbout(thrown, target, to);
      }
    });
  }

  /** Works on the file that was made, or on the directory: on no other that took its place. */
  async #on(path: Buffer, node: TreeNode, work: (file: FileHandle) => Promise<void>): Promise<void> {
    const isDirectory = (node.mode & FILE_TYPE_MASK) === FileType.directory;
    if (this.#file !== undefined && !isDirectory) return ofPath(path, work(this.#file));
    const directory = await this.#openDirectory(path);
    try {
      await ofPath(path, work(directory));
    } finally {
      await directory.close();
    }
  }

  async setOwner(path: Buffer, node: TreeNode): Promise<void> {
    const { mode, uid, gid } = node;
    if (!isRoot()) return;
    if (HAS_HANDLE.has(mode & FILE_TYPE_MASK)) await this.#on(path, node, (file) => file.chown(uid, gid));
    else await this.#at(path, (at) => lchown(at, uid, gid));
  }

  async setAttribute(path: Buffer, name: string, value: Uint8Array): Promise<void> {
    if (addon === undefined) throw Object.assign(new Error('no addon'), { code: 'EOPNOTSUPP' });
    await this.#at(path, (at) => native.setAttribute(pathText(at), name, value));
  }

  async setMode(path: Buffer, node: TreeNode): Promise<void> {
    const type = node.mode & FILE_TYPE_MASK;
    const bits = copiedBits(node, isRoot());
    if (HAS_HANDLE.has(type)) await this.#on(path, node, (file) => file.chmod(bits));
    else if (type !== FileType.symlink) await this.#at(path, (at) => changeMode(at, path, node, bits));
  }

  async setTimes(path: Buffer, { accessNs, modifyNs }: TreeNode): Promise<void> {
    await this.#closeFile();
    await this.#at(path, (at) =>
      addon === undefined
        ? lutimes(at, Number(accessNs) / 1e9, Number(modifyNs) / 1e9)
        : addon.setTimes(pathText(at), ...momentOf(accessNs), ...momentOf(modifyNs)),
    );
  }
}

/**
 * Of a device, FIFO or socket, which is not opened for it, and of nothing that took its place.
 * @param place where it is, for the system
 */
async function changeMode(place: Buffer, path: Buffer, { mode }: TreeNode, bits: number): Promise<void> {
  if (process.platform !== 'linux') return await chmod(place, bits);
  const file = await open(place, O_PATH | O_NOFOLLOW);
  try {
    const found = await file.stat();
    if ((found.mode & FILE_TYPE_MASK) !== (mode & FILE_TYPE_MASK))
      throw new CommandError(`${path} became another file while it was made`);
    await ofPath(path, chmod(openedPath(file), bits));
  } finally {
    await file.close();
  }
}

/** Seconds, and nanoseconds that are never negative. */
function momentOf(nanoseconds: bigint): [seconds: number, nanoseconds: number] {
  const rest = ((nanoseconds % SECOND) + SECOND) % SECOND;
  return [Number((nanoseconds - rest) / SECOND), Number(rest)];
}

/** The error of a call on a handle, which does not know the path. */
async function ofPath<T>(path: Buffer, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (thrown) {
    throw 'path' in Object(thrown) ? thrown : Object.assign(Object(thrown), { path: pathText(path) });
  }
}

function attributesOf(path: string): TreeAttribute[] {
  let names: string[];
  try {
    names = pathText(Buffer.from(native.listAttributes(path)))
      .split('\0')
      .filter(Boolean)
      .sort();
  } catch (thrown) {
    if (codeOf(thrown) === 'EOPNOTSUPP' || codeOf(thrown) === 'ENOTSUP') return [];
    throw thrown;
  }
  return names.map((name) => [name, isUtf8(name) ? attributeValue(path, name) : undefined]);
}

function attributeValue(path: string, name: string): Uint8Array | undefined {
  try {
    return native.getAttribute(path, name);
  } catch (thrown) {
    if (codeOf(thrown) === 'ENODATA') return undefined;
    throw thrown;
  }
}

/** Data between holes; the file may become shorter meanwhile, and longer. */
async function* dataOf(file: FileHandle, sizeBytes: number): AsyncIterable<ContentPiece> {
  for (let at = 0; at < sizeBytes; ) {
    const start = native.seekFile(file.fd, at, false);
    if (start < 0) break;
    const hole = native.seekFile(file.fd, start, true);
    const end = hole < 0 ? sizeBytes : hole;
    at = start;
    for await (const piece of piecesOf(file, start, end)) {
      yield piece;
      at = piece.offset + piece.bytes.length;
    }
    if (at < end) return;
  }
  yield { offset: (await file.stat()).size, bytes: Buffer.alloc(0) };
}

/** All to the end of the file, whatever it says of its size. */
async function* allOf(file: FileHandle, sizeBytes: number): AsyncIterable<ContentPiece> {
  const memory = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, Math.max(HOLE_BYTES, sizeBytes)));
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(memory, 0, memory.length, at);
    yield { offset: at, bytes: memory.subarray(0, bytesRead) };
    if (bytesRead === 0) return;
    at += bytesRead;
  }
}

async function* piecesOf(file: FileHandle, start: number, end: number): AsyncIterable<ContentPiece> {
  const memory = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, Math.max(1, end - start)));
  for (let at = start; at < end; ) {
    const { bytesRead } = await file.read(memory, 0, Math.min(memory.length, end - at), at);
    if (bytesRead === 0) return;
    yield { offset: at, bytes: memory.subarray(0, bytesRead) };
    at += bytesRead;
  }
}

/** What a file of what is read gets: it is new. */
function streamNode(path: Buffer): TreeNode {
  const now = BigInt(Date.now()) * 1_000_000n;
  return {
    mode: FileType.regular | (0o666 & ~process.umask()),
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    device: 0,
    sizeBytes: 0,
    links: 1,
    identity: `read ${path}`,
    accessNs: now,
    modifyNs: now,
  };
}

async function* streamOf(file: FileHandle): AsyncIterable<ContentPiece> {
  const memory = Buffer.allocUnsafeSlow(STREAM_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(memory, 0, memory.length, null);
    yield { offset: at, bytes: memory.subarray(0, bytesRead) };
    if (bytesRead === 0) return;
    at += bytesRead;
  }
}

/** What of a piece is not zero, by stretches. */
export function* withoutZeros({ offset, bytes }: ContentPiece): Iterable<ContentPiece> {
  // The end.
  if (bytes.length === 0) yield { offset, bytes };
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + HOLE_BYTES - ((offset + at) % HOLE_BYTES));
    const part = bytes.subarray(at, end);
    if (part.some((byte) => byte !== 0)) yield { offset: offset + at, bytes: part };
    at = end;
  }
}

async function writeWhole(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
}
