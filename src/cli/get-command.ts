/**
 * `quarry get`: files of a volume that is not mounted, copied to the system with all that they are.
 */
import { isRoot } from '../common/permissions.ts';
import { absolutePath, pathBytes } from '../path-bytes.ts';
import { streamFile } from './cat-command.ts';
import { argumentAt, type CommandDefinition, type OptionValues, type Terminal } from './command.ts';
import { LocalTree } from './local-tree.ts';
import { copyAll, STANDARD } from './volume-copies.ts';
import { volumePath, withVolume } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

async function run(args: readonly string[], _options: OptionValues, terminal: Terminal): Promise<number> {
  const { image, path } = volumePath(argumentAt(args, 0));
  const target = args[1] ?? '.';
  return await withVolume(image, true, async (volume) => {
    if (target === STANDARD) {
      await streamFile(volume, path, terminal);
      return 0;
    }
    const source = new VolumeTree(volume, isRoot());
    const place = pathBytes(target.endsWith('/') ? `${absolutePath(target)}/` : absolutePath(target));
    return await copyAll(
      { source, paths: [path], target: new LocalTree(), place, images: { source: image } },
      terminal,
    );
  });
}

export const getCommand: CommandDefinition = {
  name: 'get',
  summary: 'copy a file or directory out of a volume that is not mounted',
  arguments: [
    { name: 'source', text: 'IMAGE:PATH; a directory with all that is in it' },
    { name: 'place', text: 'file or directory, - for standard output (default: here)', optional: true },
  ],
  options: [],
  notes: `Modes, times, extended attributes, links of both kinds and holes are kept, and owners where root copies.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
