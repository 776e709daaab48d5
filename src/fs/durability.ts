/**
 * Syncs: when everything so far is on disk, and who is told of what is not.
 *
 *   writes answered early are done ─▶ what was lost is tried again ─▶ commit ─▶ what is lost is told
 *
 * The first and third step are the whole volume's, the others those of one inode, or of all; access
 * times that are only in memory go with the commit. An error
 * of the commit ends the volume and is everybody's; one of data is its inode's (lost-writes.ts).
 */
import type { AccessTimes } from './access-times.ts';
import type { Committer } from './commit.ts';
import type { EarlyWrites } from './early-writes.ts';
import type { LossLog } from './loss-log.ts';
import { LostWrites } from './lost-writes.ts';
import type { WriteContext } from './write-plan.ts';
import { WriteRetry } from './write-retry.ts';

export class Durability {
  readonly lost: LostWrites;
  readonly #early: EarlyWrites;
  readonly #access: AccessTimes;
  readonly #committer: Committer;
  readonly #log: LossLog;
  #retry: WriteRetry | undefined;
  /** Syncs under way. */
  readonly #underWay = new Set<Promise<void>>();

  constructor(early: EarlyWrites, access: AccessTimes, committer: Committer, log: LossLog) {
    this.#early = early;
    this.#access = access;
    this.#committer = committer;
    this.#log = log;
    this.lost = new LostWrites(early, (...loss) => log.note(...loss));
  }

  /** By what a second try writes. Until then there is none. */
  writeBy(context: WriteContext): void {
    this.#retry = new WriteRetry(context);
  }

  /** FileSystem.sync */
  async sync(inode?: number): Promise<void> {
    await this.commit(inode);
    const error = this.lost.errorOf(inode);
    if (error !== undefined) throw error;
  }

  /** Everything that can be written is on disk when it resolves. @throws the error of the device */
  commit(inode?: number): Promise<void> {
    const work = this.#commit(inode).finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
    return work;
  }

  async #commit(inode: number | undefined): Promise<void> {
    if (this.#early.busy) await this.#early.settled();
    if (this.lost.keepsAny) await this.#retry?.run(inode);
    if (this.#access.size > 0) await this.#access.write(true);
    await this.#committer.commit();
  }

  /** Resolves when no sync is under way, and all losses are in the log. */
  async quiet(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await this.#committer.quiet();
    await this.#log.end();
  }

  /** @throws LostDataError */
  expectNothingLost(): void {
    const { verdict } = this.lost;
    if (verdict !== undefined) throw verdict;
  }
}
