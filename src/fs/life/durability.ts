/**
 * Syncs: when everything so far is on disk, and who is told of what is not.
 *
 *   writes answered early are done ─▶ what was lost is tried again ─▶ commit ─▶ what is lost is
 *   told
 *
 * The first and third step are the whole volume's, the others those of one inode, or of all; access
 * times that are only in memory go with the commit. A sync of data alone, as fdatasync(2) asks for,
 * is a flush in place of the commit where nothing but times has changed since the last one. An
 * error of the commit ends the volume and is everybody's; one of data is its inode's
 * (lost-writes.ts).
 */

import type { EarlyWrites } from '../data/early-writes.ts';
import type { LossLog } from '../data/loss-log.ts';
import { LostWrites } from '../data/lost-writes.ts';
import type { WriteContext } from '../data/write-plan.ts';
import { WriteRetry } from '../data/write-retry.ts';
import type { AccessTimes } from '../inodes/access-times.ts';
import type { Committer } from '../journal/commit.ts';

enum SyncKind {
  all,
  /** Times may wait. */
  data,
  /** Nobody is told of losses. */
  silent,
}

export class Durability {
  readonly lost: LostWrites;
  readonly #early: EarlyWrites;
  readonly #access: AccessTimes;
  readonly #committer: Committer;
  readonly #log: LossLog;
  #retry: WriteRetry | undefined;
  /** Syncs under way, and who waits until there are none. */
  #underWay = 0;
  #ended: (() => void)[] = [];

  constructor(early: EarlyWrites, access: AccessTimes, committer: Committer, log: LossLog) {
    this.#early = early;
    this.#access = access;
    this.#committer = committer;
    this.#log = log;
    this.lost = new LostWrites(early, (lost) => log.note(lost));
  }

  /** By what a second try writes. Until then there is none. */
  writeBy(context: WriteContext): void {
    this.#retry = new WriteRetry(context);
  }

  /** FileSystem.sync */
  sync(inode?: number, dataOnly = false): Promise<void> {
    return this.#sync(inode, dataOnly ? SyncKind.data : SyncKind.all);
  }

  /** Everything that can be written is on disk when it resolves. @throws the error of the device */
  commit(): Promise<void> {
    return this.#sync(undefined, SyncKind.silent);
  }

  /**
   * One function, and no promise more than has to be: of a process that writes and syncs in turns,
   * this is half the work.
   */
  async #sync(inode: number | undefined, kind: SyncKind): Promise<void> {
    this.#underWay++;
    try {
      if (this.#early.busy) await this.#early.settled();
      if (this.lost.keepsAny) await this.#retry?.run(inode);
      if (kind === SyncKind.data) await this.#committer.syncData();
      else {
        if (this.#access.size > 0) await this.#access.write(true);
        await this.#committer.commit();
      }
    } finally {
      if (--this.#underWay === 0) this.#tellEnded();
    }
    const error = kind === SyncKind.silent ? undefined : this.lost.errorOf(inode);
    if (error !== undefined) throw error;
  }

  #tellEnded(): void {
    const waiting = this.#ended;
    if (waiting.length === 0) return;
    this.#ended = [];
    for (const tell of waiting) tell();
  }

  /** Resolves when no sync is under way, and all losses are in the log. */
  async quiet(): Promise<void> {
    while (this.#underWay > 0) await new Promise<void>((resolve) => this.#ended.push(resolve));
    await this.#committer.quiet();
    await this.#log.end();
  }

  /** @throws LostDataError */
  expectNothingLost(): void {
    const { verdict } = this.lost;
    if (verdict !== undefined) throw verdict;
  }
}
