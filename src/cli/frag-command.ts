/**
 * `quarry frag`: how fragmented a volume, the files below a directory, or a file is; filefrag(8)
 * and e2freefrag(8) in one. Writes nothing.
 */
import { measureFile, measureVolume } from '../inspect/volume-figures.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  printJson,
  type Terminal,
} from './command.ts';
import { UsageError } from './failure.ts';
import { fileJson, fileText, type MeasuredPlace, volumeJson, volumeText } from './frag-text.ts';
import { type MeasuredVolume, withMeasuredVolume } from './measured-volume.ts';
import { type NamedPlace, namedPlace } from './named-place.ts';
import { ProgressBar } from './progress.ts';
import { writeBack } from './write-back.ts';

const DEFAULT_WORST = 10;
const MOST_WORST = 100_000;

/** @throws UsageError unless the text is a number of files */
export function worstCount(text: string | undefined): number {
  if (text === undefined) return DEFAULT_WORST;
  const count = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  if (count >= 0 && count <= MOST_WORST) return count;
  throw new UsageError(`--worst ${text} is not a number of files: write one from 0 to ${MOST_WORST}`);
}

interface Answer {
  readonly text: string;
  readonly data: Record<string, unknown>;
}

function placeOf(named: NamedPlace, { source, ...state }: MeasuredVolume): MeasuredPlace {
  const { blockBytes, blockCount } = source.layout;
  return { name: named.path, target: named.target.path, ...state, blockBytes, blockCount };
}

async function answer(
  named: NamedPlace,
  volume: MeasuredVolume,
  worst: number,
  bar: ProgressBar | undefined,
): Promise<Answer> {
  const place = placeOf(named, volume);
  if (named.kind === 'file') {
    const figures = await measureFile(volume.source, named.inode);
    return { text: fileText(place, figures), data: fileJson(place, figures) };
  }
  const figures = await measureVolume(volume.source, {
    worst,
    ...(named.kind === 'directory' ? { directory: named.inode } : {}),
    progress: (stage, done, total) => bar?.update(stage, done, total),
  });
  // Paths begin where the volume does, or with the directory that was named.
  const prefix = place.name === place.target ? '' : place.name;
  return { text: volumeText(place, figures, prefix), data: volumeJson(place, figures) };
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const worst = worstCount(optionText(options, 'worst'));
  const named = await namedPlace(argumentAt(args, 0));
  if (named.kind === 'file') writeBack(named.path);
  const json = optionGiven(options, 'json');
  const wantsBar = optionGiven(options, 'progress') || (terminal.interactive && !json);
  const bar = wantsBar ? new ProgressBar(terminal) : undefined;
  try {
    const { text, data } = await withMeasuredVolume(named.target, named.mount, terminal, (volume) =>
      answer(named, volume, worst, bar).finally(() => bar?.clear()),
    );
    if (json) printJson(terminal, data);
    else terminal.out(text);
    return 0;
  } finally {
    bar?.clear();
  }
}

export const fragCommand: CommandDefinition = {
  name: 'frag',
  summary: 'show how fragmented a volume, a directory or a file is',
  arguments: [
    { name: 'place', text: 'block device, image file, or a file or directory in a mount of Quarry' },
  ],
  options: [
    {
      flags: '--worst <count>',
      text: `how many files with most extents are named; ${DEFAULT_WORST} if not given`,
    },
    { flags: '--progress', text: 'show a progress bar; by default where standard error is a terminal' },
    JSON_OPTION,
  ],
  notes: `An extent that goes on where the one before ended counts as one with it, as for filefrag(8).
The layout score is the share of a file's blocks that stand directly behind the one before; 1 is perfect.
A mounted volume is committed first, and moves while it is read: the figures are exact only of one that rests.
Parts that cannot be read are left out, and said; docs/FRAGMENTATION.md tells more.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
