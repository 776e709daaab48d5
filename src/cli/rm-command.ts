/** `quarry rm`: removes files from a volume that is not mounted. */
import { codeOf } from '../common/thrown.ts';
import { type CommandDefinition, type OptionValues, optionGiven, type Terminal } from './command.ts';
import { CommandError } from './failure.ts';
import { lastName } from './tree-sides.ts';
import { onPlaces, placeText } from './volume-path.ts';

async function run(args: readonly string[], options: OptionValues, _terminal: Terminal): Promise<number> {
  const recursive = optionGiven(options, 'recursive');
  const force = optionGiven(options, 'force');
  await onPlaces(args, false, async (volume, place) => {
    const name = lastName(place.path).toString();
    if (name === '.' || name === '..')
      throw new CommandError(`${placeText(place)}: refusing to remove '.' or '..'`);
    const root = new CommandError(`${placeText(place)} is the root of the volume: name what is in it`);
    if (name === '') throw root;
    try {
      await volume.rm(place.path, { recursive, force });
    } catch (thrown) {
      if (codeOf(thrown) === 'EBUSY') throw root;
      if (codeOf(thrown) !== 'ERR_FS_EISDIR') throw thrown;
      throw new CommandError(
        `${placeText(place)} is a directory: use -r to remove it with all that is in it`,
      );
    }
  });
  return 0;
}

export const rmCommand: CommandDefinition = {
  name: 'rm',
  summary: 'remove files and directories from a volume that is not mounted',
  arguments: [{ name: 'place', text: 'IMAGE:PATH', repeated: true }],
  options: [
    { flags: '-r, --recursive', text: 'directories too, with all that is in them' },
    { flags: '-f, --force', text: 'what is not there is no error' },
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
