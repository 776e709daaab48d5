/**
 * What the mount table says about one mount: its place in the tree of mounts, who covers it, whose
 * it is.
 *
 * A mount is known by its id and by the device number of its filesystem. Its path is only where it
 * happens to be now: it can be moved, its parents renamed, and another mount put on top, and then
 * the path leads to that one.
 */
import { readFileSync } from 'node:fs';
import { pathBytes, pathText } from '../path-bytes.ts';

export interface MountRecord {
  /** Unique among the mounts there are. */
  readonly id: number;
  /** The mount that it is mounted in. */
  readonly parentId: number;
  /** Which directory of the filesystem is mounted: `/`, or another for a bind mount. */
  readonly root: string;
  /** `major:minor`, as the kernel names the mount's device and its bdi. */
  readonly deviceNumbers: string;
  readonly directory: string;
  /** With subtype: `fuseblk.quarry`. */
  readonly type: string;
  readonly source: string;
  /** Options of this mount alone, as the kernel shows them: `rw,noatime`. */
  readonly flags: string;
  /** Options of the filesystem, as the kernel shows them. */
  readonly options: string;
}

/**
 * proc(5): space, tab, newline and backslash are octal in mountinfo, and in the paths of other
 * tables.
 */
export function unescapeOctal(text: string): string {
  const bytes = pathBytes(text).toString('latin1');
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return pathText(Buffer.from(plain, 'latin1'));
}

/** The mounts in the text of /proc/self/mountinfo, oldest first. */
export function parseMountinfo(text: string): MountRecord[] {
  const records: MountRecord[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-');
    const [id, parentId, deviceNumbers, root, directory, flags = ''] = fields;
    const [, type, source, options = ''] = separator < 0 ? [] : fields.slice(separator);
    if (!deviceNumbers || !root || !directory || !type || source === undefined) continue;
    records.push({
      id: Number(id),
      parentId: Number(parentId),
      root: unescapeOctal(root),
      deviceNumbers,
      directory: unescapeOctal(directory),
      type: unescapeOctal(type),
      source: unescapeOctal(source),
      flags,
      options: unescapeOctal(options),
    });
  }
  return records;
}

/** The mounts that this process sees, oldest first. Does not touch them. */
export function mountTable(): MountRecord[] {
  return parseMountinfo(pathText(readFileSync('/proc/self/mountinfo')));
}

/**
 * The topmost mount on `directory`, an absolute path without symlinks. Does not touch the mount.
 */
export function findMount(directory: string): MountRecord | undefined {
  return topmostOn(mountTable(), directory);
}

/** The mount that a path leads to. */
export function topmostOn(mounts: readonly MountRecord[], directory: string): MountRecord | undefined {
  const here = mounts.filter((mount) => mount.directory === directory);
  return here.findLast((mount) => !here.some((other) => other !== mount && other.parentId === mount.id));
}

function isOnTheWay(cover: MountRecord, { directory }: MountRecord): boolean {
  return cover.directory === directory || directory.startsWith(cover.directory.replace(/\/?$/, '/'));
}

/** Ids of the mount, of the one that it is mounted in, and so on. */
function chainOf(mounts: readonly MountRecord[], mount: MountRecord): Set<number> {
  const chain = new Set<number>();
  let link: MountRecord | undefined = mount;
  while (link !== undefined && !chain.has(link.id)) {
    chain.add(link.id);
    const { parentId }: MountRecord = link;
    link = mounts.find(({ id }) => id === parentId);
  }
  return chain;
}

/**
 * The mounts on the way of the path that hide this one, in the order in which they would have to
 * go.
 */
export function coversOf(mounts: readonly MountRecord[], mount: MountRecord): MountRecord[] {
  const known = chainOf(mounts, mount);
  const below = new Set(known);
  const covers: MountRecord[] = [];
  const isNext = (other: MountRecord) =>
    below.has(other.parentId) && !known.has(other.id) && isOnTheWay(other, mount);
  for (let found = mounts.find(isNext); found !== undefined; found = mounts.find(isNext)) {
    covers.push(found);
    known.add(found.id);
    below.add(found.id);
  }
  return covers.reverse();
}

/** Who a FUSE mount belongs to. */
export interface MountOwner {
  readonly uid: number;
  readonly gid: number;
  /** Whether others may use it. */
  readonly allowOther: boolean;
}

function numberOption(words: readonly string[], name: string): number {
  const word = words.find((found) => found.startsWith(`${name}=`));
  return word === undefined ? 0 : Number(word.slice(name.length + 1));
}

/** As the kernel's options of the filesystem tell it. */
export function ownerOf({ options }: MountRecord): MountOwner {
  const words = options.split(',');
  return {
    uid: numberOption(words, 'user_id'),
    gid: numberOption(words, 'group_id'),
    allowOther: words.includes('allow_other'),
  };
}

/** `major:minor` as two numbers. */
export function deviceOf({ deviceNumbers }: MountRecord): readonly [major: number, minor: number] {
  const [major = 0, minor = 0] = deviceNumbers.split(':').map(Number);
  return [major, minor];
}

/**
 * The number of a FUSE connection in fusectl and in /proc/PID/fdinfo: the kernel's own dev_t of its
 * filesystem.
 */
export function connectionOf(mount: MountRecord): number {
  const [major, minor] = deviceOf(mount);
  return major * 2 ** 20 + minor;
}
