/**
 * What a volume shows to its users: every path, and every extended attribute as `path@name`, with a
 * digest of what is there.
 */
import { createHash } from 'node:crypto';
import { FILE_TYPE_MASK, FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from './volume-harness.ts';

/** Reads at most this much of a file, in one piece. */
const MOST_BYTES = 1024 * 1024;

/**
 * By path: type, size and digest of the contents. What cannot be read is `broken`. The device is
 * not changed.
 */
export async function contentsOf(device: MemoryDevice): Promise<Map<string, string>> {
  const volume = await TestVolume.open(device.clone());
  const found = new Map<string, string>();
  await addDirectory(volume, ROOT_INODE, '', found);
  return found;
}

async function addDirectory(
  volume: TestVolume,
  inode: number,
  path: string,
  found: Map<string, string>,
): Promise<void> {
  for (const [name, child] of await entriesOf(volume, inode)) {
    const childPath = `${path}/${name}`;
    const mode = await addInode(volume, child, childPath, found);
    if ((mode & FILE_TYPE_MASK) === FileType.directory) await addDirectory(volume, child, childPath, found);
  }
}

/** Names in Latin-1, so that any bytes can be told apart. */
async function entriesOf({ volume }: TestVolume, inode: number): Promise<[name: string, inode: number][]> {
  return await volume.run((tx) => {
    const entries: [string, number][] = [];
    volume.readDirectory(tx, inode, 2, (name, child) => {
      entries.push([Buffer.from(name).toString('latin1'), child]);
      return true;
    });
    return entries;
  });
}

async function addAttributes(
  { volume }: TestVolume,
  inode: number,
  path: string,
  found: Map<string, string>,
): Promise<void> {
  for (const name of await volume.run((tx) => volume.listExtendedAttributes(tx, inode))) {
    const value = await volume.run((tx) => volume.getExtendedAttribute(tx, inode, name));
    const digest = createHash('sha1').update(value).digest('hex');
    found.set(`${path}@${Buffer.from(name).toString('latin1')}`, digest);
  }
}

async function addInode(
  volume: TestVolume,
  inode: number,
  path: string,
  found: Map<string, string>,
): Promise<number> {
  try {
    const { mode, sizeBytes } = await volume.statInode(inode);
    const type = mode & FILE_TYPE_MASK;
    const isFile = type === FileType.regular;
    const contents = isFile ? await volume.read(inode, 0, Math.min(sizeBytes, MOST_BYTES)) : undefined;
    const target =
      type === FileType.symlink
        ? await volume.volume.run((tx) => volume.volume.readSymlink(tx, inode).slice())
        : undefined;
    const digest = createHash('sha1')
      .update(contents ?? target ?? new Uint8Array(0))
      .digest('hex');
    found.set(path, `${type.toString(8)} ${isFile ? sizeBytes : ''} ${digest}`);
    await addAttributes(volume, inode, path, found);
    return mode;
  } catch {
    found.set(path, 'broken');
    return 0;
  }
}
