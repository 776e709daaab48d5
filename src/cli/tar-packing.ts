/**
 * Files of a volume as a tar archive: a directory is `./`, and all that is in it comes in the order
 * of the bytes of names, so that two archives of one tree are the same bit for bit. What cannot be
 * read is told, and the rest is packed.
 */
import { deviceMajor, deviceMinor } from '../common/device-number.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { aclTexts } from '../inspect/access-list-text.ts';
import { pathBytes } from '../path-bytes.ts';
import type { ProgramVolume, VolumeFileHandle } from '../quarryfs.ts';
import { archiveEnd, memberHead, padding } from '../tar/archive-writer.ts';
import { MOST_RECORD_BYTES } from '../tar/kept-records.ts';
import type { Member, MemberType, Stretch } from '../tar/member.ts';
import { joined, MOST_STRETCHES } from '../tar/sparse-maps.ts';
import type { Lost } from './dressing.ts';
import { CommandError } from './failure.ts';
import { below, lastName, PIECE_BYTES, type TreeNode } from './tree-sides.ts';
import { errorAt } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

const NOTHING = Buffer.alloc(0);
const ACCESS_ACL = 'system.posix_acl_access';
const DEFAULT_ACL = 'system.posix_acl_default';

const TYPES: Readonly<Record<number, MemberType>> = {
  [FileType.regular]: 'file',
  [FileType.directory]: 'directory',
  [FileType.symlink]: 'symlink',
  [FileType.fifo]: 'fifo',
  [FileType.characterDevice]: 'characterDevice',
  [FileType.blockDevice]: 'blockDevice',
};

/** What readers believe, with room for the names of a file. */
const MOST_ATTRIBUTE_BYTES = MOST_RECORD_BYTES - 4 * 1024 * 1024;
/** More than what stands around the value of an attribute: its name, each byte as %25 at worst. */
const ATTRIBUTE_EXTRA_BYTES = 1024;

export interface PackingOptions {
  /** Takes what comes next of the archive; throws when nobody does. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Told of a name that cannot be packed, or not wholly. */
  readonly failed: (thrown: unknown) => void;
  /** Told of what a name is packed without. */
  readonly lost: Lost;
  /** Called after each member, with how many there are. */
  readonly made?: ((members: number) => void) | undefined;
}

interface Step {
  readonly path: Buffer;
  readonly name: Buffer;
}

/** What a call threw that takes the archive, which nothing can mend. */
class NotTaken {
  constructor(readonly thrown: unknown) {}
}

export class TarPacking {
  readonly #volume: ProgramVolume;
  readonly #tree: VolumeTree;
  readonly #options: PackingOptions;
  /** Of files with several names, the one that was packed. */
  readonly #first = new Map<string, Buffer>();
  readonly #memory = Buffer.allocUnsafeSlow(PIECE_BYTES);
  #members = 0;

  constructor(volume: ProgramVolume, options: PackingOptions) {
    this.#volume = volume;
    this.#tree = new VolumeTree(volume, true);
    this.#options = options;
  }

