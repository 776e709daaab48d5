/** How each contender comes onto a disk and is mounted, and who tells how its files lie. */
import type { LaidExtent } from '../measures/layout.ts';
import type { AgedFigures } from '../runners/aged-volume.ts';
import { fileMaps, freeSpaceMap } from './kernel-maps.ts';
import { runProgram } from './programs.ts';
import { QuarryMaps } from './quarry-maps.ts';

/** Mounted, and at rest. */
export interface MountedPlace {
  readonly device: string;
  readonly directory: string;
  readonly blockBytes: number;
}

/** How it lies at one moment. */
export interface LayoutMaps {
  filesInOrder(): AsyncIterable<readonly LaidExtent[]>;
  /** False if nobody tells of free runs. */
  visitFreeRuns(visit: (start: number, length: number) => void): Promise<boolean>;
  close(): Promise<void>;
}

export interface Filesystem {
  make(device: string, blockBytes: number): void;
  mount(device: string, directory: string): void;
  unmount(directory: string): void;
  maps(place: MountedPlace): Promise<LayoutMaps>;
  /** What it counts itself. */
  counts(directory: string): Omit<AgedFigures, 'fullness'>;
}

const MKFS: Record<string, readonly string[]> = {
  ext4: ['-q', '-F', '-b'],
  xfs: ['-q', '-f', '-b'],
  btrfs: ['-q', '-f', '-s'],
};

/** Filesystems of the kernel that can stand beside ours. */
export const KERNEL_FILESYSTEMS: readonly string[] = Object.keys(MKFS);

/** As its own tools make it and mount(8) mounts it, without any option but the size of a block. */
export function kernelFilesystem(name: string): Filesystem {
  const words = MKFS[name] ?? [];
  return {
    make: (device, blockBytes) => {
      const size = name === 'xfs' ? `size=${blockBytes}` : String(blockBytes);
      runProgram(`mkfs.${name}`, [...words, size, device]);
    },
    mount: (device, directory) => void runProgram('mount', ['-t', name, device, directory]),
    unmount: (directory) => void runProgram('umount', [directory]),
    maps: async ({ directory, blockBytes }) => ({
      filesInOrder: () => fileMaps(directory, blockBytes),
      visitFreeRuns: async (visit) => freeSpaceMap(directory, blockBytes, visit),
      close: async () => {},
    }),
    counts: () => ({ policy: {} }),
  };
}

export interface QuarryProgram {
  /** The program and its first words. */
  readonly command: readonly string[];
  /** Of `quarry mount`. */
  readonly allocator: string;
  readonly allocatorOptions: Readonly<Record<string, string>>;
}

/** Ours under a policy, by the command that users have. */
export function quarryFilesystem({ command, allocator, allocatorOptions }: QuarryProgram): Filesystem {
  const [program = '', ...first] = command;
  const quarry = (...words: string[]) => runProgram(program, [...first, ...words]);
  const pairs = Object.entries(allocatorOptions).map(([key, value]) => `${key}=${value}`);
  const options = pairs.length === 0 ? [] : ['--allocator-options', pairs.join(',')];
  return {
    make: (device, blockBytes) => void quarry('mkfs', '--force', '--block-size', String(blockBytes), device),
    mount: (device, directory) =>
      void quarry('mount', '--allocator', allocator, ...options, device, directory),
    unmount: (directory) => void quarry('umount', directory),
    maps: ({ device }) => QuarryMaps.open(device),
    counts: (directory) => countsOf(quarry('stat', '--json', directory)),
  };
}

/** @param text what `quarry stat --json` said */
function countsOf(text: string): Omit<AgedFigures, 'fullness'> {
  const { volume } = JSON.parse(text) as {
    volume: { metadataBlocksWritten: number; policy: Record<string, number> };
  };
  const { metadataBlocksWritten, policy } = volume;
  return { metadataBlocksWritten, policy };
}
