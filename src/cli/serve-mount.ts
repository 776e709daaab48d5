/**
 * The process that serves a mount, from opening the target to the clean volume.
 *
 *   claim the device → open the volume → mount → answer → (umount or a signal) → volume clean → end
 *
 * The target's storage is held until the volume is closed (storage-hold.ts). A block device that
 * root mounts is claimed by the kernel for the mount; until then by us, and let go of just before.
 * Until the mount exists a signal ends the process, which a crash-safe volume does not mind; from
 * then on see mount-signals.ts.
 */

import type { KernelDevice } from '../aio/kernel-device.ts';
import { isRoot } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { LostDataError, StaleBackupsError } from '../fs/base/errors.ts';
import { openVolume, type Volume } from '../fs/volume.ts';
import { fuseNativeWarning, serveByFuseNative } from '../fuse/fuse-native-adapter.ts';
import { MountAnswers } from '../fuse/mount-answers.ts';
import { MountError } from '../fuse/mount-error.ts';
import { accessRules } from '../fuse/mount-flags.ts';
import { serve } from '../fuse/serve.ts';
import type { Session, SessionStatistics } from '../fuse/session.ts';
import type { SynchronousRequests } from '../fuse/synchronous.ts';
import { native } from '../native.ts';
import { DaemonStatus } from './daemon-status.ts';
import { defragAnswer } from './defrag-answer.ts';
import { CommandError, failureLine } from './failure.ts';
import { growVolume, type Resized } from './growing.ts';
import { KernelClock } from './kernel-clock.ts';
import { LoopDevice } from './loop-device.ts';
import type { LogLine, MountLog } from './mount-log.ts';
import { MountRecording } from './mount-recording.ts';
import type { MountPlan } from './mount-request.ts';
import { MountSignals } from './mount-signals.ts';
import { type MeteredSession, MountWatch } from './mount-watch.ts';
import { openTarget } from './open-target.ts';
import { OwnMount } from './own-mount.ts';
import { endProcess } from './process-fence.ts';
import { quotaAnswer, uncountedQuotas } from './quota-answer.ts';
import { openRecordOf } from './record-target.ts';
import { Remounting } from './remounting.ts';
import { holdStorage } from './storage-hold.ts';
import { decodeTuning } from './tuning.ts';
import { volumeError } from './volume-failure.ts';

/** How long a process may live on when its mount is gone. */
const LAST_MILLISECONDS = 5000;

/** What open(2) says of that for a device or file that takes no changes. */
const WRITE_PROTECTED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'ETXTBSY']);

/** A FUSE layer at work, whichever it is. */
interface Served extends MeteredSession {
  /** Resolves when the mount is gone and the volume clean. */
  readonly closed: Promise<void>;
  statistics?(): SessionStatistics;
  watch?: Session['watch'];
  abandon?(): void;
  synchronous?: SynchronousRequests;
}

/** A mount that answers. */
interface LiveMount {
  readonly plan: MountPlan;
  readonly device: KernelDevice;
  readonly volume: Volume;
  readonly session: Served;
  readonly place: OwnMount;
  readonly answers: MountAnswers;
  /** The target, if it was made for this mount. */
  readonly loop: LoopDevice | undefined;
}

/** How the volume ended. */
interface End {
  /** One of `DaemonStatus`. */
  readonly status: number;
  /** What went wrong, as the end of a sentence about the volume. */
  readonly error?: string;
}

/**
 * For changes, if that can be, also where the mount is to be read-only: a remount may want some
 * later.
 * @param onClosed before the kernel is told that the volume is clean, after which umount(2) returns
 */
function openForMount({ target, options }: MountPlan, onClosed: () => void): KernelDevice {
  const { engine, readOnly, recovery } = options;
  const rules = { engine, exclusive: false, allowBuffered: true, onClosed };
  if (readOnly && recovery) {
    try {
      return openTarget(target, { ...rules, readOnly: false });
    } catch (thrown) {
      if (!WRITE_PROTECTED.has(codeOf(thrown) ?? '')) throw thrown;
    }
  }
  return openTarget(target, { ...rules, readOnly });
}

/** Mounts a device of its own for an image file, where that is asked for. */
async function openMount(plan: MountPlan, log: LogLine): Promise<LiveMount> {
  const { target, options } = plan;
  if (!options.loop || target.isBlockDevice) return await openOn(plan, log);
  const loop = LoopDevice.attach(target, options.readOnly);
  try {
    return await openOn({ ...plan, target: loop.target }, log, loop);
  } catch (thrown) {
    loop.close();
    throw thrown;
  }
}

