/** Directories read: readdir with types and recursive, and the handle of `opendir`. */
import { fsError } from '../fs/base/errors.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { isDot, isDotDot } from '../fs/tree/directory.ts';
import { type Encoding, named } from './arguments.ts';
import type { NamedPath } from './names.ts';
import type { ProgramSession } from './session.ts';
import { VolumeEntry } from './stats.ts';
import type { CallSite } from './system-error.ts';

/** Entries of one look: a turn of the event loop is no longer than that takes. */
const ENTRIES_AT_ONCE = 512;
/** The cookie behind '.' and '..'. */
const BEHIND_DOTS = 2;

export interface ListedName {
  readonly name: Uint8Array;
  readonly type: number;
  readonly inode: number;
}

/** The next entries of a directory that is held. @param cookie of the last one that was told */
export async function nextEntries(
  session: ProgramSession,
  site: CallSite,
  inode: number,
  cookie: number,
): Promise<{ readonly entries: ListedName[]; readonly cookie: number }> {
  return session.run(site, (tx) => {
    const entries: ListedName[] = [];
    let last = cookie;
    if ((session.look(tx, inode).mode & FILE_TYPE_MASK) !== FileType.directory) throw fsError('ENOTDIR');
    session.volume.readDirectory(tx, inode, cookie, (name, number, type, next) => {
      if (entries.length === ENTRIES_AT_ONCE) return false;
      // Of a volume that somebody made up: whoever goes on with such a name leaves the directory.
      if (isDot(name) || isDotDot(name)) throw fsError('EUCLEAN');
      entries.push({ name: name.slice(), type, inode: number });
      last = next;
      return true;
    });
    session.volume.accessed(tx, inode);
    return { entries, cookie: last };
  });
}

/** All names in a directory, as they were while it was read. @param follow a link at the end */
export async function allEntries(
  session: ProgramSession,
  site: CallSite,
  path: Uint8Array,
  follow = true,
): Promise<ListedName[]> {
  const inode = await session.hold(site, (tx) => session.walk.inodeAt(tx, path, follow));
  try {
    const all: ListedName[] = [];
    for (let at = BEHIND_DOTS; ; ) {
      const { entries, cookie } = await nextEntries(session, site, inode, at);
      for (const entry of entries) all.push(entry);
      if (entries.length < ENTRIES_AT_ONCE) return all;
      at = cookie;
    }
  } finally {
    session.release(inode);
  }
}

export function joined(path: Uint8Array, name: Uint8Array): Buffer {
  const isOpen = path.length === 0 || path.at(-1) === 0x2f;
  return Buffer.concat(isOpen ? [path, name] : [path, Buffer.from('/'), name]);
}

/** Something in a tree, by its path below the top. */
export interface FoundEntry extends ListedName {
  readonly below: Uint8Array;
  readonly directory: Uint8Array;
}

/** What is in a directory, and below it. Links are not followed. */
export async function* walkedEntries(
  session: ProgramSession,
  syscall: string,
  path: Uint8Array,
  recursive: boolean,
): AsyncGenerator<FoundEntry> {
  const nothing = new Uint8Array(0);
  const waiting: { readonly path: Uint8Array; readonly below: Uint8Array }[] = [{ path, below: nothing }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const site = { syscall, path: Buffer.from(next.path).toString() };
    const inside: typeof waiting = [];
    for (const entry of await allEntries(session, site, next.path)) {
      const below = joined(next.below, entry.name);
      yield { ...entry, below, directory: next.path };
      if (recursive && entry.type === FileType.directory)
        inside.push({ path: joined(next.path, entry.name), below });
    }
    for (const one of inside.reverse()) waiting.push(one);
  }
}

export interface ListingWish {
  readonly encoding: Encoding | undefined;
  readonly withFileTypes: boolean;
  readonly recursive: boolean;
}

export async function listed(
  session: ProgramSession,
  { path, text }: NamedPath,
  { encoding, withFileTypes, recursive }: ListingWish,
): Promise<(string | Buffer | VolumeEntry<string | Buffer>)[]> {
  const all: (string | Buffer | VolumeEntry<string | Buffer>)[] = [];
  for await (const found of walkedEntries(session, 'scandir', path, recursive)) {
    if (!withFileTypes) all.push(named(found.below, encoding));
    else all.push(entryOf(found, path, text, encoding));
  }
  return all;
}

function entryOf(
  { name, type, inode, directory }: FoundEntry,
  top: Uint8Array,
  text: string,
  encoding: Encoding | undefined,
): VolumeEntry<string | Buffer> {
  const parent = directory === top ? text : Buffer.from(directory).toString();
  return new VolumeEntry(named(name, encoding), parent, type, inode);
}

/** As `fs.Dir`. */
export class VolumeDirectory implements AsyncIterable<VolumeEntry> {
  readonly path: string;
  readonly #entries: AsyncIterator<FoundEntry>;
  #isClosed = false;

  constructor(path: string, entries: AsyncIterator<FoundEntry>) {
    this.path = path;
    this.#entries = entries;
  }

  /** The next entry; null behind the last one. */
  async read(): Promise<VolumeEntry | null> {
    this.#requireOpen();
    const { value, done } = await this.#entries.next();
    if (done) return null;
    const { name, type, inode, directory } = value as FoundEntry;
    const parent = Buffer.from(directory).toString();
    return new VolumeEntry(Buffer.from(name).toString(), parent, type, inode);
  }

  async close(): Promise<void> {
    this.#requireOpen();
    this.#isClosed = true;
    await this.#entries.return?.();
  }

  #requireOpen(): void {
    if (this.#isClosed)
      throw Object.assign(new Error('Directory handle was closed'), { code: 'ERR_DIR_CLOSED' });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<VolumeEntry> {
    try {
      for (let entry = await this.read(); entry !== null; entry = await this.read()) yield entry;
    } finally {
      await this.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) await this.close();
  }
}
