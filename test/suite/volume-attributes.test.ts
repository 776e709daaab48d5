/**
 * Extended attributes against a model: on every kind of inode, beside data that comes and goes, in
 * the body and outside, over remounts; and what the checker says of them.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { FileType, MAX_ATTRIBUTE_VALUE_BYTES } from '../../src/fs/format/format.ts';
import { attributeKey, NameSecret } from '../../src/fs/format/name-hash.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);
const MIB = 1024 * 1024;

function patterned(length: number, seed: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 7 + seed) & 0xff);
}

async function made(blockBytes: number, journalBlocks?: number): Promise<TestVolume> {
  const device = new MemoryDevice(32 * MIB);
  await formatted(device, blockBytes, journalBlocks);
  return TestVolume.open(device);
}

async function soundAfterwards(volume: TestVolume): Promise<void> {
  await volume.volume.checkInvariants();
  await volume.volume.unmount();
  const checked = await checkVolume((volume.device as MemoryDevice).reopen());
  expect(checked.problems).toEqual([]);
}

/** The same calls as promises. */
class Attributes {
  constructor(
    readonly volume: TestVolume,
    readonly inode: number,
  ) {}

  get(name: string): Promise<Uint8Array> {
    const { volume } = this.volume;
    return volume.run((tx) => volume.getExtendedAttribute(tx, this.inode, bytes(name)));
  }

  set(name: string, value: Uint8Array, mode: 'any' | 'create' | 'replace' = 'any'): Promise<void> {
    const { volume } = this.volume;
    return volume.run((tx) =>
      volume.setExtendedAttribute(tx, this.inode, { name: bytes(name), value }, mode),
    );
  }

  remove(name: string): Promise<void> {
    const { volume } = this.volume;
    return volume.run((tx) => volume.removeExtendedAttribute(tx, this.inode, bytes(name)));
  }

  async list(): Promise<string[]> {
    const { volume } = this.volume;
    const names = await volume.run((tx) => volume.listExtendedAttributes(tx, this.inode));
    return names.map((name) => new TextDecoder().decode(name)).sort();
  }
}

describe.each([
  { blockBytes: 1024, journalBlocks: 1024 },
  { blockBytes: 4096, journalBlocks: 1024 },
  { blockBytes: 65536, journalBlocks: 128 },
])('with blocks of $blockBytes bytes', ({ blockBytes, journalBlocks }) => {
  test('values of every length come back, and go', async () => {
    const volume = await made(blockBytes, journalBlocks);
    const attributes = new Attributes(volume, await volume.create('/f'));
    const free = (await volume.statistics()).freeBlocks;
    for (const length of [0, 1, 80, 100, 300, 1000, 5000, MAX_ATTRIBUTE_VALUE_BYTES]) {
      const value = patterned(length, length);
      await attributes.set('user.it', value, 'create');
      expect(await attributes.get('user.it')).toEqual(value);
      expect(await attributes.list()).toEqual(['user.it']);
      await attributes.remove('user.it');
      await volume.volume.sync();
      expect((await volume.statistics()).freeBlocks).toBe(free);
    }
    await expect(
      attributes.set('user.it', new Uint8Array(MAX_ATTRIBUTE_VALUE_BYTES + 1)),
    ).rejects.toMatchObject({ code: 'E2BIG' });
    await soundAfterwards(volume);
  });

  test('one of the largest takes the place of another, with as many names as there are', async () => {
    const volume = await made(blockBytes, journalBlocks);
    const attributes = new Attributes(volume, await volume.create('/f'));
    const names = Array.from({ length: 12 }, (_, i) => `user.${'n'.repeat(i * 20)}${i}`);
    for (const [i, name] of names.entries()) await attributes.set(name, patterned(60_000 + i, i));
    for (const [i, name] of names.entries())
      await attributes.set(name, patterned(MAX_ATTRIBUTE_VALUE_BYTES - i, i));
    for (const [i, name] of names.entries())
      expect(await attributes.get(name)).toEqual(patterned(MAX_ATTRIBUTE_VALUE_BYTES - i, i));
    expect(await attributes.list()).toEqual([...names].sort());
    await volume.unlink('/f');
    await volume.volume.sync();
    await soundAfterwards(volume);
  });
});

