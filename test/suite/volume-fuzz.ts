/**
 * Random operations on a volume and on a naive model of it, step by step, with remounts between; at
 * the end the checker must find nothing, and after removing everything the free space must be what
 * it was after mkfs.
 */

import type { AllocatorDefinition } from '../../src/alloc/allocator.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { FsError } from '../../src/fs/base/errors.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { formatted, TestVolume } from './volume-harness.ts';

interface ModelFile {
  data: Uint8Array;
  links: number;
  readonly attributes: Map<string, Uint8Array>;
}
type ModelNode =
  | { kind: 'file'; file: ModelFile }
  | { kind: 'directory' }
  | { kind: 'symlink'; target: string };

export interface FuzzOptions {
  seed: number;
  steps: number;
  blockBytes: number;
  volumeBytes: number;
  allocator?: AllocatorDefinition;
}

const MOST_FILE_BYTES = 600_000;

class Fuzz {
  readonly random: SeededRandom;
  readonly model = new Map<string, ModelNode>([['', { kind: 'directory' }]]);
  volume!: TestVolume;
  counter = 0;

  constructor(readonly options: FuzzOptions) {
    this.random = new SeededRandom(options.seed);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)] as T;
  }

  paths(kind: ModelNode['kind']): string[] {
    return [...this.model].filter(([, node]) => node.kind === kind).map(([path]) => path);
  }

  newPath(): string {
    const length = this.random.below(4) === 0 ? 1 + this.random.below(200) : 6;
    const name = `${this.counter++}-${'x'.repeat(length)}`;
    return `${this.pick(this.paths('directory'))}/${name}`;
  }

  /** Performs and returns true; ENOSPC is allowed to happen and changes nothing. */
  async attempt(action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (thrown) {
      if (thrown instanceof FsError && thrown.code === 'ENOSPC') return false;
      throw thrown;
    }
  }

  randomData(length: number): Uint8Array {
    const data = new Uint8Array(length);
    const salt = this.random.below(255) + 1;
    for (let i = 0; i < length; i++) data[i] = (i * 7 + salt) & 0xff || 1;
    return data;
  }

  async createFile(): Promise<void> {
    const path = this.newPath();
    if (await this.attempt(() => this.volume.create(path))) {
      this.model.set(path, {
        kind: 'file',
        file: { data: new Uint8Array(0), links: 1, attributes: new Map() },
      });
    }
  }

  async createDirectory(): Promise<void> {
    const path = this.newPath();
    if (await this.attempt(() => this.volume.mkdir(path))) this.model.set(path, { kind: 'directory' });
  }

  async createSymlink(): Promise<void> {
    const path = this.newPath();
    const target = 't'.repeat(1 + this.random.below(this.random.below(3) === 0 ? 4000 : 60));
    if (await this.attempt(() => this.volume.symlink(target, path))) {
      this.model.set(path, { kind: 'symlink', target });
    }
  }

  file(): { path: string; file: ModelFile } | undefined {
    const paths = this.paths('file');
    if (paths.length === 0) return undefined;
    const path = this.pick(paths);
    const node = this.model.get(path);
    return node?.kind === 'file' ? { path, file: node.file } : undefined;
  }

  async write(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { path, file } = found;
    const styles = [300, 5000, 200_000];
    const length = 1 + this.random.below(this.pick(styles));
    let offset = this.random.below(3) === 0 ? file.data.length : this.random.below(MOST_FILE_BYTES - length);
    if (this.random.below(4) === 0) offset = Math.floor(offset / 4096) * 4096;
    if (this.random.below(3) === 0) offset = this.random.below(400);
    if (offset + length > MOST_FILE_BYTES) offset = 0;
    const data = this.randomData(length);
    const inode = await this.volume.resolve(path);
    this.volume.early = this.random.below(2) === 0;
    if (!(await this.attempt(() => this.volume.write(inode, offset, data)))) return;
    const grown = new Uint8Array(Math.max(file.data.length, offset + length));
    grown.set(file.data);
    grown.set(data, offset);
    file.data = grown;
  }

  /** Several writes to one file at once, in disjoint ranges that share blocks. */
  async writeTogether(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { path, file } = found;
    const inode = await this.volume.resolve(path);
    const piece = 1 + this.random.below(9000);
    const start = this.random.below(100_000);
    const pieces = [0, 1, 2, 3].map((i) => ({ offset: start + i * piece, data: this.randomData(piece) }));
    const done = await Promise.all(
      pieces.map(({ offset, data }) => this.attempt(() => this.volume.write(inode, offset, data))),
    );
    pieces.forEach(({ offset, data }, i) => {
      if (!done[i]) return;
      const grown = new Uint8Array(Math.max(file.data.length, offset + data.length));
      grown.set(file.data);
      grown.set(data, offset);
      file.data = grown;
    });
  }

  async preallocate(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { path, file } = found;
    const offset = this.random.below(this.pick([300, MOST_FILE_BYTES - 100_000]));
    const length = 1 + this.random.below(this.pick([200, 100_000]));
    const inode = await this.volume.resolve(path);
    if (!(await this.attempt(() => this.volume.volume.preallocate(inode, offset, length)))) return;
    const grown = new Uint8Array(Math.max(file.data.length, offset + length));
    grown.set(file.data);
    file.data = grown;
  }

  /** All of a file, while another one, or the same, is written to. */
  async defragment(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { volume } = this.volume;
    const inode = await this.volume.resolve(found.path);
    const move = async () => {
      for (let from = 0; Number.isFinite(from); )
        from = (await volume.defragment({ inode, from, dryRun: false })).next;
    };
    await Promise.all([move(), this.random.below(2) === 0 ? this.write() : this.truncate()]);
  }

  async setAttribute(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { path, file } = found;
    const { volume } = this.volume;
    const inode = await this.volume.resolve(path);
    const name = `user.${this.random.below(5)}`;
    const value = this.randomData(this.random.below(this.pick([1, 60, 600, 6000])));
    const set = () =>
      volume.run((tx) =>
        volume.setExtendedAttribute(tx, inode, { name: new TextEncoder().encode(name), value }),
      );
    if (await this.attempt(set)) file.attributes.set(name, value);
  }

  async removeAttribute(): Promise<void> {
    const found = this.file();
    const [name] = found?.file.attributes.keys() ?? [];
    if (!found || name === undefined) return;
    const { volume } = this.volume;
    const inode = await this.volume.resolve(found.path);
    await volume.run((tx) => volume.removeExtendedAttribute(tx, inode, new TextEncoder().encode(name)));
    found.file.attributes.delete(name);
  }

  async truncate(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { path, file } = found;
    const size = this.pick([0, this.random.below(400), this.random.below(MOST_FILE_BYTES)]);
    if (!(await this.attempt(() => this.volume.truncate(path, size)))) return;
    const data = new Uint8Array(size);
    data.set(file.data.subarray(0, size));
    file.data = data;
  }

  async readSome(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const { path, file } = found;
    const offset = this.random.below(file.data.length + 100);
    const length = 1 + this.random.below(300_000);
    const seen = await this.volume.read(await this.volume.resolve(path), offset, length);
    expectSame(path, offset, seen, file.data.subarray(offset, offset + length));
  }

  async link(): Promise<void> {
    const found = this.file();
    if (!found) return;
    const path = this.newPath();
    if (!(await this.attempt(() => this.volume.link(found.path, path)))) return;
    found.file.links++;
    this.model.set(path, { kind: 'file', file: found.file });
  }

  isEmpty(directory: string): boolean {
    for (const path of this.model.keys()) if (path.startsWith(`${directory}/`)) return false;
    return true;
  }

  forgetPath(path: string): void {
    const node = this.model.get(path);
    if (node?.kind === 'file') node.file.links--;
    this.model.delete(path);
  }

  async remove(): Promise<void> {
    const paths = [...this.model.keys()].filter((path) => path !== '');
    if (paths.length === 0) return;
    const path = this.pick(paths);
    if (this.model.get(path)?.kind === 'directory') {
      if (!this.isEmpty(path)) return;
      await this.volume.rmdir(path);
    } else await this.volume.unlink(path);
    this.forgetPath(path);
  }

  async rename(): Promise<void> {
    const paths = [...this.model.keys()].filter((path) => path !== '');
    if (paths.length === 0) return;
    const from = this.pick(paths);
    const node = this.model.get(from) as ModelNode;
    const replaced = this.random.below(2) === 0 ? this.pick(paths) : undefined;
    const to = replaced ?? this.newPath();
    if (to === from || to.startsWith(`${from}/`) || from.startsWith(`${to}/`)) return;
    const target = this.model.get(to);
    if (target) {
      if ((target.kind === 'directory') !== (node.kind === 'directory')) return;
      if (target.kind === 'directory' && !this.isEmpty(to)) return;
      if (target.kind === 'file' && node.kind === 'file' && target.file === node.file) return;
    }
    if (!(await this.attempt(() => this.volume.rename(from, to)))) return;
    if (target) this.forgetPath(to);
    for (const [path, moved] of [...this.model]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.model.delete(path);
      this.model.set(to + path.slice(from.length), moved);
    }
  }

  async verify(): Promise<void> {
    for (const [path, node] of this.model) {
      if (node.kind === 'directory') await this.verifyDirectory(path);
      else if (node.kind === 'symlink') {
        if ((await this.volume.readlink(path)) !== node.target) throw new Error(`${path}: wrong target`);
      } else await this.verifyFile(path, node.file);
    }
  }

  async verifyDirectory(path: string): Promise<void> {
    const expected = [...this.model.keys()]
      .filter((other) => other !== '' && other.slice(0, other.lastIndexOf('/')) === path)
      .map((other) => other.slice(path.length + 1))
      .sort();
    const seen = await this.volume.list(path);
    if (seen.join('\n') !== expected.join('\n')) throw new Error(`${path}: entries differ`);
  }

  async verifyFile(path: string, file: ModelFile): Promise<void> {
    const inode = await this.volume.resolve(path);
    const stat = await this.volume.statInode(inode);
    if (stat.sizeBytes !== file.data.length) {
      throw new Error(`${path}: size ${stat.sizeBytes}, expected ${file.data.length}`);
    }
    if (stat.linkCount !== file.links) {
      throw new Error(`${path}: ${stat.linkCount} links, expected ${file.links}`);
    }
    expectSame(path, 0, await this.volume.read(inode, 0, file.data.length + 1), file.data);
    await this.verifyAttributes(path, inode, file);
  }

  async verifyAttributes(path: string, inode: number, { attributes }: ModelFile): Promise<void> {
    const { volume } = this.volume;
    const names = await volume.run((tx) => volume.listExtendedAttributes(tx, inode));
    if (names.length !== attributes.size) throw new Error(`${path}: ${names.length} attributes`);
    for (const name of names) {
      const value = await volume.run((tx) => volume.getExtendedAttribute(tx, inode, name));
      const text = new TextDecoder().decode(name);
      expectSame(`${path}@${text}`, 0, value, attributes.get(text) ?? new Uint8Array(0));
    }
  }

  async remount(): Promise<void> {
    await this.volume.volume.unmount();
    const { device } = this.volume;
    const result = await checkVolume((device as MemoryDevice).reopen());
    if (!result.clean) throw new Error(`the checker found: ${JSON.stringify(result.problems.slice(0, 5))}`);
    this.volume = await TestVolume.open((device as MemoryDevice).reopen(), this.volumeOptions());
  }

  volumeOptions() {
    return { allocator: this.options.allocator, cacheBytes: 4 * 1024 * 1024 };
  }

  async removeAll(): Promise<void> {
    const paths = [...this.model.keys()].filter((path) => path !== '').sort((a, b) => b.length - a.length);
    for (const path of paths.sort((a, b) => depth(b) - depth(a))) {
      if (this.model.get(path)?.kind === 'directory') await this.volume.rmdir(path);
      else await this.volume.unlink(path);
      this.model.delete(path);
    }
  }
}

