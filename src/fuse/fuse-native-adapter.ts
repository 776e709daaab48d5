/**
 * The second FUSE layer, `-o layer=fuse-native`: libfuse 2 through the fuse-native package.
 *
 * fuse-native calls with paths; each call walks its path by lookups and does its work in one
 * transaction of the same filesystem. It is for those who want libfuse 2, and to compare with. It
 * is an optional dependency, loaded when asked for.
 *
 * What fuse-native 2.2 cannot carry, and so is not to be had on this layer:
 *   the caller: files are made as the user who runs the daemon, and their group. So others are let
 *     in only with an explicit allow_other, and then a file is never made with set-user-id or
 *     set-group-id bits: they would be the daemon's
 *   nanoseconds: times are rounded to milliseconds, and end before 1970 and after 2^32 seconds
 *   inode numbers above 2^32, and sizes of statfs above 2^32 blocks
 *   names that are not UTF-8
 *   rename flags (NOREPLACE, EXCHANGE), readdirplus, fallocate, lseek, statx, syncfs, fuseblk
 *   set-user-id bits cleared by the write itself: libfuse 2 never learns of them
 *   which writes come from a mapping: when one of these fails, the kernel alone tells, at one fsync
 *   long kernel caching: names and attributes are asked for again after a second, and as paths are
 *     all that libfuse 2 knows, a change by one name of a hard link shows at its other names as
 *     late
 */
import { PERMISSION_BITS } from '../common/permissions.ts';
import { CorruptionError, Errno, errnoOf, FsError, fsError } from '../fs/base/errors.ts';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  FileSystem,
  ReadRequest,
  TransactionHandle,
  WriteRequest,
} from '../fs/base/filesystem.ts';
import { type AlignedMemory, native } from '../native.ts';
import { Opcode } from './abi.ts';
import { emptyAttributes, emptyStatistics, preferredIoBytes } from './encoding.ts';
import { MountError } from './mount-error.ts';
import { findMount } from './mount-table.ts';
import { handlerOf } from './operations.ts';
import type { MountOptions } from './options.ts';
import { type SynchronousRequests, synchronousRequests, waitsForDisk } from './synchronous.ts';

/** Ends a call: a negative errno, or a count, or 0; then the result. */
type Answer = (status: number, ...result: unknown[]) => void;

interface FuseNative {
  mount(done: (error: Error | null) => void): void;
}
type FuseNativeClass = new (
  directory: string,
  operations: Record<string, unknown>,
  options: Record<string, unknown>,
) => FuseNative;

/** Longest transfer that libfuse 2 makes. */
const MAX_TRANSFER_BYTES = 128 << 10;
/** How often to see whether the mount is still there: fuse-native does not tell. */
const WATCH_MILLISECONDS = 250;
const ROOT = 1;
/** What the calls that change something are in the kernel's protocol. */
const opcodes: Readonly<Record<string, number>> = {
  mknod: Opcode.MKNOD,
  create: Opcode.CREATE,
  mkdir: Opcode.MKDIR,
  symlink: Opcode.SYMLINK,
  link: Opcode.LINK,
  unlink: Opcode.UNLINK,
  rmdir: Opcode.RMDIR,
  rename: Opcode.RENAME,
  write: Opcode.WRITE,
  chmod: Opcode.SETATTR,
  chown: Opcode.SETATTR,
  utimens: Opcode.SETATTR,
  truncate: Opcode.SETATTR,
  ftruncate: Opcode.SETATTR,
};
const UNCHANGED_ID = 0xffff_ffff;
const SET_USER_ID = 0o4000;
const SET_GROUP_ID = 0o2000;

async function loadFuseNative(): Promise<FuseNativeClass> {
  // A name that the compiler does not resolve: the package may be absent.
  const name: string = 'fuse-native';
  try {
    const loaded: { default: FuseNativeClass } = await import(name);
    return loaded.default;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message.split('\n')[0] : String(thrown);
    throw new MountError(
      `layer=fuse-native needs the fuse-native package and libfuse 2 ('npm install fuse-native', 'apt install libfuse2'), or leave the option out: ${why}`,
      { cause: thrown },
    );
  }
}

