/** `quarry find`: all that is below a place of a volume that is not mounted. */
import { printable } from '../common/printable.ts';
import { pathBytes, pathText } from '../path-bytes.ts';
import {
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  printJson,
  type Terminal,
} from './command.ts';
import { UsageError } from './failure.ts';
import { modeText, timeOf, typeName } from './file-lines.ts';
import { lastName } from './tree-sides.ts';
import { onPlaces } from './volume-path.ts';
import { type WalkedName, walkedNames } from './volume-walk.ts';

/** Letters of find(1), by what `ls -l` shows. */
const TYPE_LETTERS = 'fdlpsbc';

function typeOption(options: OptionValues): string | undefined {
  const letter = optionText(options, 'type');
  if (letter === undefined || (letter.length === 1 && TYPE_LETTERS.includes(letter))) return letter;
  throw new UsageError(`--type ${letter} is none of ${[...TYPE_LETTERS].join(', ')}`);
}

/** Whether it is to be shown. */
function filterOf(options: OptionValues): (found: WalkedName) => boolean {
  const type = typeOption(options);
  const name = optionText(options, 'name');
  const bytes = name === undefined ? undefined : pathBytes(name);
  return ({ stats, path }) => {
    if (type !== undefined && modeText(stats).at(0) !== (type === 'f' ? '-' : type)) return false;
    return bytes === undefined || lastName(path).equals(bytes);
  };
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const isWanted = filterOf(options);
  const isJson = optionGiven(options, 'json');
  const end = optionGiven(options, 'print0') ? '\0' : '\n';
  const all: unknown[] = [];
  await onPlaces(args, true, async (volume, place) => {
    for await (const found of walkedNames(volume, place.path)) {
      if (!isWanted(found)) continue;
      const { path, stats } = found;
      if (isJson) {
        const { size, ino } = stats;
        const modified = timeOf(stats);
        all.push({ path: pathText(path), type: typeName(stats), inode: ino, sizeBytes: size, modified });
      } else if (end === '\0') await terminal.bytes?.(Buffer.concat([path, Buffer.alloc(1)]));
      else terminal.out(`${printable(pathText(path))}\n`);
    }
  });
  if (isJson) printJson(terminal, all);
  return 0;
}

export const findCommand: CommandDefinition = {
  name: 'find',
  summary: 'list all that is below a place of a volume that is not mounted',
  arguments: [{ name: 'place', text: 'IMAGE or IMAGE:PATH', repeated: true }],
  options: [
    { flags: '-t, --type <letter>', text: 'only files (f), directories (d), links (l), or p, s, b, c' },
    { flags: '-n, --name <name>', text: 'only what has this name, to the letter' },
    { flags: '-0, --print0', text: 'a null byte behind each path, as xargs -0 reads them' },
    JSON_OPTION,
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
