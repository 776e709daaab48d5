/** The open files of fuse-native: their handles, and the data that is read and written by these. */
import { PAGE_BYTES } from '../common/limits.ts';
import { Errno } from '../fs/base/errors.ts';
import type { FileSystem, ReadRequest, WriteRequest } from '../fs/base/filesystem.ts';
import { type AlignedMemory, native } from '../native.ts';
import type { Answer, PathAnswers } from './fuse-native-answers.ts';

/** Longest transfer that libfuse 2 makes. */
export const MAX_LIBFUSE_BYTES = 128 << 10;

/** One read or write on its way through aligned memory of the pool. */
interface Transfer extends ReadRequest, WriteRequest {
  readonly memory: AlignedMemory;
}

export class OpenFiles {
  readonly #filesystem: FileSystem;
  readonly #answers: PathAnswers;
  /** Inode of each open file, by its handle: fuse-native's handles have 32 bits. */
  readonly #open = new Map<number, number>();
  readonly #idle: AlignedMemory[] = [];
  #nextHandle = 1;

  constructor(filesystem: FileSystem, answers: PathAnswers) {
    this.#filesystem = filesystem;
    this.#answers = answers;
  }

  /** The inode of an open file; undefined for a handle that is not known. */
  inodeOf(handle: number): number | undefined {
    return this.#open.get(handle);
  }

  /** Opens a file: its inode stays until `release`. */
  handleOf(inode: number): number {
    const handle = this.#nextHandle++;
    this.#open.set(handle, inode);
    this.#filesystem.acquire(inode);
    return handle;
  }

  #transfer(inode: number, offsetBytes: number, lengthBytes: number): Transfer {
    const roomBytes = MAX_LIBFUSE_BYTES + 2 * Math.max(this.#filesystem.blockBytes, PAGE_BYTES);
    return {
      inode,
      offsetBytes,
      lengthBytes,
      memory: this.#idle.pop() ?? new native.AlignedMemory(roomBytes),
      memoryOffset: 0,
      resultOffset: 0,
      resultBytes: 0,
      updateTimes: true,
      killPrivileges: false,
      mayEndEarly: false,
      movesAccessTime: true,
      finished: () => {},
    };
  }

  /** Reads into a Buffer of libfuse. */
  // biome-ignore lint/complexity/useMaxParams: libfuse calls it so.
  read(handle: number, into: Buffer, length: number, offset: number, answer: Answer): void {
    const inode = this.#open.get(handle);
    if (inode === undefined || length > MAX_LIBFUSE_BYTES) {
      answer(-Errno.EINVAL);
      return;
    }
    const transfer = this.#transfer(inode, offset, length);
    transfer.finished = (thrown) => {
      const { memory, resultOffset, resultBytes } = transfer;
      if (thrown === undefined) into.set(memory.bytes.subarray(resultOffset, resultOffset + resultBytes));
      this.#idle.push(memory);
      if (thrown === undefined) answer(resultBytes);
      else this.#answers.refuse(answer, thrown);
    };
    this.#filesystem.read(transfer);
    this.#filesystem.submit();
  }

  /** Writes from a Buffer of libfuse. */
  // biome-ignore lint/complexity/useMaxParams: libfuse calls it so.
  write(handle: number, from: Buffer, length: number, offset: number, answer: Answer): void {
    const inode = this.#open.get(handle);
    if (inode === undefined || length > MAX_LIBFUSE_BYTES) {
      answer(-Errno.EINVAL);
      return;
    }
    const transfer = this.#transfer(inode, offset, length);
    transfer.memory.bytes.set(from.subarray(0, length));
    transfer.finished = (thrown) => {
      this.#idle.push(transfer.memory);
      if (thrown === undefined) answer(length);
      else this.#answers.refuse(answer, thrown);
    };
    this.#filesystem.write(transfer);
    this.#filesystem.submit();
  }

  /** Closes a file. */
  release(handle: number): void {
    const inode = this.#open.get(handle);
    this.#open.delete(handle);
    if (inode !== undefined) this.#filesystem.forget(inode, 1);
  }
}
