/**
 * The calls of fuse-native: each walks its path by lookups and does its work in one transaction.
 *
 * A row is one call, in fuse-native's words. How a path is walked and an answer given is in
 * fuse-native-answers.ts, open files are in fuse-native-files.ts.
 */
import { PERMISSION_BITS } from '../common/permissions.ts';
import { emptyAttributes, emptyStatistics } from '../fs/base/empty-attributes.ts';
import type { AttributeChanges, Attributes, Caller, FileSystem } from '../fs/base/filesystem.ts';
import { Opcode, ROOT_NODE } from './abi.ts';
import { preferredIoBytes } from './encoding.ts';
import { type Answer, PathAnswers } from './fuse-native-answers.ts';
import { OpenFiles } from './fuse-native-files.ts';
import { handlerOf } from './operations.ts';
import { type SynchronousRequests, waitsForDisk } from './synchronous.ts';

/** By the names that fuse-native gives them. */
type Calls = Record<string, (...args: never[]) => void>;

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

export class PathCalls {
  readonly #filesystem: FileSystem;
  /** Mode bits that a new file may have. */
  readonly #modeBits: number;
  readonly #answers: PathAnswers;
  readonly #files: OpenFiles;
  readonly #preferredBytes: number;
  readonly #caller: Caller = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, umask: 0 };

  /** @param forOthers whoever calls may be somebody else than the user whose files they will be */
  constructor(filesystem: FileSystem, forOthers: boolean, log: (message: string) => void) {
    this.#filesystem = filesystem;
    this.#modeBits = forOthers ? ~(SET_USER_ID | SET_GROUP_ID) : ~0;
    this.#answers = new PathAnswers(filesystem, log);
    this.#files = new OpenFiles(filesystem, this.#answers);
    this.#preferredBytes = preferredIoBytes(filesystem.blockBytes);
  }

