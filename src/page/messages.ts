/**
 * What `quarry watch` tells: the figures of an interval, as it prints them with `--json` and sends
 * them to its page, and the other messages to the page. Types, and one function that both sides
 * need.
 */

/** Requests of one kind in the interval. */
export interface KindFigures {
  readonly name: string;
  readonly requests: number;
  readonly errors: number;
  readonly perSecond: number;
  /** From the arrival in the daemon to the reply; off by 12 % at most. */
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
}

export interface RequestFigures {
  readonly requests: number;
  readonly perSecond: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly bytesReadPerSecond: number;
  readonly bytesWrittenPerSecond: number;
  /** Of all kinds together. */
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  /** Those that there were, the most frequent first. */
  readonly kinds: readonly KindFigures[];
}

/** What was allocated in the interval: runs and blocks of data and metadata. */
export interface AllocationFigures {
  readonly runs: number;
  readonly blocks: number;
  readonly dataRuns: number;
  readonly dataBlocks: number;
  /** Runs of data that had a block to follow, and those that followed it. */
  readonly dataGoals: number;
  readonly dataGoalHits: number;
  /** Blocks that were handed out and came back unused. */
  readonly returnedBlocks: number;
  readonly freedBlocks: number;
  readonly runsPerSecond: number;
  readonly blocksPerSecond: number;
  /** Null where no run had a block to follow. */
  readonly goalHitShare: number | null;
  /** Of the data allocated in the interval; null where there was none that could follow. */
  readonly layoutScore: number | null;
  readonly meanDataRunBlocks: number | null;
}

export interface CommitFigures {
  readonly commits: number;
  readonly checkpoints: number;
  readonly flushes: number;
  readonly metadataBlocksLogged: number;
  readonly metadataBlocksWritten: number;
}

/** Free runs of `fromBlocks` or more, and of less than twice as many. */
export interface WatchedRunClass {
  readonly fromBlocks: number;
  readonly runs: number;
  readonly blocks: number;
  /** Of all free blocks that are known. */
  readonly share: number;
}

export interface SpaceFigures {
  readonly freeBlocks: number;
  readonly freeRuns: number;
  readonly largestRunBlocks: number;
  readonly meanRunBlocks: number | null;
  readonly histogram: readonly WatchedRunClass[];
  /** Share of the groups that were looked at; below 1 while the survey is being made. */
  readonly knownShare: number;
}

export interface PolicyFigure {
  readonly name: string;
  readonly value: number;
  readonly change: number;
}

export interface WatchFigures {
  /** As ISO 8601. */
  readonly time: string;
  readonly seconds: number;
  readonly blockBytes: number;
  readonly blockCount: number;
  /** Null where they are not counted. */
  readonly requests: RequestFigures | null;
  readonly allocations: AllocationFigures;
  readonly commits: CommitFigures;
  /** Null where the volume is too large for a survey. */
  readonly space: SpaceFigures | null;
  readonly policy: {
    readonly name: string;
    readonly fault: string;
    readonly passedOver: number;
    readonly figures: readonly PolicyFigure[];
  };
  readonly readOnly: boolean;
  readonly failure: string;
}

/** What the charts keep of an interval; null where it is not known. */
export interface RatePoint {
  /** Since 1970. */
  readonly seconds: number;
  readonly requests: number | null;
  readonly bytesRead: number | null;
  readonly bytesWritten: number | null;
  readonly p50Microseconds: number | null;
  readonly p99Microseconds: number | null;
  readonly blocksAllocated: number;
  readonly blocksFreed: number;
  readonly freeRuns: number | null;
  readonly layoutScore: number | null;
}

export function ratePoint({ time, seconds, requests, allocations, space }: WatchFigures): RatePoint {
  const wereThere = requests !== null && requests.requests > 0;
  return {
    seconds: Date.parse(time) / 1000,
    requests: requests?.perSecond ?? null,
    bytesRead: requests?.bytesReadPerSecond ?? null,
    bytesWritten: requests?.bytesWrittenPerSecond ?? null,
    p50Microseconds: wereThere ? requests.p50Microseconds : null,
    p99Microseconds: wereThere ? requests.p99Microseconds : null,
    blocksAllocated: allocations.blocksPerSecond,
    blocksFreed: allocations.freedBlocks / seconds,
    freeRuns: space?.freeRuns ?? null,
    layoutScore: allocations.layoutScore,
  };
}

/** The first message to a page. */
export interface MountMessage {
  readonly directory: string;
  readonly source: string;
  readonly intervalSeconds: number;
  /** Points that the charts show at most. */
  readonly mostPoints: number;
  /** What was before it came. */
  readonly history: readonly RatePoint[];
  /** The figures that the other pages show, of which the history has its point; null if none do. */
  readonly figures: WatchFigures | null;
}

/** Cells of the map: all that are known, or those that changed. */
export interface MapMessage {
  readonly isWhole: boolean;
  readonly blockBytes: number;
  readonly blockCount: number;
  readonly blocksPerCell: number;
  readonly cellCount: number;
  /** A cell, its free blocks, the next cell, … */
  readonly cells: readonly number[];
}

/** The mount has ended, and nothing more comes. */
export interface EndMessage {
  readonly text: string;
}

/** The messages by the names of their events. */
export interface PageMessages {
  readonly mount: MountMessage;
  readonly map: MapMessage;
  readonly figures: WatchFigures;
  readonly remark: EndMessage;
  readonly end: EndMessage;
}