test('what setxattr(2) refuses', async () => {
  const volume = await made(4096);
  const attributes = new Attributes(volume, await volume.create('/f'));
  const value = patterned(3, 1);
  await expect(attributes.get('user.a')).rejects.toMatchObject({ code: 'ENODATA' });
  await expect(attributes.remove('user.a')).rejects.toMatchObject({ code: 'ENODATA' });
  await expect(attributes.set('user.a', value, 'replace')).rejects.toMatchObject({ code: 'ENODATA' });
  expect(await volume.stat('/f')).toMatchObject({ sectors: 0 });
  await attributes.set('user.a', value);
  await expect(attributes.set('user.a', value, 'create')).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(attributes.set('', value)).rejects.toMatchObject({ code: 'ERANGE' });
  await expect(attributes.set('u'.repeat(256), value)).rejects.toMatchObject({ code: 'ERANGE' });
  await expect(attributes.set('a\0b', value)).rejects.toMatchObject({ code: 'EINVAL' });
  await attributes.set('u'.repeat(255), value);
  expect(await attributes.list()).toEqual(['u'.repeat(255), 'user.a'].sort());
  await soundAfterwards(volume);
});

test('the smallest journal sets a limit to values', async () => {
  const volume = await made(1024, 64);
  const attributes = new Attributes(volume, await volume.create('/f'));
  const most = 7 * 458 - 255;
  for (const seed of [1, 2, 3]) await attributes.set('user.a', patterned(most - seed, seed));
  await expect(attributes.set('user.a', patterned(most + 1, 1))).rejects.toMatchObject({ code: 'E2BIG' });
  expect(await attributes.get('user.a')).toEqual(patterned(most - 3, 3));
  await soundAfterwards(volume);
});

test('names of one hash are told apart', async () => {
  const secret = new NameSecret(new Uint8Array(16).map((_, i) => i * 31));
  const byKey = new Map<number, string>();
  const pairs: [string, string][] = [];
  for (let i = 0; pairs.length < 2; i++) {
    const name = `user.${i}`;
    const key = attributeKey(bytes(name), secret);
    const other = byKey.get(key);
    if (other !== undefined) pairs.push([other, name]);
    byKey.set(key, name);
  }
  const volume = await made(4096);
  const attributes = new Attributes(volume, await volume.create('/f'));
  for (const [a, b] of pairs) {
    await attributes.set(a, patterned(3000, 1));
    await attributes.set(b, patterned(5000, 2));
  }
  for (const [a, b] of pairs) {
    await attributes.remove(a);
    expect(await attributes.get(b)).toEqual(patterned(5000, 2));
    await attributes.set(a, patterned(7000, 3), 'create');
    expect(await attributes.get(a)).toEqual(patterned(7000, 3));
  }
  expect(await attributes.list()).toEqual(pairs.flat().sort());
  await soundAfterwards(volume);
});

