/** `quarry mkdir`: directories in a volume that is not mounted. */
import {
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  type Terminal,
} from './command.ts';
import { UsageError } from './failure.ts';
import { onPlaces } from './volume-path.ts';

function modeOption(options: OptionValues): number | undefined {
  const text = optionText(options, 'mode');
  if (text === undefined) return undefined;
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  throw new UsageError(`--mode ${text} is no mode: write it as 755`);
}

async function run(args: readonly string[], options: OptionValues, _terminal: Terminal): Promise<number> {
  const mode = modeOption(options);
  const recursive = optionGiven(options, 'parents');
  await onPlaces(args, false, async (volume, { path }) => {
    const made = await volume.mkdir(path, { recursive });
    const isNew = !recursive || made !== undefined;
    if (mode !== undefined && isNew) await volume.chmod(path, mode);
  });
  return 0;
}

export const mkdirCommand: CommandDefinition = {
  name: 'mkdir',
  summary: 'make directories in a volume that is not mounted',
  arguments: [{ name: 'place', text: 'IMAGE:PATH', repeated: true }],
  options: [
    { flags: '-p, --parents', text: 'and those above; what is there is no error' },
    { flags: '-m, --mode <mode>', text: 'what is made gets this mode, such as 755' },
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
