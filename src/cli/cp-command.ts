/** `quarry cp`: copies within a volume that is not mounted, or from one to another. */

import { realPathOf } from '../path-bytes.ts';
import type { CommandDefinition, OptionValues, Terminal } from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { copyAll } from './volume-copies.ts';
import { namesVolume, type PlaceInVolume, placeText, volumePath, withVolume } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

/** What is below a directory cannot become a part of itself. */
function requireOutside(sources: readonly PlaceInVolume[], target: PlaceInVolume): void {
  for (const source of sources) {
    const inside = `${source.path.toString('latin1').replace(/\/*$/, '')}/`;
    if (`${target.path.toString('latin1')}/`.startsWith(inside))
      throw new CommandError(`${placeText(source)} cannot be copied into itself`);
  }
}

async function run(args: readonly string[], _options: OptionValues, terminal: Terminal): Promise<number> {
  const word = args.at(-1);
  const words = args.slice(0, -1);
  if (word === undefined || words.length === 0) throw new UsageError('name what to copy, and where to');
  for (const one of args) {
    if (!namesVolume(one))
      throw new UsageError(
        `${one} is no place in a volume, such as IMAGE:PATH; for files of the system there are get and put`,
      );
  }
  const target = volumePath(word);
  const sources = words.map((one) => volumePath(one));
  const image = sources[0]?.image ?? '';
  if (sources.some((one) => one.image !== image))
    throw new UsageError('all that is copied must be of one volume');
  const paths = sources.map(({ path }) => path);
  const copyFrom = (source: VolumeTree) =>
    withVolume(target.image, false, (volume) =>
      copyAll(
        { source, paths, target: new VolumeTree(volume, true), place: target.path, images: [] },
        terminal,
      ),
    );
  if (realPathOf(image) !== realPathOf(target.image))
    return await withVolume(image, true, (volume) => copyFrom(new VolumeTree(volume, true)));
  requireOutside(sources, target);
  return await withVolume(image, false, (volume) => {
    const tree = new VolumeTree(volume, true);
    return copyAll({ source: tree, paths, target: tree, place: target.path, images: [] }, terminal);
  });
}

export const cpCommand: CommandDefinition = {
  name: 'cp',
  summary: 'copy files and directories within volumes that are not mounted',
  arguments: [{ name: 'places', text: 'what to copy, and where to: IMAGE:PATH each', repeated: true }],
  options: [],
  notes: `All that files are is kept: owners, modes, times, extended attributes, links of both kinds and holes.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