test('small ones cost no block, and give the body back', async () => {
  const volume = await made(4096);
  const inode = await volume.create('/f');
  const attributes = new Attributes(volume, inode);
  await volume.write(inode, 0, patterned(200, 1));
  await attributes.set('security.selinux', bytes('unconfined_u:object_r:user_home_t:s0'));
  expect(await volume.stat('/f')).toMatchObject({ sectors: 0, sizeBytes: 200 });
  await volume.write(inode, 200, patterned(50, 2));
  expect(await volume.stat('/f')).toMatchObject({ sectors: 8, sizeBytes: 250 });
  const full = await volume.create('/full');
  await volume.write(full, 0, patterned(336, 3));
  await new Attributes(volume, full).set('user.a', bytes('b'));
  expect(await volume.stat('/full')).toMatchObject({ sectors: 8, sizeBytes: 336 });
  await new Attributes(volume, full).remove('user.a');
  expect(await volume.stat('/full')).toMatchObject({ sectors: 0 });
  expect(await volume.read(full, 0, 400)).toEqual(patterned(336, 3));
  await attributes.remove('security.selinux');
  const later = await volume.create('/later');
  const others = new Attributes(volume, later);
  await others.set('user.a', bytes('b'));
  await others.remove('user.a');
  await volume.write(later, 0, patterned(336, 4));
  expect(await volume.stat('/later')).toMatchObject({ sectors: 0 });
  await soundAfterwards(volume);
});

interface Subject {
  readonly path: string;
  readonly inode: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  content: Uint8Array;
  readonly names: Set<string>;
  readonly attributes: Map<string, Uint8Array>;
}

class Model {
  readonly subjects: Subject[] = [];

  constructor(
    public volume: TestVolume,
    readonly random: SeededRandom,
  ) {}

  async addSubjects(): Promise<void> {
    const { volume } = this;
    for (let i = 0; i < 3; i++) this.#add(`/f${i}`, await volume.create(`/f${i}`), true);
    for (let i = 0; i < 2; i++) {
      await volume.mkdir(`/d${i}`);
      this.#add(`/d${i}`, await volume.resolve(`/d${i}`), false, true);
    }
    await volume.symlink('t'.repeat(300), '/s1');
    await volume.symlink('t'.repeat(30), '/s2');
    await volume.symlink('t'.repeat(2000), '/s3');
    for (const path of ['/s1', '/s2', '/s3']) this.#add(path, await volume.resolve(path), false);
    this.#add('/fifo', await volume.create('/fifo', FileType.fifo | 0o600), false);
  }

  #add(path: string, inode: number, isFile: boolean, isDirectory = false): void {
    const content = new Uint8Array(0);
    const attributes = new Map<string, Uint8Array>();
    this.subjects.push({ path, inode, isFile, isDirectory, content, names: new Set(), attributes });
  }

  async step(): Promise<void> {
    const { random } = this;
    const subject = this.subjects[random.below(this.subjects.length)] as Subject;
    const dice = random.below(100);
    if (dice < 45) await this.#setOne(subject);
    else if (dice < 70) await this.#removeOne(subject);
    else if (dice < 74) await this.#removeAll(subject);
    else if (subject.isFile) await this.#changeContent(subject);
    else if (subject.isDirectory) await this.#changeNames(subject);
    else await this.#compare(subject);
  }

  async #setOne(subject: Subject): Promise<void> {
    const { random } = this;
    const name = `user.${'x'.repeat(random.below(3) * 60)}${random.below(8)}`;
    const length = [0, 5, 40, 100, 400, 1500, 4000][random.below(7)] as number;
    const value = patterned(length, random.below(256));
    await new Attributes(this.volume, subject.inode).set(name, value);
    subject.attributes.set(name, value);
  }

  async #removeOne(subject: Subject): Promise<void> {
    const names = [...subject.attributes.keys()];
    const name = names[this.random.below(Math.max(1, names.length))];
    if (name === undefined) return;
    await new Attributes(this.volume, subject.inode).remove(name);
    subject.attributes.delete(name);
  }

  async #removeAll(subject: Subject): Promise<void> {
    const attributes = new Attributes(this.volume, subject.inode);
    for (const name of subject.attributes.keys()) await attributes.remove(name);
    subject.attributes.clear();
  }

  async #changeContent(subject: Subject): Promise<void> {
    const { random, volume } = this;
    const length = [0, 50, 200, 250, 336, 1200, 9000][random.below(7)] as number;
    if (random.chance(0.5)) {
      await volume.truncate(subject.path, length);
      const content = new Uint8Array(length);
      content.set(subject.content.subarray(0, length));
      subject.content = content;
      return;
    }
    const offset = random.below(3) * 3000;
    const data = patterned(length, random.below(256));
    if (length === 0) return;
    await volume.write(subject.inode, offset, data);
    const content = new Uint8Array(Math.max(subject.content.length, offset + length));
    content.set(subject.content);
    content.set(data, offset);
    subject.content = content;
  }

  async #changeNames(subject: Subject): Promise<void> {
    const name = `${'n'.repeat(40)}${this.random.below(30)}`;
    if (subject.names.delete(name)) await this.volume.unlink(`${subject.path}/${name}`);
    else {
      await this.volume.create(`${subject.path}/${name}`);
      subject.names.add(name);
    }
  }

  async compareAll(): Promise<void> {
    for (const subject of this.subjects) await this.#compare(subject);
  }

  async #compare(subject: Subject): Promise<void> {
    const attributes = new Attributes(this.volume, subject.inode);
    expect(await attributes.list()).toEqual([...subject.attributes.keys()].sort());
    for (const [name, value] of subject.attributes) expect(await attributes.get(name)).toEqual(value);
    if (subject.isFile) expect(await this.volume.read(subject.inode, 0, 20_000)).toEqual(subject.content);
    if (subject.isDirectory)
      expect((await this.volume.list(subject.path)).filter((name) => name[0] === 'n').sort()).toEqual(
        [...subject.names].sort(),
      );
  }
}

