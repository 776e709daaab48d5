/**
 * FUSE requests as bytes, through the session onto a volume in memory.
 *
 * The bytes are put together here as linux/fuse.h has them, not with the tables of src/fuse/abi.ts:
 * a field that is wrong there must not be wrong here as well.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'vitest';
import { codeOf } from '../../src/common/thrown.ts';
import type { SetMode } from '../../src/fs/base/filesystem.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, u32, u64 } from '../suite/fuse-fake-channel.ts';
import type { TestVolume } from '../suite/volume-harness.ts';
import {
  type Device,
  type Entry,
  PosixError,
  ROOT,
  type Space,
  type Status,
  Type,
  type User,
} from './calls.ts';
import type { NodeChanges, NodeCopy, NodeRange, Nodes } from './name-walk.ts';
import { decodedDevice, encodedDevice, momentOf, nanosecondsOf } from './numbers.ts';

const LONGEST_TRANSFER = 64 * 1024;
const NOTHING = Buffer.alloc(0);
const END = Buffer.from([0]);
const GETATTR_IN = Buffer.alloc(16);
const FSYNC_IN = Buffer.alloc(16);

const VALID = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  access: 1 << 4,
  modify: 1 << 5,
  accessNow: 1 << 7,
  modifyNow: 1 << 8,
  kill: 1 << 11,
};
const WRITE_KILL = 1 << 2;
/** Not root. */
const SOMEBODY: User = { ...ROOT, uid: 65_534 };
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const O_RDWR = 2;
const O_TMPFILE = 0o20200000;
const SLASH = Buffer.from('/');
const LONGEST_ATTRIBUTE = 64 * 1024;
/** By XATTR_CREATE and XATTR_REPLACE. */
const SET_MODES: readonly SetMode[] = ['any', 'create', 'replace'];

/** The struct fuse_attr at `at`. */
function statusAt(body: Buffer, at: number): Status {
  const mode = body.readUInt32LE(at + 60);
  const time = (seconds: number, nanoseconds: number) =>
    nanosecondsOf(Number(body.readBigInt64LE(at + seconds)), body.readUInt32LE(at + nanoseconds));
  return {
    inode: Number(body.readBigUInt64LE(at)),
    type: mode & Type.mask,
    mode: mode & 0o7777,
    links: body.readUInt32LE(at + 64),
    uid: body.readUInt32LE(at + 68),
    gid: body.readUInt32LE(at + 72),
    device: decodedDevice(body.readUInt32LE(at + 76)),
    sizeBytes: Number(body.readBigUInt64LE(at + 8)),
    sectors: Number(body.readBigUInt64LE(at + 16)),
    accessNs: time(24, 48),
    modifyNs: time(32, 52),
    changeNs: time(40, 56),
  };
}

/** The struct fuse_setattr_in. */
function setattrIn(changes: NodeChanges, sizeBytes?: number): Buffer {
  const { mode, uid, gid, access = 'omit', modify = 'omit', kill } = changes;
  let valid = kill ? VALID.kill : 0;
  if (mode !== undefined) valid |= VALID.mode;
  if (uid !== undefined) valid |= VALID.uid;
  if (gid !== undefined) valid |= VALID.gid;
  if (sizeBytes !== undefined) valid |= VALID.size;
  if (access !== 'omit') valid |= access === 'now' ? VALID.access | VALID.accessNow : VALID.access;
  if (modify !== 'omit') valid |= modify === 'now' ? VALID.modify | VALID.modifyNow : VALID.modify;
  const { seconds: atime, nanoseconds: atimensec } = momentOf(typeof access === 'bigint' ? access : 0n);
  const { seconds: mtime, nanoseconds: mtimensec } = momentOf(typeof modify === 'bigint' ? modify : 0n);
  return Buffer.concat([
    u32(valid, 0),
    u64(0, sizeBytes ?? 0, 0, atime, mtime, 0),
    u32(atimensec, mtimensec, 0, mode ?? 0, 0, uid ?? 0, gid ?? 0, 0),
  ]);
}

/** The struct fuse_dirents of an answer. */
function entriesOf(body: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < body.length; ) {
    const nameBytes = body.readUInt32LE(at + 16);
    entries.push({
      inode: Number(body.readBigUInt64LE(at)),
      cookie: body.readBigUInt64LE(at + 8),
      type: body.readUInt32LE(at + 20) << 12,
      name: body.toString('latin1', at + 24, at + 24 + nameBytes),
    });
    at += (24 + nameBytes + 7) & ~7;
  }
  return entries;
}

export class FuseNodes implements Nodes {
  readonly channel = new FakeChannel();
  /** What the session wrote to its log. */
  readonly lines: string[] = [];
  #copies = 0;

  constructor(test: TestVolume) {
    new Session(this.channel, test.volume, { log: (line) => this.lines.push(line) }).start();
  }

