/** `quarry put`: files of the system, copied into a volume that is not mounted. */
import { isRoot } from '../common/permissions.ts';
import { FileType } from '../fs/format/format.ts';
import { absolutePath, pathBytes } from '../path-bytes.ts';
import type { ProgramVolume } from '../quarryfs.ts';
import type { CommandDefinition, OptionValues, Terminal } from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { LocalTree } from './local-tree.ts';
import { madeBeside } from './made-beside.ts';
import { requireFile } from './tree-copy.ts';
import { copyAll, STANDARD } from './volume-copies.ts';
import { errorAt, type PlaceInVolume, placeText, volumePath, withVolume } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

/** The file is there when all of it is: until then it has another name. */
async function putInput(volume: ProgramVolume, place: PlaceInVolume, terminal: Terminal): Promise<void> {
  const { path } = place;
  const target = new VolumeTree(volume, isRoot());
  if ((await target.typeAt(path, true)) === FileType.directory)
    throw new CommandError(`${placeText(place)} is a directory: name the file that standard input becomes`);
  requireFile(path, await target.typeAt(path, false));
  await madeBeside(target, path, (at) =>
    volume.writeFile(at, terminal.input ?? [], { flag: 'wx' }).catch((thrown: unknown) => {
      throw errorAt(thrown, at);
    }),
  );
}

async function run(args: readonly string[], _options: OptionValues, terminal: Terminal): Promise<number> {
  const sources = args.slice(0, -1);
  const word = args.at(-1);
  if (word === undefined || sources.length === 0)
    throw new UsageError('name what to copy, and where to: IMAGE:PATH');
  const place = volumePath(word);
  const isInput = sources.includes(STANDARD);
  if (isInput && sources.length > 1) throw new UsageError('standard input cannot be one of several files');
  return await withVolume(place.image, false, async (volume) => {
    if (isInput) {
      await putInput(volume, place, terminal);
      return 0;
    }
    const source = new LocalTree();
    const paths: Buffer[] = [];
    for (const one of sources)
      paths.push(await source.named(pathBytes(`${absolutePath(one)}${/[^/]\/+$/.test(one) ? '/' : ''}`)));
    const target = new VolumeTree(volume, isRoot());
    return await copyAll(
      { source, paths, target, place: place.path, images: { target: place.image } },
      terminal,
    );
  });
}

export const putCommand: CommandDefinition = {
  name: 'put',
  summary: 'copy files and directories into a volume that is not mounted',
  arguments: [
    {
      name: 'words',
      text: 'files and directories, or - for standard input; and the target, IMAGE:PATH',
      repeated: true,
    },
  ],
  options: [],
  notes: `Modes, times, extended attributes, links of both kinds and holes are kept, and owners where root copies.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
