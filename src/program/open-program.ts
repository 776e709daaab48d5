/** A volume on a device, opened for a program. */
import type { Device } from '../aio/device.ts';
import type { AllocatorDefinition } from '../alloc/allocator.ts';
import { checkAllocatorOptions, isModulePath, loadAllocator } from '../alloc/registry.ts';
import { integerIn } from '../common/argument-errors.ts';
import type { Clock } from '../fs/base/clock.ts';
import { openVolume } from '../fs/volume.ts';
import { formatUuid } from '../inspect/value-text.ts';
import { ProgramVolume } from './program-volume.ts';
import { ProgramSession } from './session.ts';

export interface ProgramOptions {
  /** Nothing is written, not even by reading. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** Where blocks go: the name of an allocator, a module, or what such a module exports. */
  readonly policy?: string | AllocatorDefinition | undefined;
  readonly policyOptions?: Readonly<Record<string, string>> | undefined;
  /** Owner and group of what is made; by default those of the process. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Default: that of the process. */
  readonly umask?: number | undefined;
  /** Memory for metadata, in bytes. */
  readonly cacheBytes?: number | undefined;
  /** Seconds between commits that nobody asks for; 0: only at `sync`. Default: 5. */
  readonly commitSeconds?: number | undefined;
  /** Tell the device what is free. Default: false. */
  readonly discard?: boolean | undefined;
  /** Told of a replayed journal, of damage, of a policy that had to be dismissed. */
  readonly log?: ((line: string) => void) | undefined;
}

/** What only others of this program choose. */
export interface InnerOptions extends ProgramOptions {
  readonly clock?: Clock | undefined;
  /** False: the order of events does not depend on the device. Default: true. */
  readonly writesEndEarly?: boolean | undefined;
}

const MOST_ID = 0xfffffffe;

function idOption(name: string, given: number | undefined, own: number | undefined): number {
  return given === undefined ? (own ?? 0) : integerIn(name, given, 0, MOST_ID);
}

/** @throws AllocatorLoadError */
async function policyOf({ policy, policyOptions = {} }: ProgramOptions) {
  if (policy === undefined) return {};
  const allocator = typeof policy === 'string' ? await loadAllocator(policy) : policy;
  checkAllocatorOptions(allocator, policyOptions);
  const allocatorFile = typeof policy === 'string' && isModulePath(policy) ? policy : undefined;
  return { allocator, allocatorOptions: policyOptions, allocatorFile };
}

/**
 * Opens the volume on the device, which is closed with it, and when it cannot be opened.
 * @throws NotAVolumeError, CorruptionError, AllocatorLoadError, TypeError, RangeError; the error of
 * the device
 */
export async function openProgramVolume(device: Device, options: InnerOptions): Promise<ProgramVolume> {
  try {
    const caller = {
      uid: idOption('uid', options.uid, process.getuid?.()),
      gid: idOption('gid', options.gid, process.getgid?.()),
      umask: options.umask === undefined ? process.umask() : integerIn('umask', options.umask, 0, 0o777),
    };
    const { readOnly = false, cacheBytes, commitSeconds, discard, log, clock } = options;
    const policy = await policyOf(options);
    const volume = await openVolume(device, {
      readOnly,
      cacheBytes,
      commitSeconds,
      discard,
      log,
      clock,
      ...policy,
    });
    const session = new ProgramSession(volume, device, caller, options.writesEndEarly);
    return new ProgramVolume(session, formatUuid(volume.whole.uuid));
  } catch (thrown) {
    await device.close();
    throw thrown;
  }
}