  /** Delivers one request and waits for its reply. */
  async #ask(opcode: number, inode: number, body: Buffer, user = ROOT): Promise<Buffer> {
    const reply = await this.#replyTo(opcode, inode, body, user);
    if (reply.error === 0) return reply.body;
    throw new PosixError(-reply.error, `opcode ${opcode}`);
  }

  async #replyTo(opcode: number, inode: number, body: Buffer, { uid, gid }: User): Promise<Reply> {
    const { replies } = this.channel;
    replies.length = 0;
    const request = message(opcode, BigInt(inode), body);
    request.writeUInt32LE(uid, 24);
    request.writeUInt32LE(gid, 28);
    this.channel.deliver(request);
    for (;;) {
      const [reply] = replies;
      if (reply !== undefined) return reply;
      await nextTurn();
    }
  }

  /** Asks for what is answered by a struct fuse_entry_out. @returns its inode */
  async #entry(opcode: number, inode: number, body: Buffer, user = ROOT): Promise<number> {
    return Number((await this.#ask(opcode, inode, body, user)).readBigUInt64LE(0));
  }

  lookup(parent: number, name: Buffer): Promise<number> {
    return this.#entry(Opcode.LOOKUP, parent, Buffer.concat([name, END]));
  }

  forget(inode: number): void {
    this.channel.deliver(message(Opcode.FORGET, BigInt(inode), u64(1)));
  }

  async status(inode: number): Promise<Status> {
    return statusAt(await this.#ask(Opcode.GETATTR, inode, GETATTR_IN), 16);
  }

  async change(inode: number, changes: NodeChanges): Promise<void> {
    await this.#ask(Opcode.SETATTR, inode, setattrIn(changes));
  }

  async resize(inode: number, sizeBytes: number, kill: boolean): Promise<void> {
    await this.#ask(Opcode.SETATTR, inode, setattrIn({ kill }, sizeBytes));
  }

  make(parent: number, name: Buffer, mode: number, device: Device, user: User): Promise<number> {
    const { umask } = user;
    if ((mode & Type.mask) === Type.directory) {
      const body = Buffer.concat([u32(mode & 0o7777, umask), name, END]);
      return this.#entry(Opcode.MKDIR, parent, body, user);
    }
    const body = Buffer.concat([u32(mode, encodedDevice(device), umask, 0), name, END]);
    return this.#entry(Opcode.MKNOD, parent, body, user);
  }

  /** The name that the kernel sends is '/'. */
  makeUnnamed(parent: number, mode: number, user: User): Promise<number> {
    const body = Buffer.concat([u32(O_TMPFILE | O_RDWR, Type.regular | mode, user.umask, 0), SLASH, END]);
    return this.#entry(Opcode.TMPFILE, parent, body, user);
  }

  symlink(parent: number, name: Buffer, target: Buffer, user: User): Promise<number> {
    return this.#entry(Opcode.SYMLINK, parent, Buffer.concat([name, END, target, END]), user);
  }

  readlink(inode: number): Promise<Buffer> {
    return this.#ask(Opcode.READLINK, inode, NOTHING);
  }

  async link(inode: number, parent: number, name: Buffer): Promise<void> {
    this.forget(await this.#entry(Opcode.LINK, parent, Buffer.concat([u64(inode), name, END])));
  }

  async unlink(parent: number, name: Buffer): Promise<void> {
    await this.#ask(Opcode.UNLINK, parent, Buffer.concat([name, END]));
  }

  async rmdir(parent: number, name: Buffer): Promise<void> {
    await this.#ask(Opcode.RMDIR, parent, Buffer.concat([name, END]));
  }

  /** The kernel sends the old request where there are no flags. */
  async rename(
    parent: number,
    name: Buffer,
    newParent: number,
    newName: Buffer,
    flags: number,
    user: User,
  ): Promise<void> {
    const names = [name, END, newName, END];
    const head = flags === 0 ? u64(newParent) : Buffer.concat([u64(newParent), u32(flags, 0)]);
    await this.#ask(
      flags === 0 ? Opcode.RENAME : Opcode.RENAME2,
      parent,
      Buffer.concat([head, ...names]),
      user,
    );
  }

  /** As fuse_priv_ioctl of the kernel sends it: an int, whatever the command says. */
  async #ioctl(inode: number, command: number, given: Buffer, answerBytes: number): Promise<Buffer> {
    const head = [u64(0), u32(0, command), u64(0), u32(given.length, answerBytes)];
    const body = await this.#ask(Opcode.IOCTL, inode, Buffer.concat([...head, given]));
    expect(body.length).toBe(16 + answerBytes);
    expect(body.readInt32LE(0)).toBe(0);
    return body.subarray(16);
  }

  async flags(inode: number): Promise<number> {
    return (await this.#ioctl(inode, FS_IOC_GETFLAGS, NOTHING, 4)).readUInt32LE(0);
  }

  async setFlags(inode: number, flags: number): Promise<void> {
    await this.#ioctl(inode, FS_IOC_SETFLAGS, u32(flags), 0);
  }

  async read(inode: number, offset: number, lengthBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let done = 0; done < lengthBytes; ) {
      const wanted = Math.min(LONGEST_TRANSFER, lengthBytes - done);
      const part = await this.#ask(Opcode.READ, inode, readIn(BigInt(offset + done), wanted));
      parts.push(part);
      done += part.length;
      if (part.length < wanted) break;
    }
    return Buffer.concat(parts);
  }

  async write(inode: number, offset: number, data: Uint8Array, kill: boolean): Promise<void> {
    for (let done = 0; done < data.length; done += LONGEST_TRANSFER) {
      const part = data.subarray(done, done + LONGEST_TRANSFER);
      const head = [u64(0, offset + done), u32(part.length, kill ? WRITE_KILL : 0), u64(0), u32(1, 0)];
      const user = kill ? SOMEBODY : ROOT;
      const body = await this.#ask(Opcode.WRITE, inode, Buffer.concat([...head, part]), user);
      if (body.readUInt32LE(0) !== part.length) throw new Error('a write is all or nothing');
    }
  }

  async list(inode: number, cookie: bigint, bufferBytes: number): Promise<Entry[]> {
    return entriesOf(await this.#ask(Opcode.READDIR, inode, readIn(cookie, bufferBytes)));
  }

  async sync(inode: number): Promise<void> {
    await this.#ask(Opcode.FSYNC, inode, FSYNC_IN);
  }

  attribute(inode: number, name: Buffer): Promise<Buffer> {
    return this.#ask(Opcode.GETXATTR, inode, Buffer.concat([u32(LONGEST_ATTRIBUTE, 0), name, END]));
  }

  async attributes(inode: number): Promise<string[]> {
    const body = await this.#ask(Opcode.LISTXATTR, inode, u32(LONGEST_ATTRIBUTE, 0));
    return body.toString('latin1').split('\0').slice(0, -1);
  }

  /** The struct fuse_setxattr_in as it is without FUSE_SETXATTR_EXT. */
  async setAttribute(inode: number, name: Buffer, value: Uint8Array, mode: SetMode): Promise<void> {
    const head = u32(value.length, SET_MODES.indexOf(mode));
    await this.#ask(Opcode.SETXATTR, inode, Buffer.concat([head, name, END, value]));
  }

  async removeAttribute(inode: number, name: Buffer): Promise<void> {
    await this.#ask(Opcode.REMOVEXATTR, inode, Buffer.concat([name, END]));
  }

  async fallocate(inode: number, range: NodeRange, user: User): Promise<void> {
    const { change, offset, lengthBytes, keepSize } = range;
    const mode = { allocate: 0, punch: 2, zero: 16 }[change] | (keepSize ? 1 : 0);
    await this.#ask(
      Opcode.FALLOCATE,
      inode,
      Buffer.concat([u64(0, offset, lengthBytes), u32(mode, 0)]),
      user,
    );
  }

  async seek(inode: number, offset: number, target: 'data' | 'hole'): Promise<number> {
    const body = Buffer.concat([u64(0, offset), u32(target === 'data' ? 3 : 4, 0)]);
    return Number((await this.#ask(Opcode.LSEEK, inode, body)).readBigUInt64LE(0));
  }

  /** By the request with the short answer, and by the other one, in turn. */
  async copy(copy: NodeCopy, user: User): Promise<number> {
    try {
      return await this.#copyHere(copy, user);
    } catch (thrown) {
      if (codeOf(thrown) !== 'EOPNOTSUPP') throw thrown;
      // As the kernel does what is left to it.
      const data = await this.read(copy.source, copy.from, copy.lengthBytes);
      await this.write(copy.target, copy.to, data, user.uid !== 0);
      return data.length;
    }
  }

  async #copyHere({ source, target, from, to, lengthBytes }: NodeCopy, user: User): Promise<number> {
    const body = u64(0, from, target, 0, to, lengthBytes, 0);
    this.#copies++;
    if (this.#copies % 2 === 0)
      return (await this.#ask(Opcode.COPY_FILE_RANGE, source, body, user)).readUInt32LE(0);
    return Number((await this.#ask(Opcode.COPY_FILE_RANGE_64, source, body, user)).readBigUInt64LE(0));
  }

  async statfs(): Promise<Space> {
    const body = await this.#ask(Opcode.STATFS, 1, NOTHING);
    const number = (at: number) => Number(body.readBigUInt64LE(at));
    return {
      blocks: number(0),
      freeBlocks: number(8),
      files: number(24),
      freeFiles: number(32),
      blockBytes: body.readUInt32LE(48),
      nameBytes: body.readUInt32LE(44),
    };
  }
}

/** The struct fuse_read_in, which READDIR has too. */
function readIn(offset: bigint, lengthBytes: number): Buffer {
  return Buffer.concat([u64(0, offset), u32(lengthBytes, 0), u64(0), u32(0, 0)]);
}
