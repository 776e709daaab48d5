/**
 * Where steps are played: the workers, the model, the mount's nature, and the log of what was done
 * to which inode.
 *
 * A step is one random operation with all its particulars, so that it can be played again on
 * another stage without the steps between; if one that it builds on was left out, it throws
 * NotApplicable before it does anything.
 */
import { constants } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AccessRule, type Held, type Inode, type Kind, Model, NotApplicable } from './model.ts';
import type { Answer, User, Worker } from './worker.ts';

export const ROOT_USER: User = { uid: 0, gid: 0 };
/** Slots of a worker that steps and checks use in passing; the others hold files open. */
export const PASSING_SLOT = 15;
export const CHECK_SLOT = 14;
/**
 * A filesystem may tell the kernel of new counts of blocks some milliseconds late; long against
 * that.
 */
const NOTICE_MS = 100;

/** What is compared, and may be left out to get at the rest. */
export const CHECK_CLASSES = [
  'access', // times of access
  'attributes', // all of statx that is not named here
  'blocks', // st_blocks
  'content',
  'direct-aio', // files written by libaio or io_uring with O_DIRECT under buffered readers
  'extended', // extended attributes and ACLs
  'error', // calls that must succeed
  'handle', // open_by_handle_at
  'listing', // names, types and inode numbers of directories
  'parent', // the inode number that `..` is listed with
  'set-id', // set-user-id and set-group-id bits
  'times', // times of modification and change, of birth
] as const;
export type CheckClass = (typeof CHECK_CLASSES)[number];

/** What the mount says is not what it must. */
export class Difference extends Error {
  readonly checkClass: CheckClass;
  readonly inode: Inode | undefined;

  constructor(checkClass: CheckClass, message: string, inode?: Inode) {
    super(message);
    this.checkClass = checkClass;
    this.inode = inode;
  }
}

/**
 * Two steps may run at the same time if no key of one has another value in the other. ALONE is
 * unlike itself.
 */
export type Claims = ReadonlyMap<string, string>;
export const ALONE = 'alone';

export interface Step {
  readonly text: string;
  readonly worker: number;
  /** None if it must run alone. */
  readonly claims: Claims | undefined;
  /** It makes or moves directories, so that paths of other steps depend on it. */
  readonly shapesTree?: boolean;
  perform(stage: Stage): Promise<void>;
}

/** What was played: steps of one batch ran at the same time. */
export interface Played {
  readonly batch: number;
  readonly step: Step;
  /** Ids of the inodes that it touched. */
  readonly inodes: Set<number>;
}

export interface Mount {
  /** Unmounts, checks, mounts again. @throws Error with the checker's findings */
  remount(): Promise<void>;
  /** Has the kernel forget what is clean and unused. @returns false if it does not get to it */
  dropCaches(): Promise<boolean>;
  readonly accessRule: AccessRule;
  readonly blockBytes: number;
  /** copy_file_range goes through the page cache, and is not the filesystem's own. */
  readonly copiesThroughCache: boolean;
}

export class Stage {
  readonly workers: readonly Worker[];
  readonly mount: Mount;
  readonly model: Model;
  readonly without: ReadonlySet<CheckClass>;
  readonly log: Played[] = [];
  batch = 0;
  checks = 0;
  calls = 0;
  drops = 0;
  #touched = new Map<number, Set<number>>();

  private constructor(
    workers: readonly Worker[],
    mount: Mount,
    without: ReadonlySet<CheckClass>,
    model: Model,
  ) {
    this.workers = workers;
    this.mount = mount;
    this.without = without;
    this.model = model;
  }

  /** A new directory of the mount, which is the root of the model from then on. */
  static async make(
    workers: readonly Worker[],
    mount: Mount,
    without: ReadonlySet<CheckClass>,
    name: string,
  ): Promise<Stage> {
    let made: Answer | undefined;
    for (const worker of workers) {
      await worker.call(ROOT_USER, 'base', '.');
      made ??= await worker.call(ROOT_USER, 'mkdir', name, 0o755);
      await worker.call(ROOT_USER, 'base', name);
    }
    if (!made || made.errno) throw new Error(`mkdir of ${name}: errno ${made?.errno}`);
    return new Stage(workers, mount, without, new Model(made.window));
  }

  worker(index: number): Worker {
    const worker = this.workers[index % this.workers.length];
    if (!worker) throw new Error('no workers');
    return worker;
  }

