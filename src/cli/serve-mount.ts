/**
 * The process that serves a mount, from opening the target to the clean volume.
 *
 *   claim the device → open the volume → mount → answer → (umount or a signal) → volume clean → end
 *
 * A block device that root mounts is held by the kernel for the mount; until then a descriptor of ours with O_EXCL holds
 * it, and is let go of just before. Until the mount exists a signal ends the process, which a crash-safe volume does not mind;
 * from then on see mount-signals.ts.
 */
import { type AioDevice, openAioDevice } from '../aio/aio-device.ts';
import { CorruptionError } from '../fs/errors.ts';
import type { SpaceStatistics } from '../fs/filesystem.ts';
import { NotAVolumeError } from '../fs/superblock.ts';
import { openVolume, type Volume } from '../fs/volume.ts';
import { serveByFuseNative } from '../fuse/fuse-native-adapter.ts';
import { MountError } from '../fuse/mount.ts';
import { serve } from '../fuse/serve.ts';
import type { SessionStatistics } from '../fuse/session.ts';
import { native } from '../native.ts';
import { ControlServer, type WaitAnswer } from './control-socket.ts';
import { CommandError, failureLine, targetError } from './failure.ts';
import { KernelClock } from './kernel-clock.ts';
import type { LogLine } from './mount-log.ts';
import type { MountPlan } from './mount-request.ts';
import { MountSignals } from './mount-signals.ts';
import {
  ownRecord,
  type RuntimeRecord,
  removeRecord,
  runtimeDirectory,
  writeRecord,
} from './runtime-records.ts';

/** How long a process may live on when its mount is gone. */
const LAST_MILLISECONDS = 5000;

/** A FUSE layer at work, whichever it is. */
interface Served {
  /** Resolves when the mount is gone and the volume clean. */
  readonly closed: Promise<void>;
  statistics?(): SessionStatistics;
}

/** A mount that answers. */
interface LiveMount {
  readonly plan: MountPlan;
  readonly device: AioDevice;
  readonly volume: Volume;
  readonly session: Served;
  readonly log: LogLine;
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Holds a block device by O_EXCL. @returns how to let go of it */
function claim(path: string): () => void {
  const { descriptor } = native.openDevice(path, { readOnly: true, exclusive: true, direct: false });
  let held = true;
  return () => {
    if (held) native.closeDevice(descriptor);
    held = false;
  };
}

/** What opening a volume threw, in words. */
function volumeError(thrown: unknown, path: string): Error {
  if (thrown instanceof MountError) return thrown;
  if (thrown instanceof NotAVolumeError) {
    return new CommandError(`${path} cannot be mounted: ${thrown.message}`, { cause: thrown });
  }
  if (thrown instanceof CorruptionError) {
    return new CommandError(`${path} is damaged (${thrown.message}): 'quarry fsck -n ${path}' tells more`, {
      cause: thrown,
    });
  }
  if (Object(thrown).syscall === 'io_uring_setup') {
    return new CommandError(`engine=uring cannot be had (${failureLine(thrown)}): mount with engine=aio`, {
      cause: thrown,
    });
  }
  return targetError(thrown, path);
}

async function openMount(plan: MountPlan, log: LogLine): Promise<LiveMount> {
  const { target, options } = plan;
  const kernelHolds = target.isBlockDevice && isRoot() && options.layer === 'native';
  let release: () => void = () => {};
  try {
    if (kernelHolds) release = claim(target.path);
    const device = openAioDevice(target.path, {
      engine: options.engine,
      readOnly: options.readOnly,
      exclusive: !kernelHolds,
      allowBuffered: true,
    });
    if (!device.direct) {
      log(`${target.path} lies on a filesystem without direct I/O: bytes go through the host's page cache`);
    }
    return await serveVolume(plan, device, kernelHolds, release, log);
  } catch (thrown) {
    throw volumeError(thrown, target.path);
  } finally {
    release();
  }
}

async function serveVolume(
  plan: MountPlan,
  device: AioDevice,
  blockDevice: boolean,
  releaseClaim: () => void,
  log: LogLine,
): Promise<LiveMount> {
  const { target, directory, options, allocator, allocatorOptions } = plan;
  const { readOnly, cacheBytes, commitSeconds, recovery } = options;
  const volume = await openVolume(device, {
    readOnly,
    cacheBytes,
    commitSeconds,
    recovery,
    allocator,
    allocatorOptions,
    clock: new KernelClock(),
    log,
  });
  const signals = new MountSignals(log);
  try {
    const source = target.path;
    const request = { filesystem: volume, source, blockDevice, directory, options, releaseClaim, log };
    const session: Served =
      options.layer === 'native' ? await serve(request) : await serveByFuseNative(request);
    signals.attach({ directory, sync: () => volume.sync() });
    return { plan, device, volume, session, log };
  } catch (thrown) {
    await volume.unmount();
    throw thrown;
  }
}

/** Everything that `quarry stat` shows. */
async function mountStatistics(mount: LiveMount): Promise<Record<string, unknown>> {
  const { plan, device, volume, session } = mount;
  const space: SpaceStatistics = {
    blockBytes: 0,
    blocks: 0,
    freeBlocks: 0,
    inodes: 0,
    freeInodes: 0,
    maxNameBytes: 0,
  };
  await volume.run((tx) => volume.statistics(tx, space));
  return {
    target: plan.target.path,
    directory: plan.directory,
    label: volume.label,
    failure: failureOf(mount),
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    memoryBytes: process.memoryUsage.rss(),
    space,
    turns: volume.turns.lengths.summary(native.turnLengths()),
    volume: volume.counters(),
    session: session.statistics?.() ?? {},
    device: device.statistics(),
  };
}

/** Answers `stat` and `wait`, and leaves a record. The mount works without them. */
class Registration {
  readonly #log: LogLine;
  readonly #control: ControlServer;
  #record: RuntimeRecord | undefined;
  #runtime = '';

