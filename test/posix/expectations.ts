/** What the cases ask again and again. */
import { expect } from 'vitest';
import type { Calls, Entry, OpenFile, Status } from './calls.ts';

/** The call fails with this errno. */
export async function refuses(code: string, call: Promise<unknown>): Promise<void> {
  await expect(call).rejects.toMatchObject({ code });
}

/** Makes a file that is not there yet, with this content. */
export async function make(fs: Calls, path: string, content = '', mode = 0o644): Promise<void> {
  const file = await fs.open(path, 'write', ['create', 'exclusive'], mode);
  if (content !== '') await file.write(0, Buffer.from(content, 'latin1'));
  await file.close();
}

/** The whole content of a file. */
export async function contentOf(fs: Calls, path: string): Promise<string> {
  const file = await fs.open(path, 'read');
  const content = await file.read(0, (await file.status()).sizeBytes);
  await file.close();
  return content.toString('latin1');
}

export async function modeOf(fs: Calls, path: string): Promise<number> {
  return (await fs.status(path)).mode;
}

export async function exists(fs: Calls, path: string): Promise<boolean> {
  try {
    await fs.status(path);
    return true;
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'ENOENT' });
    return false;
  }
}

/** All entries of an open directory, asked for piece by piece. */
export async function entriesOf(directory: OpenFile, bufferBytes = 4096): Promise<Entry[]> {
  const all: Entry[] = [];
  for (;;) {
    const some = await directory.list(all.at(-1)?.cookie ?? 0n, bufferBytes);
    if (some.length === 0) return all;
    all.push(...some);
  }
}

/** Names of a directory without the dots, sorted. */
export async function list(fs: Calls, path: string): Promise<string[]> {
  const directory = await fs.open(path, 'read', ['directory']);
  const entries = await entriesOf(directory, 32 * 1024);
  await directory.close();
  return namesOf(entries).sort();
}

export function namesOf(entries: readonly Entry[]): string[] {
  return entries.map(({ name }) => name).filter((name) => name !== '.' && name !== '..');
}

/** Which times are later than before: 'a', 'm', 'c' in this order; those that went back are '-a'. */
function movedTimes(before: Status, after: Status): string {
  const moved = (letter: string, from: bigint, to: bigint) =>
    to === from ? '' : to > from ? letter : `-${letter}`;
  return (
    moved('a', before.accessNs, after.accessNs) +
    moved('m', before.modifyNs, after.modifyNs) +
    moved('c', before.changeNs, after.changeNs)
  );
}

/**
 * Does something, and says which times of which files it moved. The files are held, so that a name
 * may go to another.
 */
export async function moved(
  fs: Calls,
  paths: readonly string[],
  action: () => Promise<unknown>,
): Promise<Record<string, string>> {
  const held: OpenFile[] = [];
  for (const path of paths) held.push(await fs.open(path, 'path'));
  const before = [];
  for (const file of held) before.push(await file.status());
  await fs.tick();
  await action();
  const times: Record<string, string> = {};
  for (const [at, file] of held.entries()) {
    const [path, was] = [paths[at], before[at]];
    if (path !== undefined && was !== undefined) times[path] = movedTimes(was, await file.status());
    await file.close();
  }
  return times;
}
