/**
 * What is done to a mounted image: everything that can be reached is looked at and read, then a
 * little of everything is changed.
 *
 * Whatever the disk says, an operation ends well or with an error of the volume (`FsError`,
 * `CorruptionError`); anything else that is thrown goes through to the caller, who has found a bug.
 * Each step is bounded: a directory that goes in circles is entered once, a file of a petabyte is
 * read here and there.
 */

import { emptyAttributes } from '../../src/fs/base/empty-attributes.ts';
import { CorruptionError, FsError } from '../../src/fs/base/errors.ts';
import { type Attributes, FileFlag, RenameFlag } from '../../src/fs/base/filesystem.ts';
import { FileType, QuotaKind, ROOT_INODE } from '../../src/fs/format/format.ts';
import type { SeededRandom } from '../../src/sim/seeded-random.ts';
import { aclBytes } from '../suite/acl-bytes.ts';
import { CALLER, type TestVolume } from '../suite/volume-harness.ts';

/** No base has as many entries in all; more mean that a listing does not end. */
const MOST_ENTRIES = 20_000;
const MOST_INODES = 2000;
const READ_WHOLE_BYTES = 128 * 1024;

export class EndlessListing extends Error {}

interface Seen {
  readonly inode: number;
  readonly parent: number;
  readonly name: Uint8Array;
}

const ACLS = ['u::rwx,g::r-x,o::---', 'u::rw-,u:9:rwx,g::r--,m::rwx,o::r--'].map(aclBytes);
const encoder = new TextEncoder();

export class Exercise {
  /** Errors of the volume that were met, first of each message. */
  readonly errors = new Map<string, unknown>();
  /** What is being attempted, for whoever finds that it does not end. */
  doing = '';
  readonly #volume: TestVolume;
  readonly #random: SeededRandom;
  readonly #directories: Seen[] = [{ inode: ROOT_INODE, parent: ROOT_INODE, name: encoder.encode('/') }];
  readonly #files: Seen[] = [];
  readonly #others: Seen[] = [];

  constructor(volume: TestVolume, random: SeededRandom) {
    this.#volume = volume;
    this.#random = random;
  }