async function openOn(plan: MountPlan, log: LogLine, loop?: LoopDevice): Promise<LiveMount> {
  const { target, options } = plan;
  const kernelHolds = target.isBlockDevice && isRoot() && options.layer === 'native';
  const hold = holdStorage(target, 'exclusive');
  try {
    const device = openForMount(plan, () => {
      hold.release();
      loop?.close();
    });
    if (!device.direct) {
      log(`${target.path} lies on a filesystem without direct I/O: bytes go through the host's page cache`);
    }
    const storage = { device, isBlockDevice: kernelHolds, releaseClaim: () => hold.releaseClaim() };
    return { ...(await serveVolume(plan, storage, log)), loop };
  } catch (thrown) {
    hold.release();
    throw thrown instanceof MountError ? thrown : volumeError(thrown, target.path, 'mounted');
  }
}

/** What a volume is served from. */
interface HeldStorage {
  readonly device: KernelDevice;
  readonly isBlockDevice: boolean;
  /** Lets the kernel have the block device, which then holds it for the mount. */
  readonly releaseClaim: () => void;
}

async function serveVolume(
  plan: MountPlan,
  { device, isBlockDevice, releaseClaim }: HeldStorage,
  log: LogLine,
): Promise<Omit<LiveMount, 'loop'>> {
  const { target, directory, options, allocator, allocatorOptions, policyHost } = plan;
  const { readOnly, cacheBytes, commitSeconds, discard, recovery } = options;
  let place: OwnMount | undefined;
  const volume = await openVolume(device, {
    readOnly,
    mayRest: true,
    mayWake: () => place?.isReadOnly !== true,
    cacheBytes,
    commitSeconds,
    discard,
    recovery,
    accessRules: accessRules(options.flags),
    acl: options.acl,
    directoryGroups: options.directoryGroups,
    quota: options.quota,
    reserved: options.reserved,
    allocator,
    allocatorOptions,
    allocatorFile: policyHost?.file,
    watchHook: policyHost?.watchHook,
    clock: new KernelClock(),
    log,
  });
  policyHost?.attach(volume, log);
  await expectQuotas(plan, volume);
  const signals = new MountSignals(log);
  try {
    const source = target.path;
    const answers = new MountAnswers(process.geteuid?.() ?? 0);
    const mount = { source, blockDevice: isBlockDevice, directory, options, releaseClaim };
    const request = { ...mount, filesystem: volume, log, answers, ...(plan.trace && { trace: plan.trace }) };
    const session: Served =
      options.layer === 'native' ? await serve(request) : await serveByFuseNative(request);
    const made = OwnMount.on(directory);
    place = made;
    const abandon = () => session.abandon?.();
    signals.attach({ place: made, sync: () => volume.sync(), abandon });
    return { plan, device, volume, session, place: made, answers };
  } catch (thrown) {
    await volume.unmount();
    throw thrown;
  }
}

/** @throws CommandError where limits are asked for that cannot hold; the volume is closed then */
async function expectQuotas({ target, options }: MountPlan, volume: Volume): Promise<void> {
  const fault = await uncountedQuotas(volume, options.quota ? options.expectedQuotas : []);
  if (fault === undefined) return;
  await volume.unmount();
  throw new CommandError(`${target.path} ${fault}`);
}

/** Everything that `quarry stat` shows. */
async function mountStatistics(
  mount: LiveMount,
  recording: MountRecording,
): Promise<Record<string, unknown>> {
  const { plan, device, volume, session } = mount;
  const space = await volume.space();
  return {
    target: plan.target.path,
    directory: mount.place.places()[0]?.directory ?? plan.directory,
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
    record: recording.figures,
  };
}

/** Who serves this mount, for whoever asks. */
function identity(mount: LiveMount): Record<string, unknown> {
  const { plan, place } = mount;
  return {
    pid: process.pid,
    target: plan.target.path,
    deviceNumbers: place.deviceNumbers,
    startedSeconds: Math.round(Date.now() / 1000 - process.uptime()),
    readOnly: plan.options.readOnly,
    options: plan.options,
    failure: failureOf(mount),
  };
}

