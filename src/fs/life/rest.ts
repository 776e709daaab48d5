/**
 * A volume at rest: clean on disk and read-only, as after an unmount, and still mounted.
 *
 *   awake ──rest──▶ everything home, marked clean ──▶ at rest ──the first change──▶ marked as in
 *   use ──▶ awake
 *
 * Where a mount is made read-only, the kernel lets no change pass; so one that comes shows that the
 * mount is writable again. It is run again when the volume has been marked as in use (`RESTING`,
 * operation-runner.ts), and finds nothing out of the ordinary.
 *
 * A mount that begins read-only may begin at rest, and can then become writable, too.
 *
 * Inodes whose last holder goes meanwhile are freed when the volume wakes, or by the next mount:
 * nothing is written at rest.
 */
import { asError, fsError } from '../base/errors.ts';
import type { Health } from './health.ts';

/**
 * How often what goes on by itself is waited for, before it has to wake the volume when it comes to
 * its end.
 */
const MOST_TRIES = 8;

export interface RestHost {
  /**
   * Everything done before the call is in the journal or at home, and what went on by itself then
   * is over.
   * @throws the error of the device
   */
  settle(): Promise<void>;
  /** Something goes on by itself that will change the volume once more. */
  isBusy(): boolean;
  /** The journal is empty. @throws the error of the device */
  drain(): Promise<void>;
  /** Marks the volume on disk as clean, unless it is damaged. */
  markClean(): Promise<void>;
  markInUse(): Promise<void>;
  reap(inode: number): void;
}

export class Rest {
  readonly #health: Health;
  readonly #host: RestHost;
  #turning: Promise<void> = Promise.resolve();
  /**
   * For all who wait for it: nobody is left to wait for one behind the next rest, which may wait
   * for him.
   */
  #waking: Promise<void> | undefined;
  /** Inodes to be freed. */
  readonly #left: number[] = [];
  /** Whether changes are let in now, as far as whoever mounts the volume knows. */
  mayWake: () => boolean = () => true;

  constructor(health: Health, host: RestHost) {
    this.#health = health;
    this.#host = host;
  }

  /** @throws the error of the device, if not everything could be written */
  rest(): Promise<void> {
    return this.#turn(() => this.#rest());
  }

  /** Ends the rest, if there is one. @throws EROFS if the volume cannot be changed any more */
  wake(): Promise<void> {
    this.#waking ??= this.#turn(() => this.#wake()).finally(() => {
      this.#waking = undefined;
    });
    return this.#waking;
  }

  /** Resolves when nothing is under way, whatever became of it. */
  quiet(): Promise<void> {
    return this.#turning;
  }

  /** Puts off freeing an inode; false if there is no rest. */
  putOff(inode: number): boolean {
    if (this.#health.state !== 'resting') return false;
    this.#left.push(inode);
    return true;
  }

  /** One at a time. */
  #turn(work: () => Promise<void>): Promise<void> {
    const turned = this.#turning.then(work);
    this.#turning = turned.catch(() => {});
    return turned;
  }

  async #rest(): Promise<void> {
    if (this.#health.state !== 'writable') return;
    let tries = 0;
    do await this.#host.settle();
    while (this.#host.isBusy() && ++tries < MOST_TRIES);
    // Corruption may have been met meanwhile: that is for good.
    if (this.#health.state !== 'writable') return;
    // From here on nothing becomes dirty; what did since is brought home below. Nothing may be
    // waited for that can wait for the volume to wake, since that waits for this.
    this.#health.rest();
    await this.#host.drain();
    await this.#host.markClean();
  }

  async #wake(): Promise<void> {
    if (this.#health.state === 'writable') return;
    this.#expectRest();
    if (!this.mayWake()) throw fsError('EROFS');
    try {
      await this.#host.markInUse();
    } catch (thrown) {
      this.#health.fail(asError(thrown));
    }
    this.#expectRest();
    this.#health.wake();
    for (const inode of this.#left.splice(0)) this.#host.reap(inode);
  }

  /** @throws EROFS where nothing can be changed any more */
  #expectRest(): void {
    if (this.#health.state !== 'resting') throw fsError('EROFS');
  }
}