  /** Writes the archive of what is at a path. @throws what writing throws, and where nothing is */
  async pack(top: Buffer): Promise<void> {
    const { mode } = await this.#tree.look(top);
    const isDirectory = (mode & FILE_TYPE_MASK) === FileType.directory;
    const steps: Step[] = [{ path: top, name: isDirectory ? Buffer.from('./') : lastName(top) }];
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      try {
        await this.#take(step, steps);
      } catch (thrown) {
        if (thrown instanceof NotTaken) throw thrown.thrown;
        this.#options.failed(thrown);
      }
    }
    await this.#options.write(archiveEnd());
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#options.write(bytes);
    } catch (thrown) {
      throw new NotTaken(thrown);
    }
  }

  async #take({ path, name }: Step, steps: Step[]): Promise<void> {
    const node = await this.#tree.look(path);
    const member = await this.#memberOf(path, name, node);
    if (member.type === 'file') await this.#file(path, member);
    else await this.#write(memberHead(member));
    if (node.links > 1 && member.type !== 'directory') this.#first.set(node.identity, name);
    this.#options.made?.(++this.#members);
    if (member.type !== 'directory') return;
    const names = await this.#tree.names(path);
    for (const one of names.reverse())
      steps.push({ path: below(path, one), name: await this.#nameIn(name, path, one) });
  }

  /** A directory has a slash behind its name. */
  async #nameIn(directory: Buffer, path: Buffer, name: Buffer): Promise<Buffer> {
    const type = await this.#tree.typeAt(below(path, name), false).catch(() => 0);
    const whole = Buffer.concat([directory, name]);
    return type === FileType.directory ? Buffer.concat([whole, Buffer.from('/')]) : whole;
  }

  async #memberOf(path: Buffer, name: Buffer, node: TreeNode): Promise<Member> {
    const type = TYPES[node.mode & FILE_TYPE_MASK];
    if (type === undefined) throw new CommandError(`${path} is a socket, which no archive has: not packed`);
    const first = this.#first.get(node.identity);
    const isDevice = type === 'characterDevice' || type === 'blockDevice';
    const same = {
      name,
      mode: node.mode & 0o7777,
      uid: node.uid,
      gid: node.gid,
      modifyNs: node.modifyNs,
      accessNs: node.accessNs,
      major: isDevice ? deviceMajor(node.device) : 0,
      minor: isDevice ? deviceMinor(node.device) : 0,
      sizeBytes: type === 'file' && first === undefined ? node.sizeBytes : 0,
    };
    if (first !== undefined) return { ...same, type: 'hardLink', linkName: first, attributes: [] };
    const linkName = type === 'symlink' ? await this.#tree.linkTarget(path) : NOTHING;
    return { ...same, type, linkName, ...(await this.#attributes(path)) };
  }

  async #attributes(path: Buffer): Promise<Pick<Member, 'attributes' | 'accessAcl' | 'defaultAcl'>> {
    const found = new Map<string, Uint8Array>();
    let sumBytes = 0;
    for (const [name, value] of await this.#tree.attributes(path)) {
      const bytes = (value?.length ?? 0) + ATTRIBUTE_EXTRA_BYTES;
      const why = value === undefined ? 'its name is no UTF-8' : 'there are too many for an archive';
      if (value === undefined || sumBytes + bytes > MOST_ATTRIBUTE_BYTES) {
        this.#options.lost(path, `attribute ${name} (${why})`);
        continue;
      }
      sumBytes += bytes;
      found.set(name, value);
    }
    const aclOf = (name: string) => {
      const value = found.get(name);
      return value && aclTexts(pathBytes(name), value)?.join(',');
    };
    return {
      attributes: [...found].filter(([name]) => name !== ACCESS_ACL && name !== DEFAULT_ACL),
      accessAcl: aclOf(ACCESS_ACL),
      defaultAcl: aclOf(DEFAULT_ACL),
    };
  }

  async #file(path: Buffer, member: Member): Promise<void> {
    const file = await this.#volume.open(path);
    try {
      const stretches = await stretchesOf(file, member.sizeBytes);
      const dataBytes = stretches.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      await this.#write(memberHead(member, dataBytes < member.sizeBytes ? stretches : undefined));
      await this.#data(file, path, stretches);
      await this.#write(padding(dataBytes));
    } finally {
      await file.close();
    }
  }

  /** What cannot be read is zeros: the head has said how much there will be. */
  async #data(file: VolumeFileHandle, path: Buffer, stretches: readonly Stretch[]): Promise<void> {
    const memory = this.#memory;
    let isTold = false;
    for (const { offset, lengthBytes } of stretches) {
      for (let done = 0; done < lengthBytes; ) {
        const most = Math.min(memory.length, lengthBytes - done);
        let count = 0;
        try {
          ({ bytesRead: count } = await file.read(memory, 0, most, offset + done));
        } catch (thrown) {
          if (!isTold) this.#options.failed(errorAt(thrown, path));
          isTold = true;
        }
        if (count === 0) memory.fill(0, 0, most);
        const taken = count || most;
        await this.#write(memory.subarray(0, taken));
        done += taken;
      }
    }
  }
}

async function stretchesOf(file: VolumeFileHandle, sizeBytes: number): Promise<Stretch[]> {
  // The archive has one more, which is the end of the file.
  const most = MOST_STRETCHES - 1;
  let found: Stretch[] = [];
  for (let at = 0; at < sizeBytes; ) {
    const start = await file.seek(at, 'data');
    if (start < 0 || start >= sizeBytes) break;
    const hole = await file.seek(start, 'hole');
    at = hole < 0 ? sizeBytes : Math.min(hole, sizeBytes);
    found.push({ offset: start, lengthBytes: at - start });
    if (found.length > 2 * most) found = joined(found, most);
  }
  return joined(found, most);
}
