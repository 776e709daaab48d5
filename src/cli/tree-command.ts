/** `quarry tree`: a directory of a volume that is not mounted, drawn as a tree. */
import { printable } from '../common/printable.ts';
import { plural } from '../common/words.ts';
import { pathText } from '../path-bytes.ts';
import { type CommandDefinition, type OptionValues, optionText, type Terminal } from './command.ts';
import { UsageError } from './failure.ts';
import { onPlaces, placeText } from './volume-path.ts';
import { walkedNames } from './volume-walk.ts';

/** The lines before a name: which directories above go on. */
function branch(isLast: readonly boolean[]): string {
  const last = isLast.at(-1);
  const above = isLast.slice(0, -1).map((one) => (one ? '    ' : '│   '));
  return last === undefined ? '' : `${above.join('')}${last ? '└── ' : '├── '}`;
}

function depthOption(options: OptionValues): number {
  const text = optionText(options, 'depth');
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const depth = Number(text);
  if (Number.isSafeInteger(depth) && depth > 0) return depth;
  throw new UsageError(`--depth ${text} is no whole number above 0`);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const mostDepth = depthOption(options);
  await onPlaces(args, true, async (volume, place) => {
    let directories = 0;
    let files = 0;
    for await (const { path, name, stats, depth, isLast } of walkedNames(volume, place.path)) {
      if (depth > mostDepth) continue;
      if (depth > 0) stats.isDirectory() ? directories++ : files++;
      const shown = depth === 0 ? placeText(place) : pathText(name);
      const leadsTo =
        depth > 0 && stats.isSymbolicLink() ? ` -> ${pathText(await volume.readlink(path, 'buffer'))}` : '';
      terminal.out(`${branch(isLast)}${printable(shown)}${printable(leadsTo)}\n`);
    }
    const many = directories === 1 ? '1 directory' : `${directories} directories`;
    terminal.out(`\n${many}, ${plural(files, 'file')}\n`);
  });
  return 0;
}

export const treeCommand: CommandDefinition = {
  name: 'tree',
  summary: 'draw a directory of a volume that is not mounted',
  arguments: [{ name: 'place', text: 'IMAGE or IMAGE:PATH', repeated: true }],
  options: [{ flags: '-L, --depth <steps>', text: 'no more than so many steps down' }],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
