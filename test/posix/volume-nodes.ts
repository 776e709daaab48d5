/** A volume in memory, asked directly. */

import { emptyStatistics } from '../../src/fs/base/empty-attributes.ts';
import { fsError } from '../../src/fs/base/errors.ts';
import {
  type AttributeChanges,
  type Attributes,
  type Claimant,
  FileFlag,
  type SetMode,
} from '../../src/fs/base/filesystem.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import type { Volume } from '../../src/fs/volume.ts';
import type { TestVolume } from '../suite/volume-harness.ts';
import {
  type Device,
  type Entry,
  Flag,
  ROOT,
  type Space,
  type Status,
  type TimeToSet,
  Type,
  type User,
} from './calls.ts';
import type { NodeChanges, NodeCopy, NodeRange, Nodes } from './name-walk.ts';
import { decodedDevice, encodedDevice, momentOf, nanosecondsOf } from './numbers.ts';

const LONGEST_TRANSFER = 1024 * 1024;
/** Room that getdents64(2) takes for an entry beside its name. */
const ENTRY_HEAD_BYTES = 19;

function statusOf(found: Attributes): Status {
  return {
    inode: found.inode,
    type: found.mode & Type.mask,
    mode: found.mode & 0o7777,
    links: found.linkCount,
    uid: found.uid,
    gid: found.gid,
    device: decodedDevice(found.deviceNumber),
    sizeBytes: found.sizeBytes,
    sectors: found.sectors,
    accessNs: nanosecondsOf(found.accessSeconds, found.accessNanoseconds),
    modifyNs: nanosecondsOf(found.modifySeconds, found.modifyNanoseconds),
    changeNs: nanosecondsOf(found.changeSeconds, found.changeNanoseconds),
  };
}

const FLAGS: readonly (readonly [generic: number, own: number])[] = [
  [Flag.sync, FileFlag.synchronous],
  [Flag.immutable, FileFlag.immutable],
  [Flag.append, FileFlag.appendOnly],
  [Flag.noDump, FileFlag.noDump],
  [Flag.noAccessTime, FileFlag.noAccessTime],
  [Flag.dirSync, FileFlag.synchronousDirectory],
  [Flag.topDir, FileFlag.topDirectory],
  [Flag.givesProject, FileFlag.inheritsProject],
];

function timeToSet(
  time: TimeToSet | undefined,
): [seconds: number | 'now' | undefined, ns: number | undefined] {
  if (time === undefined || time === 'omit') return [undefined, undefined];
  if (time === 'now') return ['now', undefined];
  const { seconds, nanoseconds } = momentOf(time);
  return [seconds, nanoseconds];
}

function attributeChanges({ mode, uid, gid, access, modify, kill }: NodeChanges): AttributeChanges {
  const [accessSeconds, accessNanoseconds] = timeToSet(access);
  const [modifySeconds, modifyNanoseconds] = timeToSet(modify);
  const times = { accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds };
  return { mode, uid, gid, ...times, killPrivileges: kill };
}

/** Limits hold for whoever is not root, as they do for requests of the kernel. */
function askerOf({ uid }: User): Claimant {
  return { isLimited: uid !== 0 };
}

export class VolumeNodes implements Nodes {
  readonly #test: TestVolume;
  readonly #volume: Volume;

  constructor(test: TestVolume) {
    this.#test = test;
    this.#volume = test.volume;
  }

