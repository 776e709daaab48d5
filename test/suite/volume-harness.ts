/** A volume in memory for tests: promises instead of callbacks, paths instead of inode numbers. */
import type { Device } from '../../src/aio/device.ts';
import { emptyAttributes, emptyStatistics } from '../../src/fs/base/empty-attributes.ts';
import { fsError } from '../../src/fs/base/errors.ts';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  Claimant,
  ReadRequest,
  SpaceStatistics,
  WriteRequest,
} from '../../src/fs/base/filesystem.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import type { VolumeOptions } from '../../src/fs/life/volume-options.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import { openVolume, type Volume } from '../../src/fs/volume.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export const CALLER: Caller = { uid: 1000, gid: 1000, umask: 0o022 };

export async function formatted(
  device: Device,
  blockBytes: number,
  journalBlocks?: number,
  sizeBytes = device.sizeBytes,
  features?: ReadonlySet<string>,
): Promise<void> {
  await formatVolume(device, {
    sizeBytes,
    blockBytes,
    ...(journalBlocks === undefined ? {} : { journalBlocks }),
    label: 'test',
    uuid: new Uint8Array(16).map((_, i) => i + 1),
    journalSalt: new Uint8Array(8).map((_, i) => i * 31),
    nameSecret: new Uint8Array(16).map((_, i) => i * 31),
    uid: 0,
    gid: 0,
    ...(features ? { features } : {}),
  });
}

export class TestVolume {
  /** Writes may be answered before they are done. */
  early = false;
  /** Writes come from a cache: what is lost of them is kept also when it is told. */
  fromCache = false;
  /** Whose operations these are; nobody's are limited. */
  asker: Claimant | undefined;
  caller: Caller = CALLER;

  /** Who writes keeps the times of files himself, as the kernel's write-back cache does. */
  keepsTimes = false;
  /** Writes are an ordinary user's: they take set-user-id away. */
  killsPrivileges = false;

  constructor(
    readonly device: Device,
    readonly volume: Volume,
  ) {}

  static async make(sizeBytes: number, blockBytes: number, options: VolumeOptions = {}): Promise<TestVolume> {
    const device = new MemoryDevice(sizeBytes);
    await formatted(device, blockBytes);
    return TestVolume.open(device, options);
  }

  static async open(device: Device, options: VolumeOptions = {}): Promise<TestVolume> {
    return new TestVolume(device, await openVolume(device, { commitSeconds: 0, thorough: true, ...options }));
  }

  /** One transaction, asked for by `asker`. */
  run<T>(body: (tx: Transaction) => T): Promise<T> {
    return this.volume.run(body, this.asker);
  }

  async resolve(path: string): Promise<number> {
    let inode = ROOT_INODE;
    for (const part of path.split('/').filter((name) => name !== '')) {
      const parent = inode;
      inode = await this.run((tx) => this.volume.lookup(tx, parent, encoder.encode(part)));
      if (inode === 0) throw fsError('ENOENT');
    }
    return inode;
  }

