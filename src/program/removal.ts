/** `rm`: files, and directories with all that is in them. */
import { codeOf } from '../common/thrown.ts';
import { fsError } from '../fs/base/errors.ts';
import { FileType, ROOT_INODE } from '../fs/format/format.ts';
import { allEntries, joined } from './listing.ts';
import type { NamedPath } from './names.ts';
import { removeDirectoryAt, unlinkAt } from './names.ts';
import { hasNoName, withoutSlashes } from './path-walk.ts';
import type { ProgramSession } from './session.ts';
import { systemErrorOf } from './system-error.ts';

export interface RemovalWish {
  readonly recursive: boolean;
  /** What is not there is as good as removed. */
  readonly force: boolean;
}

export async function removed(session: ProgramSession, place: NamedPath, wish: RemovalWish): Promise<void> {
  try {
    await removeAny(session, place, wish.recursive);
  } catch (thrown) {
    if (!wish.force || codeOf(thrown) !== 'ENOENT') throw thrown;
  }
}

async function removeAny(
  session: ProgramSession,
  { path, text }: NamedPath,
  recursive: boolean,
): Promise<void> {
  // As Node does: it looks before it removes.
  const { type, inode, end } = await session.run({ syscall: 'lstat', path: text }, (tx) => {
    const found = session.walk.to(tx, path, false);
    if (found.inode === 0) throw fsError('ENOENT');
    return { ...found, end: session.walk.to(tx, withoutSlashes(path), false) };
  });
  if (type !== FileType.directory) {
    await session.run({ syscall: 'rm', path: text }, (tx) => unlinkAt(session, tx, path));
    return;
  }
  if (!recursive) throw isDirectory(text);
  const site = { syscall: 'rm', path: text };
  // What a link leads to stays, though a slash follows the link.
  if (end.type === FileType.symlink) throw systemErrorOf('ENOTDIR', site);
  if (end.name.length > 0 && hasNoName(end)) throw systemErrorOf('EINVAL', site);
  if (inode === ROOT_INODE) throw systemErrorOf('EBUSY', site);
  await removeTree(session, withoutSlashes(path), text);
}

/** The same as Node's, whose number is that of the system. */
function isDirectory(path: string): Error {
  const error = new Error(`Path is a directory: rm returned EISDIR (is a directory) ${path}`);
  error.name = 'SystemError';
  return Object.assign(error, { code: 'ERR_FS_EISDIR', errno: 21, syscall: 'rm', path });
}

/** Depth first, without a stack that grows with the tree. */
async function removeTree(session: ProgramSession, top: Uint8Array, text: string): Promise<void> {
  const open: Uint8Array[] = [top];
  for (let path = open.at(-1); path !== undefined; path = open.at(-1)) {
    const here = path;
    const place = here === top ? text : Buffer.from(here).toString();
    const entries = await allEntries(session, { syscall: 'rm', path: place }, here, false);
    const directories = entries.filter(({ type }) => type === FileType.directory);
    for (const { name, type } of entries) {
      const inside = joined(here, name);
      if (type !== FileType.directory)
        await session.run({ syscall: 'rm', path: inside.toString() }, (tx) => unlinkAt(session, tx, inside));
    }
    if (directories.length > 0) {
      for (const { name } of directories) open.push(joined(here, name));
      continue;
    }
    await session.run({ syscall: 'rm', path: place }, (tx) => removeDirectoryAt(session, tx, here));
    open.pop();
  }
}
