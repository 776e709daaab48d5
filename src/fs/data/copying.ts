/**
 * copy_file_range(2): bytes of a file become those of another, or of the same one elsewhere,
 * without leaving the volume.
 *
 *   hole in the source    a hole in the target; behind its end nothing, but the end moves at last
 *   data                  read and written in steps like any other data, the next step read while
 *                         one is written
 *
 * Each step has the locks of its own read and write, and none in between, so copies that cross wait
 * for each other's steps only. One call copies a bounded number of bytes and says how many; what
 * ends it early is told if there were none. The memory is that of a few copies: others wait.
 */
import type { Memory } from '../../aio/device.ts';
import { FsError, fsError } from '../base/errors.ts';
import type { CopyRequest, ReadRequest } from '../base/filesystem.ts';
import { MOST_COPIED_BYTES } from '../base/limits.ts';
import { MAX_FILE_BYTES } from '../format/format.ts';
import { requireWritable } from '../inodes/file-flags.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { blocksOf, type InodeRef, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { fallocate } from './fallocate.ts';
import { readFile } from './file-reader.ts';
import { resizeLocked, withWholeFile } from './file-resizer.ts';
import { writeFile } from './file-writer.ts';
import { seek } from './seeking.ts';
import type { WriteContext } from './write-plan.ts';

/** What was read: bytes in memory. */
interface Piece {
  readonly memory: Memory;
  /** Bytes from the start of the copy. */
  readonly at: number;
  readonly lengthBytes: number;
}

class Copy {
  /** Bytes that are copied. */
  #done = 0;
  /** Bytes of data among them. */
  #data = 0;
  /** The source became shorter: it ends where the copy is. */
  #isCutOff = false;

  constructor(
    readonly context: WriteContext,
    readonly request: CopyRequest,
    readonly memories: readonly [Memory, Memory],
  ) {}

  /** @param length that the source has, in bytes */
  async run(length: number): Promise<number> {
    try {
      while (this.#done < length && this.#data < MOST_COPIED_BYTES && !this.#isCutOff)
        await this.#stretch(length);
      await this.#endAt(this.request.toBytes + this.#done);
    } catch (thrown) {
      if (this.#done === 0 || !(thrown instanceof FsError)) throw thrown;
    }
    return this.#done;
  }

  /** A hole, or data. */
  async #stretch(length: number): Promise<void> {
    const { context, request } = this;
    const at = request.fromBytes + this.#done;
    const end = request.fromBytes + length;
    const data = await seek(context, request.from, at, 'data');
    const start = data.offsetBytes < 0 ? end : Math.min(data.offsetBytes, end);
    if (start > at) return await this.#clear(start - at);
    const hole = await seek(context, request.from, at, 'hole');
    const most = Math.min(end - at, MOST_COPIED_BYTES - this.#data);
    await this.#copyData(hole.offsetBytes < 0 ? most : Math.min(hole.offsetBytes - at, most));
  }

  async #clear(lengthBytes: number): Promise<void> {
    const { context, request } = this;
    const offsetBytes = request.toBytes + this.#done;
    if (offsetBytes < (await sizeNow(context, request.to))) {
      const { to: inode, updateTimes, killPrivileges } = request;
      const range = { inode, offsetBytes, lengthBytes, keepSize: true, updateTimes, killPrivileges };
      await fallocate(context, { ...range, action: 'punch' }, true);
    }
    this.#done += lengthBytes;
  }

  async #copyData(lengthBytes: number): Promise<void> {
    const end = this.#done + lengthBytes;
    let [free, other] = this.memories;
    let reading = this.#read(free, this.#done, end);
    while (this.#done < end) {
      const piece = await reading;
      this.#isCutOff = piece.lengthBytes === 0;
      if (this.#isCutOff) return;
      [free, other] = [other, free];
      const next = piece.at + piece.lengthBytes;
      if (next < end) {
        reading = this.#read(free, next, end);
        // It may fail while the write is waited for, and is awaited after that.
        reading.catch(() => {});
      }
      await this.#write(piece);
      this.#done = next;
      this.#data += piece.lengthBytes;
    }
  }

  /** Up to the next boundary of so many bytes in the source, so that reads are aligned. */
  #read(memory: Memory, at: number, end: number): Promise<Piece> {
    const { context, request } = this;
    const offsetBytes = request.fromBytes + at;
    const step = context.copies.stepBytes;
    const lengthBytes = Math.min(end - at, step - (offsetBytes % step));
    return new Promise((resolve, reject) => {
      const read: ReadRequest = {
        inode: request.from,
        offsetBytes,
        lengthBytes,
        memory,
        memoryOffset: 0,
        // The kernel would not ask for it afterwards.
        movesAccessTime: false,
        resultOffset: 0,
        resultBytes: 0,
        finished: (thrown) => {
          if (thrown !== undefined) return reject(thrown);
          const { resultOffset, resultBytes } = read;
          if (resultOffset > 0) memory.bytes.copyWithin(0, resultOffset, resultOffset + resultBytes);
          resolve({ memory, at, lengthBytes: resultBytes });
        },
      };
      readFile(context, read);
      context.device.submit();
    });
  }

