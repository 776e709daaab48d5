/**
 * Files of the system as a side of a copy. What node:fs has no call for (attributes, special files,
 * times to the nanosecond, where data is) is the addon's; without it, files have no attributes, and
 * stretches of zeros in a file with holes are taken for holes.
 */
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
  stat,
  symlink,
  unlink,
} from 'node:fs/promises';
import { isRoot } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { addon, native } from '../native.ts';
import { pathText } from '../path-bytes.ts';
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

export class LocalTree implements SourceTree, TargetTree {
  async look(path: Buffer): Promise<TreeNode> {
    const found = await lstat(path, { bigint: true });
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
    const names = await readdir(path, { encoding: 'buffer' });
    return names.sort(Buffer.compare);
  }

  linkTarget(path: Buffer): Promise<Buffer> {
    return readlink(path, { encoding: 'buffer' });
  }

  async attributes(path: Buffer): Promise<TreeAttribute[]> {
    if (addon === undefined) return [];
    const text = pathText(path);
    let names: string[];
    try {
      names = Buffer.from(native.listAttributes(text)).toString().split('\0').filter(Boolean).sort();
    } catch (thrown) {
      if (codeOf(thrown) === 'EOPNOTSUPP' || codeOf(thrown) === 'ENOTSUP') return [];
      throw thrown;
    }
    return names.map((name) => [name, native.getAttribute(text, name)]);
  }

  async *contents(path: Buffer): AsyncIterable<ContentPiece> {
    const file = await open(path);
    try {
      const { size, blocks } = await file.stat();
      const hasHoles = blocks * 512 < size;
      if (addon !== undefined) yield* dataOf(file, size, hasHoles);
      else for await (const piece of piecesOf(file, 0, size)) yield* hasHoles ? withoutZeros(piece) : [piece];
    } finally {
      await file.close();
    }
  }

  async typeAt(path: Buffer, follow: boolean): Promise<number> {
    try {
      return (await (follow ? stat(path) : lstat(path))).mode & FILE_TYPE_MASK;
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return 0;
      throw thrown;
    }
  }

  async makeDirectory(path: Buffer): Promise<void> {
    await mkdir(path, 0o700);
  }

  async makeFile(path: Buffer, sizeBytes: number, pieces: AsyncIterable<ContentPiece>): Promise<void> {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.truncate(sizeBytes);
      for await (const { offset, bytes } of pieces) await writeWhole(file, bytes, offset);
    } finally {
      await file.close();
    }
  }

  makeSymlink(path: Buffer, target: Buffer): Promise<void> {
    return symlink(target, path);
  }

  makeHardLink(path: Buffer, existing: Buffer): Promise<void> {
    return link(existing, path);
  }

  async makeSpecial(path: Buffer, node: TreeNode): Promise<void> {
    native.makeNode(pathText(path), node.mode, node.device);
  }

  remove(path: Buffer): Promise<void> {
    return unlink(path);
  }

  async setAttribute(path: Buffer, [name, value]: TreeAttribute): Promise<void> {
    if (addon === undefined) throw Object.assign(new Error('no addon'), { code: 'EOPNOTSUPP' });
    addon.setAttribute(pathText(path), name, value);
  }

  async setOwnerAndMode(path: Buffer, node: TreeNode): Promise<void> {
    if (isRoot()) await lchown(path, node.uid, node.gid);
    if ((node.mode & FILE_TYPE_MASK) !== FileType.symlink) await chmod(path, copiedBits(node, isRoot()));
  }

  async setTimes(path: Buffer, { accessNs, modifyNs }: TreeNode): Promise<void> {
    if (addon === undefined) {
      await lutimes(path, Number(accessNs) / 1e9, Number(modifyNs) / 1e9);
      return;
    }
    addon.setTimes(pathText(path), ...momentOf(accessNs), ...momentOf(modifyNs));
  }
}

/** Seconds, and nanoseconds that are never negative. */
function momentOf(nanoseconds: bigint): [seconds: number, nanoseconds: number] {
  const rest = ((nanoseconds % SECOND) + SECOND) % SECOND;
  return [Number((nanoseconds - rest) / SECOND), Number(rest)];
}

async function* dataOf(file: FileHandle, sizeBytes: number, hasHoles: boolean): AsyncIterable<ContentPiece> {
  if (!hasHoles) {
    yield* piecesOf(file, 0, sizeBytes);
    return;
  }
  for (let at = 0; at < sizeBytes; ) {
    const start = native.seekFile(file.fd, at, false);
    if (start < 0) return;
    const hole = native.seekFile(file.fd, start, true);
    const end = hole < 0 ? sizeBytes : hole;
    yield* piecesOf(file, start, end);
    at = end;
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

/** What of a piece is not zero, by stretches. */
export function* withoutZeros({ offset, bytes }: ContentPiece): Iterable<ContentPiece> {
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
