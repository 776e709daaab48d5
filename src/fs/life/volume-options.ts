/** What a volume is opened with, and what it counts while it is open. */
import type { AllocatorDefinition, AllocatorOptions } from '../../alloc/allocator.ts';
import { DEFAULT_ALLOCATOR } from '../../alloc/built-in.ts';
import type { PolicyOffer, WatchHook } from '../../alloc/fenced-policy.ts';
import type { SpaceIndexCounters } from '../../alloc/space-index.ts';
import type { Clock } from '../base/clock.ts';
import type { AccessRules, ReservedSpace } from '../base/filesystem.ts';
import type { TurnSource } from '../base/turns.ts';
import type { DiscardCounters } from '../data/discards.ts';
import type { LossCounters } from '../data/lost-writes.ts';
import type { AllocationCounters } from '../transaction/allocation-counts.ts';
import type { PolicyCounters } from '../transaction/space-map.ts';

export interface VolumeOptions {
  readOnly?: boolean | undefined;
  /**
   * With `readOnly`: a volume that is clean, on a device that takes changes, is at rest (rest.ts),
   * and not read-only for good. Default: false.
   */
  mayRest?: boolean | undefined;
  /** Asked before a volume at rest wakes: false refuses the change with EROFS. */
  mayWake?: (() => boolean) | undefined;
  /** False: a read-only mount does not look at the journal. Default: true. */
  recovery?: boolean | undefined;
  /** Budget of the metadata cache, in bytes. */
  cacheBytes?: number | undefined;
  allocator?: AllocatorDefinition | undefined;
  allocatorOptions?: AllocatorOptions | undefined;
  /** The module that the allocator came from, for messages. */
  allocatorFile?: string | undefined;
  /** Watches the calls into an allocator that is not of the program. */
  watchHook?: WatchHook | undefined;
  /** Seconds between commits; 0 = only at sync. */
  commitSeconds?: number | undefined;
  /** Which reads move access times. Default: relative. */
  accessRules?: AccessRules | undefined;
  /** False: ACLs are neither heeded nor changed. Default: true. */
  acl?: boolean | undefined;
  /** False: limits of quotas do not hold. Default: true. */
  quota?: boolean | undefined;
  /** Space that ordinary users leave to root. Default: none. */
  reserved?: ReservedSpace | undefined;
  /** New files get the group of their directory, setgid or not. Default: false. */
  directoryGroups?: boolean | undefined;
  /** Is the device told of what a commit frees? Default: false. */
  discard?: boolean | undefined;
  log?: ((line: string) => void) | undefined;
  clock?: Clock | undefined;
  /**
   * Every block is looked through before it is written, tree nodes too, which costs a tenth of many
   * small syncs: for tests.
   */
  thorough?: boolean | undefined;
  /** The event loop, and its clock. */
  turns?: TurnSource | undefined;
}

/** The allocator with all that goes with it. */
export function policyOffer(options: VolumeOptions, log: (line: string) => void): PolicyOffer {
  return {
    definition: options.allocator ?? DEFAULT_ALLOCATOR,
    options: Object.freeze({ ...options.allocatorOptions }),
    file: options.allocatorFile ?? '',
    log,
    watch: options.watchHook,
  };
}

/** What can be changed while a volume is mounted. */
export type VolumeAdjustment = Pick<
  VolumeOptions,
  'commitSeconds' | 'accessRules' | 'directoryGroups' | 'discard' | 'quota' | 'reserved'
>;

/** Counters of a live mount, for `quarry stat`. */
export interface VolumeCounters extends LossCounters, PolicyCounters, SpaceIndexCounters, DiscardCounters {
  readonly allocations: AllocationCounters;
  readonly readOnly: boolean;
  /** Read-only until the first change. */
  readonly resting: boolean;
  readonly commits: number;
  readonly checkpoints: number;
  readonly flushes: number;
  /** Blocks that operations changed: one counts once for each operation that changed it. */
  readonly metadataBlocksChanged: number;
  /** Blocks written to the journal, … */
  readonly metadataBlocksLogged: number;
  /** … and to their places by checkpoints. */
  readonly metadataBlocksWritten: number;
  readonly metadataBlocksRead: number;
  readonly cacheMisses: number;
  readonly cacheFrames: number;
  readonly dirtyFrames: number;
  /** Frames whose content is in the journal only. */
  readonly loggedFrames: number;
  /** Blocks of the journal's log, and how many of them are in use. */
  readonly journalBlocks: number;
  readonly journalUsedBlocks: number;
  /**
   * What made the volume read-only, if it was not damage: the error of the device, mostly. Empty if
   * nothing did.
   */
  readonly failure: string;
  readonly inodesHeldByKernel: number;
  readonly openOrphans: number;
  readonly reservedBlocks: number;
  readonly pendingBlocks: number;
}