  #write({ memory, at, lengthBytes }: Piece): Promise<void> {
    const { context, request } = this;
    const { to: inode, updateTimes, killPrivileges } = request;
    return new Promise((resolve, reject) => {
      writeFile(context, {
        inode,
        offsetBytes: request.toBytes + at,
        lengthBytes,
        memory,
        memoryOffset: 0,
        updateTimes,
        killPrivileges,
        isLimited: request.isLimited === true,
        // A small file is not waited for, as it would not be if the kernel had copied it into its
        // cache. Of a longer copy the next step is read meanwhile.
        mayEndEarly: at === 0,
        fromCache: false,
        finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
      });
      context.device.submit();
    });
  }

  /** The end of the target is there at least: a hole at the end of the source has not moved it. */
  async #endAt(sizeBytes: number): Promise<void> {
    const { context, request } = this;
    if ((await sizeNow(context, request.to)) >= sizeBytes) return;
    await withWholeFile(context, request.to, async () => {
      if ((await sizeNow(context, request.to)) < sizeBytes)
        await resizeLocked(context, request.to, sizeBytes);
    });
  }
}

/** With what was answered early, and is on its way. */
function sizeNow(context: WriteContext, inode: number): Promise<number> {
  const { table, early } = context;
  return transact(context, (tx) => Math.max(sizeOf(table.get(tx, inode)), early.sizeOf(inode)));
}

/** Nothing of it is a hole, as far as is recorded. */
function isSolid(inode: InodeRef, sizeBytes: number, blockBytes: number): boolean {
  return isInline(inode) || blocksOf(inode) * blockBytes >= sizeBytes;
}

/** Bytes that the source has from there on, as far as they are asked for. */
function look(
  { table, early, lost, blockBytes }: WriteContext,
  tx: Transaction,
  request: CopyRequest,
): number {
  const { from, fromBytes, to, toBytes, lengthBytes } = request;
  const source = table.get(tx, from);
  requireRegular(source);
  const target = table.get(tx, to);
  requireRegular(target);
  requireWritable(target, toBytes, false);
  if (tx.readOnly) throw tx.refusal();
  const size = Math.max(sizeOf(source), early.sizeOf(from), lost.sizeOf(from));
  const length = Math.max(0, Math.min(lengthBytes, size - fromBytes));
  if (from === to && fromBytes < toBytes + length && toBytes < fromBytes + length) throw fsError('EINVAL');
  if (length > 0 && toBytes >= MAX_FILE_BYTES) throw fsError('EFBIG');
  const isLeft = length > 0 && length === size && length <= (request.leavesBytes ?? 0);
  if (isLeft && isSolid(source, size, blockBytes)) throw fsError('EOPNOTSUPP');
  return Math.min(length, MAX_FILE_BYTES - toBytes);
}

/**
 * @returns how many bytes were copied: 0 at the end of the source
 * @throws FsError EINVAL, EISDIR, EFBIG, ENOSPC, EROFS, EIO; EPERM by the flags of the target;
 * EOPNOTSUPP for what is left to the caller
 */
export async function copyRange(context: WriteContext, request: CopyRequest): Promise<number> {
  const { fromBytes, toBytes, lengthBytes } = request;
  if (!(fromBytes >= 0 && toBytes >= 0 && lengthBytes >= 0)) throw fsError('EINVAL');
  const length = await transact(context, (tx) => look(context, tx, request));
  if (length === 0) return 0;
  const memories = await context.copies.take();
  try {
    return await new Copy(context, request, memories).run(length);
  } finally {
    context.copies.give(memories);
  }
}
