/**
 * What SIGINT, SIGTERM and SIGHUP do to a mount. No signal, and no number of them, loses data.
 *
 *   early ──▶ serving ──signal──▶ unmounting ──▶ gone        the session writes everything and the process ends by itself
 *                                      │ the mount is in use
 *                                      ▼
 *                                     busy: everything so far is on disk
 *                                      │ signal
 *                                      ▼
 *                                   detached: out of the directory tree; gone when its last user is
 *
 * Signals between the mount and its first answer are remembered. A signal while another is at work, or while the volume is written at the
 * end, changes nothing: that much is said once. SIGHUP is as in other FUSE daemons: whose terminal is gone unmounts.
 */
import { spawn } from 'node:child_process';
import { findMount, unmountInChild } from '../fuse/mount.ts';
import { failureLine } from './failure.ts';
import type { LogLine } from './mount-log.ts';
import { programPath } from './program-path.ts';

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What a signal ends. */
export interface SignalledMount {
  readonly directory: string;
  /** Makes everything so far durable. */
  sync(): Promise<void>;
}

type Stage = 'early' | 'serving' | 'at-work' | 'busy' | 'detached' | 'gone';

export class MountSignals {
  readonly #log: LogLine;
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
    try {
      await unmountInChild(mount.directory);
      return 'gone';
    } catch (thrown) {
      // Somebody else was faster: the session is writing what there is.
      if (findMount(mount.directory) === undefined) return 'gone';
      const state = await this.#sync(mount);
      this.#log(`${failureLine(thrown)}; ${state}, and another signal detaches the mount`);
      return 'busy';
    }
  }

  /** Data that cannot be written does not keep the mount from ending. @returns what is on disk, in words */
  async #sync(mount: SignalledMount): Promise<string> {
    try {
      await mount.sync();
      return 'everything so far is on disk';
    } catch (thrown) {
      return `not everything so far could be written (${failureLine(thrown)})`;
    }
  }

  /** umount(2) waits for our answers, so another process has to call it. */
  async #detach(mount: SignalledMount): Promise<Stage> {
    const state = await this.#sync(mount);
    this.#log(`${state}; ${mount.directory} is detached; the end comes when its last user is gone`);
    const args = [programPath(), 'umount', '--lazy', mount.directory];
    const child = spawn(process.execPath, args, { stdio: 'inherit', detached: true });
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return status === 0 ? 'detached' : 'busy';
  }
}
