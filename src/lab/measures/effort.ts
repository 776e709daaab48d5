/**
 * What a policy costs, in numbers that are the same on every machine: blocks of metadata, looks
 * into maps of the free space, memory, and what rounding keeps from use.
 *
 * What happens is counted since the sample before, an operation being one of the workload's. Memory
 * is that of arrays and numbers by their length, 8 bytes a number, as the sample finds it.
 */

/** Counts that only rise. */
export interface EffortCounters {
  readonly operations: number;
  readonly metadataBlocksChanged: number;
  readonly metadataBlocksLogged: number;
  readonly spaceMapLooks: number;
  readonly runsReserved: number;
}

/** What is so at one moment. */
export interface EffortState {
  readonly spaceIndexBytes: number;
  /** In use, files and metadata. */
  readonly usedBlocks: number;
  /** The policy's own figures; `indexBytes` and `withheldBlocks` are looked at, if it has them. */
  readonly policy: Readonly<Record<string, number>>;
}

export interface EffortSample {
  /** Blocks that an operation changes, and … */
  readonly metadataBlocksChanged: number;
  /** … what of that reaches the journal, with its own blocks: commits gather changes. */
  readonly metadataBlocksLogged: number;
  /** Looks into a group's map for each run handed out; two of them are the volume's own. */
  readonly mapLooks: number;
  readonly spaceIndexBytes: number;
  /** As the policy tells it; 0 if it does not. */
  readonly policyIndexBytes: number;
  /** Of what is in use and what the policy withholds, the part that it withholds. */
  readonly internalWaste: number;
}

export function effortBetween(before: EffortCounters, now: EffortCounters & EffortState): EffortSample {
  const since = (name: keyof EffortCounters) => now[name] - before[name];
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  const withheld = now.policy.withheldBlocks ?? 0;
  return {
    metadataBlocksChanged: share(since('metadataBlocksChanged'), since('operations')),
    metadataBlocksLogged: share(since('metadataBlocksLogged'), since('operations')),
    mapLooks: share(since('spaceMapLooks'), since('runsReserved')),
    spaceIndexBytes: now.spaceIndexBytes,
    policyIndexBytes: now.policy.indexBytes ?? 0,
    internalWaste: share(withheld, now.usedBlocks + withheld),
  };
}