export interface FuseNativeRequest {
  readonly filesystem: FileSystem;
  readonly source: string;
  /** As `checkMountpoint` gave it. */
  readonly directory: string;
  readonly options: MountOptions;
  readonly log: (message: string) => void;
}

/** What whoever mounts with these options has to know; undefined if there is nothing. */
export function fuseNativeWarning({ layer, allowOther }: MountOptions): string | undefined {
  if (layer !== 'fuse-native' || !allowOther) return undefined;
  return (
    `layer=fuse-native with allow_other: libfuse 2 does not say who calls, so what others make belongs to ` +
    `user ${process.geteuid?.() ?? 0}, without set-user-id and set-group-id bits`
  );
}

export interface FuseNativeMount {
  /** Resolves when the mount is gone and the filesystem is unmounted. */
  readonly closed: Promise<void>;
}

/**
 * fuse-native knows few of libfuse's options. The rest is passed behind the name: its options are
 * one text, split at commas.
 */
function libfuseOptions({ source, options }: FuseNativeRequest): Record<string, unknown> {
  const name = (options.fsname ?? source).replace(/[\\,]/g, '\\$&');
  const more = ['big_writes', `max_read=${Math.min(options.maxReadBytes, MAX_TRANSFER_BYTES)}`, 'use_ino'];
  if (options.readOnly) more.push('ro');
  return {
    fsname: [name, ...more].join(','),
    subtype: options.subtype,
    allowOther: options.allowOther,
    defaultPermissions: true,
    timeout: false,
  };
}

/**
 * Mounts by fuse-native, and serves until the mount is gone.
 *
 * @throws MountError if the package or libfuse 2 is missing, or refuses.
 */
export async function serveByFuseNative(request: FuseNativeRequest): Promise<FuseNativeMount> {
  const { directory, filesystem } = request;
  const Fuse = await loadFuseNative();
  const calls = new PathCalls(filesystem, request.options.allowOther, request.log);
  const table = calls.table(synchronousRequests(request.options.flags));
  const fuse = new Fuse(directory, table, libfuseOptions(request));
  await new Promise<void>((resolve, reject) => {
    fuse.mount((error) => {
      if (error === null || error === undefined) resolve();
      else reject(new MountError(`fuse-native cannot mount on ${directory}: ${error.message}`));
    });
  });
  return { closed: untilGone(directory).then(() => filesystem.unmount()) };
}

async function untilGone(directory: string): Promise<void> {
  while (findMount(directory) !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, WATCH_MILLISECONDS));
  }
}

function namesOf(path: string): Uint8Array[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.map((part) => Buffer.from(part));
}

function milliseconds(seconds: number, nanoseconds: number): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
}

function statOf(attributes: Attributes, preferredBytes: number): Record<string, number> {
  const { accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds } = attributes;
  return {
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.sizeBytes,
    nlink: attributes.linkCount,
    ino: attributes.inode,
    rdev: attributes.deviceNumber,
    blksize: preferredBytes,
    blocks: attributes.sectors,
    atime: milliseconds(accessSeconds, accessNanoseconds),
    mtime: milliseconds(modifySeconds, modifyNanoseconds),
    ctime: milliseconds(attributes.changeSeconds, attributes.changeNanoseconds),
  };
}

/** One read or write on its way through aligned memory of the pool. */
interface Transfer extends ReadRequest, WriteRequest {
  readonly memory: AlignedMemory;
}

export class PathCalls {
  readonly #filesystem: FileSystem;
  /** Mode bits that a new file may have. */
  readonly #modeBits: number;
  readonly #log: (message: string) => void;
  readonly #preferredBytes: number;
  readonly #caller: Caller = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, umask: 0 };
  /** Inode of each open file, by its handle: fuse-native's handles have 32 bits. */
  readonly #open = new Map<number, number>();
  readonly #idle: AlignedMemory[] = [];
  #nextHandle = 1;

