/**
 * All crash states of one recorded workload, each different one examined; and for some of them all
 * crashes during recovery and unmount, to a chosen depth.
 *
 * A state has a name: its place in the log and its number there, `123.45`; of crashes during its
 * recovery `123.45/17.3`.
 */
import type { CrashDisk } from '../../src/sim/crash-disk.ts';
import { hashOf, hashOfDisk, KeySet } from '../../src/sim/crash-hash.ts';
import type { DeviceEvent } from '../../src/sim/crash-image.ts';
import { type CrashBudget, CrashCursor, type CrashState } from '../../src/sim/crash-states.ts';
import { examine } from './examine.ts';
import { type CrashWindow, Oracle } from './oracle.ts';
import type { Recorder } from './recorder.ts';

export interface ExploreOptions {
  readonly seed: number;
  /**
   * Of the states of a recovery whose key divides by it, the crashes during recovery are examined;
   * 0: of none.
   */
  readonly recoveryEvery: number;
  /** How often a crash hits the recovery from a crash. */
  readonly depth: number;
  /** Limits of the enumeration, also within recoveries. */
  readonly budget: Omit<CrashBudget, 'seed'>;
  readonly recoveryBudget: Omit<CrashBudget, 'seed'>;
  /** Examine only the state of this name. */
  readonly only?: string | undefined;
}

export interface Violation {
  readonly state: string;
  readonly what: string;
  /** Where power was cut, and what reached the disk. */
  readonly where: string;
}

/** Told of each different state. False stops. */
export type Progress = (key: number) => Promise<boolean>;

export interface Recorded {
  readonly disk: CrashDisk;
  readonly log: readonly DeviceEvent[];
  /** Places before this one are not looked at: preparation. */
  readonly from: number;
  readonly recorder: Recorder;
}

class Exploration {
  readonly #disk: CrashDisk;
  readonly #oracle: Oracle;
  readonly #options: ExploreOptions;
  readonly #progress: Progress;
  /** States examined under the promises of the current place. */
  readonly #seen = new KeySet();
  #stopped = false;
  violation: Violation | undefined;

  constructor(recorded: Recorded, options: ExploreOptions, progress: Progress) {
    this.#disk = recorded.disk;
    this.#oracle = new Oracle(recorded.recorder);
    this.#options = options;
    this.#progress = progress;
  }

  get #ended(): boolean {
    return this.#stopped || this.violation !== undefined;
  }

  async run(recorded: Recorded): Promise<void> {
    const { log, from, recorder } = recorded;
    const positions = new Set(recorder.marks.map(({ position }) => position));
    const mark = this.#disk.mark();
    const hash = hashOfDisk(this.#disk.bytes);
    const cursor = new CrashCursor(this.#disk, log, hash);
    const budget = { ...this.#options.budget, seed: this.#options.seed };
    do {
      const isMark = positions.has(cursor.eventCount);
      if (isMark) this.#seen.clear();
      if (cursor.eventCount < from) continue;
      if (!isMark && (!cursor.changed || cursor.growsNext)) continue;
      cursor.changed = false;
      const window = this.#oracle.windowAt(cursor.eventCount);
      await this.#statesOf(cursor, budget, window, '', 0);
    } while (!this.#ended && cursor.step());
    this.#disk.rollback(mark);
  }

  async #statesOf(
    cursor: CrashCursor,
    budget: CrashBudget,
    window: CrashWindow,
    prefix: string,
    depth: number,
  ): Promise<void> {
    for (const state of cursor.states(budget)) {
      const name = `${prefix}${state.eventCount}.${state.ordinal}`;
      const { only } = this.#options;
      if (only !== undefined && only !== name && !only.startsWith(`${name}/`)) continue;
      if (only === undefined && !this.#seen.add(state.key)) continue;
      if (!(await this.#progress(state.key))) this.#stopped = true;
      await this.#examine(state, window, name, depth);
      if (this.#ended) return;
    }
  }

  async #examine(state: CrashState, window: CrashWindow, name: string, depth: number): Promise<void> {
    const disk = this.#disk;
    const before = disk.mark();
    for (const { sector, data } of state.overlay) disk.write(sector * data.length, data);
    const after = disk.mark();
    const log: DeviceEvent[] | undefined = this.#goesDeeper(state, name, depth) ? [] : undefined;
    const options = { readOnlyFirst: state.key % 16 === 1, use: state.key % 16 === 2, log };
    const fault = await examine(disk, this.#oracle, window, options);
    disk.rollback(after);
    if (fault !== undefined) {
      this.violation = { state: name, what: fault, where: describeState(state, depth) };
    } else if (log) await this.#crashRecovery(log, state.key, window, `${name}/`, depth + 1);
    disk.rollback(before);
  }

  #goesDeeper({ key }: CrashState, name: string, depth: number): boolean {
    const { recoveryEvery, only } = this.#options;
    if (only !== undefined) return only.startsWith(`${name}/`);
    return depth < this.#options.depth && recoveryEvery > 0 && key % recoveryEvery === 0;
  }

  async #crashRecovery(
    log: readonly DeviceEvent[],
    key: number,
    window: CrashWindow,
    prefix: string,
    depth: number,
  ): Promise<void> {
    const disk = this.#disk;
    const mark = disk.mark();
    const cursor = new CrashCursor(disk, log, hashOf(key));
    const budget = { ...this.#options.recoveryBudget, seed: this.#options.seed };
    while (!this.#ended && cursor.step()) {
      if (!cursor.changed || cursor.growsNext) continue;
      cursor.changed = false;
      await this.#statesOf(cursor, budget, window, prefix, depth);
    }
    disk.rollback(mark);
  }
}

function describeState(state: CrashState, depth: number): string {
  const sectors = state.overlay.map(({ sector }) => sector);
  const during = depth === 0 ? '' : ' of the recovery';
  return `power cut after event ${state.eventCount}${during}; of the unflushed writes the sectors ${sectors.join(' ') || '(none)'} reached the disk`;
}

/** @returns the first violation, if there is one */
export async function explore(
  recorded: Recorded,
  options: ExploreOptions,
  progress: Progress,
): Promise<Violation | undefined> {
  const exploration = new Exploration(recorded, options, progress);
  await exploration.run(recorded);
  return exploration.violation;
}
