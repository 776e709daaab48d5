/**
 * A mount that is being watched: asked again and again, until it ends or the watcher does.
 *
 * Nothing is held open between two questions, and a question takes some milliseconds: who unmounts
 * just then finds the mount busy, and `quarry umount` tries again. A daemon that does not answer in
 * time is asked again; one that is gone, or a mount that is, ends the watch.
 */
import { type MountRecord, mountTable } from '../fuse/mount-table.ts';
import type { WatchFigures } from '../page/messages.ts';
import { askMount, NoAnswerError } from './ask-mount.ts';
import { CommandError } from './failure.ts';
import { figuresBetween } from './watch-figures.ts';
import { decodeSample, type MountSample } from './watch-sample.ts';

/** For a question that is not the first of many. */
const PROBE_INTERVAL_SECONDS = 1;

/** The map as far as it is known here: what the next question asks for the rest of. */
interface MapState {
  readonly epoch: number;
  readonly revision: number;
}

/** What a watcher learns at a time. */
export interface Observation {
  /** Undefined where there is nothing to compare with: at first, and when counting began anew. */
  readonly figures: WatchFigures | undefined;
  readonly sample: MountSample;
}

/** The mount has ended; `orderly` if it was unmounted, not if nobody serves it any more. */
export class MountEnded extends CommandError {
  constructor(
    message: string,
    readonly orderly: boolean,
  ) {
    super(message);
  }
}

export interface WatchRequest {
  readonly intervalSeconds: number;
  /** Whether the map is wanted too. */
  readonly withMap: boolean;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Told of a daemon that does not answer in time. */
  readonly silent: (line: string) => void;
  /** While it says false the mount is not asked. Default: always. */
  readonly isWanted?: () => boolean;
}

export class WatchedMount {
  readonly #mount: MountRecord;
  readonly #request: WatchRequest;
  #map: MapState = { epoch: 0, revision: 0 };
  #last: MountSample | undefined;
  #wakeUp: () => void = () => {};

  constructor(mount: MountRecord, request: WatchRequest) {
    this.#mount = mount;
    this.#request = request;
  }

  /**
   * Observations, one at once and one after each interval.
   * @throws MountEnded; CommandError where the mount cannot be watched
   */
  async *observe(): AsyncGenerator<Observation> {
    const { intervalSeconds, signal, isWanted = () => true } = this.#request;
    const step = 1000 * intervalSeconds;
    for (let next = performance.now(); !signal.aborted; ) {
      const observation = isWanted() ? await this.#tryOnce() : this.#requireMounted();
      if (observation !== undefined) yield observation;
      const now = performance.now();
      // After a look that came early, or late, the next one is no more than an interval away.
      next = Math.min(Math.max(next + step, now), now + step);
      await this.#sleep(next - now);
    }
  }

  /** Ends the wait for the next interval. */
  wake(): void {
    this.#wakeUp();
  }

  /**
   * Asks once, for nothing; in vain without a word when the watcher ends meanwhile.
   * @throws CommandError where the mount cannot be watched
   */
  async probe(): Promise<void> {
    await this.#ask(false, PROBE_INTERVAL_SECONDS).catch((thrown: unknown) => {
      if (!this.#request.signal.aborted) throw thrown;
    });
  }

  #sleep(milliseconds: number): Promise<void> {
    const { signal } = this.#request;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      signal.addEventListener('abort', end);
      this.#wakeUp = end;
    });
  }

  /** By its place too: the kernel gives the id of a mount that has gone to the next one. */
  #requireMounted(): undefined {
    const { directory, id } = this.#mount;
    if (mountTable().some((mount) => mount.id === id && mount.directory === directory)) return undefined;
    throw new MountEnded(`${directory} was unmounted`, true);
  }

  async #tryOnce(): Promise<Observation | undefined> {
    try {
      return await this.#observeOnce();
    } catch (thrown) {
      if (!(thrown instanceof NoAnswerError) || thrown.reason !== 'silent') throw thrown;
      if (!this.#request.signal.aborted) this.#request.silent(thrown.message);
      return undefined;
    }
  }

  /** What happened since the last time. */
  async #observeOnce(): Promise<Observation> {
    const before = this.#last;
    const { withMap, intervalSeconds } = this.#request;
    const sample = await this.#ask(withMap, intervalSeconds);
    this.#last = sample;
    const isSame = before?.epoch === sample.epoch;
    return { figures: isSame ? figuresBetween(before, sample, new Date()) : undefined, sample };
  }

  /** @throws MountEnded, NoAnswerError */
  async #ask(withMap: boolean, intervalSeconds: number): Promise<MountSample> {
    const { signal } = this.#request;
    const payload = JSON.stringify({ intervalSeconds, ...(withMap ? { map: this.#map } : {}) });
    const answer = await askMount(this.#mount, 'watch', { payload, signal }).catch((thrown: unknown) => {
      throw this.#explain(thrown);
    });
    const sample = decodeSample(answer);
    if (sample === undefined)
      throw new CommandError(`${this.#mount.directory} does not answer as Quarry does`);
    const { epoch, survey } = sample;
    if (withMap && survey !== undefined) this.#map = { epoch, revision: survey.revision };
    return sample;
  }

  #explain(thrown: unknown): unknown {
    this.#requireMounted();
    const isDead = thrown instanceof NoAnswerError && thrown.reason === 'dead';
    return isDead ? new MountEnded(thrown.message, false) : thrown;
  }
}
