/**
 * Flags of chattr(1) on a volume, where the cases of test/posix cannot reach: writes from a cache,
 * times that the kernel kept, what is to be durable at once.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import { CALLER, TestVolume } from './volume-harness.ts';

const { immutable, appendOnly, synchronous, synchronousDirectory } = FileFlag;
const MIB = 1024 * 1024;
const encoder = new TextEncoder();
const bytes = encoder.encode('content');

let subject: TestVolume;
let file: number;

beforeEach(async () => {
  subject = await TestVolume.make(8 * MIB, 4096);
  file = await subject.create('/file');
  await subject.write(file, 0, bytes);
});

afterEach(() => subject.volume.unmount());

function setFlags(inode: number, flags: number): Promise<void> {
  return subject.volume.run((tx) => subject.volume.changeFlags(tx, inode, { flags }));
}

describe('writes', () => {
  test.each([immutable, appendOnly])('flags %i let pass what a cache took before', async (flags) => {
    await setFlags(file, flags);
    await expect(subject.write(file, 0, bytes)).rejects.toMatchObject({ code: 'EPERM' });
    subject.fromCache = true;
    await subject.write(file, 0, encoder.encode('C'));
    subject.fromCache = false;
    expect(Buffer.from(await subject.read(file, 0, 99)).toString()).toBe('Content');
  });

  test('go to the end of an append-only file, in the inode and in blocks', async () => {
    await setFlags(file, appendOnly);
    await subject.write(file, 7, Buffer.alloc(9000, 'x'));
    await subject.write(file, 9007, bytes);
    await subject.write(file, 20_000, bytes);
    await expect(subject.write(file, 9000, bytes)).rejects.toMatchObject({ code: 'EPERM' });
    expect((await subject.statInode(file)).sizeBytes).toBe(20_007);
  });
});

test('blocks may be taken for an append-only file, not for an immutable one', async () => {
  await setFlags(file, appendOnly);
  await subject.volume.preallocate(file, 0, 50_000);
  await setFlags(file, immutable);
  await expect(subject.volume.preallocate(file, 0, 90_000)).rejects.toMatchObject({ code: 'EPERM' });
  expect((await subject.statInode(file)).sizeBytes).toBe(50_000);
});

test('extended attributes are fixed too', async () => {
  const name = encoder.encode('user.a');
  const attribute = { name, value: bytes };
  const set = () => subject.volume.run((tx) => subject.volume.setExtendedAttribute(tx, file, attribute));
  await set();
  for (const flags of [immutable, appendOnly]) {
    await setFlags(file, flags);
    await expect(set()).rejects.toMatchObject({ code: 'EPERM' });
    const remove = subject.volume.run((tx) => subject.volume.removeExtendedAttribute(tx, file, name));
    await expect(remove).rejects.toMatchObject({ code: 'EPERM' });
  }
});

test('times that the kernel kept come in, and those that somebody sets do not', async () => {
  await setFlags(file, immutable);
  const changes = { modifySeconds: 5, modifyNanoseconds: 6, changeSeconds: 7, changeNanoseconds: 8 };
  const change = (kept: boolean) =>
    subject.volume.run((tx) => subject.volume.changeAttributes(tx, file, { ...changes, kept }));
  await expect(change(false)).rejects.toMatchObject({ code: 'EPERM' });
  await change(true);
  expect(await subject.statInode(file)).toMatchObject({ modifySeconds: 5, changeSeconds: 7 });
});

test('the project is kept, and told', async () => {
  await subject.volume.run((tx) => subject.volume.changeFlags(tx, file, { projectId: 0xffff_fffe }));
  expect(await subject.statInode(file)).toMatchObject({ projectId: 0xffff_fffe, flags: 0 });
});

describe('what is to be durable at once', () => {
  /** Does the transaction say so? */
  function saysSo(body: (tx: Transaction) => unknown): Promise<boolean> {
    return subject.volume.run((tx) => {
      body(tx);
      return tx.mustBeDurable;
    });
  }

  test.each([synchronous, synchronousDirectory])('names in a directory with flags %i', async (flags) => {
    const { volume } = subject;
    const request = { mode: FileType.regular | 0o644, deviceNumber: 0, caller: CALLER };
    const directory = await subject.mkdir('/d');
    const [a, b] = [encoder.encode('a'), encoder.encode('b')];
    const create = (tx: Transaction) => volume.create(tx, directory, a, request);
    const rename = (tx: Transaction) =>
      volume.rename(tx, { parent: directory, name: a }, { parent: ROOT_INODE, name: b });
    const link = (tx: Transaction) => volume.link(tx, file, { parent: directory, name: a });
    const unlink = (tx: Transaction) => volume.unlink(tx, directory, a);
    const mkdir = (tx: Transaction) =>
      volume.create(tx, directory, b, { ...request, mode: FileType.directory });
    const rmdir = (tx: Transaction) => volume.removeDirectory(tx, directory, b);
    const all = [create, rename, link, unlink, mkdir, rmdir];
    for (const step of all) expect(await saysSo(step)).toBe(false);
    await volume.run((tx) => volume.unlink(tx, ROOT_INODE, b));
    await setFlags(directory, flags);
    for (const step of all) expect(await saysSo(step)).toBe(true);
    expect(await saysSo((tx) => volume.unlink(tx, ROOT_INODE, b))).toBe(false);
  });

  test('what is written to a file, which is not answered early then', async () => {
    subject.early = true;
    expect(await subject.isDurableWrite(file, 0, bytes)).toBe(false);
    await setFlags(file, synchronous);
    expect(await subject.isDurableWrite(file, 0, bytes)).toBe(true);
    expect(await subject.isDurableWrite(file, 7, Buffer.alloc(9000))).toBe(true);
  });
});
