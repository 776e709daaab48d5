/**
 * Members of a tar archive as files of a volume, below a directory of it. No name leads out of that
 * directory, neither by itself nor through a symbolic link: such a one is refused. What is refused,
 * or cannot be made, is told, and the rest is unpacked.
 *
 * A file is there when all of it is; what it takes the place of stays until then. Directories get
 * what they are when all that is in them is there.
 */
import { ACCESS_ACL_NAME, DEFAULT_ACL_NAME } from '../common/attribute-names.ts';
import { deviceNumber } from '../common/device-number.ts';
import { codeOf, messageOf } from '../common/thrown.ts';
import { FileType, MAX_ATTRIBUTE_VALUE_BYTES, NO_ID } from '../fs/format/format.ts';
import { pathText } from '../path-bytes.ts';
import type { ProgramVolume } from '../quarryfs.ts';
import { ArchiveError } from '../tar/archive-error.ts';
import type { MemberInArchive } from '../tar/archive-reader.ts';
import type { Member, MemberType } from '../tar/member.ts';
import { aclValue } from './acl-text.ts';
import { type Dress, dress, isAcl, keepAttribute, type Lost } from './dressing.ts';
import { CommandError } from './failure.ts';
import { madeBeside } from './made-beside.ts';
import { NO_MORE, requireFile } from './tree-copy.ts';
import { below, type TreeAttribute, type TreeNode } from './tree-sides.ts';
import { VolumeTree } from './volume-tree.ts';

const TYPES: Readonly<Record<Exclude<MemberType, 'hardLink'>, number>> = {
  file: FileType.regular,
  directory: FileType.directory,
  symlink: FileType.symlink,
  fifo: FileType.fifo,
  characterDevice: FileType.characterDevice,
  blockDevice: FileType.blockDevice,
};
const SLASH = 0x2f;
/** Of all parts of a path. */
const MOST_NAME_BYTES = 64 * 1024;
const MOST_TIME_NS = BigInt(Number.MAX_SAFE_INTEGER) * 1_000_000_000n;
/** More than any ACL has that fits an attribute. */
const MOST_ACL_LETTERS = 1024 * 1024;

export interface UnpackingOptions {
  /** Told of a member that is not unpacked. */
  readonly failed: (thrown: unknown) => void;
  readonly lost: Lost;
}

/** The parts of a name that stays where it is unpacked. @throws CommandError for any other */
function partsOf(name: Buffer, what: string): Buffer[] {
  const refuse = (why: string) => new CommandError(`${what} ${pathText(name)} is refused: ${why}`);
  if (name.length > MOST_NAME_BYTES)
    throw new CommandError(`${what} ${pathText(name.subarray(0, 64))}... is refused: it is too long`);
  if (name[0] === SLASH) throw refuse('it begins at the root');
  if (name.includes(0)) throw refuse('there is a zero in it');
  const parts: Buffer[] = [];
  for (let at = 0; at <= name.length; ) {
    const slash = name.indexOf(SLASH, at);
    const end = slash < 0 ? name.length : slash;
    const part = name.subarray(at, end);
    if (part.toString('latin1') === '..') throw refuse("there is a '..' in it");
    if (part.length > 0 && part.toString('latin1') !== '.') parts.push(part);
    at = end + 1;
  }
  return parts;
}

/** An error of one name, without which the rest can be unpacked. */
function isOfOne(thrown: unknown): boolean {
  if (thrown instanceof ArchiveError) return false;
  return thrown instanceof CommandError || (codeOf(thrown) !== '' && !NO_MORE.has(codeOf(thrown)));
}

export class TarUnpacking {
  readonly #tree: VolumeTree;
  readonly #top: Buffer;
  readonly #options: UnpackingOptions;
  /** Those that have been seen to be directories, and no links to some. */
  readonly #directories = new Set<string>();
  /** ACLs that wait: many directories have the same. */
  readonly #acls = new Map<string, Uint8Array>();
  /** What directories are to get. */
  readonly #waiting = new Map<string, { readonly path: Buffer; readonly dress: Dress }>();
  members = 0;

  /** @param top a directory; who unpacks may set any owner, for it is his volume */
  constructor(volume: ProgramVolume, top: Buffer, options: UnpackingOptions) {
    this.#tree = new VolumeTree(volume, true);
    this.#top = top;
    this.#options = options;
  }