  constructor(mount: LiveMount, ended: Promise<WaitAnswer>) {
    this.#log = mount.log;
    this.#control = new ControlServer({ stat: () => mountStatistics(mount), wait: () => ended });
  }

  async open({ plan }: LiveMount): Promise<void> {
    try {
      this.#runtime = runtimeDirectory();
      const record = ownRecord(this.#runtime, plan.target.path, plan.directory);
      await this.#control.listen(record.socket);
      this.#record = record;
      writeRecord(this.#runtime, record);
    } catch (thrown) {
      this.#log(`'quarry stat' will not find this mount: ${failureLine(thrown)}`);
    }
  }

  async close(): Promise<void> {
    if (this.#record) removeRecord(this.#runtime, this.#record);
    await this.#control.close();
  }
}

/** Why a volume that was mounted to be written takes no changes any more; undefined if it does. */
function failureOf({ volume, plan }: LiveMount): string | undefined {
  if (!volume.readOnly || plan.options.readOnly) return undefined;
  return volume.failureInWords || 'the volume is damaged';
}

async function endOf(mount: LiveMount): Promise<WaitAnswer> {
  try {
    await mount.session.closed;
    const failure = failureOf(mount);
    if (failure === undefined) return { clean: true };
    return { clean: false, error: `the last changes could not be written (${failure})` };
  } catch (thrown) {
    return { clean: false, error: `it could not be closed in order (${failureLine(thrown)})` };
  }
}

/** A process that something keeps alive, such as a client that never hangs up, ends anyway. */
function endSoon(status: number): void {
  process.exitCode = status;
  setTimeout(() => process.exit(), LAST_MILLISECONDS).unref();
}

/**
 * Mounts, calls `onReady` when the mount is usable, serves it, and resolves when it is gone.
 * @returns the exit status: 0 if the volume is consistent on disk
 * @throws one line for the user if the mount cannot be made
 */
export async function serveMount(plan: MountPlan, log: LogLine, onReady: () => void): Promise<number> {
  native.setIoFlusher();
  const mount = await openMount(plan, log);
  const ended = endOf(mount);
  const registration = new Registration(mount, ended);
  await registration.open(mount);
  onReady();
  const { clean, error } = await ended;
  const status = clean ? 0 : 1;
  endSoon(status);
  if (!clean) log(`${plan.target.path}: ${error}; 'quarry fsck -n' tells whether it is sound`);
  await registration.close();
  return status;
}
