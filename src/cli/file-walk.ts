/**
 * The regular files below a directory, one after the other: of a mount by the kernel, of a volume
 * that is not mounted by its own directories. A file of several names comes once. Links are not
 * followed, and other filesystems not entered.
 */
import { lstat, readdir } from 'node:fs/promises';
import { codeOf } from '../common/thrown.ts';
import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { FILE_TYPE_MASK, FileType, ROOT_INODE } from '../fs/format/format.ts';
import type { Volume } from '../fs/volume.ts';
import { pathText, systemPath } from '../path-bytes.ts';

/** Names that are looked up in one step of an unmounted volume. */
const NAMES_PER_STEP = 256;
/** Of `..`, which comes second. */
const DOTS_COOKIE = 2;

export interface WalkedFile {
  readonly path: string;
  readonly inode: number;
  readonly sizeBytes: number;
}

/**
 * @param unseen told of each directory that cannot be read, and why
 */
export async function* filesOfMount(
  top: string,
  unseen: (path: string, code: string) => void,
): AsyncGenerator<WalkedFile> {
  const { dev } = await lstat(systemPath(top));
  const seen = new Set<number>();
  const waiting = [top];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    for (const entry of await entriesOf(directory, unseen)) {
      const path = `${directory === '/' ? '' : directory}/${pathText(entry.name)}`;
      if (!entry.isDirectory() && !entry.isFile()) continue;
      // What is removed meanwhile is not missed.
      const status = await lstat(systemPath(path)).catch(() => undefined);
      if (status === undefined || status.dev !== dev) continue;
      if (status.isDirectory()) waiting.push(path);
      if (!status.isFile() || seen.has(status.ino)) continue;
      if (status.nlink > 1) seen.add(status.ino);
      yield { path, inode: status.ino, sizeBytes: status.size };
    }
  }
}

/** A file that was named itself. */
export async function* oneFile(path: string): AsyncGenerator<WalkedFile> {
  const { ino, size } = await lstat(systemPath(path));
  yield { path, inode: ino, sizeBytes: size };
}

async function entriesOf(directory: string, unseen: (path: string, code: string) => void) {
  try {
    return await readdir(systemPath(directory), { withFileTypes: true, encoding: 'buffer' });
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') unseen(directory, codeOf(thrown));
    return [];
  }
}

interface Entry {
  readonly name: Uint8Array;
  readonly inode: number;
  readonly type: number;
  readonly cookie: number;
}

export async function* filesOfVolume(volume: Volume): AsyncGenerator<WalkedFile> {
  const seen = new Set<number>();
  const waiting: [inode: number, path: string][] = [[ROOT_INODE, '']];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    const [inode, parent] = directory;
    for await (const entry of entriesInVolume(volume, inode)) {
      const path = `${parent}/${pathText(entry.name)}`;
      if (entry.type === FileType.directory) waiting.push([entry.inode, path]);
      if (entry.type !== FileType.regular || seen.has(entry.inode)) continue;
      const attributes = emptyAttributes();
      await volume.run((tx) => volume.readAttributes(tx, entry.inode, attributes));
      if (attributes.linkCount > 1) seen.add(entry.inode);
      yield { path, inode: entry.inode, sizeBytes: attributes.sizeBytes };
    }
  }
}

async function* entriesInVolume(volume: Volume, directory: number): AsyncGenerator<Entry> {
  for (let cookie: number | undefined = DOTS_COOKIE; cookie !== undefined; ) {
    const from: number = cookie;
    const found: Entry[] = await volume.run((tx) => {
      const entries: Entry[] = [];
      volume.readDirectory(tx, directory, from, (name, inode, type, next) => {
        if (entries.length === NAMES_PER_STEP) return false;
        entries.push({ name: name.slice(), inode, type: type & FILE_TYPE_MASK, cookie: next });
        return true;
      });
      return entries;
    });
    yield* found;
    cookie = found.at(-1)?.cookie;
  }
}