  async #attempt<T>(what: string, action: () => Promise<T>): Promise<T | undefined> {
    this.doing = what;
    try {
      return await action();
    } catch (thrown) {
      if (!(thrown instanceof FsError || thrown instanceof CorruptionError)) throw thrown;
      const key = `${what}: ${thrown.message}`;
      if (!this.errors.has(key)) this.errors.set(key, thrown);
      return undefined;
    }
  }

  // ---- look ----

  /** Visits what can be reached from the root, at most so many inodes. */
  async walk(most = MOST_INODES): Promise<void> {
    const met = new Set<number>([ROOT_INODE]);
    for (let next = 0; next < this.#directories.length; next++) {
      const directory = this.#directories[next] as Seen;
      for (const seen of await this.#list(directory.inode)) {
        if (met.has(seen.inode) || met.size > most) continue;
        met.add(seen.inode);
        await this.#visit(seen);
      }
    }
  }

  async #list(inode: number): Promise<Seen[]> {
    const found: Seen[] = [];
    for (let cookie = 0; ; ) {
      const page = await this.#attempt('readdir', () => this.#page(inode, cookie));
      if (page === undefined || page.length === 0) return found;
      for (const { name, number, next } of page) {
        if (!(next > cookie)) throw new EndlessListing(`directory ${inode}: cookie ${next} after ${cookie}`);
        cookie = next;
        if (next > 2) found.push({ inode: number, parent: inode, name });
      }
      if (found.length > MOST_ENTRIES) throw new EndlessListing(`directory ${inode} has no end`);
    }
  }

  #page(inode: number, cookie: number): Promise<{ name: Uint8Array; number: number; next: number }[]> {
    const { volume } = this.#volume;
    return volume.run((tx) => {
      const page: { name: Uint8Array; number: number; next: number }[] = [];
      volume.readDirectory(tx, inode, cookie, (name, number, _type, next) => {
        page.push({ name: name.slice(), number, next });
        return page.length < 200;
      });
      return page;
    });
  }

  async #visit(seen: Seen): Promise<void> {
    const { inode, parent, name } = seen;
    const { volume } = this.#volume;
    await this.#attempt('lookup', () => volume.run((tx) => volume.lookup(tx, parent, name)));
    const attributes = await this.#attempt('getattr', () => this.#attributes(inode));
    if (attributes === undefined) return;
    await this.#attempt('listxattr', () => this.#readExtended(inode));
    const type = attributes.mode & 0o170000;
    if (type === FileType.directory) this.#directories.push(seen);
    else if (type === FileType.regular) {
      this.#files.push(seen);
      await this.#readFile(inode, attributes.sizeBytes);
    } else {
      this.#others.push(seen);
      if (type === FileType.symlink) await this.#attempt('readlink', () => this.#readlink(inode));
    }
  }

  #attributes(inode: number): Promise<Attributes> {
    const { volume } = this.#volume;
    return volume.run((tx) => {
      const into = emptyAttributes();
      volume.readAttributes(tx, inode, into);
      return into;
    });
  }

  /** All names and values. */
  async #readExtended(inode: number): Promise<void> {
    const { volume } = this.#volume;
    for (const name of await volume.run((tx) => volume.listExtendedAttributes(tx, inode)))
      await volume.run((tx) => volume.getExtendedAttribute(tx, inode, name));
  }

  async #changeExtended(inode: number): Promise<void> {
    const random = this.#random;
    const { volume } = this.#volume;
    const [text, value] = random.chance(0.7)
      ? [random.pick(['user.small', 'user.', 'user.new', 'security.capability']), this.#value()]
      : [`system.posix_acl_${random.pick(['access', 'default'])}`, random.pick(ACLS)];
    const name = encoder.encode(text);
    await this.#attempt('setxattr', () =>
      volume.run((tx) => volume.setExtendedAttribute(tx, inode, { name, value })),
    );
    if (random.chance(0.5)) return;
    await this.#attempt('removexattr', () =>
      volume.run((tx) => volume.removeExtendedAttribute(tx, inode, name)),
    );
  }

  #value(): Uint8Array {
    return new Uint8Array(this.#random.pick([0, 20, 300, 2000])).fill(0x5a);
  }

  async #chmod(inode: number): Promise<void> {
    const { volume } = this.#volume;
    const mode = this.#random.below(0o7777);
    await this.#attempt('chmod', () => volume.run((tx) => volume.changeAttributes(tx, inode, { mode })));
  }

  async #readlink(inode: number): Promise<void> {
    const { volume } = this.#volume;
    await volume.run((tx) => volume.readSymlink(tx, inode));
  }

  async #readFile(inode: number, sizeBytes: number): Promise<void> {
    if (sizeBytes <= READ_WHOLE_BYTES) {
      await this.#read(inode, 0, sizeBytes + 1);
      return;
    }
    const places = [
      0,
      sizeBytes - 5000,
      sizeBytes / 2,
      2 ** 20,
      this.#random.uint32(),
      this.#random.uint32() * 2 ** 10,
    ];
    for (const place of places) await this.#read(inode, Math.max(0, Math.floor(place)), 20_000);
    await this.#attempt('lseek', () => this.#volume.volume.seek(inode, 0, 'hole'));
    await this.#attempt('lseek', () => this.#volume.volume.seek(inode, Math.floor(sizeBytes / 2), 'data'));
  }

  async #read(inode: number, offset: number, length: number): Promise<void> {
    await this.#attempt('read', () => this.#volume.read(inode, offset, length));
  }

  async statistics(): Promise<void> {
    await this.#attempt('statfs', () => this.#volume.statistics());
  }

  // ---- change ----

  /** A little of everything, where the walk has been. */
  async change(): Promise<void> {
    const random = this.#random;
    for (let i = 0; i < 3; i++) await this.#make(random.pick(this.#directories).inode, i);
    for (let i = 0; i < 3 && this.#files.length > 0; i++) await this.#write(random.pick(this.#files).inode);
    for (let i = 0; i < 3 && this.#files.length > 0; i++) await this.#resize(random.pick(this.#files).inode);
    for (let i = 0; i < 3 && this.#files.length > 0; i++)
      await this.#fallocate(random.pick(this.#files).inode);
    if (this.#files.length > 0)
      await this.#copy(random.pick(this.#files).inode, random.pick(this.#files).inode);
    await this.#attempt('sync', () => this.#volume.volume.sync());
    const all = [...this.#directories, ...this.#files, ...this.#others];
    for (let i = 0; i < 3; i++) await this.#changeExtended(random.pick(all).inode);
    for (let i = 0; i < 3; i++) await this.#chmod(random.pick(all).inode);
    for (let i = 0; i < 2; i++) await this.#setFlags(random.pick(all).inode);
    for (let i = 0; i < 3; i++) await this.#give(random.pick(all).inode);
    await this.#limit();
    for (let i = 0; i < 3; i++) await this.#rename();
    for (let i = 0; i < 4; i++) await this.#remove();
    await this.#attempt('sync', () => this.#volume.volume.sync());
  }

  async #make(parent: number, count: number): Promise<void> {
    const { volume } = this.#volume;
    const name = (text: string) => encoder.encode(`hostile-${count}-${text}`);
    const make = (text: string, mode: number) =>
      this.#attempt('create', () =>
        volume.run((tx) => volume.create(tx, parent, name(text), { mode, deviceNumber: 0, caller: CALLER })),
      );
    const file = await make('file', FileType.regular | 0o644);
    if (file !== undefined) await this.#write(file);
    await make('directory', FileType.directory | 0o755);
    const target = encoder.encode('t'.repeat(1 + this.#random.below(2000)));
    await this.#attempt('symlink', () =>
      volume.run((tx) => volume.symlink(tx, parent, name('link'), { target, caller: CALLER })),
    );
    await this.#makeUnnamed(parent, name('unnamed'));
    const old = this.#files[0];
    if (old === undefined) return;
    await this.#attempt('link', () =>
      volume.run((tx) => volume.link(tx, old.inode, { parent, name: name('name') })),
    );
  }

  /** A file that gets its name late, or none; it stays open until the unmount. */
  async #makeUnnamed(parent: number, name: Uint8Array): Promise<void> {
    const { volume } = this.#volume;
    const request = { mode: FileType.regular | 0o600, deviceNumber: 0, caller: CALLER };
    const inode = await this.#attempt('tmpfile', () =>
      volume.run((tx) => volume.createUnnamed(tx, parent, request)),
    );
    if (inode === undefined) return;
    await this.#write(inode);
    if (this.#random.chance(0.5)) {
      await this.#attempt('link', () => volume.run((tx) => volume.link(tx, inode, { parent, name })));
    }
  }

  async #give(inode: number): Promise<void> {
    const { volume } = this.#volume;
    const uid = 7919 * this.#random.below(50);
    await this.#attempt('chown', () =>
      volume.run((tx) => volume.changeAttributes(tx, inode, { uid, gid: uid }), { isLimited: true }),
    );
  }

  async #limit(): Promise<void> {
    const { quotas } = this.#volume.volume;
    const kind = this.#random.pick([QuotaKind.user, QuotaKind.group, QuotaKind.project]);
    const id = 1 + this.#random.below(50);
    const limits = { softBlocks: this.#random.below(3), hardInodes: this.#random.below(3) };
    await this.#attempt('quota', () => quotas.setLimits(kind, id, limits));
    await this.#attempt('quota', () => quotas.page(kind, 0, 1000));
  }

  /** What forbids changes goes, and sometimes comes: the others need them. */
  async #setFlags(inode: number): Promise<void> {
    const { volume } = this.#volume;
    const flags = this.#random.pick([0, 0, FileFlag.noDump, FileFlag.immutable]);
    await this.#attempt('setflags', () => volume.run((tx) => volume.changeFlags(tx, inode, { flags })));
  }

  async #write(inode: number): Promise<void> {
    const random = this.#random;
    const attributes = await this.#attempt('getattr', () => this.#attributes(inode));
    const size = attributes?.sizeBytes ?? 0;
    const offsets = [0, size, Math.floor(size / 2), random.below(100_000), random.uint32() * 2 ** 12];
    const data = new Uint8Array(1 + random.below(random.chance(0.3) ? 20_000 : 1500)).fill(0x5a);
    this.#volume.early = random.chance(0.5);
    await this.#attempt('write', () => this.#volume.write(inode, random.pick(offsets), data));
  }

  async #resize(inode: number): Promise<void> {
    const random = this.#random;
    const sizes = [0, 100, random.below(50_000), 2 ** 40];
    await this.#attempt('truncate', () => this.#volume.volume.setSize(inode, random.pick(sizes), false));
  }

  async #fallocate(inode: number): Promise<void> {
    const random = this.#random;
    const action = random.pick(['allocate', 'punch', 'zero'] as const);
    const offsetBytes = random.pick([0, random.below(60_000), random.uint32() * 2 ** 10]);
    const lengthBytes = 1 + random.below(random.pick([100, 50_000, 2 ** 30]));
    const times = { updateTimes: true, killPrivileges: true };
    const range = { inode, action, offsetBytes, lengthBytes, keepSize: random.chance(0.5), ...times };
    await this.#attempt('fallocate', () => this.#volume.volume.fallocate(range));
  }

  /** A part, as long as it is not more than one call copies. */
  async #copy(from: number, to: number): Promise<void> {
    const random = this.#random;
    const lengthBytes = random.pick([1, 30_000, 2 ** 40]);
    const copy = { from, fromBytes: random.below(60_000), to, toBytes: random.below(60_000), lengthBytes };
    const times = { updateTimes: true, killPrivileges: true };
    await this.#attempt('copy', () => this.#volume.volume.copyRange({ ...copy, ...times }));
  }

  async #rename(): Promise<void> {
    const random = this.#random;
    const from = random.pick([...this.#directories, ...this.#files, ...this.#others]);
    const to = random.pick(this.#directories).inode;
    const onto = random.pick([...this.#directories, ...this.#files]);
    const replaces = random.chance(0.5);
    const flags = !random.chance(0.3) ? 0 : replaces ? RenameFlag.exchange : RenameFlag.whiteout;
    const name = replaces ? onto.name : encoder.encode(`renamed-${random.below(100)}`);
    const { volume } = this.#volume;
    await this.#attempt('rename', () =>
      volume.run((tx) => volume.rename(tx, from, { parent: replaces ? onto.parent : to, name }, { flags })),
    );
  }

  async #remove(): Promise<void> {
    const random = this.#random;
    const { parent, name, inode } = random.pick([...this.#directories, ...this.#files, ...this.#others]);
    const { volume } = this.#volume;
    const isDirectory = this.#directories.some((seen) => seen.inode === inode);
    await this.#attempt('remove', () =>
      volume.run((tx) =>
        isDirectory ? volume.removeDirectory(tx, parent, name) : volume.unlink(tx, parent, name),
      ),
    );
  }
}
