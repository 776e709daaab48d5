/** `quarry cp`: copies within a volume that is not mounted, or from one to another. */
import { FileType } from '../fs/format/format.ts';
import { realPathOf } from '../path-bytes.ts';
import type { ProgramVolume } from '../quarryfs.ts';
import type { CommandDefinition, OptionValues, Terminal } from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { placeFor } from './tree-copy.ts';
import { copyAll } from './volume-copies.ts';
import { namesVolume, type PlaceInVolume, placeText, volumePath, withVolume } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

/** The path without links and dots; undefined where nothing is. */
async function realPath(volume: ProgramVolume, path: Buffer): Promise<string | undefined> {
  if (!(await volume.exists(path))) return undefined;
  return (await volume.realpath(path, 'buffer')).toString('latin1');
}

/** What is below a directory cannot become a part of itself. */
async function requireOutside(
  volume: ProgramVolume,
  sources: readonly PlaceInVolume[],
  { path }: PlaceInVolume,
): Promise<void> {
  const tree = new VolumeTree(volume, true);
  const above = path.subarray(0, path.lastIndexOf(0x2f) + 1);
  const around = (await realPath(volume, path)) ?? (await realPath(volume, above)) ?? '/';
  for (const source of sources) {
    if ((await tree.typeAt(source.path, false)) !== FileType.directory) continue;
    const real = `${await realPath(volume, source.path)}/`.replace('//', '/');
    const to = await placeFor(tree, path, source.path, sources.length > 1);
    if (`${around}/`.startsWith(real) || (await realPath(volume, to)) === real.slice(0, -1))
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
        {
          source,
          paths,
          target: new VolumeTree(volume, true),
          place: target.path,
          images: { source: image, target: target.image },
        },
        terminal,
      ),
    );
  if (realPathOf(image) !== realPathOf(target.image))
    return await withVolume(image, true, (volume) => copyFrom(new VolumeTree(volume, true)));
  return await withVolume(image, false, async (volume) => {
    await requireOutside(volume, sources, target);
    const tree = new VolumeTree(volume, true);
    return copyAll(
      {
        source: tree,
        paths,
        target: tree,
        place: target.path,
        images: { source: image, target: target.image },
      },
      terminal,
    );
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
