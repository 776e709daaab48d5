/** Files of a volume as a side of a copy. Who copies may set any owner: it is his volume. */
import { codeOf } from '../common/thrown.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import type { ProgramVolume, VolumeFileHandle } from '../quarryfs.ts';
import {
  type ContentPiece,
  copiedBits,
  PIECE_BYTES,
  type SourceTree,
  type TargetTree,
  type TreeAttribute,
  type TreeNode,
} from './tree-sides.ts';
import { errorAt } from './volume-path.ts';

const NOTHING = new Uint8Array(0);

export class VolumeTree implements SourceTree, TargetTree {
  readonly #volume: ProgramVolume;
  readonly #keepsOwners: boolean;

  /** @param keepsOwners what is made belongs to whom it belonged */
  constructor(volume: ProgramVolume, keepsOwners: boolean) {
    this.#volume = volume;
    this.#keepsOwners = keepsOwners;
  }

  async look(path: Buffer): Promise<TreeNode> {
    const found = await this.#volume.lstat(path, { bigint: true });
    return {
      mode: Number(found.mode),
      uid: Number(found.uid),
      gid: Number(found.gid),
      device: Number(found.rdev),
      sizeBytes: Number(found.size),
      links: Number(found.nlink),
      identity: `${found.ino}`,
      accessNs: found.atimeNs,
      modifyNs: found.mtimeNs,
    };
  }

  async names(path: Buffer): Promise<Buffer[]> {
    return (await this.#volume.readdir(path, 'buffer')).sort(Buffer.compare);
  }

  linkTarget(path: Buffer): Promise<Buffer> {
    return this.#volume.readlink(path, 'buffer');
  }

  async attributes(path: Buffer): Promise<TreeAttribute[]> {
    const found: TreeAttribute[] = [];
    for (const name of await this.#volume.llistxattr(path)) {
      const value = await this.#volume.lgetxattr(path, name).catch((thrown) => {
        if (codeOf(thrown) !== 'ENODATA') throw thrown;
      });
      found.push([name, value ?? undefined]);
    }
    return found;
  }

  async *contents(path: Buffer): AsyncIterable<ContentPiece> {
    const file = await this.#volume.open(path);
    try {
      const { size } = await file.stat();
      const memory = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, Math.max(1, size)));
      for (let at = 0; at < size; ) {
        const start = await file.seek(at, 'data');
        if (start < 0) break;
        const hole = await file.seek(start, 'hole');
        const end = hole < 0 ? size : hole;
        yield* readPieces(file, memory, start, end);
        at = end;
      }
      yield { offset: size, bytes: NOTHING };
    } finally {
      await file.close();
    }
  }

  async typeAt(path: Buffer, follow: boolean): Promise<number> {
    try {
      const found = await (follow ? this.#volume.stat(path) : this.#volume.lstat(path));
      return found.mode & FILE_TYPE_MASK;
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return 0;
      throw thrown;
    }
  }

  async identityAt(path: Buffer): Promise<string | undefined> {
    return (await this.typeAt(path, false)) === 0 ? undefined : `${(await this.#volume.lstat(path)).ino}`;
  }

  async makeDirectory(path: Buffer): Promise<void> {
    await this.#volume.mkdir(path, 0o700);
  }

  async makeFile(path: Buffer, pieces: AsyncIterable<ContentPiece>): Promise<void> {
    const file = await this.#volume.open(path, 'wx', 0o600);
    try {
      let sizeBytes = 0;
      for await (const { offset, bytes } of pieces) {
        if (bytes.length > 0) await file.write(bytes, 0, bytes.length, offset);
        sizeBytes = offset + bytes.length;
      }
      if ((await file.stat()).size !== sizeBytes) await file.truncate(sizeBytes);
    } catch (thrown) {
      throw errorAt(thrown, path);
    } finally {
      await file.close();
    }
  }

  makeSymlink(path: Buffer, target: Buffer): Promise<void> {
    return this.#volume.symlink(target, path);
  }

  makeHardLink(path: Buffer, existing: Buffer): Promise<void> {
    return this.#volume.link(existing, path);
  }

  makeSpecial(path: Buffer, { mode, device }: TreeNode): Promise<void> {
    return this.#volume.mknod(path, mode, device);
  }

  remove(path: Buffer): Promise<void> {
    return this.#volume.unlink(path);
  }

  move(from: Buffer, to: Buffer): Promise<void> {
    return this.#volume.rename(from, to);
  }

  async setOwner(path: Buffer, { uid, gid }: TreeNode): Promise<void> {
    if (this.#keepsOwners) await this.#volume.lchown(path, uid, gid);
  }

  setAttribute(path: Buffer, name: string, value: Uint8Array): Promise<void> {
    return this.#volume.lsetxattr(path, name, value);
  }

  async setMode(path: Buffer, node: TreeNode): Promise<void> {
    if ((node.mode & FILE_TYPE_MASK) === FileType.symlink) return;
    await this.#volume.chmod(path, copiedBits(node, this.#keepsOwners));
  }

  setTimes(path: Buffer, { accessNs, modifyNs }: TreeNode): Promise<void> {
    return this.#volume.lutimes(path, accessNs, modifyNs);
  }
}

async function* readPieces(
  file: VolumeFileHandle,
  memory: Buffer,
  start: number,
  end: number,
): AsyncIterable<ContentPiece> {
  for (let at = start; at < end; ) {
    const { bytesRead } = await file.read(memory, 0, Math.min(memory.length, end - at), at);
    if (bytesRead === 0) return;
    yield { offset: at, bytes: memory.subarray(0, bytesRead) };
    at += bytesRead;
  }
}