  compares(checkClass: CheckClass): boolean {
    return !this.without.has(checkClass);
  }

  async play(step: Step): Promise<void> {
    const touched = new Set<number>();
    this.#touched.set(step.worker, touched);
    this.log.push({ batch: this.batch, step, inodes: touched });
    await step.perform(this);
  }

  /** The step that this worker plays is about that inode. */
  touch(worker: number, ...inodes: Inode[]): void {
    for (const { id } of inodes) this.#touched.get(worker)?.add(id);
  }

  /** A call that may fail. */
  ask(worker: number, user: User, verb: string, ...words: (string | number | bigint)[]): Promise<Answer> {
    this.calls++;
    return this.worker(worker).call(user, verb, ...words);
  }

  /** A call that must succeed. @throws Difference */
  async call(
    worker: number,
    user: User,
    verb: string,
    ...words: (string | number | bigint)[]
  ): Promise<Answer> {
    const answer = await this.ask(worker, user, verb, ...words);
    if (answer.errno === 0) return answer;
    throw new Difference(
      'error',
      `${verb} ${words.join(' ')} by user ${user.uid}: errno ${answer.errno}, must succeed`,
    );
  }

  /** A call that must fail in that way. @throws Difference */
  async refused(
    errno: number,
    worker: number,
    verb: string,
    ...words: (string | number | bigint)[]
  ): Promise<void> {
    const answer = await this.ask(worker, ROOT_USER, verb, ...words);
    if (answer.errno === errno) return;
    throw new Difference('error', `${verb} ${words.join(' ')}: errno ${answer.errno}, must be ${errno}`);
  }

  open(worker: number, user: User, slot: number, flags: number, path: string, mode = 0o644): Promise<Answer> {
    return this.call(worker, user, 'open', slot, flags, mode, path || '.');
  }

  /** @throws NotApplicable */
  heldAt(worker: number, slot: number): Held {
    const held = this.model.held.get(heldKey(worker, slot));
    if (!held) throw new NotApplicable(`slot ${slot} of worker ${worker}`);
    return held;
  }

  async closeHeld(held: Held): Promise<void> {
    const { worker, slot, inode } = held;
    if (held.mappedBytes) await this.call(worker, ROOT_USER, 'unmap', slot);
    await this.call(worker, ROOT_USER, 'close', slot);
    this.model.held.delete(heldKey(worker, slot));
    // The flush at close writes what is dirty, also through a mapping that is gone.
    if (!this.model.allHeld().some((other) => other.inode === inode && other.mappedBytes)) {
      inode.mayBeUnflushed = false;
    }
    this.model.noteDead(inode);
  }

  async closeAll(): Promise<void> {
    for (const held of this.model.allHeld()) await this.closeHeld(held);
  }

  /**
   * Everything is written and recorded, by whoever it was, and what is told to the kernel by
   * notices is told.
   */
  async settle(): Promise<void> {
    await this.open(0, ROOT_USER, CHECK_SLOT, constants.O_RDONLY | constants.O_DIRECTORY, '');
    await this.call(0, ROOT_USER, 'syncfs', CHECK_SLOT);
    await this.call(0, ROOT_USER, 'fsync', CHECK_SLOT);
    await this.call(0, ROOT_USER, 'close', CHECK_SLOT);
    await sleep(NOTICE_MS);
    for (const inode of this.inodes()) {
      inode.mayBeUnflushed = false;
      inode.sizeMayBeUnflushed = false;
    }
  }

  /** Every inode that has a name or is open. */
  inodes(): Set<Inode> {
    return new Set([...this.model.named().keys(), ...this.model.allHeld().map(({ inode }) => inode)]);
  }

  /**
   * Nothing of what is not open is in the kernel's memory afterwards, if all is settled and it
   * could be done.
   */
  async dropCaches(isSettled: boolean): Promise<void> {
    const isDone = await this.mount.dropCaches();
    if (isDone) this.drops++;
    if (isDone && isSettled) this.nothingIsCached();
  }

  nothingIsCached(): void {
    for (const inode of this.model.named().keys()) if (!this.model.isHeld(inode)) inode.forgotten();
  }
}

export function heldKey(worker: number, slot: number): string {
  return `${worker}:${slot}`;
}

export function kindOfType(type: number): Kind | undefined {
  return ({ 1: 'fifo', 4: 'directory', 8: 'file', 10: 'symlink' } as const)[type];
}