async function resized(mount: LiveMount, remounting: Remounting, payload: string): Promise<Resized> {
  const { volume, device, plan, loop } = mount;
  if (remounting.isReadOnly) throw new CommandError(`${plan.target.path} is mounted read-only`);
  const { sizeBytes }: Record<string, unknown> = Object(JSON.parse(payload));
  await loop?.refresh();
  return await growVolume(volume, device, typeof sizeBytes === 'number' ? sizeBytes : null, loop);
}

/** Whoever asked is to know that a change holds. */
async function tuned({ volume, plan }: LiveMount, payload: string): Promise<void> {
  try {
    await volume.whole.tune(decodeTuning(payload));
  } catch (thrown) {
    throw thrown instanceof StaleBackupsError ? volumeError(thrown, plan.target.path, 'changed') : thrown;
  }
}

function answerQuestions(
  mount: LiveMount,
  log: MountLog,
  remounting: Remounting,
  recording: MountRecording,
): void {
  const watch = new MountWatch(mount.volume, mount.session);
  mount.answers.attach({
    identify: () => identity(mount),
    stat: () => mountStatistics(mount, recording),
    log: () => log.recent(),
    commit: () => mount.volume.sync(),
    remount: (payload) => remounting.answer(payload),
    resize: (payload) => resized(mount, remounting, payload),
    record: (payload) => recording.answer(payload),
    watch: (payload) => watch.answer(payload),
    quota: quotaAnswer(mount.volume),
    tune: (payload) => tuned(mount, payload),
    defrag: defragAnswer(mount.volume, mount.device, () => remounting.isReadOnly),
  });
}

/** Why a volume that was mounted to be written takes no changes any more; undefined if it does. */
function failureOf({ volume }: LiveMount): string | undefined {
  if (!volume.readOnly || volume.resting || volume.readOnlyForGood) return undefined;
  return volume.failureInWords || 'the volume is damaged';
}

async function endOf(mount: LiveMount): Promise<End> {
  const advice = `'quarry fsck -n ${mount.plan.target.path}' tells whether it is sound`;
  let lost = '';
  try {
    await mount.session.closed;
  } catch (thrown) {
    if (!(thrown instanceof LostDataError)) {
      return {
        status: DaemonStatus.failed,
        error: `it could not be closed in order (${failureLine(thrown)}): ${advice}`,
      };
    }
    lost = failureLine(thrown);
  }
  const failure = failureOf(mount);
  if (failure === undefined)
    return lost === '' ? { status: DaemonStatus.clean } : { status: DaemonStatus.lostData, error: lost };
  const also = lost === '' ? '' : `${lost}, and `;
  return {
    status: DaemonStatus.failed,
    error: `${also}the last changes could not be written (${failure}): ${advice}`,
  };
}

/** A process that something keeps alive, such as a client that never hangs up, ends anyway. */
function endSoon(status: number): void {
  process.exitCode = status;
  setTimeout(() => endProcess(), LAST_MILLISECONDS).unref();
}

/**
 * Mounts, calls `onReady` when the mount is usable, serves it, and resolves when it is gone.
 * @returns the exit status: 0 if the volume is consistent on disk
 * @throws one line for the user if the mount cannot be made
 */
export async function serveMount(plan: MountPlan, log: MountLog, onReady: () => void): Promise<number> {
  native.setIoFlusher();
  const record = await openRecordOf(plan);
  const mount = await openMount(plan, log.line).catch(async (thrown: unknown) => {
    await record?.discard();
    throw thrown;
  });
  const ended = endOf(mount);
  const remounting = new Remounting(mount, plan.options, log.line);
  const recording = new MountRecording(mount, log.line);
  answerQuestions(mount, log, remounting, recording);
  if (record !== undefined) {
    // The mount is there, and stays, recorded or not.
    await recording.begin(record, plan.options.recordHashNames).catch((thrown: unknown) => {
      log.line(`nothing is recorded into ${record.path}: ${failureLine(thrown)}`);
    });
  }
  for (const line of [plan.remark, plan.policyHost?.title, fuseNativeWarning(plan.options)]) {
    if (line !== undefined) log.line(line);
  }
  process.title = `quarry: ${plan.target.path} on ${plan.directory}`;
  onReady();
  const { status, error } = await ended;
  remounting.end();
  endSoon(status);
  await recording.end();
  if (error !== undefined) log.line(`${plan.target.path}: ${error}`);
  plan.policyHost?.close();
  return status;
}