  /** @throws ArchiveError, and what a volume says that takes no more */
  async take(member: MemberInArchive): Promise<void> {
    this.members++;
    try {
      await this.#make(member);
    } catch (thrown) {
      if (!isOfOne(thrown)) throw thrown;
      this.#options.failed(thrown);
    }
  }

  /**
   * Directories get what they are: to be called when no more members come, whatever the reason.
   * @throws what a volume says that takes no more, after all of them were tried
   */
  async end(): Promise<void> {
    // The deepest first: what is made in a directory changes its time.
    this.#acls.clear();
    const all = [...this.#waiting.values()].sort((one, other) => other.path.length - one.path.length);
    this.#waiting.clear();
    let noMore: unknown;
    for (const one of all) {
      try {
        await dress(this.#tree, one.path, one.dress, this.#options.lost);
      } catch (thrown) {
        if (isOfOne(thrown)) this.#options.failed(thrown);
        else noMore ??= thrown;
      }
    }
    if (noMore !== undefined) throw noMore;
  }

  async #make(member: MemberInArchive): Promise<void> {
    const parts = partsOf(member.name, 'the member');
    const last = parts.pop();
    if (last === undefined && member.type !== 'directory')
      throw new CommandError(`the member ${pathText(member.name)} is refused: it has no name`);
    // What it cannot be is refused before anything is made.
    const node = member.type === 'hardLink' ? undefined : nodeOf(member);
    const directory = await this.#directoryOf(parts, member.name);
    const path = last === undefined ? directory : below(directory, last);
    if (node === undefined) return await this.#link(path, member);
    if (member.type === 'directory') return await this.#enter(path, member, node);
    await this.#requirePlace(path);
    const worn = this.#dressOf(path, member, node);
    await madeBeside(this.#tree, path, async (at) => {
      await this.#makeAt(at, member, node);
      await dress(this.#tree, at, worn, (_at, what) => this.#options.lost(path, what));
    });
  }

  async #makeAt(at: Buffer, member: MemberInArchive, node: TreeNode): Promise<void> {
    if (member.type === 'file') await this.#tree.makeFile(at, member.contents());
    else if (member.type === 'symlink') await this.#tree.makeSymlink(at, member.linkName);
    else await this.#tree.makeSpecial(at, node);
  }

