/**
 * How the files and the free space of a filesystem of the kernel lie, as it says itself: FIEMAP by
 * filefrag(8), GETFSMAP by xfs_io(8).
 */
import { opendirSync } from 'node:fs';
import { join } from 'node:path';
import type { LaidExtent } from '../measures/layout.ts';
import { findProgram, runProgram } from './programs.ts';

/** As many as fit on a command line whatever their names. */
const FILES_PER_CALL = 200;
/** GETFSMAP counts in these. */
const SECTOR_BYTES = 512;

/** Paths of regular files, directory by directory, each in the order that readdir(3) has. */
export function* filesBelow(directory: string): Generator<string> {
  const below: string[] = [];
  const listing = opendirSync(directory, { bufferSize: 1024 });
  try {
    for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
      if (entry.isDirectory()) below.push(join(directory, entry.name));
      else if (entry.isFile()) yield join(directory, entry.name);
    }
  } finally {
    listing.closeSync();
  }
  for (const next of below) yield* filesBelow(next);
}

/** The extents of each file, in that order. @throws Error with one line for the user */
export async function* fileMaps(
  directory: string,
  blockBytes: number,
): AsyncGenerator<readonly LaidExtent[]> {
  let waiting: string[] = [];
  for (const path of filesBelow(directory)) {
    waiting.push(path);
    if (waiting.length < FILES_PER_CALL) continue;
    yield* mapsOf(waiting, blockBytes);
    waiting = [];
  }
  yield* mapsOf(waiting, blockBytes);
}

function mapsOf(paths: readonly string[], blockBytes: number): LaidExtent[][] {
  if (paths.length === 0) return [];
  return parseFileMaps(runProgram('filefrag', ['-v', `-b${blockBytes}`, ...paths]));
}

/** `   0:        0..      73:      32833..     32906:     74:             last,eof` */
const EXTENT = /^\s*\d+:\s*(\d+)\.\.\s*\d+:\s*(\d+)\.\.\s*\d+:\s*(\d+):(.*)$/;
/** What lies in metadata, or nowhere yet. */
const ELSEWHERE = /inline|delalloc|unknown_loc|not_aligned/;

/** What `filefrag -v` says of some files, file by file. */
export function parseFileMaps(text: string): LaidExtent[][] {
  const files: LaidExtent[][] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('File size of ')) files.push([]);
    const found = EXTENT.exec(line);
    if (found === null || ELSEWHERE.test(found[4] ?? '')) continue;
    const [fileBlock = 0, block = 0, length = 0] = found.slice(1, 4).map(Number);
    files.at(-1)?.push({ fileBlock, block, length });
  }
  return files;
}

/** `	3: 7:0 [1968..262143]: free space 260176` */
const FREE_SPACE = /^\s*\d+: \S+ \[(\d+)\.\.(\d+)\]: free space \d+$/gm;

/** What `fsmap` of xfs_io says is free, in whole blocks. */
export function parseFreeSpace(text: string, blockBytes: number): { start: number; length: number }[] {
  const runs = [...text.matchAll(FREE_SPACE)].map(([, first, last]) => {
    const start = Math.ceil((Number(first) * SECTOR_BYTES) / blockBytes);
    const end = Math.floor(((Number(last) + 1) * SECTOR_BYTES) / blockBytes);
    return { start, length: end - start };
  });
  return runs.filter(({ length }) => length > 0);
}

/** False where the filesystem, or this machine, does not tell. */
export function freeSpaceMap(
  directory: string,
  blockBytes: number,
  visit: (start: number, length: number) => void,
): boolean {
  if (findProgram('xfs_io') === undefined) return false;
  let text: string;
  try {
    text = runProgram('xfs_io', ['-r', '-c', 'fsmap', directory]);
  } catch {
    // btrfs knows no GETFSMAP.
    return false;
  }
  const runs = parseFreeSpace(text, blockBytes);
  for (const { start, length } of runs) visit(start, length);
  return runs.length > 0;
}
