/** `quarry ls`: what is in a directory of a volume that is not mounted. */
import { printable } from '../common/printable.ts';
import { pathText } from '../path-bytes.ts';
import type { ProgramVolume, VolumeStats } from '../quarryfs.ts';
import {
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  type Terminal,
} from './command.ts';
import { longLines, modeText, type ShownFile, timeOf, typeName } from './file-lines.ts';
import { below, lastName } from './tree-sides.ts';
import { onPlaces, type PlaceInVolume, placeText } from './volume-path.ts';

interface ListedFile {
  readonly path: Buffer;
  readonly name: Buffer;
  readonly stats: VolumeStats;
  /** Of a link. */
  readonly leadsTo: Buffer | undefined;
}

async function fileAt(volume: ProgramVolume, path: Buffer, name: Buffer): Promise<ListedFile> {
  const stats = await volume.lstat(path);
  const leadsTo = stats.isSymbolicLink() ? await volume.readlink(path, 'buffer') : undefined;
  return { path, name, stats, leadsTo };
}

async function filesIn(volume: ProgramVolume, directory: Buffer): Promise<ListedFile[]> {
  const names = (await volume.readdir(directory, 'buffer')).sort(Buffer.compare);
  const files: ListedFile[] = [];
  for (const name of names) files.push(await fileAt(volume, below(directory, name), name));
  return files;
}

function jsonOf({ path, stats, leadsTo }: ListedFile): Record<string, unknown> {
  const { ino, nlink, uid, gid, size, blocks } = stats;
  return {
    path: pathText(path),
    type: typeName(stats),
    mode: modeText(stats),
    inode: ino,
    links: nlink,
    uid,
    gid,
    sizeBytes: size,
    usedBytes: blocks * 512,
    modified: timeOf(stats),
    ...(leadsTo && { target: pathText(leadsTo) }),
  };
}

function shown({ name, stats, leadsTo }: ListedFile): ShownFile {
  const arrow = leadsTo === undefined ? '' : ` -> ${printable(pathText(leadsTo))}`;
  return { name: `${printable(pathText(name))}${arrow}`, stats };
}

/** What is shown under one heading. */
interface Listing {
  readonly heading: string;
  readonly files: readonly ListedFile[];
}

async function* listings(
  volume: ProgramVolume,
  place: PlaceInVolume,
  { directory, recursive }: { readonly directory: boolean; readonly recursive: boolean },
): AsyncGenerator<Listing> {
  const { image, path } = place;
  const isDirectory = (await volume.stat(path)).isDirectory();
  if (directory || !isDirectory) {
    yield { heading: '', files: [await fileAt(volume, path, directory ? path : lastName(path))] };
    return;
  }
  const waiting = [path];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const files = await filesIn(volume, next);
    yield { heading: placeText({ image, path: next }), files };
    if (!recursive) continue;
    for (const one of files.toReversed()) if (one.stats.isDirectory()) waiting.push(one.path);
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const recursive = optionGiven(options, 'recursive');
  const wish = { directory: optionGiven(options, 'directory'), recursive };
  const isLong = optionGiven(options, 'long');
  const headed = args.length > 1 || recursive;
  const all: unknown[] = [];
  let between = '';
  await onPlaces(args, true, async (volume, place) => {
    for await (const { heading, files } of listings(volume, place, wish)) {
      if (optionGiven(options, 'json')) {
        for (const one of files) all.push(jsonOf(one));
        continue;
      }
      if (headed && heading !== '') terminal.out(`${between}${printable(heading)}:\n`);
      between = '\n';
      terminal.out(isLong ? longLines(files.map(shown)) : files.map(plainLine).join(''));
    }
  });
  if (optionGiven(options, 'json')) printJson(terminal, all);
  return 0;
}

function plainLine({ name }: ListedFile): string {
  return `${printable(pathText(name))}\n`;
}

export const lsCommand: CommandDefinition = {
  name: 'ls',
  summary: 'list a directory of a volume that is not mounted',
  arguments: [{ name: 'place', text: 'IMAGE or IMAGE:PATH', repeated: true }],
  options: [
    { flags: '-l, --long', text: 'with modes, links, owners, sizes and times' },
    { flags: '-R, --recursive', text: 'and all directories below it' },
    { flags: '-d, --directory', text: 'the directory itself' },
    JSON_OPTION,
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
