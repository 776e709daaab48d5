/**
 * Examines one crash state: mounts it, which recovers it, compares what it shows with the oracle,
 * unmounts it, and has the checker look at what is left. Every now and then it also writes to the
 * recovered volume, or mounts it read-only first.
 */

import type { Device } from '../../src/aio/device.ts';
import { checkVolume } from '../../src/check/checker.ts';
import type { Clock } from '../../src/fs/base/clock.ts';
import type { WriteRequest } from '../../src/fs/base/filesystem.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import { openVolume, type Volume } from '../../src/fs/volume.ts';
import type { CrashDisk } from '../../src/sim/crash-disk.ts';
import type { DeviceEvent } from '../../src/sim/crash-image.ts';
import type { Version } from './model.ts';
import type { CrashWindow, Oracle } from './oracle.ts';
import { readContents, readTree } from './recovered-tree.ts';

/** Every recovery happens at the same time of day, so that equal states recover to equal disks. */
export class StoppedClock implements Clock {
  nanoseconds = 0;
  constructor(public seconds = 2_000_000_000) {}
  read(): void {}
  roughSeconds(): number {
    return this.seconds;
  }
}

/** Smallest cache that a volume takes. */
export const CACHE_BYTES = 4 * 1024 * 1024;

export interface ExamineOptions {
  /** Also: mount read-only first, which must change nothing. */
  readonly readOnlyFirst: boolean;
  /** Also: write to the recovered volume. */
  readonly use: boolean;
  /** Takes what recovery and unmount write. */
  readonly log?: DeviceEvent[] | undefined;
}

/** @returns what is wrong; undefined if nothing is */
export async function examine(
  disk: CrashDisk,
  oracle: Oracle,
  window: CrashWindow,
  options: ExamineOptions,
): Promise<string | undefined> {
  try {
    return (
      (options.readOnlyFirst ? await readOnlyFault(disk, oracle, window) : undefined) ??
      (await mountFault(disk, oracle, window, options)) ??
      (await checkFault(disk))
    );
  } catch (thrown) {
    return `threw ${thrown instanceof Error ? thrown.stack : String(thrown)}`;
  } finally {
    disk.recycle();
  }
}

async function readOnlyFault(
  disk: CrashDisk,
  oracle: Oracle,
  window: CrashWindow,
): Promise<string | undefined> {
  const mark = disk.mark();
  const device = disk.device({ readOnly: true });
  const volume = await open(device);
  const fault = await contentFault(volume, device, oracle, window);
  await volume.unmount();
  if (disk.changedSince(mark)) return 'a read-only mount wrote to the disk';
  return fault && `mounted read-only: ${fault}`;
}

async function mountFault(
  disk: CrashDisk,
  oracle: Oracle,
  window: CrashWindow,
  options: ExamineOptions,
): Promise<string | undefined> {
  const device = disk.device({ log: options.log });
  const volume = await open(device);
  const fault = await contentFault(volume, device, oracle, window);
  if (fault === undefined && options.use) await use(volume, device);
  await volume.unmount();
  return fault;
}

function open(device: Device): Promise<Volume> {
  const clock = new StoppedClock();
  return openVolume(device, { commitSeconds: 0, cacheBytes: CACHE_BYTES, clock, thorough: true });
}

async function contentFault(
  volume: Volume,
  device: Device,
  oracle: Oracle,
  window: CrashWindow,
): Promise<string | undefined> {
  const tree = await readTree(volume);
  const candidates: readonly Version[] | string = oracle.candidates(window, tree);
  if (typeof candidates === 'string') return candidates;
  const contents = await readContents(volume, device, tree.files);
  return oracle.contentFault(window, candidates, tree.files, contents);
}

/**
 * Makes a file and a directory, writes, and removes the directory again: what recovery left must
 * carry new work.
 */
async function use(volume: Volume, device: Device): Promise<void> {
  const caller = { uid: 0, gid: 0, umask: 0 };
  const name = (text: string) => new TextEncoder().encode(text);
  try {
    const inode = await volume.run((tx) => {
      const request = { mode: FileType.regular | 0o600, deviceNumber: 0, caller };
      return volume.create(tx, ROOT_INODE, name('after the crash'), request);
    });
    await writeZeros(volume, device, inode, 3000);
    await volume.run((tx) => {
      const request = { mode: FileType.directory | 0o700, deviceNumber: 0, caller };
      volume.create(tx, ROOT_INODE, name('d'), request);
    });
    await volume.run((tx) => volume.removeDirectory(tx, ROOT_INODE, name('d')));
  } catch (thrown) {
    if ((thrown as { code?: string }).code !== 'ENOSPC') throw thrown;
  }
}

function writeZeros(volume: Volume, device: Device, inode: number, lengthBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request: WriteRequest = {
      inode,
      offsetBytes: 0,
      lengthBytes,
      memory: device.allocateMemory(lengthBytes + 8192 - (lengthBytes % 4096)),
      memoryOffset: 0,
      updateTimes: true,
      killPrivileges: false,
      mayEndEarly: false,
      finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
    };
    volume.write(request);
    volume.submit();
  });
}

async function checkFault(disk: CrashDisk): Promise<string | undefined> {
  const device = disk.device({ readOnly: true });
  const result = await checkVolume(device);
  await device.close();
  if (!result.clean) {
    const lines = result.problems.slice(0, 5).map((problem) => JSON.stringify(problem));
    return `the checker found ${result.problemCount} problems\n${lines.join('\n')}`;
  }
  return result.state === 'clean' ? undefined : 'the volume is not clean after recovery and unmount';
}
