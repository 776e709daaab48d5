/**
 * Offsets of directory entries: below 2^31, so that 32-bit programs can list; each good to go on
 * from, wherever the kernel stopped in our answer; and no name left out or told twice, however many
 * share the upper bits of their keys.
 */
import { describe, expect, test } from 'vitest';
import { Errno } from '../../src/fs/base/errors.ts';
import { NameSecret, nameKey } from '../../src/fs/format/name-hash.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { DirectoryCookies } from '../../src/fuse/directory-cookies.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';
import { FuseVolume, readBody } from '../suite/fuse-volume.ts';
import { TestVolume } from '../suite/volume-harness.ts';

const REGULAR = 0o100000;
const GROUP = 2 ** 22;
const LIMIT = 2n ** 31n;

interface Entry {
  readonly name: string;
  readonly offset: bigint;
}

function entriesOf(body: Buffer, plus: boolean): Entry[] {
  const entries: Entry[] = [];
  const front = plus ? 128 : 0;
  for (let at = 0; at < body.length; ) {
    const dirent = body.subarray(at + front);
    const nameBytes = dirent.readUInt32LE(16);
    entries.push({
      name: dirent.toString('latin1', 24, 24 + nameBytes),
      offset: dirent.readBigUInt64LE(8),
    });
    at += Math.ceil((front + 24 + nameBytes) / 8) * 8;
  }
  return entries;
}

/** Numbers that look random, the same for each seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

/** A directory of any cookies, behind the session. */
class Directory {
  readonly names = new Map<number, string>();
  readonly #channel = new FakeChannel();

  constructor() {
    const filesystem = new MemoryFileSystem();
    filesystem.readDirectory = (_tx, _inode, after, visit) => {
      const cookies = [...this.names.keys()].filter((cookie) => cookie > after).sort((a, b) => a - b);
      for (const cookie of cookies) {
        if (!visit(Buffer.from(this.names.get(cookie) ?? ''), 1, REGULAR, cookie)) return;
      }
    };
    new Session(this.#channel, filesystem, { log: () => {} }).start();
  }

  page(opcode: number, offset: bigint, lengthBytes: number): Entry[] {
    const body = this.#channel.answer(opcode, 1, readBody(offset, lengthBytes));
    return entriesOf(body, opcode === Opcode.READDIRPLUS);
  }

  inOrder(): string[] {
    return [...this.names].sort(([a], [b]) => a - b).map(([, name]) => name);
  }
}

/** Clusters of cookies in the same group and its neighbours, at both ends of the range too. */
function filled(random: (below: number) => number): Directory {
  const directory = new Directory();
  directory.names.set(1, '.');
  directory.names.set(2, '..');
  for (let cluster = 0; cluster < 12; cluster++) {
    const base = [3, GROUP - 20, 2 ** 52 - 400][cluster] ?? random(2 ** 30) * GROUP;
    const count = cluster % 3 === 0 ? 1 : 1 + random(120);
    for (let i = 0; i < count; i++) {
      const cookie = base + (cluster % 2 === 0 ? i : random(GROUP));
      if (cookie < 2 ** 52 + 3)
        directory.names.set(cookie, `n${cookie.toString(36)}${'x'.repeat(random(60))}`);
    }
  }
  return directory;
}

describe.each([Opcode.READDIR, Opcode.READDIRPLUS])('a listing by opcode %i', (opcode) => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'is whole, wherever the kernel stops in an answer (seed %i)',
    (seed) => {
      const random = randomOf(seed);
      const directory = filled(random);
      const found: string[] = [];
      const offsets: bigint[] = [];
      for (let offset = 0n; ; ) {
        const page = directory.page(opcode, offset, 256 + random(4) * 700);
        if (page.length === 0) break;
        const taken = page.slice(0, 1 + random(page.length));
        found.push(...taken.map(({ name }) => name));
        offsets.push(...taken.map((entry) => entry.offset));
        offset = offsets.at(-1) ?? 0n;
      }
      expect(found).toEqual(directory.inOrder());
      expect(new Set(offsets).size).toBe(offsets.length);
      for (const offset of offsets) expect(offset > 0n && offset < LIMIT).toBe(true);
      // Each is good to come back to.
      for (const at of [random(found.length), random(found.length), found.length - 1]) {
        const [next] = directory.page(opcode, offsets[at] as bigint, 4096);
        expect(next?.name).toBe(found[at + 1]);
      }
    },
  );