  async #split(path: string): Promise<[number, Uint8Array]> {
    const slash = path.lastIndexOf('/');
    return [await this.resolve(path.slice(0, slash)), encoder.encode(path.slice(slash + 1))];
  }

  async create(path: string, mode = FileType.regular | 0o644, deviceNumber = 0): Promise<number> {
    const [parent, name] = await this.#split(path);
    return this.run((tx) =>
      this.volume.create(tx, parent, name, { mode, deviceNumber, caller: this.caller }),
    );
  }

  mkdir(path: string): Promise<number> {
    return this.create(path, FileType.directory | 0o755);
  }

  async symlink(target: string, path: string): Promise<number> {
    const [parent, name] = await this.#split(path);
    const request = { target: encoder.encode(target), caller: this.caller };
    return this.run((tx) => this.volume.symlink(tx, parent, name, request));
  }

  async readlink(path: string): Promise<string> {
    const inode = await this.resolve(path);
    return decoder.decode(await this.run((tx) => this.volume.readSymlink(tx, inode).slice()));
  }

  async link(from: string, to: string): Promise<void> {
    const inode = await this.resolve(from);
    const [parent, name] = await this.#split(to);
    await this.run((tx) => this.volume.link(tx, inode, { parent, name }));
  }

  async unlink(path: string): Promise<void> {
    const [parent, name] = await this.#split(path);
    await this.run((tx) => this.volume.unlink(tx, parent, name));
  }

  async rmdir(path: string): Promise<void> {
    const [parent, name] = await this.#split(path);
    await this.run((tx) => this.volume.removeDirectory(tx, parent, name));
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    const [parent, name] = await this.#split(from);
    const [newParent, newName] = await this.#split(to);
    const place = { parent: newParent, name: newName };
    await this.run((tx) => this.volume.rename(tx, { parent, name }, place, { flags }));
  }

  async list(path: string): Promise<string[]> {
    const inode = await this.resolve(path);
    const names: string[] = [];
    let cookie = 0;
    for (;;) {
      const before = cookie;
      const page = await this.run((tx) => {
        const found: [string, number][] = [];
        this.volume.readDirectory(tx, inode, before, (name, _inode, _type, next) => {
          if (found.length === 50) return false;
          found.push([decoder.decode(name), next]);
          return true;
        });
        return found;
      });
      const last = page.at(-1);
      if (!last) return names.filter((name) => name !== '.' && name !== '..').sort();
      cookie = last[1];
      names.push(...page.map(([name]) => name));
    }
  }

  async stat(path: string): Promise<Attributes> {
    return this.statInode(await this.resolve(path));
  }

  statInode(inode: number): Promise<Attributes> {
    return this.run((tx) => {
      const into = emptyAttributes();
      this.volume.readAttributes(tx, inode, into);
      return into;
    });
  }

  async change(path: string, changes: AttributeChanges): Promise<void> {
    const inode = await this.resolve(path);
    await this.run((tx) => this.volume.changeAttributes(tx, inode, changes));
  }

  async truncate(path: string, sizeBytes: number): Promise<void> {
    await this.volume.setSize(await this.resolve(path), sizeBytes, false, this.asker);
  }

  async write(inode: number, offsetBytes: number, data: Uint8Array): Promise<void> {
    await this.isDurableWrite(inode, offsetBytes, data);
  }

  /** Writes; is whoever wrote to be answered when it is durable? */
  isDurableWrite(inode: number, offsetBytes: number, data: Uint8Array): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const memory = this.device.allocateMemory(pageUp(data.length) + 2 * this.volume.blockBytes + 8192);
      memory.bytes.fill(0xee);
      memory.bytes.set(data, 4096);
      const request: WriteRequest = {
        inode,
        offsetBytes,
        lengthBytes: data.length,
        memory,
        memoryOffset: 4096,
        updateTimes: !this.keepsTimes,
        killPrivileges: this.killsPrivileges,
        mayEndEarly: this.early,
        fromCache: this.fromCache,
        isLimited: this.asker?.isLimited === true,
        finished: (thrown) =>
          thrown === undefined ? resolve(request.mustBeDurable === true) : reject(thrown),
      };
      this.volume.write(request);
      this.volume.submit();
    });
  }

  read(inode: number, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const memory = this.device.allocateMemory(pageUp(lengthBytes) + 2 * this.volume.blockBytes + 8192);
      memory.bytes.fill(0xdd);
      const request: ReadRequest = {
        inode,
        offsetBytes,
        lengthBytes,
        memory,
        memoryOffset: 4096,
        resultOffset: 0,
        resultBytes: 0,
        movesAccessTime: true,
        finished: (thrown) => {
          const { resultOffset, resultBytes } = request;
          if (thrown === undefined) resolve(memory.bytes.slice(resultOffset, resultOffset + resultBytes));
          else reject(thrown);
        },
      };
      this.volume.read(request);
      this.volume.submit();
    });
  }

  statistics(): Promise<SpaceStatistics> {
    return this.run((tx) => {
      const into = emptyStatistics();
      this.volume.statistics(tx, into);
      return into;
    });
  }

  /** Unmounts and mounts again, with a cold cache. */
  async remount(options: VolumeOptions = {}): Promise<TestVolume> {
    const copy = (this.device as MemoryDevice).clone.bind(this.device);
    await this.volume.unmount();
    return TestVolume.open(copy(), options);
  }
}

function pageUp(length: number): number {
  return Math.ceil(length / 4096) * 4096;
}
