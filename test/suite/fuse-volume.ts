/**
 * The FUSE session over a real volume in memory: requests are bytes, and so are the answers. No
 * kernel.
 */
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, text, u32, u64 } from './fuse-fake-channel.ts';
import type { TestVolume } from './volume-harness.ts';

export class FuseVolume {
  readonly channel = new FakeChannel();
  readonly lines: string[] = [];
  readonly session: Session;

  constructor(readonly volume: TestVolume) {
    this.session = new Session(this.channel, volume.volume, { log: (line) => this.lines.push(line) });
    this.session.start();
  }

  /** Delivers one request, and waits for its reply. */
  async ask(opcode: number, inode: number, body: Uint8Array = new Uint8Array(0)): Promise<Reply> {
    const { replies } = this.channel;
    const before = replies.length;
    this.channel.deliver(message(opcode, BigInt(inode), body));
    while (replies.length === before) await new Promise((resolve) => setImmediate(resolve));
    return replies.at(-1) as Reply;
  }

  read(inode: number, openFlags = 0): Promise<Reply> {
    return this.ask(Opcode.READ, inode, readBody(0, 100, openFlags));
  }

  /** @returns seconds of the access time as GETATTR says them */
  async accessSeconds(inode: number): Promise<bigint> {
    const { body } = await this.ask(Opcode.GETATTR, inode, Buffer.alloc(16));
    return body.readBigInt64LE(16 + 24);
  }

  /** SETATTR with these fields of fuse_setattr_in. */
  setattr(valid: number, inode: number, fields: SetattrFields): Promise<Reply> {
    const { atime = 0, mtime = 0, ctime = 0, uid = 0, gid = 0 } = fields;
    const body = Buffer.concat([
      u32(valid, 0),
      u64(0, 0, 0, atime, mtime, ctime),
      u32(1, 2, 3, 0o644, 0, uid, gid, 0),
    ]);
    return this.ask(Opcode.SETATTR, inode, body);
  }

  mknod(parent: number, name: string): Promise<Reply> {
    return this.ask(Opcode.MKNOD, parent, Buffer.concat([u32(0o100644, 0, 0, 0), text(name)]));
  }
}

export interface SetattrFields {
  readonly atime?: bigint | number;
  readonly mtime?: bigint | number;
  readonly ctime?: bigint | number;
  readonly uid?: number;
  readonly gid?: number;
}

/** fuse_read_in, which READDIR has too. */
export function readBody(offset: bigint | number, lengthBytes: number, openFlags = 0): Buffer {
  return Buffer.concat([u64(0, offset), u32(lengthBytes, 0), u64(0), u32(openFlags, 0)]);
}
