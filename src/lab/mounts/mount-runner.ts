/**
 * Runs a workload on a mounted volume: a loop device over a file, a filesystem on it, system calls.
 *
 * What is measured is what the kernel and the daemon made of it, so not the same twice. It needs
 * root. Whatever happens, the mount is taken away, and with it the disk.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { messageOf } from '../../common/thrown.ts';
import { type ColdReadFigures, ColdReadGatherer } from '../measures/cold-read.ts';
import {
  type AgeingPlan,
  AgeingRun,
  type BesideCopy,
  type RunResult,
  type RunSample,
  type RunWatcher,
} from '../runners/ageing-run.ts';
import { copyAll, secondsToReadAll } from './cold-read-clock.ts';
import type { Filesystem, MountedPlace } from './filesystems.ts';
import { expectRoom, LoopDisk } from './loop-disk.ts';
import { MountedVolume } from './mounted-volume.ts';

export interface MountedPlan extends AgeingPlan {
  readonly filesystem: Filesystem;
  /** Where the files behind the disks may lie. */
  readonly scratchDirectory: string;
}

const SCRATCH_PREFIX = 'run-';

/** @throws Error with one line for the user, also if the workload does not fill the volume */
export async function runMounted(plan: MountedPlan, watcher: RunWatcher): Promise<RunResult> {
  expectRoom(plan.scratchDirectory, 2 * plan.sizeBytes, 'a disk and a copy, together');
  const directory = mkdtempSync(join(plan.scratchDirectory, SCRATCH_PREFIX));
  const remove = () => rmSync(directory, { recursive: true });
  const ageing = withMount(plan, directory, 'aged', async (mount) => {
    const aged = await age(plan, mount, watcher);
    return watcher.isStopped() ? aged : await besideCopyOf(aged, plan, directory, mount);
  });
  const result = await ageing.catch((thrown: unknown) => {
    afterFailure(remove);
    throw thrown;
  });
  remove();
  return result;
}

/** What has been aged is not lost with a copy that fails. */
async function besideCopyOf(
  aged: RunResult,
  plan: MountedPlan,
  scratch: string,
  mount: Mount,
): Promise<RunResult> {
  const last = aged.samples.at(-1);
  if (last === undefined) return aged;
  try {
    const besideCopy = await compareWithCopy(plan, scratch, mount, last);
    return { ...aged, samples: [...aged.samples.slice(0, -1), { ...last, besideCopy }] };
  } catch (thrown) {
    return { ...aged, remark: `not compared with a copy: ${messageOf(thrown)}` };
  }
}

async function age(plan: MountedPlan, { place }: Mount, watcher: RunWatcher): Promise<RunResult> {
  const volume = new MountedVolume(plan.filesystem, place);
  const began = performance.now();
  try {
    const ageing = new AgeingRun(plan, volume, watcher);
    const samples = await ageing.go();
    const seconds = (performance.now() - began) / 1000;
    const detail = { samples: ageing.details };
    return { samples, detail, cost: { operationsPerSecond: volume.operations / seconds, seconds } };
  } finally {
    volume.closeAll();
  }
}

/** A disk that is mounted, and can be mounted anew. */
interface Mount {
  readonly place: MountedPlace;
  /** Nothing of it is in memory after this. */
  again(): void;
}

async function withMount<T>(
  { filesystem, sizeBytes, blockBytes }: MountedPlan,
  scratch: string,
  name: string,
  use: (mount: Mount) => Promise<T>,
): Promise<T> {
  const disk = LoopDisk.make(scratch, `${name}.img`, sizeBytes);
  try {
    const directory = join(scratch, name);
    mkdirSync(directory);
    filesystem.make(disk.path, blockBytes);
    filesystem.mount(disk.path, directory);
    let isMounted = true;
    const unmount = () => {
      if (isMounted) filesystem.unmount(directory);
      isMounted = false;
    };
    const again = () => {
      unmount();
      disk.forgetCaches();
      filesystem.mount(disk.path, directory);
      isMounted = true;
    };
    const place = { device: disk.path, directory, blockBytes };
    const result = await use({ place, again }).catch((thrown: unknown) => {
      afterFailure(unmount);
      throw thrown;
    });
    unmount();
    return result;
  } finally {
    disk.close();
  }
}

/** What comes of a failure is not told in place of it. */
function afterFailure(tidy: () => void): void {
  try {
    tidy();
  } catch {}
}

async function compareWithCopy(
  plan: MountedPlan,
  scratch: string,
  aged: Mount,
  { coldRead }: RunSample,
): Promise<BesideCopy> {
  aged.again();
  const agedSeconds = secondsToReadAll(aged.place.directory);
  return withMount(plan, scratch, 'fresh', async (fresh) => {
    copyAll(aged.place.directory, fresh.place.directory);
    fresh.again();
    const freshSeconds = secondsToReadAll(fresh.place.directory);
    const modelled = await modelledRead(plan, fresh.place);
    return {
      agedSeconds,
      freshSeconds,
      measuredSlowdown: agedSeconds / freshSeconds,
      diskSlowdown: coldRead.diskSeconds / modelled.diskSeconds,
    };
  });
}

async function modelledRead(plan: MountedPlan, place: MountedPlace): Promise<ColdReadFigures> {
  const gatherer = new ColdReadGatherer(plan.blockBytes, plan.sizeBytes);
  const maps = await plan.filesystem.maps(place);
  try {
    for await (const extents of maps.filesInOrder()) gatherer.add(extents);
  } finally {
    await maps.close();
  }
  return gatherer.figures();
}