  async #enter(path: Buffer, member: MemberInArchive, node: TreeNode): Promise<void> {
    const type = await this.#tree.typeAt(path, false);
    if (type === 0) await this.#tree.makeDirectory(path);
    else if (type !== FileType.directory)
      throw new CommandError(`${pathText(path)} is there already, and is no directory`);
    const key = path.toString('latin1');
    this.#directories.add(key);
    const { attributes } = this.#dressOf(path, member, node);
    for (const one of attributes)
      if (!isAcl(one)) await keepAttribute(this.#tree, path, one, this.#options.lost);
    // ACLs are handed down to what is made in it, so they wait like its mode and times.
    const waiting = attributes
      .filter(isAcl)
      .map(([name, value]) => [name, value && this.#sharedAcl(value)] as const);
    this.#waiting.set(key, { path, dress: { node, attributes: waiting } });
  }

  /** A copy: the records that it stood in go. */
  #sharedAcl(value: Uint8Array): Uint8Array {
    const key = Buffer.from(value).toString('latin1');
    const found = this.#acls.get(key) ?? Buffer.from(value);
    this.#acls.set(key, found);
    return found;
  }

  async #link(path: Buffer, { name, linkName }: Member): Promise<void> {
    const parts = partsOf(linkName, `the target of ${pathText(name)},`);
    const last = parts.pop();
    const existing = below(await this.#directoryOf(parts, linkName, false), last ?? Buffer.alloc(0));
    const found = await this.#tree.identityAt(existing);
    if (last === undefined || found === undefined)
      throw new CommandError(`${pathText(path)} cannot be linked: there is no ${pathText(linkName)}`);
    // A rename to another name of the same file would do nothing.
    if (found === (await this.#tree.identityAt(path))) return;
    await this.#requirePlace(path);
    await madeBeside(this.#tree, path, (at) => this.#tree.makeHardLink(at, existing));
  }

  async #requirePlace(path: Buffer): Promise<void> {
    const type = await this.#tree.typeAt(path, false);
    if (type === FileType.directory)
      throw new CommandError(`${pathText(path)} is there already, and is a directory`);
    requireFile(path, type);
  }

  /** Where these directories lead, those that are missing made. @throws CommandError */
  async #directoryOf(parts: readonly Buffer[], name: Buffer, makes = true): Promise<Buffer> {
    let path = this.#top;
    for (const part of parts) {
      path = below(path, part);
      const key = path.toString('latin1');
      if (this.#directories.has(key)) continue;
      const type = await this.#tree.typeAt(path, false);
      if (type === 0 && makes) await this.#makeParent(path);
      else if (type !== FileType.directory) throw this.#notThrough(path, type, name);
      this.#directories.add(key);
    }
    return path;
  }

  #notThrough(path: Buffer, type: number, name: Buffer): CommandError {
    const is = type === FileType.symlink ? 'a symbolic link' : type === 0 ? 'not there' : 'no directory';
    return new CommandError(`the member ${pathText(name)} is refused: ${pathText(path)} is ${is}`);
  }

  /** One that the archive has no member for, or has it later. */
  async #makeParent(path: Buffer): Promise<void> {
    await this.#tree.makeDirectory(path);
    await this.#tree.setMode(path, { ...(await this.#tree.look(path)), mode: FileType.directory | 0o755 });
  }

  #dressOf(path: Buffer, member: MemberInArchive, node: TreeNode): Dress {
    const { modifyNs, accessNs = node.accessNs } = member;
    for (const doubt of member.doubts) this.#options.lost(path, doubt);
    if (node.modifyNs !== modifyNs || node.accessNs !== accessNs)
      this.#options.lost(path, 'a time that is too far away');
    return { node, attributes: this.#attributesOf(path, member) };
  }

  #attributesOf(path: Buffer, { attributes, accessAcl, defaultAcl }: Member): TreeAttribute[] {
    const found = new Map<string, Uint8Array>();
    for (const [name, value] of attributes) {
      const isText = !name.includes('\ufffd');
      if (isText && value.length <= MAX_ATTRIBUTE_VALUE_BYTES) found.set(name, value);
      else this.#options.lost(path, `attribute ${name} (${isText ? 'E2BIG' : 'its name is no UTF-8'})`);
    }
    const texts = [
      [pathText(ACCESS_ACL_NAME), accessAcl],
      [pathText(DEFAULT_ACL_NAME), defaultAcl],
    ] as const;
    for (const [name, text] of texts) {
      // One in bytes has ids and no names.
      if (text === undefined || found.has(name)) continue;
      try {
        if (text.length > MOST_ACL_LETTERS) throw new CommandError('it is too long');
        const value = aclValue(text);
        if (value.length > MAX_ATTRIBUTE_VALUE_BYTES) throw new CommandError('it is too long');
        found.set(name, value);
      } catch (thrown) {
        if (!(thrown instanceof CommandError)) throw thrown;
        this.#options.lost(
          path,
          `${name === pathText(ACCESS_ACL_NAME) ? 'ACL' : 'default ACL'} (${messageOf(thrown)})`,
        );
      }
    }
    return [...found];
  }
}

/** 2^32 − 1 would leave the owner as he is, who is who unpacks. */
function isId(id: number): boolean {
  return Number.isSafeInteger(id) && id >= 0 && id < NO_ID;
}

/** A volume counts seconds that numbers are exact for. */
function nearestTime(time: bigint): bigint {
  const size = time < 0n ? -time : time;
  if (size <= MOST_TIME_NS) return time;
  return time < 0n ? -MOST_TIME_NS : MOST_TIME_NS;
}

/** @throws CommandError */
function nodeOf(member: Member): TreeNode {
  const { type, mode, uid, gid, major, minor, name } = member;
  const isDevice = type === 'characterDevice' || type === 'blockDevice';
  const device = isDevice ? deviceNumber(major, minor) : 0;
  if (device === undefined)
    throw new CommandError(`${pathText(name)} is of a device ${major}, ${minor}: too large`);
  if (!isId(uid) || !isId(gid))
    throw new CommandError(`${pathText(name)} belongs to ${uid}:${gid}: there are no such owners`);
  const now = BigInt(Date.now()) * 1_000_000n;
  return {
    mode: TYPES[type === 'hardLink' ? 'file' : type] | mode,
    uid,
    gid,
    device,
    sizeBytes: member.sizeBytes,
    links: 1,
    identity: '',
    accessNs: nearestTime(member.accessNs ?? now),
    modifyNs: nearestTime(member.modifyNs),
  };
}