  test('leaves out nothing while what was listed is removed, as rm -r does', () => {
    const random = randomOf(99);
    const directory = filled(random);
    const expected = directory.inOrder();
    const found: string[] = [];
    for (let offset = 0n; ; ) {
      const page = directory.page(opcode, offset, 600);
      if (page.length === 0) break;
      const taken = new Set(page.slice(0, 1 + random(page.length)).map(({ name }) => name));
      found.push(...taken);
      offset = page[taken.size - 1]?.offset ?? 0n;
      for (const [cookie, name] of directory.names) if (taken.has(name)) directory.names.delete(cookie);
    }
    expect(found).toEqual(expected);
  });
});

test('names of a volume whose keys share their upper bits are listed whole, one at a time and many', async () => {
  const volume = await TestVolume.make(8 << 20, 4096);
  const secret = new NameSecret(new Uint8Array(16).map((_, i) => i * 31));
  const groups = new Map<number, string[]>();
  for (let i = 0; i < 200_000; i++) {
    const name = `name${i}`;
    const group = Math.floor(nameKey(Buffer.from(name), secret) / GROUP);
    const others = groups.get(group);
    if (others) others.push(name);
    else groups.set(group, [name]);
  }
  const names = [...groups.values()].filter((members) => members.length > 1).flat();
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) await volume.create(`/${name}`);
  const fuse = new FuseVolume(volume);
  for (const lengthBytes of [48, 4096]) {
    const found: string[] = [];
    for (let offset = 0n; ; ) {
      const { error, body } = await fuse.ask(Opcode.READDIR, 1, readBody(offset, lengthBytes));
      expect(error).toBe(0);
      const page = entriesOf(body, false);
      if (page.length === 0) break;
      found.push(...page.map(({ name }) => name));
      offset = page.at(-1)?.offset ?? 0n;
      expect(offset < LIMIT).toBe(true);
    }
    expect(found.sort()).toEqual(['.', '..', ...names].sort());
  }
  await volume.volume.unmount();
});

test('an offset that nobody was given, or that is forgotten, is refused', () => {
  const cookies = new DirectoryCookies([1, 2, 3, 4]);
  for (const offset of [2 ** 31, 2 ** 31 - 1, 2 ** 30 + 2 ** 20, 2 ** 53 - 1]) {
    expect(() => cookies.cookieAt(offset)).toThrow(expect.objectContaining({ errno: Errno.EINVAL }));
  }
  const first = cookies.offsetWithin(1000);
  expect(cookies.cookieAt(first)).toBe(1000);
  expect(cookies.offsetWithin(1000)).toBe(first);
  for (let cookie = 2000; cookie < 2000 + 2 ** 16 - 1; cookie++) cookies.offsetWithin(cookie);
  expect(cookies.cookieAt(first)).toBe(1000);
  const again = cookies.offsetWithin(1000);
  expect(again).not.toBe(first);
  expect(cookies.cookieAt(again)).toBe(1000);
  expect(() => cookies.cookieAt(first)).toThrow();
});

test('an offset says nothing of the hash, and leads back to it', () => {
  const cookies = new DirectoryCookies([0x1234, 0x5678, 0x9abc, 0xdef0]);
  const others = new DirectoryCookies([0x1234, 0x5678, 0x9abc, 0xdef1]);
  const offsets = new Set<number>();
  let alike = 0;
  let above = 0;
  for (let i = 0; i < 4096; i++) {
    const cookie = i * 2 ** 40 + 12_345;
    const offset = cookies.groupOffset(cookie);
    offsets.add(offset);
    expect(Math.floor(cookies.cookieAt(offset) / GROUP)).toBe(Math.floor(cookie / GROUP));
    if (offset === others.groupOffset(cookie)) alike++;
    if (offset > cookies.groupOffset(cookie + 2 ** 40)) above++;
  }
  expect(offsets.size).toBe(4096);
  expect(alike).toBeLessThan(3);
  // As often up as down, where hashes only go up.
  expect(Math.abs(above - 2048)).toBeLessThan(200);
});
