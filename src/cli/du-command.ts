/**
 * `quarry du`: what space directories of a volume take that is not mounted. A file of several names
 * counts once.
 */
import { printable } from '../common/printable.ts';
import { pathText } from '../path-bytes.ts';
import type { ProgramVolume } from '../quarryfs.ts';
import {
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  type Terminal,
} from './command.ts';
import { formatSize } from './sizes.ts';
import { onPlaces } from './volume-path.ts';
import { walkedNames } from './volume-walk.ts';

const SECTOR_BYTES = 512;

interface Usage {
  readonly path: Buffer;
  readonly depth: number;
  usedBytes: number;
  files: number;
}

/** Each directory with all that is below it, the ones inside first. */
async function* usages(volume: ProgramVolume, top: Buffer): AsyncGenerator<Usage> {
  const seen = new Set<number>();
  const open: Usage[] = [];
  const close = (): Usage | undefined => {
    const done = open.pop();
    const above = open.at(-1);
    if (done && above) {
      above.usedBytes += done.usedBytes;
      above.files += done.files;
    }
    return done;
  };
  for await (const { path, depth, stats } of walkedNames(volume, top)) {
    while (open.length > depth) {
      const done = close();
      if (done) yield done;
    }
    const counts = stats.isDirectory() || stats.nlink === 1 || !seen.has(stats.ino);
    if (!stats.isDirectory() && stats.nlink > 1) seen.add(stats.ino);
    const usedBytes = counts ? stats.blocks * SECTOR_BYTES : 0;
    if (stats.isDirectory() || depth === 0) open.push({ path, depth, usedBytes, files: 1 });
    else {
      const inside = open.at(-1);
      if (inside) inside.usedBytes += usedBytes;
      if (inside && counts) inside.files++;
    }
  }
  for (let done = close(); done !== undefined; done = close()) yield done;
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const onlyTop = optionGiven(options, 'summarize');
  const forPeople = optionGiven(options, 'humanReadable');
  const all: unknown[] = [];
  await onPlaces(args, true, async (volume, place) => {
    for await (const { path, depth, usedBytes, files } of usages(volume, place.path)) {
      if (onlyTop && depth > 0) continue;
      const shown = pathText(path);
      if (optionGiven(options, 'json')) all.push({ path: shown, usedBytes, files });
      else {
        const size = forPeople ? formatSize(usedBytes) : `${Math.ceil(usedBytes / 1024)}`;
        terminal.out(`${size}\t${printable(shown)}\n`);
      }
    }
  });
  if (optionGiven(options, 'json')) printJson(terminal, all);
  return 0;
}

export const duCommand: CommandDefinition = {
  name: 'du',
  summary: 'tell what space directories take, of a volume that is not mounted',
  arguments: [{ name: 'place', text: 'IMAGE or IMAGE:PATH', repeated: true }],
  options: [
    { flags: '-s, --summarize', text: 'only the places named' },
    { flags: '-h, --human-readable', text: 'sizes with units; by default KiB' },
    JSON_OPTION,
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