function depth(path: string): number {
  return path.split('/').length;
}

function expectSame(path: string, offset: number, seen: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(seen, expected) === 0) return;
  const at = seen.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(
    `${path}: read ${seen.length} bytes at ${offset}, expected ${expected.length}; first difference at ${offset + at}: ${seen[at]} instead of ${expected[at]}`,
  );
}

const ACTIONS = [
  ['createFile', 8],
  ['createDirectory', 3],
  ['createSymlink', 1],
  ['write', 20],
  ['writeTogether', 3],
  ['truncate', 5],
  ['setAttribute', 5],
  ['removeAttribute', 3],
  ['preallocate', 5],
  ['defragment', 4],
  ['readSome', 10],
  ['link', 2],
  ['remove', 8],
  ['rename', 4],
] as const;
const WEIGHTED = ACTIONS.flatMap(([name, weight]) => Array<(typeof ACTIONS)[number][0]>(weight).fill(name));

/** @throws Error at the first disagreement between volume and model. */
export async function fuzzVolume(options: FuzzOptions): Promise<void> {
  const fuzz = new Fuzz(options);
  const device = new MemoryDevice(options.volumeBytes);
  await formatted(device, options.blockBytes);
  fuzz.volume = await TestVolume.open(device, fuzz.volumeOptions());
  const before = await fuzz.volume.statistics();
  for (let step = 0; step < options.steps; step++) {
    const action = fuzz.pick(WEIGHTED);
    try {
      await fuzz[action]();
      await fuzz.volume.volume.checkInvariants();
      if (fuzz.random.below(40) === 0) await fuzz.volume.volume.sync();
      if (fuzz.random.below(150) === 0) await fuzz.remount();
      if (fuzz.random.below(100) === 0) await fuzz.verify();
    } catch (thrown) {
      throw new Error(`step ${step} (${action}): ${(thrown as Error).stack}`);
    }
  }
  await fuzz.verify();
  await fuzz.remount();
  await fuzz.verify();
  await fuzz.removeAll();
  await fuzz.remount();
  const after = await fuzz.volume.statistics();
  if (after.freeBlocks !== before.freeBlocks || after.inodes !== before.inodes) {
    throw new Error(
      `after removing everything: ${JSON.stringify(after)}, after mkfs: ${JSON.stringify(before)}`,
    );
  }
  await fuzz.volume.volume.unmount();
}
