/**
 * A FUSE channel without a kernel: requests are given as bytes, replies are kept as bytes.
 *
 * It holds the session to the rules of the real one: a slot is received into only when free,
 * released only when taken, and every reply must be as long as its header says.
 */
import { strict as assert } from 'node:assert';
import type { FuseChannel } from '../../src/fuse/channel.ts';

const HEAD = 4096;
const LEAD = 80;
const BATCH = 16;

export interface Reply {
  readonly unique: bigint;
  readonly error: number;
  readonly body: Buffer;
}

export class FakeChannel implements FuseChannel {
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly memory: { readonly bytes: Uint8Array };
  readonly ready = new Int32Array(2 * BATCH);
  readonly replies: Reply[] = [];
  /** Errno that the next replies meet, one each. */
  readonly replyErrors: number[] = [];
  closed = 0;
  readonly #taken = new Set<number>();
  #onRequests: (count: number) => void = () => {};
  #onClosed: (errno: number) => void = () => {};
  #onNoticed: (token: number) => void = () => {};

  constructor(slotCount = 4, payloadBytes = 65536) {
    this.slotCount = slotCount;
    this.slotBytes = HEAD + payloadBytes + 2 * 4096;
    this.memory = { bytes: new Uint8Array(this.slotBytes * slotCount) };
  }

  start(
    onRequests: (count: number) => void,
    onClosed: (errno: number) => void,
    onNoticed: (token: number) => void = () => {},
  ): void {
    this.#onRequests = onRequests;
    this.#onClosed = onClosed;
    this.#onNoticed = onNoticed;
  }

  /** Delivers messages as one batch. */
  deliver(...messages: Uint8Array[]): void {
    messages.forEach((message, at) => {
      const slot = this.#freeSlot();
      this.#taken.add(slot);
      this.memory.bytes.set(message, slot * this.slotBytes + HEAD - LEAD);
      this.ready[2 * at] = slot;
      this.ready[2 * at + 1] = message.length;
    });
    this.#onRequests(messages.length);
  }

  /** Asks one thing. @throws Error if there is no reply */
  ask(opcode: number, nodeid: number | bigint, body: Uint8Array, thread?: number): Reply {
    const before = this.replies.length;
    this.deliver(message(opcode, BigInt(nodeid), body, undefined, thread));
    const reply = this.replies[before];
    if (reply === undefined) throw new Error(`no reply to opcode ${opcode}`);
    return reply;
  }

  /** The body of the answer to one question. @throws Error if it is an error, or there is none */
  answer(opcode: number, nodeid: number | bigint, body: Uint8Array, thread?: number): Buffer {
    const reply = this.ask(opcode, nodeid, body, thread);
    if (reply.error !== 0) throw new Error(`opcode ${opcode}: ${reply.error}`);
    return reply.body;
  }

  #freeSlot(): number {
    for (let slot = 0; slot < this.slotCount; slot++) if (!this.#taken.has(slot)) return slot;
    throw new Error('no free slot');
  }

  /** The mount goes away. */
  end(errno = 0): void {
    this.#onClosed(errno);
  }

  get takenSlots(): number {
    return this.#taken.size;
  }

  /** Bytes of the messages that nobody asked for. */
  readonly notifications: Buffer[] = [];

  notify(offset: number, lengthBytes: number): number {
    this.notifications.push(Buffer.from(this.memory.bytes.slice(offset, offset + lengthBytes)));
    return 0;
  }

  /** How many notifications had been sent when each reply was. */
  readonly noticesBefore: number[] = [];
  notifyIdle(offset: number, lengthBytes: number, count: number): number {
    const each = lengthBytes / count;
    for (let at = 0; at < lengthBytes; at += each) this.notify(offset + at, each);
    return 0;
  }

  keepNotice(offset: number, lengthBytes: number): number {
    return this.notify(offset, lengthBytes);
  }

  deliverNotices(): void {}

  /** How many replies had been sent when each notification of `notifyBefore` was written. */
  readonly repliesBefore: number[] = [];

  notifyBefore(offset: number, lengthBytes: number, replyAt: number, replyBytes: number): number {
    this.repliesBefore.push(this.replies.length);
    this.notify(offset, lengthBytes);
    return this.reply(replyAt, replyBytes);
  }

  /** What the kernel does when it is told to write out what it has cached, before it is done. */
  onWriteOut: () => void = () => {};

  notifyThen(offset: number, lengthBytes: number, token: number): number {
    this.notify(offset, lengthBytes);
    setImmediate(() => {
      this.onWriteOut();
      this.#onNoticed(token);
    });
    return 0;
  }

  release(slot: number): void {
    assert(this.#taken.delete(slot), `slot ${slot} is not in use`);
  }

  reply(offset: number, lengthBytes: number): number {
    const errno = this.replyErrors.shift() ?? 0;
    if (errno !== 0) return errno;
    const bytes = Buffer.from(this.memory.bytes.slice(offset, offset + lengthBytes));
    assert.equal(bytes.readUInt32LE(0), lengthBytes);
    if (bytes.readInt32LE(4) > 0) return this.notify(offset, lengthBytes);
    this.noticesBefore.push(this.notifications.length);
    this.replies.push({
      unique: bytes.readBigUInt64LE(8),
      error: bytes.readInt32LE(4),
      body: bytes.subarray(16),
    });
    return 0;
  }

  statistics(): { requests: number; wakeups: number; spinHits: number; spinMisses: number } {
    return { requests: 0, wakeups: 0, spinHits: 0, spinMisses: 0 };
  }

  close(): void {
    this.closed++;
  }
}

/** A request as the kernel sends it: a fuse_in_header with distinct values, then the arguments. */
export function message(
  opcode: number,
  nodeid: bigint,
  body: Uint8Array,
  unique = 0x1234_5678_9abc_def0n,
  thread = 1003,
): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + body.length, 0);
  header.writeUInt32LE(opcode, 4);
  header.writeBigUInt64LE(unique, 8);
  header.writeBigUInt64LE(nodeid, 16);
  header.writeUInt32LE(1001, 24);
  header.writeUInt32LE(1002, 28);
  header.writeUInt32LE(thread, 32);
  return Buffer.concat([header, body]);
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, at) => {
    bytes.writeUInt32LE(value >>> 0, 4 * at);
  });
  return bytes;
}

export function u64(...values: (bigint | number)[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  values.forEach((value, at) => {
    bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)), 8 * at);
  });
  return bytes;
}

export function text(...names: string[]): Buffer {
  return Buffer.concat(names.map((name) => Buffer.from(`${name}\0`, 'latin1')));
}
