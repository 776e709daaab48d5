/**
 * What the daemon answers to whoever watches its mount (`quarry watch`): counters, and of the free
 * space what changed since the last answer.
 *
 * Watching begins with the first question and ends when none has come for some time; only in
 * between is the free space followed. Everything counts up, so any number of watchers can share it,
 * each subtracting what it was told before. An answer carries the
 * number of its `epoch`: with another one, all counts and the map began anew.
 */
import type { SpaceSurvey } from '../fs/transaction/space-survey.ts';
import type { Volume } from '../fs/volume.ts';
import type { RequestMeter } from '../fuse/request-meter.ts';
import type { MountSample, SurveySample } from './watch-sample.ts';

/** Cells of the map: 128 × 128. */
const MAP_CELLS = 16384;
/** Watching goes on for so long without a question, or for three of the watcher's intervals. */
const LEAST_LAPSE_SECONDS = 10;
const LAPSE_INTERVALS = 3;
const MOST_INTERVAL_SECONDS = 3600;
/** What was found so long ago is still told: of watchers who ask each second, none has to wait. */
const FRESH_MILLISECONDS = 1500;

/** Who counts requests; a FUSE layer that cannot has no meter. */
export interface MeteredSession {
  readonly meter?: RequestMeter;
}

interface Watch {
  readonly epoch: number;
  readonly survey: SpaceSurvey | undefined;
  /** The round of the survey that is under way. */
  round: Promise<void> | undefined;
  /** When the last round was over, by `performance.now`. */
  surveyedAt: number;
}

interface WatchQuestion {
  readonly intervalSeconds: number;
  /** The map as the watcher has it; undefined if it wants none. */
  readonly map: { readonly epoch: number; readonly revision: number } | undefined;
}

/** Whatever somebody sends: what makes no sense is as if it was not said. */
function decodeWatchQuestion(payload: string): WatchQuestion {
  const { intervalSeconds, map }: Record<string, unknown> = Object(payload === '' ? {} : JSON.parse(payload));
  const isInterval = typeof intervalSeconds === 'number' && intervalSeconds > 0;
  const { epoch, revision }: Record<string, unknown> = Object(map);
  const isMap = typeof epoch === 'number' && typeof revision === 'number';
  return {
    intervalSeconds: isInterval ? Math.min(intervalSeconds, MOST_INTERVAL_SECONDS) : 1,
    map: isMap ? { epoch, revision } : undefined,
  };
}

export class MountWatch {
  readonly #volume: Volume;
  readonly #session: MeteredSession;
  #watch: Watch | undefined;
  #lapse: NodeJS.Timeout | undefined;
  /** When the watch ends if nobody asks any more, by `performance.now`. */
  #lapses = 0;
  /** No two daemons of a mount number theirs alike. */
  #epochs = Math.floor(performance.timeOrigin);

  constructor(volume: Volume, session: MeteredSession) {
    this.#volume = volume;
    this.#session = session;
  }

  /** The free space is being followed. */
  get isWatched(): boolean {
    return this.#watch !== undefined;
  }

  async answer(payload: string): Promise<MountSample> {
    const question = decodeWatchQuestion(payload);
    const watch = this.#currentWatch();
    this.#lapseAfter(Math.max(LEAST_LAPSE_SECONDS, LAPSE_INTERVALS * question.intervalSeconds));
    await this.#survey(watch);
    return this.#sample(watch, question.map);
  }

  /** Ends the watch. */
  end(): void {
    clearTimeout(this.#lapse);
    if (this.#watch === undefined) return;
    this.#watch = undefined;
    this.#volume.endSurvey();
  }

  #currentWatch(): Watch {
    const { survey } = this.#watch ?? {};
    if (survey !== undefined && survey.blockCount !== this.#volume.layout.blockCount) this.end();
    this.#watch ??= {
      epoch: ++this.#epochs,
      survey: this.#volume.beginSurvey(MAP_CELLS),
      round: undefined,
      surveyedAt: 0,
    };
    return this.#watch;
  }

  /** Another watcher may have been promised more time, which is kept. */
  #lapseAfter(seconds: number): void {
    const now = performance.now();
    this.#lapses = Math.max(this.#lapses, now + 1000 * seconds);
    clearTimeout(this.#lapse);
    this.#lapse = setTimeout(() => this.end(), this.#lapses - now);
    this.#lapse.unref();
  }

  /**
   * Begins a round, and waits for it only where what is known is not all, or too old: who asks
   * holds the root directory open until the answer comes, and so keeps others from unmounting.
   *
   * Watchers who ask together share a round. A bitmap that cannot be read is the volume's affair,
   * which says so itself; the rest is told all the same.
   */
  async #survey(watch: Watch): Promise<void> {
    const { survey, surveyedAt } = watch;
    if (survey === undefined) return;
    const over = () => {
      watch.round = undefined;
      watch.surveyedAt = performance.now();
    };
    watch.round ??= this.#volume.surveyOn(survey).then(over, over);
    const isKnown = survey.unknownGroups === 0 && performance.now() - surveyedAt < FRESH_MILLISECONDS;
    if (!isKnown) await watch.round;
  }

  #sample({ epoch, survey }: Watch, map: WatchQuestion['map']): MountSample {
    const { allocator, allocatorFault, allocatorPassedOver, policy, allocations, ...volume } =
      this.#volume.counters();
    const { blockBytes, blockCount } = this.#volume.layout;
    const since = map?.epoch === epoch ? map.revision : 0;
    return {
      epoch,
      milliseconds: performance.now(),
      blockBytes,
      blockCount,
      requests: this.#session.meter?.reading(),
      allocations,
      commits: {
        commits: volume.commits,
        checkpoints: volume.checkpoints,
        flushes: volume.flushes,
        metadataBlocksLogged: volume.metadataBlocksLogged,
        metadataBlocksWritten: volume.metadataBlocksWritten,
      },
      readOnly: volume.readOnly,
      failure: volume.failure,
      allocator: { name: allocator, fault: allocatorFault, passedOver: allocatorPassedOver, figures: policy },
      survey: survey && surveySample(survey, map === undefined ? undefined : since),
    };
  }
}

function surveySample(survey: SpaceSurvey, since: number | undefined): SurveySample {
  const { revision, blocksPerCell, cellCount, groupCount, unknownGroups } = survey;
  return {
    revision,
    blocksPerCell,
    cellCount,
    groupCount,
    unknownGroups,
    freeRuns: survey.freeRuns(),
    cells: since === undefined ? undefined : survey.cellsSince(since),
  };
}