  /** Runs what answers with an inode, and takes a reference to it. */
  async #acquired(body: (tx: Transaction) => number, user = ROOT): Promise<number> {
    const inode = await this.#volume.run(body, askerOf(user));
    if (inode !== 0) this.#volume.acquire(inode);
    return inode;
  }

  lookup(parent: number, name: Buffer): Promise<number> {
    return this.#acquired((tx) => this.#volume.lookup(tx, parent, name));
  }

  forget(inode: number): void {
    this.#volume.forget(inode, 1);
    this.#volume.submit();
  }

  async status(inode: number): Promise<Status> {
    return statusOf(await this.#test.statInode(inode));
  }

  change(inode: number, changes: NodeChanges): Promise<void> {
    return this.#volume.run((tx) => this.#volume.changeAttributes(tx, inode, attributeChanges(changes)));
  }

  resize(inode: number, sizeBytes: number, kill: boolean): Promise<void> {
    return this.#volume.setSize(inode, sizeBytes, kill);
  }

  make(parent: number, name: Buffer, mode: number, device: Device, user: User): Promise<number> {
    const request = { mode, deviceNumber: encodedDevice(device), caller: user };
    return this.#acquired((tx) => this.#volume.create(tx, parent, name, request), user);
  }

  /** The volume takes the reference by itself. */
  makeUnnamed(parent: number, mode: number, user: User): Promise<number> {
    const request = { mode: Type.regular | mode, deviceNumber: 0, caller: user };
    return this.#volume.run((tx) => this.#volume.createUnnamed(tx, parent, request), askerOf(user));
  }

  symlink(parent: number, name: Buffer, target: Buffer, user: User): Promise<number> {
    return this.#acquired((tx) => this.#volume.symlink(tx, parent, name, { target, caller: user }), user);
  }

  readlink(inode: number): Promise<Buffer> {
    return this.#volume.run((tx) => {
      this.#volume.accessed(tx, inode);
      return Buffer.from(this.#volume.readSymlink(tx, inode));
    });
  }

  link(inode: number, parent: number, name: Buffer): Promise<void> {
    return this.#volume.run((tx) => this.#volume.link(tx, inode, { parent, name }));
  }

  async unlink(parent: number, name: Buffer): Promise<void> {
    await this.#volume.run((tx) => this.#volume.unlink(tx, parent, name));
  }

  rmdir(parent: number, name: Buffer): Promise<void> {
    return this.#volume.run((tx) => this.#volume.removeDirectory(tx, parent, name));
  }

  async rename(
    parent: number,
    name: Buffer,
    newParent: number,
    newName: Buffer,
    flags: number,
    user: User,
  ): Promise<void> {
    const to = { parent: newParent, name: newName };
    const request = { flags, caller: user };
    await this.#volume.run((tx) => this.#volume.rename(tx, { parent, name }, to, request));
  }

  async flags(inode: number): Promise<number> {
    const { flags } = await this.#test.statInode(inode);
    return FLAGS.reduce((all, [generic, own]) => ((flags & own) === 0 ? all : all | generic), 0);
  }

  setFlags(inode: number, wanted: number): Promise<void> {
    const flags = FLAGS.reduce((all, [generic, own]) => ((wanted & generic) === 0 ? all : all | own), 0);
    return this.#volume.run((tx) => this.#volume.changeFlags(tx, inode, { flags }));
  }

  async read(inode: number, offset: number, lengthBytes: number): Promise<Buffer> {
    return Buffer.from(await this.#test.read(inode, offset, lengthBytes));
  }

  async write(inode: number, offset: number, data: Uint8Array, kill: boolean): Promise<void> {
    for (let done = 0; done < data.length; done += LONGEST_TRANSFER) {
      await this.#writePart(inode, offset + done, data.subarray(done, done + LONGEST_TRANSFER), kill);
    }
  }

  #writePart(inode: number, offsetBytes: number, data: Uint8Array, killPrivileges: boolean): Promise<void> {
    const { blockBytes } = this.#volume;
    const memory = this.#test.device.allocateMemory(
      Math.ceil(data.length / blockBytes) * blockBytes + 2 * blockBytes,
    );
    memory.bytes.set(data);
    return new Promise((resolve, reject) => {
      this.#volume.write({
        inode,
        offsetBytes,
        lengthBytes: data.length,
        memory,
        memoryOffset: 0,
        updateTimes: true,
        killPrivileges,
        mayEndEarly: false,
        isLimited: killPrivileges,
        finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
      });
      this.#volume.submit();
    });
  }

  fallocate(inode: number, range: NodeRange, { uid }: User): Promise<void> {
    const { change: action, offset: offsetBytes, lengthBytes, keepSize } = range;
    const how = { keepSize, updateTimes: true, killPrivileges: uid !== 0, isLimited: uid !== 0 };
    return this.#volume.fallocate({ inode, action, offsetBytes, lengthBytes, ...how });
  }

  async seek(inode: number, offset: number, target: 'data' | 'hole'): Promise<number> {
    const { offsetBytes } = await this.#volume.seek(inode, offset, target);
    if (offsetBytes < 0) throw fsError('ENXIO');
    return offsetBytes;
  }

  copy({ source, target, from, to, lengthBytes }: NodeCopy, { uid }: User): Promise<number> {
    const range = { from: source, fromBytes: from, to: target, toBytes: to, lengthBytes };
    const isLimited = uid !== 0;
    return this.#volume.copyRange({ ...range, updateTimes: true, killPrivileges: isLimited, isLimited });
  }

  list(inode: number, cookie: bigint, bufferBytes: number): Promise<Entry[]> {
    return this.#volume.run((tx) => {
      const entries: Entry[] = [];
      let left = bufferBytes;
      this.#volume.readDirectory(tx, inode, Number(cookie), (name, number, type, next) => {
        left -= ENTRY_HEAD_BYTES + name.length;
        if (left < 0) return false;
        const text = Buffer.from(name).toString('latin1');
        entries.push({ name: text, inode: number, type, cookie: BigInt(next) });
        return true;
      });
      // What getdents64(2) says of a buffer that is too small, and the session of a request.
      if (left < 0 && entries.length === 0) throw fsError('EINVAL');
      this.#volume.accessed(tx, inode);
      return entries;
    });
  }

  sync(inode: number): Promise<void> {
    return this.#volume.sync(inode);
  }

  async attribute(inode: number, name: Buffer): Promise<Buffer> {
    return Buffer.from(await this.#volume.run((tx) => this.#volume.getExtendedAttribute(tx, inode, name)));
  }

  async attributes(inode: number): Promise<string[]> {
    const names = await this.#volume.run((tx) => this.#volume.listExtendedAttributes(tx, inode));
    return names.map((name) => Buffer.from(name).toString('latin1'));
  }

  setAttribute(inode: number, name: Buffer, value: Uint8Array, mode: SetMode): Promise<void> {
    return this.#volume.run((tx) => this.#volume.setExtendedAttribute(tx, inode, { name, value }, mode));
  }

  removeAttribute(inode: number, name: Buffer): Promise<void> {
    return this.#volume.run((tx) => this.#volume.removeExtendedAttribute(tx, inode, name));
  }

  async statfs(): Promise<Space> {
    const space = emptyStatistics();
    await this.#volume.run((tx) => this.#volume.statistics(tx, space));
    const { blockBytes, blocks, freeBlocks, inodes, freeInodes, maxNameBytes } = space;
    const files = inodes + freeInodes;
    return { blockBytes, blocks, freeBlocks, files, freeFiles: freeInodes, nameBytes: maxNameBytes };
  }
}
