/**
 * When commits are made that nobody asked for: some seconds after the first change that no commit
 * took yet, and at once when much is dirty.
 *
 * Access times that were gathered are brought into their blocks first, so that the commit takes
 * them along.
 */

import type { Turns } from '../base/turns.ts';
import type { AccessTimes } from '../inodes/access-times.ts';
import type { Committer } from '../journal/commit.ts';

export class CommitSchedule {
  readonly #committer: Committer;
  readonly #access: AccessTimes;
  readonly #turns: Turns;
  #milliseconds: number;
  #timer: NodeJS.Timeout | undefined;
  /** Access times are on their way into their blocks, and a commit follows. */
  #gathering = false;
  #ended = false;

  /** @param seconds between commits; 0 = none by themselves */
  constructor(committer: Committer, access: AccessTimes, seconds: number, turns: Turns) {
    this.#committer = committer;
    this.#access = access;
    this.#milliseconds = seconds * 1000;
    this.#turns = turns;
  }

  /** Something changed. */
  changed(): void {
    if (this.#committer.due) this.now();
    else this.later();
  }

  later(): void {
    if (this.#timer !== undefined || this.#milliseconds === 0 || this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#turns.count(() => this.now());
    }, this.#milliseconds);
    this.#timer.unref();
  }

  now(): void {
    if (this.#access.size === 0 || this.#gathering || this.#ended) this.#commit();
    else void this.#gatherAndCommit();
  }

  #commit(): void {
    this.#committer.commit().catch(() => {});
  }

  async #gatherAndCommit(): Promise<void> {
    this.#gathering = true;
    await this.#access.write(false);
    this.#gathering = false;
    this.#commit();
  }

  /** What waits begins to wait anew. */
  setSeconds(seconds: number): void {
    this.#milliseconds = seconds * 1000;
    this.#stop();
    if (this.#committer.needed || this.#access.size > 0) this.later();
  }

  /** No more commits by the clock: somebody sees to everything himself. */
  end(): void {
    this.#ended = true;
    this.#stop();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