  /**
   * The calls by the names that fuse-native gives them; those that `synchronous` says are answered
   * when their change is on disk.
   */
  table(synchronous: SynchronousRequests): Calls {
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
        else
          this.#answers.wait(
            (failed) => answer(failed || status, ...result),
            this.#filesystem.sync(ROOT_NODE),
          );
      };
      call(...([...args, waiting] as never[]));
    };
  }

  #attributeCalls(): Calls {
    const fs = this.#filesystem;
    return {
      getattr: (path: string, answer: Answer) => {
        const attributes = emptyAttributes();
        this.#answers.run(answer, (tx) => {
          fs.readAttributes(tx, this.#answers.walk(tx, path), attributes);
          return () => [statOf(attributes, this.#preferredBytes)];
        });
      },
      chmod: (path: string, mode: number, answer: Answer) => {
        this.#answers.change(path, answer, { mode: mode & PERMISSION_BITS });
      },
      chown: (path: string, uid: number, gid: number, answer: Answer) => {
        const changes: AttributeChanges = { killPrivileges: true };
        if (uid >>> 0 !== UNCHANGED_ID) changes.uid = uid >>> 0;
        if (gid >>> 0 !== UNCHANGED_ID) changes.gid = gid >>> 0;
        this.#answers.change(path, answer, changes);
      },
      utimens: (path: string, access: number, modify: number, answer: Answer) => {
        this.#answers.change(path, answer, {
          accessSeconds: Math.floor(access / 1000),
          accessNanoseconds: (access % 1000) * 1_000_000,
          modifySeconds: Math.floor(modify / 1000),
          modifyNanoseconds: (modify % 1000) * 1_000_000,
        });
      },
      statfs: (_path: string, answer: Answer) => {
        const space = emptyStatistics();
        this.#answers.run(answer, (tx) => {
          fs.statistics(tx, space);
          return () => [
            {
              bsize: space.blockBytes,
              frsize: space.blockBytes,
              blocks: space.blocks,
              bfree: space.freeBlocks,
              bavail: space.availableBlocks,
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

  #nameCalls(): Calls {
    const fs = this.#filesystem;
    return {
      readdir: (path: string, answer: Answer) => this.#readdir(path, answer),
      readlink: (path: string, answer: Answer) =>
        this.#answers.run(answer, (tx) => {
          const inode = this.#answers.walk(tx, path);
          const target = Buffer.from(fs.readSymlink(tx, inode)).toString();
          fs.accessed(tx, inode);
          return () => [target];
        }),
      mknod: (path: string, mode: number, device: number, answer: Answer) =>
        this.#answers.at(path, answer, (tx, parent, name) => {
          const request = { mode: mode & this.#modeBits, deviceNumber: device, caller: this.#caller };
          fs.create(tx, parent, name, request);
        }),
      mkdir: (path: string, mode: number, answer: Answer) =>
        this.#answers.at(path, answer, (tx, parent, name) => {
          const permissions = mode & PERMISSION_BITS & this.#modeBits;
          const request = { mode: 0o040000 | permissions, deviceNumber: 0, caller: this.#caller };
          fs.create(tx, parent, name, request);
        }),
      symlink: (target: string, path: string, answer: Answer) =>
        this.#answers.at(path, answer, (tx, parent, name) => {
          fs.symlink(tx, parent, name, { target: Buffer.from(target), caller: this.#caller });
        }),
      link: (source: string, path: string, answer: Answer) =>
        this.#answers.at(path, answer, (tx, parent, name) =>
          fs.link(tx, this.#answers.walk(tx, source), { parent, name }),
        ),
      unlink: (path: string, answer: Answer) =>
        this.#answers.at(path, answer, (tx, parent, name) => fs.unlink(tx, parent, name)),
      rmdir: (path: string, answer: Answer) =>
        this.#answers.at(path, answer, (tx, parent, name) => fs.removeDirectory(tx, parent, name)),
      rename: (from: string, to: string, answer: Answer) =>
        this.#answers.at(from, answer, (tx, parent, name) => {
          const [newParent, newName] = this.#answers.walkToLast(tx, to);
          fs.rename(tx, { parent, name }, { parent: newParent, name: newName });
        }),
    };
  }

  #fileCalls(): Calls {
    return {
      open: (path: string, _flags: number, answer: Answer) =>
        this.#answers.run(answer, (tx) => {
          const inode = this.#answers.walk(tx, path);
          return () => [this.#files.handleOf(inode)];
        }),
      create: (path: string, mode: number, answer: Answer) =>
        this.#answers.run(answer, (tx) => {
          const [parent, name] = this.#answers.walkToLast(tx, path);
          const permissions = mode & PERMISSION_BITS & this.#modeBits;
          const request = { mode: 0o100000 | permissions, deviceNumber: 0, caller: this.#caller };
          const inode = this.#filesystem.create(tx, parent, name, request);
          return () => [this.#files.handleOf(inode)];
        }),
      release: (_path: string, handle: number, answer: Answer) => {
        this.#files.release(handle);
        answer(0);
      },
      // biome-ignore lint/complexity/useMaxParams: libfuse calls it so.
      read: (_path: string, handle: number, into: Buffer, length: number, offset: number, answer: Answer) =>
        this.#files.read(handle, into, length, offset, answer),
      // biome-ignore lint/complexity/useMaxParams: libfuse calls it so.
      write: (_path: string, handle: number, from: Buffer, length: number, offset: number, answer: Answer) =>
        this.#files.write(handle, from, length, offset, answer),
      truncate: (path: string, size: number, answer: Answer) =>
        this.#answers.run(answer, (tx) => {
          const inode = this.#answers.walk(tx, path);
          return () => this.#answers.wait(answer, this.#filesystem.setSize(inode, size, false));
        }),
      ftruncate: (_path: string, handle: number, size: number, answer: Answer) =>
        this.#answers.wait(answer, this.#filesystem.setSize(this.#files.inodeOf(handle) ?? 0, size, false)),
      flush: (_path: string, _handle: number, answer: Answer) => answer(0),
      fsync: (_path: string, dataOnly: boolean, handle: number, answer: Answer) =>
        this.#answers.wait(answer, this.#filesystem.sync(this.#files.inodeOf(handle) ?? ROOT_NODE, dataOnly)),
      fsyncdir: (_path: string, dataOnly: boolean, _handle: number, answer: Answer) =>
        this.#answers.wait(answer, this.#filesystem.sync(ROOT_NODE, dataOnly)),
    };
  }

  #readdir(path: string, answer: Answer): void {
    let names: string[] = [];
    this.#answers.run(answer, (tx) => {
      names = [];
      this.#filesystem.readDirectory(tx, this.#answers.walk(tx, path), 0, (name) => {
        names.push(Buffer.from(name).toString());
        return true;
      });
      this.#filesystem.accessed(tx, this.#answers.walk(tx, path));
      return () => [names];
    });
  }
}