  /** @param forOthers whoever calls may be somebody else than the user whose files they will be */
  constructor(filesystem: FileSystem, forOthers: boolean, log: (message: string) => void) {
    this.#filesystem = filesystem;
    this.#modeBits = forOthers ? ~(SET_USER_ID | SET_GROUP_ID) : ~0;
    this.#log = log;
    this.#preferredBytes = preferredIoBytes(filesystem.blockBytes);
  }

  /**
   * The calls by the names that fuse-native gives them; those that `synchronous` says are answered
   * when their change is on disk.
   */
  table(synchronous: SynchronousRequests): Record<string, (...args: never[]) => void> {
    const calls = { ...this.#attributeCalls(), ...this.#nameCalls(), ...this.#fileCalls() };
    const waiting = Object.entries(calls).map(([name, call]) => {
      return [
        name,
        waitsForDisk(synchronous, handlerOf(opcodes[name] ?? 0).changes) ? this.#durably(call) : call,
      ];
    });
    return Object.fromEntries(waiting);
  }

  /** A call whose success is answered after a sync. */
  #durably(call: (...args: never[]) => void): (...args: never[]) => void {
    return (...args: unknown[]) => {
      const answer = args.pop() as Answer;
      const waiting: Answer = (status, ...result) => {
        if (status < 0) answer(status, ...result);
        else this.#wait((failed) => answer(failed || status, ...result), this.#filesystem.sync(ROOT));
      };
      call(...([...args, waiting] as never[]));
    };
  }

