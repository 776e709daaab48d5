/**
 * What SIGINT, SIGTERM and SIGHUP do to a mount. No signal, and no number of them, loses data.
 *
 *   early ──▶ serving ──signal──▶ unmounting ──▶ gone        the session writes everything and the
 *                                                            process ends by itself
 *                                      │ the mount is in use
 *                                      ▼
 *                                     busy: everything so far is on disk
 *                                      │ signal
 *                                      ▼
 *                                   detached: out of the directory tree; gone when its last user is
 *
 * Signals between the mount and its first answer are remembered. A signal while another is at work,
 * or while the volume is written at the end, changes nothing: that much is said once. SIGHUP is as
 * in other FUSE daemons: whose terminal is gone unmounts.
 *
 * The mount is looked up where it is now (own-mount.ts). One that another mount covers cannot be
 * unmounted, and the other is not ours: then everything is written, and the connection ended from
 * this side.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ErrandError } from '../fuse/errand.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { abandonMount, sealCovered, unmount } from '../fuse/unmount.ts';
import { failureLine } from './failure.ts';
import { findProgram } from './find-program.ts';
import { programsOn } from './mount-holders.ts';
import type { LogLine } from './mount-log.ts';
import type { OwnMount } from './own-mount.ts';

/** After so long an end that does not come is explained. */
const LOOK_MILLISECONDS = 1000;
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What a signal ends. */
export interface SignalledMount {
  readonly place: OwnMount;
  /** Makes everything so far durable. */
  sync(): Promise<void>;
  /** Ends the connection to the kernel from this side, and the volume in order. */
  abandon(): void;
}

type Stage = 'early' | 'serving' | 'at-work' | 'busy' | 'detached' | 'gone';

export class MountSignals {
  readonly #log: LogLine;
  readonly #syncProgram = findProgram('sync');
  #mount: SignalledMount | undefined;
  #stage: Stage = 'early';
  #heardEarly = false;
  #saidPatience = false;

  /** From here on signals do not end the process by themselves. */
  constructor(log: LogLine) {
    this.#log = log;
    for (const signal of ENDING_SIGNALS) process.on(signal, () => this.#heard());
  }

  /** The mount answers. */
  attach(mount: SignalledMount): void {
    this.#mount = mount;
    this.#stage = 'serving';
    if (this.#heardEarly) this.#heard();
  }

  #heard(): void {
    const mount = this.#mount;
    if (mount === undefined) this.#heardEarly = true;
    else if (this.#stage === 'at-work' || this.#stage === 'gone') this.#sayPatience();
    else void this.#act(mount);
  }

  #sayPatience(): void {
    if (this.#saidPatience) return;
    this.#saidPatience = true;
    this.#log('already at it: the process ends when everything is on disk');
  }

  async #act(mount: SignalledMount): Promise<void> {
    const before = this.#stage;
    this.#stage = 'at-work';
    try {
      if (before === 'serving') this.#stage = await this.#unmount(mount);
      else if (before === 'busy') this.#stage = await this.#detach(mount);
      else {
        this.#log(await this.#sync(mount));
        this.#stage = before;
      }
    } catch (thrown) {
      this.#stage = before;
      this.#log(failureLine(thrown));
    }
  }

  async #unmount(mount: SignalledMount): Promise<Stage> {
    const [place, ...others] = mount.place.places();
    // Somebody else was faster: the session is writing what there is, or the last user is still
    // there.
    if (place === undefined) return 'detached';
    const covers = mount.place.coversOf(place);
    if (covers.length > 0) return this.#endCovered(mount, place, covers, false);
    try {
      await unmount(place);
      if (others.length === 0) return this.#unmounted(place);
      return this.#staysBusy(
        mount,
        `still mounted on ${others.map(({ directory }) => directory).join(', ')}`,
      );
    } catch (thrown) {
      if (mount.place.places().length === 0) return 'gone';
      return this.#staysBusy(mount, failureLine(thrown));
    }
  }

  /** Here it is gone; other mount namespaces may have it still. */
  #unmounted(place: MountRecord): Stage {
    const say = () => {
      const holders = programsOn(place);
      if (holders.length > 0)
        this.#log(`still in use: ${holders.join('; ')}; the end comes with the last of them`);
    };
    setTimeout(say, LOOK_MILLISECONDS).unref();
    return 'gone';
  }

  async #staysBusy(mount: SignalledMount, why: string): Promise<Stage> {
    const state = await this.#sync(mount);
    this.#log(`${why}; ${state}, and another signal detaches the mount`);
    return 'busy';
  }

  /**
   * Data that cannot be written does not keep the mount from ending.
   * @returns what is on disk, in words
   */
  async #sync(mount: SignalledMount): Promise<string> {
    try {
      await mount.sync();
      return 'everything so far is on disk';
    } catch (thrown) {
      return `not everything so far could be written (${failureLine(thrown)})`;
    }
  }

  async #detach(mount: SignalledMount): Promise<Stage> {
    const state = await this.#sync(mount);
    let stage: Stage = 'detached';
    for (const place of mount.place.places()) {
      const covers = mount.place.coversOf(place);
      if (covers.length > 0) stage = await this.#endCovered(mount, place, covers, true);
      else await abandonMount(place);
      if (stage === 'gone') return stage;
      this.#log(`${state}; ${place.directory} is detached; the end comes when its last user is gone`);
    }
    return stage;
  }

  /** @param anyway also while files are open for writing: their writers get errors from then on */
  async #endCovered(
    mount: SignalledMount,
    place: MountRecord,
    covers: readonly MountRecord[],
    anyway: boolean,
  ): Promise<Stage> {
    const { directory } = place;
    try {
      await sealCovered(place, covers);
    } catch (thrown) {
      const inUse = thrown instanceof ErrandError && thrown.code === 'EBUSY';
      if (inUse && !anyway)
        return this.#staysBusy(mount, `${directory} is covered, and files are open in it`);
      // Without the right to a namespace of one's own, all that there is in the page cache is
      // written.
      if (!inUse && this.#syncProgram !== undefined) await promisify(execFile)(this.#syncProgram);
    }
    this.#log(
      `${directory} is covered by another mount (${covers.at(-1)?.type}), which stays: the connection is ended, and what is left of the mount can be taken away when it is on top again`,
    );
    mount.abandon();
    return 'gone';
  }
}
