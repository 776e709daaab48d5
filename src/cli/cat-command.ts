/** `quarry cat`: contents of files of a volume that is not mounted, on standard output. */
import type { ProgramVolume } from '../quarryfs.ts';
import type { CommandDefinition, OptionValues, Terminal } from './command.ts';
import { PIECE_BYTES } from './tree-sides.ts';
import { errorAt, onPlaces } from './volume-path.ts';

/** @returns false when nobody reads any more */
export async function streamFile(volume: ProgramVolume, path: Buffer, terminal: Terminal): Promise<boolean> {
  const file = await volume.open(path);
  try {
    const memory = Buffer.allocUnsafeSlow(PIECE_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(memory);
      if (bytesRead === 0) return true;
      if ((await terminal.bytes?.(memory.subarray(0, bytesRead))) === false) return false;
    }
  } catch (thrown) {
    throw errorAt(thrown, path);
  } finally {
    await file.close();
  }
}

async function run(args: readonly string[], _options: OptionValues, terminal: Terminal): Promise<number> {
  let isRead = true;
  await onPlaces(args, true, async (volume, { path }) => {
    if (isRead) isRead = await streamFile(volume, path, terminal);
  });
  return 0;
}

export const catCommand: CommandDefinition = {
  name: 'cat',
  summary: 'write files of a volume that is not mounted to standard output',
  arguments: [{ name: 'place', text: 'IMAGE:PATH', repeated: true }],
  options: [],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