test.each([1, 2])('beside everything else, seed %d', async (seed) => {
  const random = new SeededRandom(seed);
  const blockBytes = seed % 2 === 0 ? 4096 : 1024;
  const model = new Model(await made(blockBytes, 512), random);
  const empty = (await model.volume.statistics()).freeBlocks;
  await model.addSubjects();
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 150; i++) await model.step();
    await model.volume.volume.sync();
    const device = model.volume.device as MemoryDevice;
    if (round % 2 === 0) {
      await model.volume.volume.unmount();
      model.volume = await TestVolume.open(device.reopen());
    } else {
      const crashed = device.clone();
      expect((await checkVolume(crashed)).problems).toEqual([]);
      await model.volume.volume.unmount();
      model.volume = await TestVolume.open(crashed);
    }
    await model.compareAll();
  }
  for (const { path, isDirectory, names } of model.subjects) {
    for (const name of names) await model.volume.unlink(`${path}/${name}`);
    await (isDirectory ? model.volume.rmdir(path) : model.volume.unlink(path));
  }
  await model.volume.volume.sync();
  await model.volume.volume.unmount();
  const volume = await TestVolume.open((model.volume.device as MemoryDevice).reopen());
  expect((await volume.statistics()).freeBlocks).toBe(empty);
  await soundAfterwards(volume);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 400])(
  'an inode that is freed gives all of its %d back, in steps',
  async (count) => {
    const volume = await made(1024, 64);
    const free = (await volume.statistics()).freeBlocks;
    const inode = await volume.create('/f');
    await volume.write(inode, 0, patterned(300, 1));
    const attributes = new Attributes(volume, inode);
    for (let i = 0; i < count; i++) await attributes.set(`user.${i}`, patterned(400, i));
    expect((await volume.statistics()).freeBlocks).toBeLessThan(free);
    await volume.unlink('/f');
    await volume.volume.unmount();
    const again = await TestVolume.open((volume.device as MemoryDevice).reopen());
    expect((await again.statistics()).freeBlocks).toBe(free);
    await soundAfterwards(again);
  },
);

test('a volume without the feature takes none', async () => {
  const device = new MemoryDevice(8 * MIB);
  await formatted(device, 4096, undefined, undefined, new Set());
  const volume = await TestVolume.open(device);
  const attributes = new Attributes(volume, await volume.create('/f'));
  await expect(attributes.set('user.a', bytes('b'))).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  expect(await attributes.list()).toEqual([]);
  await soundAfterwards(volume);
});
