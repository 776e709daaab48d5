/**
 * What `quarry mount` is asked for: the command line, judged, and the look at target and directory
 * before anything is opened.
 */
import { resolve } from 'node:path';
import type { AllocatorDefinition, AllocatorOptions } from '../alloc/allocator.ts';
import { DEFAULT_ALLOCATOR } from '../alloc/built-in.ts';
import { checkAllocatorOptions, isModulePath, loadAllocator } from '../alloc/registry.ts';
import { onlyReadable } from '../fs/format/features.ts';
import { MountFlag } from '../fuse/mount-flags.ts';
import { MountOptionError } from '../fuse/mount-option-error.ts';
import { findMount } from '../fuse/mount-table.ts';
import { checkMountpoint } from '../fuse/mountpoint.ts';
import { type MountOptions, parseMountOptions } from '../fuse/options.ts';
import type { TraceOptions } from '../fuse/request-trace.ts';
import { argumentAt, type OptionValues, optionGiven, optionList, optionText } from './command.ts';
import { isDead } from './dead-mount.ts';
import { CommandError, UsageError } from './failure.ts';
import type { PolicyHost } from './policy-host.ts';
import { requireFileSize, requireRoomToServe } from './process-limits.ts';
import { requireFreeStorage, StorageInUse } from './storage-hold.ts';
import { storedOptions } from './stored-options.ts';
import { inspectTarget, isWriteProtected, type Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

export interface MountRequest {
  readonly target: string;
  readonly directory: string;
  readonly options: MountOptions;
  readonly allocator: string | undefined;
  readonly allocatorOptions: AllocatorOptions;
  readonly foreground: boolean;
  /** Look at everything, mount nothing. */
  readonly fake: boolean;
}

/** A request that has been looked at: nothing stands in the way as far as can be seen. */
export interface MountPlan {
  readonly target: Target;
  /** Absolute, without symbolic links. */
  readonly directory: string;
  readonly options: MountOptions;
  readonly allocator: AllocatorDefinition;
  readonly allocatorOptions: AllocatorOptions;
  /** What has the allocator if it is a module of the user. */
  readonly policyHost: PolicyHost | undefined;
  /** What the user has to know of it before anything else. */
  readonly remark: string | undefined;
  /** Who is told of each request; by default nobody. */
  readonly trace?: TraceOptions;
}

function asReadOnly(options: MountOptions): MountOptions {
  return { ...options, readOnly: true, flags: options.flags | MountFlag.readOnly };
}

/** Reads `key=value,…`. @throws UsageError */
export function parseAllocatorOptions(text: string): AllocatorOptions {
  const options = new Map<string, string>();
  for (const part of text.split(',').filter((found) => found !== '')) {
    const [key, ...value] = part.split('=');
    if (!key || value.length === 0) {
      throw new UsageError(`--allocator-options ${text}: '${part}' is not of the form key=value`);
    }
    options.set(key, value.join('='));
  }
  return Object.fromEntries(options);
}

/** Judges the command line. @throws UsageError, MountOptionError */
export function mountRequest(args: readonly string[], options: OptionValues, asRoot: boolean): MountRequest {
  const sloppy = optionGiven(options, 'sloppy');
  const texts = optionList(options, 'options');
  const readOnly = optionGiven(options, 'readOnly') ? ['ro'] : [];
  const stored = storedOptions(argumentAt(args, 0), asRoot);
  const all = [...stored, ...(sloppy ? texts.map((text) => knownOptions(text, asRoot)) : texts), ...readOnly];
  const mountOptions = parseMountOptions(all, asRoot);
  return {
    target: argumentAt(args, 0),
    directory: argumentAt(args, 1),
    options: mountOptions,
    allocator: optionText(options, 'allocator') ?? mountOptions.allocator,
    allocatorOptions: {
      ...mountOptions.allocatorOptions,
      ...parseAllocatorOptions(optionText(options, 'allocatorOptions') ?? ''),
    },
    foreground: optionGiven(options, 'foreground'),
    fake: optionGiven(options, 'fake'),
  };
}

/** What of a list of options is known: mount(8) asks for this with -s. */
export function knownOptions(text: string, asRoot: boolean): string {
  const known = text.split(',').filter((option) => {
    try {
      parseMountOptions([option], asRoot);
      return true;
    } catch (thrown) {
      if (thrown instanceof MountOptionError) return false;
      throw thrown;
    }
  });
  return known.join(',');
}

/** Why a mount of a sound volume cannot but be read-only. */
function whyOnlyReadable(target: Target): string | undefined {
  const { onlyReadableFor } = readVolumeHead(target);
  if (onlyReadableFor !== undefined) return onlyReadable(onlyReadableFor);
  return isWriteProtected(target) ? `${target.path} is write-protected` : undefined;
}

/**
 * Looks at everything that can be looked at without changing or holding anything.
 * @throws CommandError and its kin, each one line for the user
 */
export async function planMount(request: MountRequest): Promise<MountPlan> {
  const target = inspectTarget(request.target);
  const directory = checkMountpoint(request.directory);
  await requireUnused(target);
  requireRoomToServe(request.options.cacheBytes);
  if (!target.isBlockDevice && !request.options.readOnly) requireFileSize(target.path, target.sizeBytes);
  const { allocatorOptions } = request;
  const reason = whyOnlyReadable(target);
  const isForced = reason !== undefined && !request.options.readOnly;
  const options = isForced ? asReadOnly(request.options) : request.options;
  const remark = isForced ? `mounted read-only: ${reason}` : undefined;
  const { allocator, policyHost } = await findAllocator(request.allocator, directory);
  checkAllocatorOptions(allocator, allocatorOptions);
  return { target, directory, options, allocator, allocatorOptions, policyHost, remark };
}

async function findAllocator(
  nameOrFile: string | undefined,
  directory: string,
): Promise<Pick<MountPlan, 'allocator' | 'policyHost'>> {
  if (nameOrFile === undefined) return { allocator: DEFAULT_ALLOCATOR, policyHost: undefined };
  if (!isModulePath(nameOrFile)) return { allocator: await loadAllocator(nameOrFile), policyHost: undefined };
  // A mount without a module of the user needs nothing of all that.
  const { PolicyHost } = await import('./policy-host.ts');
  const policyHost = await PolicyHost.load(resolve(nameOrFile), directory);
  return { allocator: policyHost.definition, policyHost };
}

/** @throws CommandError that says who has it, and what to do if that is a mount which died */
async function requireUnused(target: Target): Promise<void> {
  try {
    requireFreeStorage(target);
  } catch (thrown) {
    const directory = thrown instanceof StorageInUse ? thrown.directory : undefined;
    const mount = directory === undefined ? undefined : findMount(directory);
    if (mount === undefined || !(await isDead(mount))) throw thrown;
    throw new CommandError(
      `${target.path} is still on ${directory}, whose daemon died: 'quarry umount ${directory}' first`,
    );
  }
}
