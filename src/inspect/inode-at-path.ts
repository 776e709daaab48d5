/**
 * The inode that a path leads to, read as it stands on disk: entry by entry, without the hash of
 * the names, so that a directory in a wrong order hides nothing. Symbolic links are not followed.
 */
import { viewOf } from '../common/bytes.ts';
import { printable } from '../common/printable.ts';
import { BlockKind, EntryRecord, FILE_TYPE_MASK, FileType, Inode, ROOT_INODE } from '../fs/format/format.ts';
import { InspectError } from './inspect-error.ts';
import { entryName } from './node-records.ts';
import type { VolumeSource } from './volume-source.ts';

const SLASH = 0x2f;

/** The names between the slashes. */
function namesOf(path: Uint8Array): Buffer[] {
  const names: Buffer[] = [];
  let from = 0;
  for (let at = 0; at <= path.length; at++) {
    if (at < path.length && path[at] !== SLASH) continue;
    if (at > from) names.push(Buffer.from(path.subarray(from, at)));
    from = at + 1;
  }
  return names;
}

/**
 * @param path from the root of the volume on, as bytes
 * @throws InspectError if there is nothing of this path, or a directory on the way is damaged
 */
export async function inodeAtPath(source: VolumeSource, path: Uint8Array): Promise<number> {
  let inode = ROOT_INODE;
  let walked = '';
  for (const name of namesOf(path)) {
    const step = await inodeNamed(source, inode, name, walked || '/');
    walked += `/${printable(name.toString())}`;
    if (step === undefined) throw new InspectError(`there is no ${walked}`);
    inode = step;
  }
  return inode;
}

async function inodeNamed(
  source: VolumeSource,
  directory: number,
  name: Buffer,
  walked: string,
): Promise<number | undefined> {
  const place = await source.inode(directory);
  const view = viewOf(place.bytes);
  const type = Inode.mode.get(view, place.at) & FILE_TYPE_MASK;
  if (type !== FileType.directory) throw new InspectError(`${walked} is no directory`);
  if (name.equals(Buffer.from('.'))) return directory;
  if (name.equals(Buffer.from('..'))) return Inode.parent.get(view, place.at);
  for await (const { bytes, at } of source.leafRecords(place, BlockKind.directoryNode)) {
    if (name.equals(entryName(bytes, at))) return EntryRecord.inode.get(viewOf(bytes), at);
  }
  return undefined;
}
