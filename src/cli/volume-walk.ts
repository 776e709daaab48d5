/**
 * All that is below a place of a volume, in the order of the bytes of the names, a directory first.
 */
import type { ProgramVolume, VolumeStats } from '../quarryfs.ts';
import { below } from './tree-sides.ts';

export interface WalkedName {
  readonly path: Buffer;
  readonly name: Buffer;
  readonly stats: VolumeStats;
  /** Steps below the top, which is 0. */
  readonly depth: number;
  /** The last of its directory, and of each directory that it is in. */
  readonly isLast: readonly boolean[];
}

interface Waiting {
  readonly path: Buffer;
  readonly name: Buffer;
  readonly isLast: readonly boolean[];
}

export async function* walkedNames(volume: ProgramVolume, top: Buffer): AsyncGenerator<WalkedName> {
  const waiting: Waiting[] = [{ path: top, name: top, isLast: [] }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { path, name, isLast } = next;
    const stats = await (isLast.length === 0 ? volume.stat(path) : volume.lstat(path));
    yield { path, name, stats, depth: isLast.length, isLast };
    if (!stats.isDirectory()) continue;
    const names = (await volume.readdir(path, 'buffer')).sort(Buffer.compare);
    const inside = names.map((one, index) => ({
      path: below(path, one),
      name: one,
      isLast: [...isLast, index === names.length - 1],
    }));
    for (const one of inside.reverse()) waiting.push(one);
  }
}