  #attributeCalls(): Record<string, (...args: never[]) => void> {
    const fs = this.#filesystem;
    return {
      getattr: (path: string, answer: Answer) => {
        const attributes = emptyAttributes();
        this.#run(answer, (tx) => {
          fs.readAttributes(tx, this.#walk(tx, path), attributes);
          return () => [statOf(attributes, this.#preferredBytes)];
        });
      },
      chmod: (path: string, mode: number, answer: Answer) => {
        this.#change(path, answer, { mode: mode & PERMISSION_BITS });
      },
      chown: (path: string, uid: number, gid: number, answer: Answer) => {
        const changes: AttributeChanges = { killPrivileges: true };
        if (uid >>> 0 !== UNCHANGED_ID) changes.uid = uid >>> 0;
        if (gid >>> 0 !== UNCHANGED_ID) changes.gid = gid >>> 0;
        this.#change(path, answer, changes);
      },
      utimens: (path: string, access: number, modify: number, answer: Answer) => {
        this.#change(path, answer, {
          accessSeconds: Math.floor(access / 1000),
          accessNanoseconds: (access % 1000) * 1_000_000,
          modifySeconds: Math.floor(modify / 1000),
          modifyNanoseconds: (modify % 1000) * 1_000_000,
        });
      },
      statfs: (_path: string, answer: Answer) => {
        const space = emptyStatistics();
        this.#run(answer, (tx) => {
          fs.statistics(tx, space);
          return () => [
            {
              bsize: space.blockBytes,
              frsize: space.blockBytes,
              blocks: space.blocks,
              bfree: space.freeBlocks,
              bavail: space.freeBlocks,
              files: space.inodes + space.freeInodes,
              ffree: space.freeInodes,
              favail: space.freeInodes,
              namemax: space.maxNameBytes,
            },
          ];
        });
      },
    };
  }

  #nameCalls(): Record<string, (...args: never[]) => void> {
    const fs = this.#filesystem;
    return {
      readdir: (path: string, answer: Answer) => this.#readdir(path, answer),
      readlink: (path: string, answer: Answer) =>
        this.#run(answer, (tx) => {
          const inode = this.#walk(tx, path);
          const target = Buffer.from(fs.readSymlink(tx, inode)).toString();
          fs.accessed(tx, inode);
          return () => [target];
        }),
      mknod: (path: string, mode: number, device: number, answer: Answer) =>
        this.#at(path, answer, (tx, parent, name) => {
          const request = { mode: mode & this.#modeBits, deviceNumber: device, caller: this.#caller };
          fs.create(tx, parent, name, request);
        }),
      mkdir: (path: string, mode: number, answer: Answer) =>
        this.#at(path, answer, (tx, parent, name) => {
          const permissions = mode & PERMISSION_BITS & this.#modeBits;
          const request = { mode: 0o040000 | permissions, deviceNumber: 0, caller: this.#caller };
          fs.create(tx, parent, name, request);
        }),
      symlink: (target: string, path: string, answer: Answer) =>
        this.#at(path, answer, (tx, parent, name) => {
          fs.symlink(tx, parent, name, Buffer.from(target), this.#caller);
        }),
      link: (source: string, path: string, answer: Answer) =>
        this.#at(path, answer, (tx, parent, name) => fs.link(tx, this.#walk(tx, source), parent, name)),
      unlink: (path: string, answer: Answer) =>
        this.#at(path, answer, (tx, parent, name) => fs.unlink(tx, parent, name)),
      rmdir: (path: string, answer: Answer) =>
        this.#at(path, answer, (tx, parent, name) => fs.removeDirectory(tx, parent, name)),
      rename: (from: string, to: string, answer: Answer) =>
        this.#at(from, answer, (tx, parent, name) => {
          const [newParent, newName] = this.#walkToLast(tx, to);
          fs.rename(tx, parent, name, newParent, newName, 0);
        }),
    };
  }

  #fileCalls(): Record<string, (...args: never[]) => void> {
    return {
      open: (path: string, _flags: number, answer: Answer) =>
        this.#run(answer, (tx) => {
          const inode = this.#walk(tx, path);
          return () => [this.#handleOf(inode)];
        }),
      create: (path: string, mode: number, answer: Answer) =>
        this.#run(answer, (tx) => {
          const [parent, name] = this.#walkToLast(tx, path);
          const permissions = mode & PERMISSION_BITS & this.#modeBits;
          const request = { mode: 0o100000 | permissions, deviceNumber: 0, caller: this.#caller };
          const inode = this.#filesystem.create(tx, parent, name, request);
          return () => [this.#handleOf(inode)];
        }),
      release: (_path: string, handle: number, answer: Answer) => {
        const inode = this.#open.get(handle);
        this.#open.delete(handle);
        if (inode !== undefined) this.#filesystem.forget(inode, 1);
        answer(0);
      },
      read: (_path: string, handle: number, into: Buffer, length: number, offset: number, answer: Answer) =>
        this.#read(handle, into, length, offset, answer),
      write: (_path: string, handle: number, from: Buffer, length: number, offset: number, answer: Answer) =>
        this.#write(handle, from, length, offset, answer),
      truncate: (path: string, size: number, answer: Answer) =>
        this.#run(answer, (tx) => {
          const inode = this.#walk(tx, path);
          return () => this.#wait(answer, this.#filesystem.setSize(inode, size, false));
        }),
      ftruncate: (_path: string, handle: number, size: number, answer: Answer) =>
        this.#wait(answer, this.#filesystem.setSize(this.#open.get(handle) ?? 0, size, false)),
      flush: (_path: string, _handle: number, answer: Answer) => answer(0),
      fsync: (_path: string, _dataOnly: boolean, handle: number, answer: Answer) =>
        this.#wait(answer, this.#filesystem.sync(this.#open.get(handle) ?? ROOT)),
      fsyncdir: (_path: string, _dataOnly: boolean, _handle: number, answer: Answer) =>
        this.#wait(answer, this.#filesystem.sync(ROOT)),
    };
  }

  // Paths, inside a transaction.

  #walk(tx: TransactionHandle, path: string): number {
    return namesOf(path).reduce((inode, name) => this.#step(tx, inode, name), ROOT);
  }

  #step(tx: TransactionHandle, parent: number, name: Uint8Array): number {
    const inode = this.#filesystem.lookup(tx, parent, name);
    if (inode === 0) throw fsError('ENOENT');
    return inode;
  }

  /** The directory that holds the last name of the path, and that name. */
  #walkToLast(tx: TransactionHandle, path: string): [parent: number, name: Uint8Array] {
    const names = namesOf(path);
    const last = names.pop();
    if (last === undefined) throw fsError('EBUSY');
    return [names.reduce((inode, name) => this.#step(tx, inode, name), ROOT), last];
  }

  // Ways to answer.

  /**
   * One transaction; what `work` returns makes the results afterwards, or answers by itself and
   * returns nothing.
   */
  #run(answer: Answer, work: (tx: TransactionHandle) => () => unknown[] | undefined): void {
    let finish: () => unknown[] | undefined = () => [];
    this.#filesystem.execute({
      perform: (tx) => {
        finish = work(tx);
      },
      finished: (thrown) => {
        if (thrown !== undefined) {
          this.#refuse(answer, thrown);
          return;
        }
        const results = finish();
        if (results !== undefined) answer(0, ...results);
      },
    });
    this.#filesystem.submit();
  }

  #at(
    path: string,
    answer: Answer,
    work: (tx: TransactionHandle, parent: number, name: Uint8Array) => void,
  ): void {
    this.#run(answer, (tx) => {
      work(tx, ...this.#walkToLast(tx, path));
      return () => [];
    });
  }

  #change(path: string, answer: Answer, changes: AttributeChanges): void {
    this.#run(answer, (tx) => {
      this.#filesystem.changeAttributes(tx, this.#walk(tx, path), changes);
      return () => [];
    });
  }

  #wait(answer: Answer, work: Promise<void>): undefined {
    work.then(
      () => answer(0),
      (thrown: unknown) => this.#refuse(answer, thrown),
    );
    this.#filesystem.submit();
    return undefined;
  }

  #refuse(answer: Answer, thrown: unknown): void {
    if (thrown instanceof CorruptionError || !(thrown instanceof FsError))
      this.#log(`fuse-native: ${thrown}`);
    answer(-errnoOf(thrown));
  }

  #handleOf(inode: number): number {
    const handle = this.#nextHandle++;
    this.#open.set(handle, inode);
    this.#filesystem.acquire(inode);
    return handle;
  }

  #readdir(path: string, answer: Answer): void {
    let names: string[] = [];
    this.#run(answer, (tx) => {
      names = [];
      this.#filesystem.readDirectory(tx, this.#walk(tx, path), 0, (name) => {
        names.push(Buffer.from(name).toString());
        return true;
      });
      this.#filesystem.accessed(tx, this.#walk(tx, path));
      return () => [names];
    });
  }

  // Data.

  #transfer(inode: number, offsetBytes: number, lengthBytes: number): Transfer {
    const roomBytes = MAX_TRANSFER_BYTES + 2 * Math.max(this.#filesystem.blockBytes, 4096);
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

  #read(handle: number, into: Buffer, length: number, offset: number, answer: Answer): void {
    const inode = this.#open.get(handle);
    if (inode === undefined || length > MAX_TRANSFER_BYTES) {
      answer(-Errno.EINVAL);
      return;
    }
    const transfer = this.#transfer(inode, offset, length);
    transfer.finished = (thrown) => {
      const { memory, resultOffset, resultBytes } = transfer;
      if (thrown === undefined) into.set(memory.bytes.subarray(resultOffset, resultOffset + resultBytes));
      this.#idle.push(memory);
      if (thrown === undefined) answer(resultBytes);
      else this.#refuse(answer, thrown);
    };
    this.#filesystem.read(transfer);
    this.#filesystem.submit();
  }

  #write(handle: number, from: Buffer, length: number, offset: number, answer: Answer): void {
    const inode = this.#open.get(handle);
    if (inode === undefined || length > MAX_TRANSFER_BYTES) {
      answer(-Errno.EINVAL);
      return;
    }
    const transfer = this.#transfer(inode, offset, length);
    transfer.memory.bytes.set(from.subarray(0, length));
    transfer.finished = (thrown) => {
      this.#idle.push(transfer.memory);
      if (thrown === undefined) answer(length);
      else this.#refuse(answer, thrown);
    };
    this.#filesystem.write(transfer);
    this.#filesystem.submit();
  }
}
