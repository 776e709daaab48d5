/**
 * The operations of a mount in memory, recorded from some moment on, lead to the tree that is there
 * in the end: names, places, types, links and sizes; and so does their replay on a model volume.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { emptyAttributes } from '../../src/fs/base/empty-attributes.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import { Opcode, SetattrValid } from '../../src/fuse/abi.ts';
import { OperationRecorder } from '../../src/fuse/operation-recorder.ts';
import { recordedTypeOf } from '../../src/fuse/tree-walk.ts';
import { RecordReader } from '../../src/record/record-reader.ts';
import { RecordWriter } from '../../src/record/record-writer.ts';
import { type RecordedOperation, RecordedType, RecordKind } from '../../src/record/recorded-operation.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { message, text, u32, u64 } from './fuse-fake-channel.ts';
import { FuseVolume } from './fuse-volume.ts';
import { replayedTree } from './replayed-tree.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 2 ** 20;
const ROOT = 1;
/** So much happens while some entries of a directory are told. */
const STEPS_PER_PAGE = 4;
const RENAME_EXCHANGE = 2;
const directory = mkdtempSync(join(tmpdir(), 'quarry-record-tree-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Somebody who does anything, within a few directories and names, so that much of it meets. */
class Meddler {
  readonly #random: SeededRandom;
  readonly #mount: FuseVolume;
  /** Inodes that were seen; some are gone. */
  readonly #directories: number[] = [ROOT];
  readonly #files: number[] = [];

  constructor(mount: FuseVolume, seed: number) {
    this.#mount = mount;
    this.#random = new SeededRandom(seed);
  }

  get #directory(): number {
    return this.#random.pick(this.#directories);
  }

  get #name(): string {
    return `n${this.#random.below(12)}`;
  }

  /** One request, which may fail. */
  async step(): Promise<void> {
    const random = this.#random;
    const kind = random.below(20);
    if (kind < 5)
      await this.#make(Opcode.MKNOD, Buffer.concat([u32(0o100644, 0, 0, 0), text(this.#name)]), this.#files);
    else if (kind < 8)
      await this.#make(Opcode.MKDIR, Buffer.concat([u32(0o755, 0), text(this.#name)]), this.#directories);
    else if (kind < 9) await this.#make(Opcode.SYMLINK, text(this.#name, 'x'.repeat(random.below(300))), []);
    else if (kind < 11) await this.#ask(Opcode.UNLINK, this.#directory, text(this.#name));
    else if (kind < 12) await this.#ask(Opcode.RMDIR, this.#directory, text(this.#name));
    else if (kind < 15) await this.#rename(0);
    else if (kind < 16) await this.#rename(RENAME_EXCHANGE);
    else if (this.#files.length === 0) return;
    else if (kind < 17)
      await this.#ask(
        Opcode.LINK,
        this.#directory,
        Buffer.concat([u64(random.pick(this.#files)), text(this.#name)]),
      );
    else if (kind < 19) await this.#write(random.pick(this.#files));
    else await this.#change(random.pick(this.#files));
  }

  /** Of the size, by any way that there is. */
  #change(inode: number): Promise<unknown> {
    const random = this.#random;
    const place = random.below(60_000);
    const length = 1 + random.below(9000);
    const dice = random.below(3);
    if (dice === 0) return this.#truncate(inode);
    if (dice === 1) {
      const mode = random.pick([0, 1, 3, 16, 17]);
      return this.#ask(Opcode.FALLOCATE, inode, Buffer.concat([u64(0, place, length), u32(mode, 0)]));
    }
    const body = u64(0, random.below(9000), random.pick(this.#files), 0, place, length, 0);
    return this.#ask(random.pick([Opcode.COPY_FILE_RANGE, Opcode.COPY_FILE_RANGE_64]), inode, body);
  }

  async #make(opcode: number, body: Buffer, into: number[]): Promise<void> {
    const { error, body: answer } = await this.#ask(opcode, this.#directory, body);
    if (error !== 0) return;
    const inode = Number(answer.readBigUInt64LE(0));
    into.push(inode);
    // Otherwise the number of what is removed would never be another's.
    this.#mount.channel.deliver(message(Opcode.FORGET, BigInt(inode), u64(1)));
  }

  #rename(flags: number): Promise<unknown> {
    const body = Buffer.concat([u64(this.#directory), u32(flags, 0), text(this.#name, this.#name)]);
    return this.#ask(Opcode.RENAME2, this.#directory, body);
  }

  #write(inode: number): Promise<unknown> {
    const lengthBytes = 1 + this.#random.below(9000);
    const head = Buffer.concat([u64(0, this.#random.below(60_000)), u32(lengthBytes, 0), u64(0), u32(1, 0)]);
    return this.#ask(Opcode.WRITE, inode, Buffer.concat([head, Buffer.alloc(lengthBytes)]));
  }

  #truncate(inode: number): Promise<unknown> {
    const body = Buffer.concat([
      u32(SetattrValid.SIZE, 0),
      u64(0, this.#random.below(40_000)),
      Buffer.alloc(64),
    ]);
    return this.#ask(Opcode.SETATTR, inode, body);
  }

  #ask(opcode: number, inode: number, body: Uint8Array) {
    return this.#mount.ask(opcode, inode, body);
  }
}

interface TreeFile {
  type: number;
  links: number;
  size: number;
  /** `parent/name` for each name that is known. */
  names: string[];
  /** It had more than one name at some time: a record does not say which of them went. */
  isShared?: boolean;
}

type Tree = Map<number, TreeFile>;

/** What is reached from the root. */
async function treeOf({ volume }: TestVolume): Promise<Tree> {
  const tree: Tree = new Map();
  const attributes = emptyAttributes();
  const read = (tx: Transaction, parent: number) => {
    const entries: [string, number][] = [];
    volume.readDirectory(tx, parent, 2, (name, inode) => {
      entries.push([Buffer.from(name).toString(), inode]);
      return true;
    });
    for (const [name, inode] of entries) {
      volume.readAttributes(tx, inode, attributes);
      const { mode, linkCount, sizeBytes } = attributes;
      const type = recordedTypeOf(mode);
      const isDirectory = type === RecordedType.directory;
      const file = tree.get(inode) ?? {
        type,
        links: isDirectory ? 1 : linkCount,
        size: isDirectory ? 0 : sizeBytes,
        names: [],
      };
      file.names.push(`${parent}/${name}`);
      tree.set(inode, file);
      if (isDirectory) read(tx, inode);
    }
  };
  await volume.run((tx) => {
    tree.clear();
    read(tx, ROOT);
  });
  return tree;
}

function moveName(file: TreeFile | undefined, from: number, to: string): void {
  if (file === undefined) return;
  const at = file.names.findIndex((name) => name.startsWith(`${from}/`));
  file.names.splice(Math.max(0, at), 1, to);
}

/** The tree that the operations of a record lead to. */
function perform(tree: Tree, operation: RecordedOperation): void {
  const { kind, inode, parent, newParent, replaced, type, sizeBytes } = operation;
  const file = tree.get(inode);
  const name = Buffer.from(operation.name).toString();
  const drop = (gone: number, from: number) => {
    const lost = tree.get(gone);
    if (lost === undefined) return;
    moveName(lost, from, 'gone');
    lost.names = lost.names.filter((one) => one !== 'gone');
    if (--lost.links === 0) tree.delete(gone);
  };
  if (kind === RecordKind.existing || kind === RecordKind.create) {
    const links = kind === RecordKind.create || type === RecordedType.directory ? 1 : operation.links;
    const size = type === RecordedType.directory ? 0 : sizeBytes;
    expect(tree.has(inode)).toBe(false);
    if (parent !== ROOT) expect(tree.get(parent)?.type).toBe(RecordedType.directory);
    tree.set(inode, { type, links, size, names: [`${parent}/${name}`], isShared: links > 1 });
  } else if (kind === RecordKind.unlink || kind === RecordKind.removeDirectory) drop(inode, parent);
  else if (kind === RecordKind.rename) {
    if (newParent !== ROOT) expect(tree.get(newParent)?.type).toBe(RecordedType.directory);
    if (replaced !== 0) drop(replaced, newParent);
    moveName(file, parent, `${newParent}/${name}`);
  } else if (file === undefined) return;
  else if (kind === RecordKind.link) {
    file.links++;
    file.isShared = true;
    file.names.push(`${parent}/${name}`);
  } else if (kind === RecordKind.write)
    file.size = Math.max(file.size, operation.offsetBytes + operation.lengthBytes);
  else if (kind === RecordKind.truncate) file.size = sizeBytes;
}

/** Inodes of which a record knows where they are, and under which name. */
function placedIn(tree: Tree): Set<number> {
  return new Set([...tree].filter(([, { isShared }]) => !isShared).map(([inode]) => inode));
}

/** What two trees have to have in common; the names of directories told on the way are not known. */
function comparable(tree: Tree, placed: ReadonlySet<number>, unnamed: ReadonlySet<number>): unknown[] {
  return [...tree]
    .sort(([one], [other]) => one - other)
    .map(([inode, { type, links, size, names }]) => {
      const [parent, name] = names[0]?.split('/') ?? [];
      const place = placed.has(inode) ? { parent, name: unnamed.has(inode) ? '' : name } : {};
      return { inode, type, links, size, ...place };
    });
}

interface Recorded {
  readonly file: string;
  readonly tree: Tree;
}

/** Records from the midst of the work on, and goes on. */
async function record(seed: number, before: number, meanwhile: boolean, after: number): Promise<Recorded> {
  const volume = await TestVolume.make(16 * MIB, 4096);
  const mount = new FuseVolume(volume);
  const meddler = new Meddler(mount, seed);
  for (let step = 0; step < before; step++) await meddler.step();
  const parts: Uint8Array[] = [];
  const target = { write: async (bytes: Uint8Array) => void parts.push(bytes), close: async () => {} };
  const description = {
    blockBytes: 4096,
    volumeBytes: 16 * MIB,
    usedBytes: 0,
    names: 'plain' as const,
    began: '',
  };
  let now = 0;
  const writer = new RecordWriter(target, { description, now: () => (now += 100), failed: () => {} });
  const recorder = new OperationRecorder(volume.volume, writer);
  await mount.session.watch(recorder.handlerOf);
  let isTold = false;
  const telling = recorder.tellTree().then(() => {
    isTold = true;
  });
  while (!isTold) {
    for (let step = 0; meanwhile && step < STEPS_PER_PAGE; step++) await meddler.step();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await telling;
  for (let step = 0; step < after; step++) await meddler.step();
  await mount.session.watch();
  recorder.end();
  await writer.end();
  const file = join(directory, `${seed}.quarry-record`);
  writeFileSync(file, Buffer.concat(parts));
  const tree = await treeOf(volume);
  expect(mount.lines).toEqual([]);
  return { file, tree };
}

function recordedTree(file: string): Tree {
  const reader = new RecordReader(file);
  const tree: Tree = new Map();
  for (const operation of reader.operations()) perform(tree, operation);
  expect(reader.isWhole).toBe(true);
  reader.close();
  return tree;
}

test.each([
  ['an empty volume', 0, false, 15],
  ['a volume in rest', 400, false, 15],
  ['a volume in use', 600, true, 80],
])(
  'from %s on',
  async (_, before, meanwhile, seeds) => {
    for (let seed = 1; seed <= seeds; seed++) {
      const { file, tree } = await record(seed, before, meanwhile, 200);
      const recorded = recordedTree(file);
      const placed = placedIn(recorded);
      const isUnnamed = ({ names }: TreeFile) => names[0]?.endsWith('/') ?? false;
      const unnamed = new Set([...recorded].filter(([, file]) => isUnnamed(file)).map(([inode]) => inode));
      expect(comparable(recorded, placed, unnamed)).toEqual(comparable(tree, placed, unnamed));
    }
  },
  60_000,
);

test('the replay has files of the same sizes', async () => {
  for (const seed of [101, 102, 103, 104, 105, 106]) {
    const { file, tree } = await record(seed, 300, true, 600);
    const files = [...tree.values()].filter(({ type }) => type !== RecordedType.directory);
    const sizes = files.map(({ size }) => size).sort((one, other) => one - other);
    const directories = tree.size - files.length;
    expect(await replayedTree(file, 64 * MIB)).toEqual({ sizes, directories, refused: 0 });
  }
}, 60_000);

test('nothing of it is in the bytes but what was told', async () => {
  const { file } = await record(7, 50, false, 0);
  expect(readFileSync(file).length).toBeLessThan(1500);
});

/** Keeps what it is given to write. */
class HoldingDevice extends MemoryDevice {
  isHolding = false;
  #held: Parameters<MemoryDevice['write']>[] = [];

  override write(...request: Parameters<MemoryDevice['write']>): void {
    if (this.isHolding) this.#held.push(request);
    else super.write(...request);
  }

  letGo(): void {
    this.isHolding = false;
    for (const request of this.#held.splice(0)) super.write(...request);
    this.submit();
  }
}

test('what is under way when a record begins is waited for, and is in the tree that is told', async () => {
  const device = new HoldingDevice(16 * MIB);
  await formatted(device, 4096);
  const volume = await TestVolume.open(device);
  const mount = new FuseVolume(volume);
  await mount.mknod(ROOT, 'file');
  const inode = await volume.resolve('/file');
  device.isHolding = true;
  const head = Buffer.concat([u64(0, 0), u32(50_000, 0), u64(0), u32(1, 0)]);
  const body = Buffer.concat([head, Buffer.alloc(50_000)]);
  mount.channel.deliver(message(Opcode.WRITE, BigInt(inode), body));
  const told: RecordedOperation[] = [];
  const sink = { add: (operation: RecordedOperation) => void told.push({ ...operation }) };
  const recorder = new OperationRecorder(volume.volume, sink);
  let isWatched = false;
  const watching = mount.session.watch(recorder.handlerOf).then(() => {
    isWatched = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(isWatched).toBe(false);
  device.letGo();
  await watching;
  await recorder.tellTree();
  const [existing, begun, ...others] = told;
  expect(existing).toMatchObject({ kind: RecordKind.existing, inode, sizeBytes: 50_000 });
  expect(begun?.kind).toBe(RecordKind.begun);
  expect(others).toEqual([]);
});
