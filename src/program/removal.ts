/** `rm`: files, and directories with all that is in them. */
import { codeOf } from '../common/thrown.ts';
import { FileType } from '../fs/format/format.ts';
import { allEntries, joined } from './listing.ts';
import type { NamedPath } from './names.ts';
import { removeDirectoryAt, unlinkAt } from './names.ts';
import type { ProgramSession } from './session.ts';

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
  const type = await session.run({ syscall: 'lstat', path: text }, (tx) => {
    const { mode } = session.look(tx, session.walk.inodeAt(tx, path, false));
    return mode & 0o170000;
  });
  if (type !== FileType.directory) {
    await session.run({ syscall: 'rm', path: text }, (tx) => unlinkAt(session, tx, path));
    return;
  }
  if (!recursive) throw isDirectory(text);
  await removeTree(session, path, text);
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
    const entries = await allEntries(session, { syscall: 'rm', path: place }, here);
    const directories = entries.filter(({ type }) => type === FileType.directory);
    for (const { name, type } of entries) {
      const inside = joined(here, name);
      if (type !== FileType.directory)
        await session.run({ syscall: 'rm', path: inside.toString() }, (tx) => unlinkAt(session, tx, inside));
    }
    if (directories.length > 0) {
      open.push(...directories.map(({ name }) => joined(here, name)));
      continue;
    }
    await session.run({ syscall: 'rm', path: place }, (tx) => removeDirectoryAt(session, tx, here));
    open.pop();
  }
}
